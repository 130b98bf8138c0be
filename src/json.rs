//! JSON exactly as it was sent (contract §2): numbers keep their digits, and what `serde_json` lets pass
//! by default (duplicate keys, lone surrogates in skipped text) is refused.
//!
//! Knows nothing of contacts, fields or HTTP.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How many arrays and objects may stand inside one another. No request of ours needs more than six.
pub const MAX_DEPTH: usize = 32;

/// A JSON value that borrows from the text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, digit by digit as sent.
    Number(&'a str),
    /// A string, unescaped.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object: its members in the order sent, no name twice.
    Object(Object<'a>),
}

impl<'a> Json<'a> {
    /// The members of an object; `None` for anything else.
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

/// Why a text is not (strict) JSON. The wording is meant for the caller who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Nothing but blanks.
    #[error("it is empty")]
    Empty,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    Encoding,
    /// Not JSON from here on (1-based).
    #[error("syntax error at line {line}, column {column}")]
    Syntax {
        /// 1-based line.
        line: usize,
        /// 1-based column, in bytes.
        column: usize,
    },
    /// A string that holds half a surrogate pair, or a broken escape.
    #[error("a string holds an invalid escape, such as half of a surrogate pair")]
    Escape,
    /// An object that names one member twice.
    #[error("the key \"{0}\" is sent twice in one object")]
    DuplicateKey(String),
    /// More than [`MAX_DEPTH`] levels.
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Reads a whole JSON text.
///
/// # Errors
/// [`JsonError`] for anything RFC 8259 does not allow, and for duplicate keys, lone surrogates and nesting
/// deeper than [`MAX_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Encoding)?;
    if text.trim().is_empty() {
        return Err(JsonError::Empty);
    }
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| JsonError::Syntax { line: error.line(), column: error.column() })?;
    read(raw, MAX_DEPTH)
}

/// Reads one value whose grammar is known to be right; `levels` containers may still be opened.
fn read(raw: &RawValue, levels: usize) -> Result<Json<'_>, JsonError> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'n') => Json::Null,
        Some(b't') => Json::Bool(true),
        Some(b'f') => Json::Bool(false),
        Some(b'"') => Json::String(within::<Text<'_>>(text)?.0),
        Some(b'[') => {
            let below = levels.checked_sub(1).ok_or(JsonError::TooDeep)?;
            let items = within::<Vec<&RawValue>>(text)?;
            Json::Array(items.into_iter().map(|item| read(item, below)).collect::<Result<_, _>>()?)
        }
        Some(b'{') => {
            let below = levels.checked_sub(1).ok_or(JsonError::TooDeep)?;
            let members = within::<Members<'_>>(text)?.0;
            refuse_duplicates(&members)?;
            let read_member = |(name, value)| Ok((name, read(value, below)?));
            Json::Object(members.into_iter().map(read_member).collect::<Result<_, _>>()?)
        }
        _ => Json::Number(text),
    })
}

/// Deserializes a part whose grammar has been checked: what can still be wrong is an escape.
fn within<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    serde_json::from_str(text).map_err(|_| JsonError::Escape)
}

fn refuse_duplicates(members: &[(Cow<'_, str>, &RawValue)]) -> Result<(), JsonError> {
    /// Up to here comparing each with each is faster than hashing them.
    const FEW: usize = 12;
    let is_repeated = |(index, (name, _)): &(usize, &(Cow<'_, str>, &RawValue))| {
        members[..*index].iter().any(|(earlier, _)| earlier == name)
    };
    let mut seen = HashSet::new();
    let repeated = match members.len() {
        0..=FEW => members.iter().enumerate().find(is_repeated).map(|(_, member)| member),
        _ => members.iter().find(|(name, _)| !seen.insert(name)),
    };
    match repeated {
        Some((name, _)) => Err(JsonError::DuplicateKey(name.chars().take(100).collect())),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object with its members unread: a map type would drop duplicates in silence.
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
    fn keeps_the_digits_of_numbers() {
        for digits in ["0", "-0", "1.10", "1e400", "123456789012345678901234567890", "-1.5E-3"] {
            assert_eq!(parse(digits.as_bytes()), Ok(Json::Number(digits)));
        }
    }

    #[test]
    fn unescapes_strings_and_member_names() {
        let json = parse(br#"{"a\u0062": "\ud83d\ude00\u0000"}"#).expect("valid JSON");
        assert_eq!(json, Json::Object(vec![("ab".into(), Json::String("😀\0".into()))]));
    }

    #[test]
    fn refuses_what_is_not_strict_json() {
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        let bottomless = "[".repeat(500_000);
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
            (bottomless.as_bytes(), |e| matches!(e, JsonError::Syntax { .. })),
        ];
        for (text, expected) in cases {
            let error = parse(text).expect_err("not strict JSON");
            assert!(expected(&error), "{:?} gave {error:?}", String::from_utf8_lossy(&text[..text.len().min(40)]));
        }
    }

    #[test]
    fn allows_exactly_the_depth_it_promises() {
        let deep = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
        assert!(parse(deep.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn never_panics_and_agrees_with_serde_json(text in r#"[\[\]{}:,"a1\\u\-\.e tfn]{0,24}"#) {
            let theirs: Result<serde_json::Value, _> = serde_json::from_str(&text);
            match parse(text.as_bytes()) {
                Ok(_) => prop_assert!(theirs.is_ok() || text.contains('e') || text.contains('1'), "{text}"),
                Err(JsonError::DuplicateKey(_)) => {}
                Err(_) => prop_assert!(theirs.is_err(), "{text}"),
            }
        }
    }
}
