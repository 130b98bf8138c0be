//! `query`: the words of a full-text query.

use super::operand::check_text;
use crate::fields::{InvalidValue, IssueCode};

const MAX_CHARACTERS: usize = 1_000;
/// The maximum number of words. The database searches for each word in every contact that the filters match.
const MAX_WORDS: usize = 20;

/// Splits a query at whitespace into words, without duplicates.
pub(super) fn parse(query: &str) -> Result<Vec<String>, InvalidValue> {
    check_text(query, MAX_CHARACTERS)?;
    let mut words: Vec<String> = Vec::new();
    for word in query.split_whitespace() {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    if words.len() > MAX_WORDS {
        return Err(InvalidValue::new(IssueCode::TooLong, format!("must contain at most {MAX_WORDS} words")));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_split_at_whitespace_without_duplicates() {
        assert_eq!(parse(" Ada\tO'Hara  Ada ").expect("a valid query"), ["Ada", "O'Hara"]);
        assert_eq!(
            parse("@example.com +44 (555) & Söhne").expect("a valid query"),
            ["@example.com", "+44", "(555)", "&", "Söhne"]
        );
        assert_eq!(parse("  ").expect("an empty query is valid"), [""; 0]);
    }

    #[test]
    fn query_length_and_word_count_are_limited() {
        let words = |count: usize| (0..count).map(|index| index.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(parse(&words(20)).map(|words| words.len()), Ok(20));
        for (query, code) in [
            (words(21), IssueCode::TooLong),
            ("x".repeat(1_001), IssueCode::TooLong),
            ("\0".into(), IssueCode::InvalidFormat),
        ] {
            assert_eq!(parse(&query).map_err(|invalid| invalid.code), Err(code));
        }
    }
}
