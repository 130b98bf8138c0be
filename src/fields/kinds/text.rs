//! `text`: kept as sent, neither trimmed nor normalised.

use super::{Parsed, limit_characters, string};
use crate::fields::{IssueCode, Refusal, Value};
use crate::json::Json;

pub(in crate::fields) fn parse(json: &Json<'_>, max_length: usize) -> Parsed {
    let text = string(json)?;
    if text.is_empty() {
        return Ok(None);
    }
    // PostgreSQL holds no NUL in text or jsonb.
    if text.contains('\0') {
        return Err(Refusal::new(IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    limit_characters(text, max_length)?;
    Ok(Some(Value::Text(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::super::samples::{json, only_strings, refused, set};
    use super::*;

    #[test]
    fn keeps_text_as_sent() {
        for text in ["Ada", "  Ada ", " ", "e\u{301}", "👩‍👩‍👧", "a\nb\tc", "\u{202e}", "\u{feff}"] {
            assert_eq!(parse(&json(text), 255), set(text));
        }
        assert_eq!(parse(&json(""), 255), Ok(None));
    }

    #[test]
    fn counts_characters_not_bytes() {
        assert_eq!(parse(&json(&"ß".repeat(255)), 255), set(&"ß".repeat(255)));
        refused(|json| parse(json, 255), IssueCode::TooLong, &[&"ß".repeat(256), &"a".repeat(5_000)]);
    }

    #[test]
    fn refuses_nul_and_other_types() {
        refused(|json| parse(json, 255), IssueCode::InvalidFormat, &["\0", "a\0b"]);
        only_strings(|json| parse(json, 255));
    }
}
