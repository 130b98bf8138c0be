//! The JOSE header of a token, checked for extensions that this service does not support.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::reject_reason::{InvalidToken, RejectReason};
use super::unique_members::UniqueMembers;

/// The JOSE header of a token.
#[derive(Debug)]
pub(super) struct TokenHeader(UniqueMembers);

impl TokenHeader {
    /// Decodes the header of `token`.
    ///
    /// # Errors
    /// Fails if the header is not a base64url-encoded JSON object with unique member names.
    pub(super) fn parse(token: &str) -> Result<Self, InvalidToken> {
        let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
        let members = header.and_then(|header| serde_json::from_slice(&header).ok());
        let malformed = || InvalidToken::new(RejectReason::Malformed, "the header is not a base64url-encoded object");
        members.map(Self).ok_or_else(malformed)
    }

    /// Checks that the header demands no extension.
    ///
    /// # Errors
    /// Fails if the header has `crit`, whatever its value: this service supports no extension (RFC 7515 §4.1.11).
    /// Also fails if the claims are not encoded (`b64`): a JWT must not use that option, and the option must be listed
    /// in `crit` (RFC 7797 §6 and §7).
    pub(super) fn reject_extensions(&self) -> Result<(), InvalidToken> {
        let TokenHeader(UniqueMembers(members)) = self;
        let is_encoded = members.get("b64").is_none_or(|encoded| *encoded == Value::Bool(true));
        if members.contains_key("crit") || !is_encoded {
            return Err(InvalidToken::new(RejectReason::Malformed, "`crit` and `b64` extensions are not supported"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(header: &str) -> Result<TokenHeader, InvalidToken> {
        TokenHeader::parse(&format!("{}.claims.signature", URL_SAFE_NO_PAD.encode(header)))
    }

    #[test]
    fn header_with_an_extension_is_rejected() {
        let is_rejected = |header: &str| parse(header).and_then(|header| header.reject_extensions()).is_err();
        assert!(!is_rejected(r#"{"alg": "HS256", "x": "ignored", "jku": "https://elsewhere.example"}"#));
        assert!(!is_rejected(r#"{"alg": "HS256", "b64": true}"#));
        for header in [
            r#"{"crit": ["exp"]}"#,
            r#"{"crit": []}"#,
            r#"{"crit": null}"#,
            r#"{"b64": false}"#,
            r#"{"b64": "true"}"#,
            r#"{"alg": "HS256", "alg": "HS256"}"#,
            "[]",
            "",
        ] {
            assert!(is_rejected(header), "{header}");
        }
        assert!(TokenHeader::parse("a=.b.c").is_err() && TokenHeader::parse("").is_err());
    }
}
