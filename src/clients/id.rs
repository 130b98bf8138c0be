//! The id of an API client.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

const PREFIX: &str = "client_";
const UUID_BYTES: usize = 16;

/// The id of a client, together with the id of its account.
///
/// The text form is `client_` and 43 characters of base64url. It contains both ids, because a token request carries
/// only this text, and the database needs the account id to find the client. Neither form encoding nor HTTP Basic
/// changes any of its characters (RFC 6749 §2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientId {
    /// The account that the client acts for.
    pub account: Uuid,
    /// The id of the client within the account.
    pub client: Uuid,
}

impl ClientId {
    /// Generates an id for a new client of `account`.
    #[must_use]
    pub fn new(account: Uuid) -> Self {
        Self { account, client: Uuid::now_v7() }
    }

    /// Parses the text form. Each id has exactly one text form. Returns `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (account, client) = bytes.split_at_checked(UUID_BYTES)?;
        Some(Self { account: Uuid::from_slice(account).ok()?, client: Uuid::from_slice(client).ok()? })
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.account.into_bytes(), self.client.into_bytes()].concat();
        write!(formatter, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_id_is_parsed_from_its_own_text() {
        let id = ClientId::new(Uuid::now_v7());
        let text = id.to_string();
        assert_eq!(text.len(), 50);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{text}");
        assert_eq!(ClientId::parse(&text), Some(id));
    }

    #[test]
    fn client_id_has_exactly_one_text_form() {
        let text = ClientId { account: Uuid::nil(), client: Uuid::nil() }.to_string();
        let end = text.len() - 1;
        for other in [
            // The last character encodes two bits that the id does not use.
            format!("{}B", &text[..end]),
            format!("{text}A"),
            format!("{text}="),
            text[..end].to_owned(),
            text.to_uppercase(),
            format!(" {text}"),
            text[PREFIX.len()..].to_owned(),
            PREFIX.to_owned(),
            String::new(),
            "client_ä".into(),
        ] {
            assert_eq!(ClientId::parse(&other), None, "{other}");
        }
    }
}
