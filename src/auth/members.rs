//! The JSON objects of a token, its header and its claims, read so that nobody can read them otherwise.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::flaw::{Flaw, InvalidToken};

/// The members of an object, each named once. Of two with one name another reader might take the one that we don't, so
/// there is no such object (RFC 7515 §4, RFC 7519 §4).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Members(pub(super) Map<String, Value>);

impl Members {
    /// Those of the header of this token.
    ///
    /// # Errors
    /// A token without a header of that form.
    pub(super) fn of_header(token: &str) -> Result<Self, InvalidToken> {
        let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
        let members = header.and_then(|header| serde_json::from_slice(&header).ok());
        members.ok_or_else(|| InvalidToken(Flaw::Malformed, "its header is malformed".to_owned()))
    }

    /// # Errors
    /// A header with `crit`, whatever it holds: we know no extension (RFC 7515 §4.1.11). Or with claims that are not
    /// encoded, which no JWT may have, and which has to be said in `crit` besides (RFC 7797 §6 and §7).
    pub(super) fn refuse_extensions(&self) -> Result<(), InvalidToken> {
        let is_encoded = self.0.get("b64").is_none_or(|encoded| *encoded == Value::Bool(true));
        if self.0.contains_key("crit") || !is_encoded {
            return Err(InvalidToken(Flaw::Malformed, "it has critical extensions".to_owned()));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is there twice"));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_header(header: &str) -> Result<Members, InvalidToken> {
        Members::of_header(&format!("{}.claims.signature", URL_SAFE_NO_PAD.encode(header)))
    }

    #[test]
    fn reads_each_name_once() {
        let members: Members = serde_json::from_str(r#"{"a": 1, "b": {"a": 2}}"#).expect("an object");
        assert_eq!(Value::Object(members.0), json!({"a": 1, "b": {"a": 2}}));
        for other in [r#"{"a": 1, "a": 1}"#, r#"{"a": 1, "\u0061": 2}"#, "[]", "1", "null", "\"\"", "{", ""] {
            assert!(serde_json::from_str::<Members>(other).is_err(), "{other}");
        }
    }

    #[test]
    fn knows_no_extension() {
        let refuses = |header: &str| of_header(header).and_then(|header| header.refuse_extensions()).is_err();
        assert!(!refuses(r#"{"alg": "HS256", "x": "ignored", "jku": "https://elsewhere.example"}"#));
        assert!(!refuses(r#"{"alg": "HS256", "b64": true}"#));
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
            assert!(refuses(header), "{header}");
        }
        assert!(Members::of_header("a=.b.c").is_err() && Members::of_header("").is_err());
    }
}
