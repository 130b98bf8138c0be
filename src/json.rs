//! A strict JSON parser (docs/api-reference.md#errors). Numbers keep their digits exactly as sent.
//!
//! It rejects duplicate keys, and lone surrogates in every string, also in strings that the service ignores. By
//! default, `serde_json` accepts both. This module does not depend on contacts, fields or HTTP.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The maximum nesting depth of arrays and objects. No request of the API needs more than six levels.
pub const MAX_DEPTH: usize = 32;

/// A JSON value. It borrows from the parsed text.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, with its digits as sent.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object, with its members in the order sent. No name occurs twice.
    Object(Object<'a>),
}

impl<'a> Json<'a> {
    /// Returns the members of an object, or `None` for any other value.
    #[must_use]
    pub fn into_object(self) -> Option<Object<'a>> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }
}

/// The members of a JSON object, in the order sent.
pub type Object<'a> = Vec<(Cow<'a, str>, Json<'a>)>;

/// The reason why a text is not strict JSON. Its message is part of the response to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is empty or contains only whitespace.
    #[error("it is empty")]
    Empty,
    /// The text is not UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// The text violates the JSON grammar.
    #[error("syntax error at line {line}, column {column}")]
    Syntax {
        /// The line of the error, counted from 1.
        line: usize,
        /// The column of the error in bytes, counted from 1.
        column: usize,
    },
    /// A string contains a lone surrogate or an invalid escape.
    #[error("a string contains an invalid escape, such as a lone surrogate")]
    Escape,
    /// An object contains a key twice.
    #[error("an object contains the key \"{0}\" twice")]
    DuplicateKey(String),
    /// The nesting is deeper than [`MAX_DEPTH`] levels.
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Parses a complete JSON text.
///
/// # Errors
/// Fails if the text is not JSON (RFC 8259), and for duplicate keys, lone surrogates and nesting deeper than
/// [`MAX_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Encoding)?;
    if text.trim().is_empty() {
        return Err(JsonError::Empty);
    }
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| JsonError::Syntax { line: error.line(), column: error.column() })?;
    parse_value(raw, MAX_DEPTH)
}

/// Parses a value whose grammar was already checked. `remaining_depth` more levels of nesting are allowed.
fn parse_value(raw: &RawValue, remaining_depth: usize) -> Result<Json<'_>, JsonError> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => Json::Null,
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'"') => Json::String(deserialize::<Text<'_>>(text)?.0),
        Some(b'[') => {
            let item_depth = remaining_depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
            let items = deserialize::<Vec<&RawValue>>(text)?;
            Json::Array(items.into_iter().map(|item| parse_value(item, item_depth)).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let item_depth = remaining_depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
            let members = deserialize::<Members<'_>>(text)?.0;
            reject_duplicate_keys(&members)?;
            let parse_member = |(name, value)| Ok((name, parse_value(value, item_depth)?));
            Json::Object(members.into_iter().map(parse_member).collect::<Result<_, _>>()?)
        }
        _ => Json::Number(text),
    })
}

/// Deserializes a value whose grammar was already checked. Only an escape can still be invalid.
fn deserialize<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(|_| JsonError::Escape)
}

fn reject_duplicate_keys(members: &[(Cow<'_, str>, &RawValue)]) -> Result<(), JsonError> {
    /// Up to this number of members, comparing all pairs is faster than hashing.
    const MAX_PAIRWISE: usize = 12;
    let is_repeated = |(index, (name, _)): &(usize, &(Cow<'_, str>, &RawValue))| {
        members[..*index].iter().any(|(earlier, _)| earlier == name)
    };
    let mut seen = HashSet::new();
    let repeated = match members.len() {
        0..=MAX_PAIRWISE => members.iter().enumerate().find(is_repeated).map(|(_, member)| member),
        _ => members.iter().find(|(name, _)| !seen.insert(name)),
    };
    match repeated {
        Some((name, _)) => Err(JsonError::DuplicateKey(name.chars().take(100).collect())),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object with unparsed members. A map type would silently drop duplicates.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, &RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for digits in ["0", "-0", "1.10", "1e400", "123456789012345678901234567890", "-1.5E-3"] {
            assert_eq!(parse(digits.as_bytes()), Ok(Json::Number(digits)));
        }
    }

    #[test]
    fn strings_and_member_names_are_unescaped() {
        let json = parse(br#"{"a\u0062": "\ud83d\ude00\u0000"}"#).expect("valid JSON");
        assert_eq!(json, Json::Object(vec![("ab".into(), Json::String("😀\0".into()))]));
    }

    #[test]
    fn text_that_is_not_strict_json_is_an_error() {
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        let unclosed = "[".repeat(500_000);
        type Case<'a> = (&'a [u8], fn(&JsonError) -> bool);
        let cases: [Case<'_>; 12] = [
            (b"", |e| *e == JsonError::Empty),
            (b" \n", |e| *e == JsonError::Empty),
            (b"\"\xff\"", |e| *e == JsonError::Encoding),
            (b"{\"a\": 1,}", |e| matches!(e, JsonError::Syntax { line: 1, .. })),
            (b"1 2", |e| matches!(e, JsonError::Syntax { .. })),
            (b"01", |e| matches!(e, JsonError::Syntax { .. })),
            (b"NaN", |e| matches!(e, JsonError::Syntax { .. })),
            (br#""\ud800""#, |e| *e == JsonError::Escape),
            (br#"[{"a": "\udc00x"}]"#, |e| *e == JsonError::Escape),
            (br#"[{"a": 1, "\u0061": 2}]"#, |e| *e == JsonError::DuplicateKey("a".into())),
            (deep.as_bytes(), |e| *e == JsonError::TooDeep),
            (unclosed.as_bytes(), |e| matches!(e, JsonError::Syntax { .. })),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err("not strict JSON");
            assert!(expected(&error), "{:?} gave {error:?}", String::from_utf8_lossy(&text[..text.len().min(40)]));
        }
    }

    #[test]
    fn nesting_of_exactly_max_depth_is_valid() {
        let deep = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        assert!(parse(deep.as_bytes()).is_ok());
    }

    proptest! {
        #![proptest_config(crate::test_seed::proptest_config())]

        #[test]
        fn parse_never_panics_and_agrees_with_serde_json(text in r#"[\[\]{}:,"a1\\u\-\.e tfn]{0,24}"#) {
            let expected: Result<serde_json::Value, _> = serde_json::from_str(&text);
            match parse(text.as_bytes()) {
                Ok(_) => prop_assert!(expected.is_ok() || text.contains('e') || text.contains('1'), "{text}"),
                Err(JsonError::DuplicateKey(_)) => {}
                Err(_) => prop_assert!(expected.is_err(), "{text}"),
            }
        }
    }
}
