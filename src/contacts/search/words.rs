//! `query`: the words that someone types into a search box.

use super::operand::check_text;
use crate::fields::{IssueCode, Refusal};

const MAX_CHARACTERS: usize = 1_000;
/// Each word is looked for in every contact that the filters leave.
const MAX_WORDS: usize = 20;

/// The words of a query, once each: what stands between blanks.
pub(super) fn parse(query: &str) -> Result<Vec<String>, Refusal> {
    check_text(query, MAX_CHARACTERS)?;
    let mut words: Vec<String> = Vec::new();
    for word in query.split_whitespace() {
        if !words.iter().any(|known| known == word) {
            words.push(word.to_owned());
        }
    }
    if words.len() > MAX_WORDS {
        return Err(Refusal::new(IssueCode::TooLong, format!("must be at most {MAX_WORDS} words")));
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_what_stands_between_blanks() {
        assert_eq!(parse(" Ada\tO'Hara  Ada ").expect("words"), ["Ada", "O'Hara"]);
        assert_eq!(
            parse("@example.com +44 (555) & Söhne").expect("words"),
            ["@example.com", "+44", "(555)", "&", "Söhne"]
        );
        assert_eq!(parse("  ").expect("no words"), [""; 0]);
    }

    #[test]
    fn are_bounded() {
        let words = |count: usize| (0..count).map(|index| index.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(parse(&words(20)).map(|words| words.len()), Ok(20));
        for (query, code) in [
            (words(21), IssueCode::TooLong),
            ("x".repeat(1_001), IssueCode::TooLong),
            ("\0".into(), IssueCode::InvalidFormat),
        ] {
            assert_eq!(parse(&query).map_err(|refusal| refusal.code), Err(code));
        }
    }
}
