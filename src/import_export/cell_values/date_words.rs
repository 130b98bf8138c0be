//! The words in dates, in English, German, French and Spanish.

use deunicode::deunicode;

/// The beginnings of the names of the months, without accents.
const MONTHS: [(&str, u32); 28] = [
    ("jan", 1),
    ("ene", 1),
    ("gen", 1),
    ("feb", 2),
    ("fev", 2),
    ("mar", 3),
    ("mrz", 3),
    ("apr", 4),
    ("avr", 4),
    ("abr", 4),
    ("may", 5),
    ("mai", 5),
    ("mag", 5),
    ("juin", 6),
    ("jun", 6),
    ("juil", 7),
    ("jul", 7),
    ("aug", 8),
    ("aou", 8),
    ("ago", 8),
    ("sep", 9),
    ("set", 9),
    ("oct", 10),
    ("okt", 10),
    ("nov", 11),
    ("dec", 12),
    ("dez", 12),
    ("dic", 12),
];

/// The other words in dates: ordinals, prepositions and the beginnings of weekdays.
const FILLERS: [&str; 33] = [
    "de", "del", "of", "the", "le", "el", "mon", "tue", "wed", "thu", "fri", "sat", "sun", "mo", "di", "mi", "do",
    "fr", "sa", "so", "lun", "mer", "jeu", "ven", "sam", "dim", "mie", "jue", "vie", "sab", "dom", "mardi", "martes",
];

/// Returns the number of the month of which a word is the name or an abbreviation.
pub(super) fn month_number(word: &str) -> Option<u32> {
    let word = deunicode(word).to_ascii_lowercase();
    if word.len() < 3 || ["mardi", "martes"].contains(&&*word) || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    MONTHS.iter().find(|(start, _)| word.starts_with(start)).map(|(_, number)| *number)
}

/// Returns whether a word in a date has no meaning.
pub(super) fn is_filler(word: &str) -> bool {
    let word = deunicode(word).to_ascii_lowercase();
    let is_weekday = |start: &&str| word.starts_with(start) && word.len() > 3 && start.len() == 3;
    FILLERS.contains(&&*word) || FILLERS.iter().any(is_weekday)
}
