//! `phone`: digits with the usual separators and an extension. Kept as sent, trimmed.

use super::{Parsed, limit_characters, trimmed};
use crate::fields::{IssueCode, Refusal};
use crate::json::Json;

const MAX_CHARACTERS: usize = 40;
const MIN_DIGITS: usize = 3;

pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    trimmed(json, check)
}

fn check(text: &str) -> Result<(), Refusal> {
    limit_characters(text, MAX_CHARACTERS)?;
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    if digits >= MIN_DIGITS && text.chars().all(is_allowed) && words(text).all(is_extension) {
        return Ok(());
    }
    let message = "must hold at least 3 digits and otherwise only + ( ) - . / # spaces and x or ext";
    Err(Refusal::new(IssueCode::InvalidFormat, message))
}

fn is_allowed(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+()-./# ".contains(character)
}

/// The runs of letters in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_alphabetic()).filter(|word| !word.is_empty())
}

fn is_extension(word: &str) -> bool {
    word.eq_ignore_ascii_case("x") || word.eq_ignore_ascii_case("ext")
}

#[cfg(test)]
mod tests {
    use super::super::samples::{json, only_strings, refused, set};
    use super::*;

    #[test]
    fn takes_phone_numbers_as_sent_but_trimmed() {
        for text in [
            "112",
            "+1 (555) 010-9999",
            "030/1234.567",
            "+49 30 123 ext. 45",
            "5550100x12",
            "#31#5550100",
            "555 0100 EXT 7",
        ] {
            assert_eq!(parse(&json(&format!(" {text} "))), set(text), "{text}");
        }
        assert_eq!(parse(&json("")), Ok(None));
    }

    #[test]
    fn refuses_everything_else() {
        refused(
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
        refused(parse, IssueCode::TooLong, &[&"1".repeat(41)]);
        assert_eq!(parse(&json(&"1".repeat(40))), set(&"1".repeat(40)));
        only_strings(parse);
    }
}
