//! A strict JSON parser (docs/api-reference.md#errors). Numbers keep their digits exactly as sent.
//!
//! It rejects duplicate keys, and lone surrogates in every string, also in strings that the service ignores. By
//! default, `serde_json` accepts both. This module does not depend on contacts, fields or HTTP.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

/// The maximum nesting depth of arrays and objects. No request of the API needs more than six levels.
pub const MAX_DEPTH: usize = 32;
/// The maximum number of values of a text: arrays, objects, strings, numbers, booleans and nulls, but not keys.
pub const MAX_VALUES: usize = 1_000_000;

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
    /// The text has more than [`MAX_VALUES`] values.
    #[error("it contains more than {MAX_VALUES} values")]
    TooManyValues,
    /// An array has more elements than its [`ArrayLimit`].
    #[error("an array is too long")]
    ArrayTooLong,
}

/// The maximum number of elements of one array of a body.
#[derive(Debug, Clone, Copy)]
pub struct ArrayLimit {
    /// The member of the outermost object that contains the array.
    pub key: &'static str,
    /// The maximum number of elements.
    pub max: usize,
}

/// A text that is JSON by its grammar and has at most [`MAX_VALUES`] values. It is not parsed yet.
#[derive(Debug, Clone, Copy)]
pub struct JsonText<'a> {
    text: &'a str,
    value_count: usize,
}

impl<'a> JsonText<'a> {
    /// Checks the grammar and counts the values. Takes no memory.
    ///
    /// # Errors
    /// Fails if the text is not JSON (RFC 8259), or has more than [`MAX_VALUES`] values.
    pub fn check(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::Encoding)?;
        if text.trim().is_empty() {
            return Err(JsonError::Empty);
        }
        let raw: &RawValue = serde_json::from_str(text)
            .map_err(|error| JsonError::Syntax { line: error.line(), column: error.column() })?;
        let value_count = count_values(raw.get().as_bytes());
        if value_count > MAX_VALUES {
            return Err(JsonError::TooManyValues);
        }
        Ok(Self { text: raw.get(), value_count })
    }

    /// Returns an upper bound of the memory that the parsed values take, in bytes. Vectors grow to at most twice their
    /// length.
    #[must_use]
    pub fn parsed_bytes(self) -> usize {
        self.value_count * 2 * size_of::<(Cow<'_, str>, Json<'_>)>()
    }

    /// Parses the text.
    ///
    /// # Errors
    /// Fails for duplicate keys, lone surrogates and nesting deeper than [`MAX_DEPTH`], and if an array exceeds its limit.
    pub fn parse(self, limit: Option<ArrayLimit>) -> Result<Json<'a>, JsonError> {
        Parser { text: self.text, position: 0, limit }.parse_value(MAX_DEPTH)
    }
}

/// Parses a complete JSON text.
///
/// # Errors
/// Fails if the text is not JSON (RFC 8259), and for duplicate keys, lone surrogates, nesting deeper than [`MAX_DEPTH`]
/// and more than [`MAX_VALUES`] values.
pub fn parse(bytes: &[u8]) -> Result<Json<'_>, JsonError> {
    JsonText::check(bytes)?.parse(None)
}

/// Counts the values of a text whose grammar was already checked, without the keys of objects. A container that is not
/// empty has one element more than commas.
fn count_values(text: &[u8]) -> usize {
    let (mut count, mut position) = (1, 0);
    // Whether the last byte that is not whitespace opens a container.
    let mut is_opened = false;
    while let Some(byte) = text.get(position) {
        position = if *byte == b'"' { string_end(text, position) } else { position + 1 };
        if byte.is_ascii_whitespace() {
            continue;
        }
        count += usize::from(is_opened && !matches!(byte, b']' | b'}')) + usize::from(*byte == b',');
        is_opened = matches!(byte, b'[' | b'{');
    }
    count
}

/// Returns the position after the string that starts at a position.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut position = start + 1;
    while let Some(byte) = text.get(position) {
        match byte {
            b'"' => return position + 1,
            b'\\' => position += 2,
            _ => position += 1,
        }
    }
    text.len()
}

/// A parser of a text whose grammar was already checked. It builds the values in one pass.
struct Parser<'a> {
    text: &'a str,
    position: usize,
    /// The limit of an array, until its key is passed.
    limit: Option<ArrayLimit>,
}

impl<'a> Parser<'a> {
    /// Parses the next value. `remaining_depth` more levels of nesting are allowed.
    fn parse_value(&mut self, remaining_depth: usize) -> Result<Json<'a>, JsonError> {
        Ok(match self.peek() {
            b'n' => self.skip("null", Json::Null),
            b't' => self.skip("true", Json::Bool(true)),
            b'f' => self.skip("false", Json::Bool(false)),
            b'"' => Json::String(self.parse_string()?),
            b'[' => Json::Array(self.parse_array(remaining_depth, usize::MAX)?),
            b'{' => Json::Object(self.parse_object(remaining_depth)?),
            _ => Json::Number(self.parse_number()),
        })
    }

    /// Parses an array of at most `max` elements.
    fn parse_array(&mut self, remaining_depth: usize, max: usize) -> Result<Vec<Json<'a>>, JsonError> {
        let item_depth = remaining_depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
        let mut items = vec![];
        while self.next_item(b']') {
            if items.len() == max {
                return Err(JsonError::ArrayTooLong);
            }
            items.push(self.parse_value(item_depth)?);
        }
        Ok(items)
    }

    fn parse_object(&mut self, remaining_depth: usize) -> Result<Object<'a>, JsonError> {
        let item_depth = remaining_depth.checked_sub(1).ok_or(JsonError::TooDeep)?;
        let mut members = vec![];
        while self.next_item(b'}') {
            let name = self.parse_string()?;
            // The colon.
            self.peek();
            self.position += 1;
            let limit = self.limit.filter(|limit| remaining_depth == MAX_DEPTH && name == limit.key);
            let value = match (limit, self.peek()) {
                (Some(limit), b'[') => Json::Array(self.parse_array(item_depth, limit.max)?),
                _ => self.parse_value(item_depth)?,
            };
            members.push((name, value));
        }
        reject_duplicate_keys(&members)?;
        Ok(members)
    }

    /// Moves to the next element of a container, past the opening bracket or a comma. Returns `false` after the last one.
    fn next_item(&mut self, end: u8) -> bool {
        // In valid JSON, this byte is the opening bracket, a comma, or the end.
        let is_end = self.peek() == end;
        self.position += 1;
        if is_end {
            return false;
        }
        // An empty container ends after its opening bracket.
        let is_empty = self.peek() == end;
        self.position += usize::from(is_empty);
        !is_empty
    }

    fn parse_string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let start = self.skip_whitespace();
        self.position = string_end(self.text.as_bytes(), start);
        let quoted = &self.text[start..self.position];
        if quoted.contains('\\') {
            return serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| JsonError::Escape);
        }
        Ok(Cow::Borrowed(&quoted[1..quoted.len() - 1]))
    }

    fn parse_number(&mut self) -> &'a str {
        let start = self.skip_whitespace();
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        self.position += self.text.as_bytes()[start..].iter().take_while(|byte| is_part(byte)).count();
        &self.text[start..self.position]
    }

    /// Skips a literal and returns its value.
    fn skip(&mut self, literal: &str, value: Json<'a>) -> Json<'a> {
        self.position += literal.len();
        value
    }

    /// Returns the next byte that is not whitespace, without skipping it.
    fn peek(&mut self) -> u8 {
        let position = self.skip_whitespace();
        self.text.as_bytes().get(position).copied().unwrap_or_default()
    }

    /// Skips whitespace and returns the position after it.
    fn skip_whitespace(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.position..];
        self.position += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.position
    }
}

fn reject_duplicate_keys(members: &Object<'_>) -> Result<(), JsonError> {
    /// Up to this number of members, comparing all pairs is faster than hashing.
    const MAX_PAIRWISE: usize = 12;
    let is_repeated = |(index, (name, _)): &(usize, &(Cow<'_, str>, Json<'_>))| {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_serde_json(json: &Json<'_>) -> serde_json::Value {
        match json {
            Json::Null => serde_json::Value::Null,
            Json::Bool(value) => (*value).into(),
            Json::Number(digits) => serde_json::from_str(digits).expect("a number"),
            Json::String(text) => text.as_ref().into(),
            Json::Array(items) => items.iter().map(to_serde_json).collect(),
            Json::Object(members) => members.iter().map(|(name, json)| (name.as_ref(), to_serde_json(json))).collect(),
        }
    }

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

    #[test]
    fn values_are_counted_without_keys() {
        for (text, count) in [
            ("1", 1),
            ("\"a,b[\\\"\"", 1),
            (" [ ] ", 1),
            ("{}", 1),
            ("[1, [ ], {}]", 4),
            ("{\"a,\": 1, \"b\" : [\"}\", null ], \"c\":{ \"[\":true}}", 7),
        ] {
            assert_eq!(JsonText::check(text.as_bytes()).expect("valid JSON").value_count, count, "{text}");
        }
        let array = |length: usize| format!("[{}1]", "1,".repeat(length - 1));
        assert!(parse(array(MAX_VALUES - 1).as_bytes()).is_ok());
        assert_eq!(parse(array(MAX_VALUES).as_bytes()), Err(JsonError::TooManyValues));
    }

    #[test]
    fn array_limit_applies_to_one_member_of_the_outermost_object() {
        let limit = Some(ArrayLimit { key: "inputs", max: 2 });
        let parse = |text: &str| JsonText::check(text.as_bytes()).expect("valid JSON").parse(limit).map(|_| ());
        for valid in
            [r#"{"inputs": [1, 2]}"#, r#"{"inputs": [[1, 2, 3]]}"#, r#"{"a": {"inputs": [1, 2, 3]}}"#, "[1, 2, 3]"]
        {
            assert_eq!(parse(valid), Ok(()), "{valid}");
        }
        assert_eq!(parse(r#"{"a": 1, "inputs" : [1, 2, 3]}"#), Err(JsonError::ArrayTooLong));
    }

    proptest! {
        #![proptest_config(crate::test_seed::proptest_config())]

        #[test]
        fn serialized_values_parse_to_equal_values(text in r#"[\[\]{}:,"a1\\u\-\.e tfn😀\n]{0,12}"#, depth in 0..6_usize) {
            let mut value = serde_json::json!([text, 1, -2.5e-3, null, {}, []]);
            for _ in 0..depth {
                value = serde_json::json!({"a": [value, true], text.as_str(): text, "b": false});
            }
            for serialized in [value.to_string(), serde_json::to_string_pretty(&value).expect("values serialize")] {
                let json = parse(serialized.as_bytes()).expect("valid JSON");
                prop_assert_eq!(to_serde_json(&json), value.clone());
            }
        }

        #[test]
        fn parse_never_panics_and_agrees_with_serde_json(text in r#"[\[\]{}:,"a1\\u\-\.e tfn]{0,24}"#) {
            let expected: Result<serde_json::Value, _> = serde_json::from_str(&text);
            match parse(text.as_bytes()) {
                Ok(json) if expected.is_ok() => prop_assert_eq!(Some(to_serde_json(&json)), expected.ok(), "{}", text),
                Ok(_) => prop_assert!(expected.is_ok() || text.contains('e') || text.contains('1'), "{text}"),
                Err(JsonError::DuplicateKey(_)) => {}
                Err(_) => prop_assert!(expected.is_err(), "{text}"),
            }
        }
    }
}
