//! The words in the index. A word is the text from a letter or digit after any other character on, up to 20 characters. So a search
//! for the beginning of a word, or of a value, is a search for the words that begin with a text.
//!
//! Each word has a prefix for its account. A word of another account is then another word, so that a search does not read the
//! entries of a large neighbor.

use uuid::Uuid;

/// The character before the beginning of a word in a marked text.
pub(super) const MARK: char = '\u{1}';
/// The maximum number of characters of a word.
const MAX_CHARACTERS: usize = 20;

/// The words of an account.
pub(in crate::repository::search) struct Words {
    prefix: String,
}

impl Words {
    pub(in crate::repository::search) fn of_account(account: Uuid) -> Self {
        let (high, low) = account.as_u64_pair();
        // Fibonacci hashing: account ids may differ in any of their bits.
        let hash = (high ^ low.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        Self { prefix: format!("{hash:08x}") }
    }

    /// Returns the words of a text in which each beginning of a word is marked.
    pub(super) fn in_marked_text(&self, text: &str) -> Vec<String> {
        let beginnings = text.match_indices(MARK);
        let word = |(at, _): (usize, &str)| text[at..].chars().filter(|character| *character != MARK);
        beginnings.map(|beginning| self.prefix.chars().chain(word(beginning).take(MAX_CHARACTERS)).collect()).collect()
    }

    /// Returns the text query of PostgreSQL for the words that begin with a text. Returns `None` for an empty text.
    pub(in crate::repository::search) fn query(&self, text: &str) -> Option<String> {
        let beginning: String = text.chars().take(MAX_CHARACTERS).collect();
        let quoted = beginning.replace('\\', r"\\").replace('\'', "''");
        (!beginning.is_empty()).then(|| format!("'{}{quoted}':*", self.prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_rest_of_the_text_from_each_mark_on() {
        let words = Words { prefix: "p-".into() };
        assert_eq!(
            words.in_marked_text("(\u{1}ltd) \u{1}söhne & \u{1}co"),
            ["p-ltd) söhne & co", "p-söhne & co", "p-co"]
        );
        assert_eq!(words.in_marked_text("\u{1}abcdefghij klmnopqrstuv"), ["p-abcdefghij klmnopqrs"]);
        assert!(words.in_marked_text("+").is_empty());
    }

    #[test]
    fn query_quotes_every_character() {
        let words = Words { prefix: "p-".into() };
        assert_eq!(words.query(r"o'ha\ra:*").as_deref(), Some(r"'p-o''ha\\ra:*':*"));
        assert_eq!(words.query("abcdefghijklmnopqrstuvw").as_deref(), Some("'p-abcdefghijklmnopqrst':*"));
        assert_eq!(words.query(""), None);
    }
}
