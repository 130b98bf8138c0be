//! Splits the complete name of a person into first and last name, and recognizes names of companies.

/// Words that belong to the last name after them.
const PARTICLES: [&str; 26] = [
    "van", "von", "vom", "zu", "zum", "zur", "de", "der", "den", "del", "della", "di", "da", "dos", "das", "du", "la",
    "le", "los", "las", "al", "el", "bin", "ibn", "ter", "ten",
];
/// Words after the last name.
const SUFFIXES: [&str; 9] = ["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq", "mba"];

/// Legal forms, which end the names of companies.
const LEGAL_FORMS: [&str; 22] = [
    "inc",
    "llc",
    "llp",
    "ltd",
    "limited",
    "corp",
    "corporation",
    "plc",
    "gmbh",
    "mbh",
    "ag",
    "kg",
    "kgaa",
    "ohg",
    "ug",
    "gbr",
    "ev",
    "sarl",
    "srl",
    "spa",
    "bv",
    "nv",
];

/// Returns whether a name is that of a company, because it ends with a legal form.
pub(super) fn is_company(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let last = words.next_back().map(plain_word).unwrap_or_default();
    words.next().is_some() && LEGAL_FORMS.contains(&&*last)
}

/// Returns the first and the last name. A single word is a first name. Returns `None` if the text is not a name.
pub(super) fn split_name(text: &str) -> Option<(&str, Option<&str>)> {
    let text = text.trim();
    if text.is_empty() || text.contains('@') {
        return None;
    }
    if let Some((last, first)) = text.split_once(',') {
        let (last, first) = (last.trim(), first.trim());
        return match (first.is_empty() || is_suffix(first), last.is_empty()) {
            (false, false) => Some((first, Some(last))),
            (false, true) => Some((first, None)),
            (true, _) => split_words(text),
        };
    }
    split_words(text)
}

fn split_words(text: &str) -> Option<(&str, Option<&str>)> {
    let starts: Vec<_> = text
        .char_indices()
        .filter(|(index, c)| !c.is_whitespace() && (*index == 0 || text[..*index].ends_with(char::is_whitespace)))
        .map(|(index, _)| index)
        .collect();
    let word = |number: usize| text[starts[number]..].split_whitespace().next().unwrap_or_default();
    let mut last = starts.len().checked_sub(1)?;
    while last > 1 && is_suffix(word(last)) {
        last -= 1;
    }
    while last > 1 && PARTICLES.contains(&&*word(last - 1).to_lowercase()) {
        last -= 1;
    }
    match last {
        0 => Some((text, None)),
        last => Some((text[..starts[last]].trim_end(), Some(&text[starts[last]..]))),
    }
}

fn is_suffix(word: &str) -> bool {
    SUFFIXES.contains(&&*plain_word(word))
}

/// Returns the letters and digits of a word, in lower case.
fn plain_word(word: &str) -> String {
    let plain: String = word.chars().filter(|c| c.is_alphanumeric()).collect();
    plain.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_before_the_last_name() {
        for (text, first, last) in [
            ("Ada Lovelace", "Ada", Some("Lovelace")),
            ("Lovelace, Ada", "Ada", Some("Lovelace")),
            ("Ludwig van Beethoven", "Ludwig", Some("van Beethoven")),
            ("Juan Carlos de la Vega", "Juan Carlos", Some("de la Vega")),
            ("Martin King Jr.", "Martin", Some("King Jr.")),
            ("Martin King, Jr.", "Martin", Some("King, Jr.")),
            ("Ada", "Ada", None),
            (" 山田 太郎 ", "山田", Some("太郎")),
            ("van Gogh", "van", Some("Gogh")),
        ] {
            assert_eq!(split_name(text), Some((first, last)), "{text}");
        }
        assert_eq!(split_name("ada@b.cd"), None);
        assert_eq!(split_name("  "), None);
    }

    #[test]
    fn names_with_a_legal_form_are_companies() {
        for (text, expected) in [
            ("Müller AG", true),
            ("Acme, Inc.", true),
            ("Schmidt GmbH & Co. KG", true),
            ("Turnverein e.V.", true),
            ("Ada Lovelace", false),
            ("AG", false),
            ("", false),
        ] {
            assert_eq!(is_company(text), expected, "{text}");
        }
    }
}
