//! `phone`: digits with the usual separators and an extension. Trimmed, otherwise stored as sent.

use super::{Parsed, check_max_characters, parse_trimmed};
use crate::fields::{InvalidValue, IssueCode};
use crate::json::Json;

const MAX_CHARACTERS: usize = 40;
const MIN_DIGITS: usize = 3;

/// Parses a phone number.
pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    parse_trimmed(json, check_phone)
}

fn check_phone(text: &str) -> Result<(), InvalidValue> {
    check_max_characters(text, MAX_CHARACTERS)?;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits >= MIN_DIGITS && text.chars().all(is_allowed_character) && words(text).all(is_extension_word) {
        return Ok(());
    }
    let message = "must contain at least 3 digits, and otherwise only spaces, + ( ) - . / # and the words x or ext";
    Err(InvalidValue::new(IssueCode::InvalidFormat, message))
}

fn is_allowed_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+()-./# ".contains(character)
}

/// Returns the runs of ASCII letters in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphabetic()).filter(|word| !word.is_empty())
}

fn is_extension_word(word: &str) -> bool {
    word.eq_ignore_ascii_case("x") || word.eq_ignore_ascii_case("ext")
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expect_rejected, expect_strings_only, json, text_value};
    use super::*;

    #[test]
    fn phone_is_trimmed_and_otherwise_stored_as_sent() {
        for text in [
            "112",
            "+1 (555) 010-9999",
            "030/1234.567",
            "+49 30 123 ext. 45",
            "5550100x12",
            "#31#5550100",
            "555 0100 EXT 7",
        ] {
            assert_eq!(parse(&json(&format!(" {text} "))), text_value(text), "{text}");
        }
        assert_eq!(parse(&json("")), Ok(None));
    }

    #[test]
    fn phone_field_rejects_other_characters_and_too_few_digits() {
        expect_rejected(
            parse,
            IssueCode::InvalidFormat,
            &[
                "12",
                "call me",
                "+1 555 CALL",
                "555-0100 extra 5",
                "١٢٣٤٥",
                "555\n0100",
                "555_0100",
                "123,456",
                "1234xx5",
            ],
        );
        expect_rejected(parse, IssueCode::TooLong, &[&"1".repeat(41)]);
        assert_eq!(parse(&json(&"1".repeat(40))), text_value(&"1".repeat(40)));
        expect_strings_only(parse);
    }
}
