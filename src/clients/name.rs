//! The name of an API client: for the people who look after it.

use std::str::FromStr;

const MAX_CHARACTERS: usize = 255;

/// A name that can be shown in a line: 1 to 255 characters, not blank, no control characters (one in a list of
/// clients could pass for another line, or command the terminal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to {MAX_CHARACTERS} characters, not all blank, and no control characters")]
pub struct InvalidName;

impl Name {
    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        let is_good = (1..=MAX_CHARACTERS).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if is_good { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_of_text() {
        assert_eq!(" Billing sync ".parse(), Ok(Name("Billing sync".into())));
        assert!("é".repeat(255).parse::<Name>().is_ok());
        for bad in ["", "  ", "a\nb", "a\tb", "\u{1b}[2J", &*"x".repeat(256)] {
            assert_eq!(bad.parse::<Name>(), Err(InvalidName), "{bad:?}");
        }
    }
}
