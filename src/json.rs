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

    /// Returns the number of values, without keys.
    #[must_use]
    pub fn value_count(self) -> usize {
        self.value_count
    }

    /// Returns an upper bound of the memory that the parsed values of a large text take, in bytes, without strings that
    /// contain escapes.
    #[must_use]
    pub fn parsed_bytes(self) -> usize {
        /// The unused part of an allocation.
        const ALLOCATION_OVERHEAD: usize = 8;
        self.value_count * (size_of::<(Cow<'_, str>, Json<'_>)>() + ALLOCATION_OVERHEAD)
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
        self.release_unused(&mut items);
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
        self.release_unused(&mut members);
        reject_duplicate_keys(&members)?;
        Ok(members)
    }

    /// Releases the memory that a vector of a large text has allocated in advance. A million vectors with one element
    /// would take four times their memory.
    fn release_unused<T>(&self, items: &mut Vec<T>) {
        const LARGE_TEXT: usize = 64 * 1024;
        if self.text.len() >= LARGE_TEXT {
            items.shrink_to_fit();
        }
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
mod tests;
