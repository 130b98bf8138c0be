//! Splits the complete name of a person into first and last name.

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

/// The order of the names in a complete name without a comma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameOrder {
    /// `Ada Lovelace`
    FirstNameFirst,
    /// `Lovelace Ada`
    LastNameFirst,
    /// `LOVELACE Ada`, and `Ada Lovelace` if no last name in capitals comes first.
    LastNameInCapitals,
}

impl NameOrder {
    /// Detects the order from the complete names of a column: most French names have their last name first, in capitals.
    pub(super) fn detect<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        const MIN_NAMES: usize = 3;
        let (mut all, mut in_capitals) = (0_usize, 0_usize);
        for name in names.map(|name| without_form_of_address(name.trim())) {
            if name.contains(char::is_whitespace) && !name.contains(',') {
                all += 1;
                in_capitals += usize::from(leading_capitals(name) > 0);
            }
        }
        let is_usual = in_capitals >= MIN_NAMES && in_capitals * 5 >= all * 3;
        if is_usual { Self::LastNameInCapitals } else { Self::FirstNameFirst }
    }
}

/// The first and the last name of a person.
pub(super) type NameParts<'a> = (Option<&'a str>, Option<&'a str>);

/// Returns the first and the last name. A single word is a first name, or a last name after `Herr` and the like. Returns `None`
/// if the text is not a name.
pub(super) fn split_name(text: &str, order: NameOrder) -> Option<NameParts<'_>> {
    let name = without_form_of_address(text.trim());
    let is_mark = !name.contains(char::is_alphanumeric) || ["n/a", "#n/a"].contains(&&*name.to_lowercase());
    if is_mark || name.contains('@') {
        return None;
    }
    if let Some((last, first)) = name.split_once(',') {
        let (last, first) = (last.trim(), without_form_of_address(first.trim()));
        return Some(match (first.is_empty() || is_suffix(first), last.is_empty()) {
            (false, false) => (Some(first), Some(last)),
            (false, true) => (Some(first), None),
            (true, _) => split_words(name),
        });
    }
    Some(match order {
        _ if name.len() < text.trim().len() && !without_brackets(name).contains(char::is_whitespace) => {
            (None, Some(name))
        }
        NameOrder::LastNameInCapitals if leading_capitals(name) == 0 => split_words(name),
        NameOrder::FirstNameFirst => split_words(name),
        // `M.` is Monsieur beside a last name, but an initial beside a first name.
        NameOrder::LastNameFirst | NameOrder::LastNameInCapitals => {
            split_after_last_name(name.strip_prefix("M. ").map_or(name, str::trim_start))
        }
    })
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
fn split_words(text: &str) -> NameParts<'_> {
    let starts = word_starts(text);
    let word = |number: usize| word_at(text, starts[number]);
    // A text in brackets at the end belongs to the word before it.
    let end = without_brackets(text).len();
    let mut last = starts.iter().filter(|start| **start < end).count().saturating_sub(1);
    while last > 1 && is_suffix(word(last)) {
        last -= 1;
    }
    while last > 1 && PARTICLES.contains(&&*word(last - 1).to_lowercase()) {
        last -= 1;
    }
    match last {
        0 => (Some(text), None),
        last => (Some(text[..starts[last]].trim_end()), Some(&text[starts[last]..])),
    }
}

/// Returns the number of words in capitals with which a name begins, if other words follow them: `DE LA VEGA Juan` has 3. At
/// least one of them has three letters, because `TJ` and `DR` are no last names.
fn leading_capitals(name: &str) -> usize {
    const MIN_LETTERS: usize = 3;
    let words: Vec<_> = name.split_whitespace().collect();
    let count = words.iter().take_while(|word| is_capital(word)).count();
    let is_name = |word: &&str| word.chars().filter(|c| c.is_alphabetic()).count() >= MIN_LETTERS;
    let is_followed = words.get(count).is_some_and(|word| word.contains(char::is_lowercase));
    if is_followed && words[..count].iter().any(is_name) { count } else { 0 }
}

/// Returns whether a word is written in capitals, and is no initial.
fn is_capital(word: &str) -> bool {
    word.chars().filter(|c| c.is_alphabetic()).count() > 1 && !word.contains(char::is_lowercase) && !word.contains('.')
}

/// Returns a name without texts in brackets at its end, as in `Ada Lovelace (sales) [UK]`.
fn without_brackets(text: &str) -> &str {
    let mut name = text;
    while name.ends_with([')', ']'])
        && let Some(start) = name.rfind(" (").max(name.rfind(" ["))
    {
        name = name[..start].trim_end();
    }
    name
}

/// Splits a name that begins with the last name: its words in capitals, as in `DE LA VEGA Juan`, or one word, with the
/// particles before it.
fn split_after_last_name(text: &str) -> NameParts<'_> {
    let starts = word_starts(text);
    let word = |start: &usize| word_at(text, *start);
    let capitals = starts.iter().take_while(|start| is_capital(word(start))).count();
    let particles = starts.iter().take_while(|start| PARTICLES.contains(&&*word(start).to_lowercase())).count();
    let length = if (1..starts.len()).contains(&capitals) { capitals } else { particles + 1 };
    match starts.get(length) {
        None => (Some(text), None),
        Some(first) => (Some(&text[*first..]), Some(text[..*first].trim_end())),
    }
}

fn is_suffix(word: &str) -> bool {
    SUFFIXES.contains(&&*plain_word(word))
}

/// Returns the letters and digits of a word, in lower case.
pub(super) fn plain_word(word: &str) -> String {
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
            ("Ada Lovelace (sales) [UK]", "Ada", Some("Lovelace (sales) [UK]")),
            ("Ada (she/her)", "Ada (she/her)", None),
        ] {
            assert_eq!(split_name(text, NameOrder::FirstNameFirst), Some((Some(first), last)), "{text}");
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
            assert_eq!(split_name(text, NameOrder::LastNameFirst), Some((Some(first), last)), "{text}");
        }
    }

    #[test]
    fn last_names_in_capitals_show_the_order_of_a_column() {
        let detect = |names: &[&str]| NameOrder::detect(names.iter().copied());
        for names in [
            &["ABADIE Juliet", "DE LA VEGA Juan", "ABBE Jean-Baptiste", "ABEL"][..],
            &["SCHMIDT Anna", "MÜLLER Jörg", "Dr. WEBER Max", "Ada Byron", "VAN DER BERG Jan", "McDONALD Rob"],
        ] {
            assert_eq!(detect(names), NameOrder::LastNameInCapitals, "{names:?}");
        }
        for names in [
            &["J.M. Jansen", "P.C. de Boer", "A.B. van den Berg"][..],
            &["MR. John Smith", "MRS. Jane Doe", "DR Ada Lovelace"],
            &["TJ Miller", "AJ Smith", "DJ Tiesto"],
            &["ACME Support", "XYZ Sales"],
            &["Ada LOVELACE", "Juan DE LA VEGA", "Bob SMITH"],
            &["ADA LOVELACE", "JUAN VEGA", "BOB SMITH"],
            &["Ada Lovelace", "ABADIE Juliet", "ABBE Jean", "ABEL Anna", "Jo Doe", "Bob B"],
            &["DOE, Ada", "ROE, Bob", "POE, Eve"],
            &[],
        ] {
            assert_eq!(detect(names), NameOrder::FirstNameFirst, "{names:?}");
        }
        let split = |text| split_name(text, NameOrder::LastNameInCapitals);
        assert_eq!(split("Dr. DE LA VEGA Juan"), Some((Some("Juan"), Some("DE LA VEGA"))));
        assert_eq!(split("Ada Byron"), Some((Some("Ada"), Some("Byron"))));
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
            assert_eq!(split_name(text, NameOrder::FirstNameFirst), Some((Some(first), last)), "{text}");
        }
        for name in ["Herr Müller", "Dr. Müller"] {
            assert_eq!(split_name(name, NameOrder::FirstNameFirst), Some((None, Some("Müller"))), "{name}");
        }
        let practice = split_name("Dr. Müller (Praxis am Markt)", NameOrder::FirstNameFirst);
        assert_eq!(practice, Some((None, Some("Müller (Praxis am Markt)"))));
    }
}
