//! Splits the complete name of a person into first and last name.

use super::cell_values::is_mark;
use super::forms_of_address::{has_form_before_last_name, without_form_of_address};

/// Words that belong to the last name after them.
const PARTICLES: [&str; 26] = [
    "van", "von", "vom", "zu", "zum", "zur", "de", "der", "den", "del", "della", "di", "da", "dos", "das", "du", "la",
    "le", "los", "las", "al", "el", "bin", "ibn", "ter", "ten",
];
/// Words after the last name.
const SUFFIXES: [&str; 9] = ["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq", "mba"];

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
        for name in names.map(without_form_of_address).filter(|name| !name.contains(',')) {
            let words = name_words(name);
            if words.len() > 1 {
                all += 1;
                in_capitals += usize::from(begins_with_capitals(&words));
            }
        }
        let is_usual = in_capitals >= MIN_NAMES && in_capitals * 5 >= all * 3;
        if is_usual { Self::LastNameInCapitals } else { Self::FirstNameFirst }
    }
}

/// The first and the last name of a person.
pub(super) type NameParts<'a> = (Option<&'a str>, Option<&'a str>);

/// Returns whether a text stands for no name, such as `n/a` and `- -`.
pub(super) fn is_no_name(text: &str) -> bool {
    is_mark(text) || !text.contains(char::is_alphanumeric)
}

/// Returns the first and the last name. A single word is a first name, or a last name after `Herr` and the like. Returns `None`
/// if the text is not a name.
pub(super) fn split_name(text: &str, order: NameOrder) -> Option<NameParts<'_>> {
    let name = without_form_of_address(text.trim());
    if is_no_name(name) || name.contains('@') {
        return None;
    }
    if let Some((last, first)) = name.split_once(',') {
        let (last, first) = (last.trim(), without_form_of_address(first.trim()));
        return Some(match (first.is_empty() || is_suffix(first), last.is_empty()) {
            (false, false) => (Some(first), Some(last)),
            (false, true) => (Some(first), None),
            (true, _) => split_before_last_name(name),
        });
    }
    let words = name_words(name);
    let is_last_name = words.iter().rev().skip(1).all(|(_, word)| is_particle(word));
    if is_last_name && has_form_before_last_name(text) {
        return Some((None, Some(name)));
    }
    Some(match (order, leading_last_name(&words)) {
        (NameOrder::FirstNameFirst, _) | (NameOrder::LastNameInCapitals, 0) => split_before_last_name(name),
        (NameOrder::LastNameInCapitals, 1) if words.len() == 1 => (None, Some(name)),
        // `M.` is Monsieur beside a last name, but an initial beside a first name.
        _ => split_after_last_name(name.strip_prefix("M. ").map_or(name, str::trim_start)),
    })
}

/// Returns what is left of a complete name without its first or its last name, or `None` if the name does not begin or end with
/// it. Nothing is left of a name of one word.
pub(super) fn rest_of_name<'a>(name: &'a str, part: &str) -> Option<&'a str> {
    let name = without_brackets(without_form_of_address(name.trim()));
    let is_separate = |rest: &&str, is_before: bool| {
        let beside = if is_before { rest.chars().next_back() } else { rest.chars().next() };
        !part.is_empty() && beside.is_none_or(|c| !c.is_alphanumeric() && !"-'’".contains(c))
    };
    let after = name.strip_prefix(part).filter(|rest| is_separate(rest, false));
    let rest = after.or_else(|| name.strip_suffix(part).filter(|rest| is_separate(rest, true)))?;
    Some(rest.trim_matches(|c: char| c == ',' || c.is_whitespace()))
}

/// Returns the words of a name with their offsets, without texts in brackets and suffixes such as `Jr.` at its end.
fn name_words(name: &str) -> Vec<(usize, &str)> {
    let text = without_brackets(name);
    let is_start = |(index, c): &(usize, char)| {
        !c.is_whitespace() && (*index == 0 || text[..*index].ends_with(char::is_whitespace))
    };
    let starts = text.char_indices().filter(is_start).map(|(index, _)| index);
    let mut words: Vec<_> =
        starts.map(|start| (start, text[start..].split_whitespace().next().unwrap_or_default())).collect();
    while words.len() > 1 && words.last().is_some_and(|(_, word)| is_suffix(word)) {
        words.pop();
    }
    words
}

/// Splits a name before its last name.
fn split_before_last_name(name: &str) -> NameParts<'_> {
    let words = name_words(name);
    let mut last = words.len().saturating_sub(1);
    while last > 1 && is_particle(words[last - 1].1) {
        last -= 1;
    }
    match words.get(last) {
        Some((start, _)) if last > 0 => (Some(name[..*start].trim_end()), Some(&name[*start..])),
        _ => (Some(name), None),
    }
}

/// Splits a name that begins with the last name: its words in capitals, as in `DE LA VEGA Juan`, or one word, with the
/// particles before it.
fn split_after_last_name(name: &str) -> NameParts<'_> {
    let words = name_words(name);
    let capitals = leading_last_name(&words);
    let particles = words.iter().take_while(|(_, word)| is_particle(word)).count();
    let length = if (1..words.len()).contains(&capitals) { capitals } else { particles + 1 };
    match words.get(length) {
        None => (Some(name), None),
        Some((first, _)) => (Some(&name[*first..]), Some(name[..*first].trim_end())),
    }
}

/// Returns the number of words in capitals with which a name begins, with the particles before them: 3 for
/// `DE LA VEGA Juan` and `de la VEGA Juan`.
fn leading_last_name(words: &[(usize, &str)]) -> usize {
    let is_small_particle = |word: &str| is_particle(word) && word.starts_with(char::is_lowercase);
    let particles = words.iter().take_while(|(_, word)| is_small_particle(word)).count();
    let capitals = words[particles..].iter().take_while(|(_, word)| is_capital(word)).count();
    if capitals > 0 { particles + capitals } else { 0 }
}

/// Returns whether a name clearly begins with a last name in capitals. `TJ` and `DR` are none.
fn begins_with_capitals(words: &[(usize, &str)]) -> bool {
    const MIN_LETTERS: usize = 3;
    let count = leading_last_name(words);
    let is_name = |word: &str| is_capital(word) && word.chars().filter(|c| c.is_alphabetic()).count() >= MIN_LETTERS;
    let is_followed = words.get(count).is_some_and(|(_, word)| word.contains(char::is_lowercase));
    is_followed && words[..count].iter().any(|(_, word)| is_name(word))
}

/// Returns whether a word is written in capitals, apart from a beginning such as `Mc`, and is no initial.
fn is_capital(word: &str) -> bool {
    let rest = ["d'", "d’", "Mc", "Mac"].iter().find_map(|start| word.strip_prefix(start)).unwrap_or(word);
    rest.chars().filter(|c| c.is_alphabetic()).count() > 1 && !rest.contains(|c: char| c.is_lowercase() || c == '.')
}

fn is_particle(word: &str) -> bool {
    PARTICLES.contains(&&*word.to_lowercase())
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
            &["JOHN SMITH (Sales)", "ANN MILLER (Support)", "BOB STONE Jr."],
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
        for (text, first, last) in [
            ("Ada Byron", Some("Ada"), Some("Byron")),
            ("de GAULLE Charles", Some("Charles"), Some("de GAULLE")),
            ("d'ORMESSON Jean", Some("Jean"), Some("d'ORMESSON")),
            ("McDONALD Rob", Some("Rob"), Some("McDONALD")),
            ("LI Wei", Some("Wei"), Some("LI")),
            ("DUPONT J.", Some("J."), Some("DUPONT")),
            ("LEFEBVRE ANNE", Some("ANNE"), Some("LEFEBVRE")),
            ("DUPONT ANNE (siège)", Some("ANNE (siège)"), Some("DUPONT")),
            ("ABEL", None, Some("ABEL")),
        ] {
            assert_eq!(split(text), Some((first, last)), "{text}");
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
            assert_eq!(split_name(text, NameOrder::FirstNameFirst), Some((Some(first), last)), "{text}");
        }
        for (name, last) in [
            ("Herr Müller", "Müller"),
            ("Dr. Müller", "Müller"),
            ("Herr von Goethe", "von Goethe"),
            ("Frau van den Berg", "van den Berg"),
            ("Mr. Smith Jr.", "Smith Jr."),
        ] {
            assert_eq!(split_name(name, NameOrder::FirstNameFirst), Some((None, Some(last))), "{name}");
        }
        assert_eq!(split_name("Miss Ada", NameOrder::FirstNameFirst), Some((Some("Ada"), None)));
        let practice = split_name("Dr. Müller (Praxis am Markt)", NameOrder::FirstNameFirst);
        assert_eq!(practice, Some((None, Some("Müller (Praxis am Markt)"))));
    }

    #[test]
    fn rest_of_a_name_is_found_by_whole_words() {
        for (name, part, rest) in [
            ("Ada Lovelace", "Ada", Some("Lovelace")),
            ("LOVELACE Ada", "Ada", Some("LOVELACE")),
            ("Lovelace, Ada (sales)", "Ada", Some("Lovelace")),
            ("Ada", "Ada", Some("")),
            ("Jansen", "Jan", None),
            ("Anna Miller", "Ann", None),
            ("Bob", "Ada", None),
            ("Anna-Lena Miller", "Anna", None),
        ] {
            assert_eq!(rest_of_name(name, part), rest, "{name} {part}");
        }
    }
}
