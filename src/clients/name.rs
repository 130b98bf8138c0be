//! The name of an API client, for operators.

use std::str::FromStr;

const MAX_CHARACTERS: usize = 255;

/// A name that fits on one line of output: 1 to 255 characters, not blank, without control characters.
///
/// In a list of clients, a control character could imitate another line or send a command to the terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientName(String);

/// The error for a text that is not a valid name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name must have 1 to {MAX_CHARACTERS} characters, not all blank, and no control characters")]
pub struct InvalidClientName;

impl ClientName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientName {
    type Err = InvalidClientName;

    fn from_str(text: &str) -> Result<Self, InvalidClientName> {
        let text = text.trim();
        let is_valid = (1..=MAX_CHARACTERS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidClientName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_name_is_trimmed_and_must_be_one_line_of_1_to_255_characters() {
        assert_eq!(" Billing sync ".parse(), Ok(ClientName("Billing sync".into())));
        assert!("é".repeat(255).parse::<ClientName>().is_ok());
        for bad in ["", "  ", "a\nb", "a\tb", "\u{1b}[2J", &*"x".repeat(256)] {
            assert_eq!(bad.parse::<ClientName>(), Err(InvalidClientName), "{bad:?}");
        }
    }
}
