//! The rules for labels and internal names of fields and options (`docs/api-reference.md#fields-api`).

use super::IssueCode;
use crate::json::Json;

const MAX_NAME_LENGTH: usize = 63;
const MAX_LABEL_LENGTH: usize = 255;

/// The rule for internal names, as part of an error message.
pub(super) const NAME_RULE: &str = "must be 1 to 63 characters of a-z, 0-9 and _, and start with a letter";

/// Parses a label.
pub(super) fn parse_label<'a>(json: &'a Json<'_>) -> Result<&'a str, (IssueCode, &'static str)> {
    let Json::String(label) = json else { return Err((IssueCode::InvalidType, "must be a string")) };
    if label.trim().is_empty() {
        return Err((IssueCode::Required, "must not be blank"));
    }
    if label.contains('\0') {
        return Err((IssueCode::InvalidFormat, "must not contain the character U+0000"));
    }
    if label.chars().count() > MAX_LABEL_LENGTH {
        return Err((IssueCode::TooLong, "must be at most 255 characters"));
    }
    Ok(label)
}

/// Returns whether `name` matches `^[a-z][a-z0-9_]{0,62}$`.
pub(super) fn is_internal_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Derives an internal name from a label: `Shoe size (EU)` → `shoe_size_eu`. A name that would not start with a letter
/// starts with `prefix`.
pub(super) fn name_from_label(label: &str, prefix: &str) -> String {
    let ascii = deunicode::deunicode(label).to_ascii_lowercase();
    let words: Vec<_> = ascii.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut name = words.join("_");
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        name = format!("{prefix}_{name}");
    }
    name.truncate(MAX_NAME_LENGTH);
    name.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_name_is_derived_from_the_label() {
        for (label, name) in [
            ("Shoe size (EU)", "shoe_size_eu"),
            ("  T-shirt  ", "t_shirt"),
            ("Größe", "grosse"),
            ("2nd phone", "field_2nd_phone"),
            ("日本", "ri_ben"),
            ("!!!", "field"),
        ] {
            assert_eq!(name_from_label(label, "field"), name);
        }
        assert_eq!(name_from_label(&"x ".repeat(80), "field").len(), 63);
    }
}
