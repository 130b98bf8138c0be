//! Forms of address and academic degrees: `Herr`, `Dr.` and the like.

/// Words before the name of a person, without dots.
const FORMS_OF_ADDRESS: [&str; 24] = [
    "herr", "herrn", "frau", "fr", "hr", "mr", "mrs", "ms", "miss", "mx", "mme", "mlle", "monsieur", "madame", "dr",
    "prof", "sr", "sra", "dra", "srta", "señor", "señora", "dott", "dipl-ing",
];
/// Words of the titles of persons that can also be names, or that stand beside other titles.
const OTHER_TITLES: [&str; 21] = [
    "m",
    "sir",
    "rev",
    "don",
    "dona",
    "doña",
    "professor",
    "doctor",
    "mag",
    "ing",
    "phd",
    "msc",
    "med",
    "dent",
    "rer",
    "nat",
    "phil",
    "jur",
    "dipl",
    "kfm",
    "mba",
];
/// The forms of address that stand before a last name. Others, such as `Miss`, can stand before a first name.
const BEFORE_LAST_NAMES: [&str; 11] =
    ["herr", "herrn", "frau", "mr", "mrs", "ms", "mme", "monsieur", "madame", "dr", "prof"];

/// Returns a name without the forms of address before it.
pub(super) fn without_form_of_address(text: &str) -> &str {
    let mut name = text.trim_start();
    while let Some((first, rest)) = name.split_once(char::is_whitespace)
        && is_form_of_address(first)
    {
        name = rest.trim_start();
    }
    name
}

/// Returns whether a name has a form of address before it.
pub(super) fn has_form_of_address(text: &str) -> bool {
    text.trim_start().split_once(char::is_whitespace).is_some_and(|(first, _)| is_form_of_address(first))
}

/// Returns whether a text begins with a form of address that stands before a last name.
pub(super) fn has_form_before_last_name(text: &str) -> bool {
    text.trim_start().split_once(char::is_whitespace).is_some_and(|(first, _)| {
        let word = first.to_lowercase();
        BEFORE_LAST_NAMES.contains(&word.trim_end_matches('.'))
    })
}

/// Returns whether a text consists only of forms of address and degrees, such as `Prof. Dr.`.
pub(super) fn is_title(text: &str) -> bool {
    let lower = text.to_lowercase();
    let mut words = lower.split(|c: char| c.is_whitespace() || ".,/&-".contains(c)).filter(|word| !word.is_empty());
    let is_word = |word: &str| {
        FORMS_OF_ADDRESS.contains(&word) || OTHER_TITLES.contains(&word) || ["and", "und", "et", "y"].contains(&word)
    };
    !lower.is_empty() && words.all(is_word)
}

fn is_form_of_address(word: &str) -> bool {
    // Without the dot, these are names.
    const ABBREVIATIONS: [&str; 3] = ["ing.", "mag.", "dipl."];
    let lower = word.to_lowercase();
    FORMS_OF_ADDRESS.contains(&lower.trim_end_matches('.')) || ABBREVIATIONS.contains(&&*lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_address_are_recognized() {
        assert_eq!(without_form_of_address("Prof. Dr. Ada Lovelace"), "Ada Lovelace");
        assert_eq!(without_form_of_address("Ing Tan"), "Ing Tan");
        assert!(has_form_before_last_name("Herr Müller") && !has_form_before_last_name("Miss Ada"));
        for (text, expected) in [
            ("Dr.", true),
            ("Prof. Dr. med.", true),
            ("Mr & Mrs", true),
            ("Dr. Müller", false),
            ("Head of HR", false),
            ("", false),
        ] {
            assert_eq!(is_title(text), expected, "{text}");
        }
    }
}
