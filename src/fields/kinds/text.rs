//! `text`: stored as sent, neither trimmed nor normalized.

use super::{Parsed, check_max_characters, expect_string};
use crate::fields::{InvalidValue, IssueCode, Value};
use crate::json::Json;

/// Parses a text of at most `max_length` characters.
pub(in crate::fields) fn parse(json: &Json<'_>, max_length: usize) -> Parsed {
    let text = expect_string(json)?;
    if text.is_empty() {
        return Ok(None);
    }
    // PostgreSQL cannot store NUL in text or jsonb.
    if text.contains('\0') {
        return Err(InvalidValue::new(IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    check_max_characters(text, max_length)?;
    Ok(Some(Value::Text(text.into())))
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expect_rejected, expect_strings_only, json, text_value};
    use super::*;

    #[test]
    fn text_is_stored_as_sent() {
        for text in ["Ada", "  Ada ", " ", "e\u{301}", "👩‍👩‍👧", "a\nb\tc", "\u{202e}", "\u{feff}"] {
            assert_eq!(parse(&json(text), 255), text_value(text));
        }
        assert_eq!(parse(&json(""), 255), Ok(None));
    }

    #[test]
    fn text_length_is_counted_in_characters() {
        assert_eq!(parse(&json(&"ß".repeat(255)), 255), text_value(&"ß".repeat(255)));
        expect_rejected(|json| parse(json, 255), IssueCode::TooLong, &[&"ß".repeat(256), &"a".repeat(5_000)]);
    }

    #[test]
    fn text_field_rejects_nul_and_other_types() {
        expect_rejected(|json| parse(json, 255), IssueCode::InvalidFormat, &["\0", "a\0b"]);
        expect_strings_only(|json| parse(json, 255));
    }
}
