//! JSON objects with unique member names: the header and the claims of a token.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The members of a JSON object in which no name occurs twice.
///
/// Deserialization fails on a duplicate name, because another reader could use the other value
/// (RFC 7515 §4, RFC 7519 §4).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UniqueMembers(pub(super) Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueMembersVisitor)
    }
}

struct UniqueMembersVisitor;

impl<'de> Visitor<'de> for UniqueMembersVisitor {
    type Value = UniqueMembers;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<UniqueMembers, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member name"));
            }
        }
        Ok(UniqueMembers(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn object_with_a_duplicate_name_is_rejected() {
        let members: UniqueMembers = serde_json::from_str(r#"{"a": 1, "b": {"a": 2}}"#).expect("an object");
        assert_eq!(Value::Object(members.0), json!({"a": 1, "b": {"a": 2}}));
        for other in [r#"{"a": 1, "a": 1}"#, r#"{"a": 1, "\u0061": 2}"#, "[]", "1", "null", "\"\"", "{", ""] {
            assert!(serde_json::from_str::<UniqueMembers>(other).is_err(), "{other}");
        }
    }
}
