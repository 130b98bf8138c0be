//! Splits the complete name of a person into first and last name, and recognizes names of companies.

/// Words that belong to the last name after them.
const PARTICLES: [&str; 26] = [
    "van", "von", "vom", "zu", "zum", "zur", "de", "der", "den", "del", "della", "di", "da", "dos", "das", "du", "la",
    "le", "los", "las", "al", "el", "bin", "ibn", "ter", "ten",
];
/// Words after the last name.
const SUFFIXES: [&str; 9] = ["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq", "mba"];

/// Forms of address and degrees before the name, without dots.
const FORMS_OF_ADDRESS: [&str; 24] = [
    "herr", "herrn", "frau", "fr", "hr", "mr", "mrs", "ms", "miss", "mx", "mme", "mlle", "monsieur", "madame", "dr",
    "prof", "sr", "sra", "dra", "srta", "señor", "señora", "dott", "dipl-ing",
];

/// Legal forms, which end the names of companies.
const LEGAL_FORMS: [&str; 36] = [
    "hb",
    "kb",
    "ek",
    "asbl",
    "sprl",
    "eurl",
    "sasu",
    "pvt",
    "sl",
    "sas",
    "ab",
    "oy",
    "aps",
    "eg",
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

/// The order of the names in a complete name without a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameOrder {
    /// `Ada Lovelace`
    FirstNameFirst,
    /// `Lovelace Ada`
    LastNameFirst,
}

/// Legal forms that French companies have before their names.
const FRENCH_LEGAL_FORMS: [&str; 6] = ["sarl", "eurl", "sas", "sasu", "sci", "ets"];

/// The length up to which a legal form is only one in capitals or with dots.
const MAX_SHORT_FORM: usize = 3;

/// Returns whether a name is that of a company, because it begins or ends with a legal form, apart from a place in brackets.
pub(super) fn is_company(text: &str) -> bool {
    let text = text.split_once('(').filter(|_| text.trim_end().ends_with(')')).map_or(text, |(name, _)| name);
    let mut words = text.split_whitespace();
    let is_form = |word: &str, forms: &[&str]| {
        // `Ek` is a name, `e.K.` is a legal form.
        let is_marked = word.contains('.') || !word.contains(char::is_lowercase);
        forms.contains(&&*plain_word(word)) && (is_marked || plain_word(word).len() > MAX_SHORT_FORM)
    };
    let (Some(last), Some(first)) = (words.next_back(), words.next()) else { return false };
    is_form(last, &LEGAL_FORMS) || is_form(first, &FRENCH_LEGAL_FORMS)
}

/// Returns the first and the last name. A single word is a first name. Returns `None` if the text is not a name.
pub(super) fn split_name(text: &str, order: NameOrder) -> Option<(&str, Option<&str>)> {
    let text = without_form_of_address(text.trim());
    let is_mark = !text.contains(char::is_alphanumeric) || ["n/a", "#n/a"].contains(&&*text.to_lowercase());
    if is_mark || text.contains('@') {
        return None;
    }
    if let Some((last, first)) = text.split_once(',') {
        let (last, first) = (last.trim(), without_form_of_address(first.trim()));
        return match (first.is_empty() || is_suffix(first), last.is_empty()) {
            (false, false) => Some((first, Some(last))),
            (false, true) => Some((first, None)),
            (true, _) => split_words(text),
        };
    }
    match order {
        NameOrder::FirstNameFirst => split_words(text),
        // `M.` is Monsieur beside a last name, but an initial beside a first name.
        NameOrder::LastNameFirst => split_after_last_name(text.strip_prefix("M. ").map_or(text, str::trim_start)),
    }
}

/// Returns a name without `Herr`, `Dr.` and the like before it.
fn without_form_of_address(text: &str) -> &str {
    let mut name = text;
    while let Some((first, rest)) = name.split_once(char::is_whitespace)
        && is_form_of_address(first)
    {
        name = rest.trim_start();
    }
    name
}

fn is_form_of_address(word: &str) -> bool {
    // Without the dot, these are names.
    const ABBREVIATIONS: [&str; 3] = ["ing.", "mag.", "dipl."];
    let lower = word.to_lowercase();
    FORMS_OF_ADDRESS.contains(&lower.trim_end_matches('.')) || ABBREVIATIONS.contains(&&*lower)
}

/// Returns the index of the first byte of each word.
fn word_starts(text: &str) -> Vec<usize> {
    let is_start = |(index, c): &(usize, char)| {
        !c.is_whitespace() && (*index == 0 || text[..*index].ends_with(char::is_whitespace))
    };
    text.char_indices().filter(is_start).map(|(index, _)| index).collect()
}

fn word_at(text: &str, start: usize) -> &str {
    text[start..].split_whitespace().next().unwrap_or_default()
}

/// Splits a name before its last name.
fn split_words(text: &str) -> Option<(&str, Option<&str>)> {
    let starts = word_starts(text);
    let word = |number: usize| word_at(text, starts[number]);
    // A text in brackets at the end, as in `Ada Lovelace (sales)`, belongs to the word before it.
    let brackets = text.rfind(" (").filter(|_| text.ends_with(')')).unwrap_or(text.len());
    let mut last = starts.iter().filter(|start| **start < brackets).count().checked_sub(1)?;
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

/// Returns whether these complete names begin with the last name, which most of them have in capitals: `LOVELACE Ada`.
pub(super) fn begin_with_last_name<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let (mut all, mut in_capitals) = (0_usize, 0_usize);
    for words in names.map(|name| name.split_whitespace().collect::<Vec<_>>()).filter(|words| words.len() > 1) {
        let capitals = words.iter().take_while(|word| is_capital(word)).count();
        all += 1;
        in_capitals +=
            usize::from((1..words.len()).contains(&capitals) && words[capitals].contains(char::is_lowercase));
    }
    all > 0 && in_capitals * 4 >= all * 3
}

/// Returns whether a word is written in capitals, and is no initial.
fn is_capital(word: &str) -> bool {
    word.chars().filter(|c| c.is_alphabetic()).count() > 1 && !word.contains(char::is_lowercase)
}

/// Splits a name that begins with the last name: its words in capitals, as in `DE LA VEGA Juan`, or one word, with the
/// particles before it.
fn split_after_last_name(text: &str) -> Option<(&str, Option<&str>)> {
    let starts = word_starts(text);
    let word = |start: &usize| word_at(text, *start);
    let capitals = starts.iter().take_while(|start| is_capital(word(start))).count();
    let particles = starts.iter().take_while(|start| PARTICLES.contains(&&*word(start).to_lowercase())).count();
    let length = if (1..starts.len()).contains(&capitals) { capitals } else { particles + 1 };
    match starts.get(length) {
        None => Some((text, None)),
        Some(first) => Some((&text[*first..], Some(text[..*first].trim_end()))),
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
            ("Yvonne McKay (sample)", "Yvonne", Some("McKay (sample)")),
            ("Ada Lovelace (née Byron)", "Ada", Some("Lovelace (née Byron)")),
            ("Ada (she/her)", "Ada (she/her)", None),
        ] {
            assert_eq!(split_name(text, NameOrder::FirstNameFirst), Some((first, last)), "{text}");
        }
        assert_eq!(split_name("ada@b.cd", NameOrder::FirstNameFirst), None);
        for blank in ["  ", "-", "- -", "n/a", "?"] {
            assert_eq!(split_name(blank, NameOrder::FirstNameFirst), None);
        }
    }

    #[test]
    fn last_name_comes_first_if_the_header_says_so() {
        for (text, first, last) in [
            ("Lovelace Ada", "Ada", Some("Lovelace")),
            ("LOVELACE Ada Augusta", "Ada Augusta", Some("LOVELACE")),
            ("DE LA VEGA Juan", "Juan", Some("DE LA VEGA")),
            ("van Gogh Vincent", "Vincent", Some("van Gogh")),
            ("Lovelace, Ada", "Ada", Some("Lovelace")),
            ("M. HAMON Loïc", "Loïc", Some("HAMON")),
            ("LOVELACE ADA", "ADA", Some("LOVELACE")),
            ("Ada", "Ada", None),
        ] {
            assert_eq!(split_name(text, NameOrder::LastNameFirst), Some((first, last)), "{text}");
        }
    }

    #[test]
    fn last_names_in_capitals_show_the_order_of_a_column() {
        for (names, expected) in [
            (&["ABADIE Juliet", "DE LA VEGA Juan", "ABBE Jean-Baptiste", "ABEL"][..], true),
            (&["Ada LOVELACE", "Juan DE LA VEGA"], false),
            (&["ADA LOVELACE", "JUAN VEGA"], false),
            (&["AJ Smith", "Ada Lovelace"], false),
            (&[], false),
        ] {
            assert_eq!(begin_with_last_name(names.iter().copied()), expected, "{names:?}");
        }
    }

    #[test]
    fn forms_of_address_are_no_names() {
        for (text, first, last) in [
            ("Herr Jürgen Müller", "Jürgen", Some("Müller")),
            ("Prof. Dr. Ada Lovelace", "Ada", Some("Lovelace")),
            ("Lovelace, Dr. Ada", "Ada", Some("Lovelace")),
            ("Ing. Petr Novák", "Petr", Some("Novák")),
            ("Ing Tan", "Ing", Some("Tan")),
            ("Dr.", "Dr.", None),
            ("Don Draper", "Don", Some("Draper")),
        ] {
            assert_eq!(split_name(text, NameOrder::FirstNameFirst), Some((first, last)), "{text}");
        }
    }

    #[test]
    fn names_with_a_legal_form_are_companies() {
        for (text, expected) in [
            ("Müller AG", true),
            ("Acme, Inc.", true),
            ("Schmidt GmbH & Co. KG", true),
            ("Turnverein e.V.", true),
            ("MAHINDRA & MAHINDRA LIMITED ( Punjab )", true),
            ("SARL Dupont Frères", true),
            ("Daniel Ek", false),
            ("Daniel Müller e.K.", true),
            ("Ada Lovelace", false),
            ("AG", false),
            ("", false),
        ] {
            assert_eq!(is_company(text), expected, "{text}");
        }
    }
}
