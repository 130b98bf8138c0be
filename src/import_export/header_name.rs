//! Compares headers of files with names of fields.

/// Returns the form in which headers are compared: letters and digits only, in lower case and without accents, so that
/// `E-Mail`, `e_mail` and `EMAIL` are equal.
#[must_use]
pub(super) fn comparable_name(header: &str) -> String {
    let ascii = if header.is_ascii() { header.to_owned() } else { deunicode::deunicode(header) };
    ascii.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_blanks_accents_and_punctuation() {
        for (header, name) in [
            ("E-mail 1 - Value", "email1value"),
            (" First_Name ", "firstname"),
            ("Prénom", "prenom"),
            ("Straße", "strasse"),
            ("---", ""),
        ] {
            assert_eq!(comparable_name(header), name);
        }
    }
}
