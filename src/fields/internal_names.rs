//! The rules for labels and internal names of fields and options (`docs/api-reference.md#fields-api`).

use super::{IssueCode, system};
use crate::json::Json;

const MAX_NAME_LENGTH: usize = 63;
const MAX_LABEL_LENGTH: usize = 255;

/// The rule for internal names of new fields, as part of an error message.
pub(super) const FIELD_NAME_RULE: &str = "must be 1 to 63 characters: words of a-z and 0-9 that are separated by single underscores, \
     beginning with a letter";

/// The names that no new custom field can have, unless they are system fields (`docs/api-reference.md#fields-api`).
///
/// A custom field is a member of every contact, beside the members that the API defines. These are the words that
/// responses, errors and generated clients use for members of their own, now or in a later version: a field of the same
/// name would take their place. Some of them are no members: a client that a generator makes of a document with such a
/// field does not compile, because JavaScript, Java or Python uses the word. The list only grows by words of both kinds.
pub const RESERVED_NAMES: [&str; 59] = [
    "account_id",
    "additional_properties",
    "archived",
    "archived_by",
    "canonical",
    "code",
    "constructor",
    "contact",
    "contact_id",
    "contacts",
    "created_at",
    "created_by",
    "custom",
    "data",
    "deleted",
    "details",
    "emails",
    "erased",
    "error",
    "errors",
    "etag",
    "expires_at",
    "external_ids",
    "false",
    "fields",
    "has_own_property",
    "href",
    "id",
    "int",
    "links",
    "merged_at",
    "merged_from",
    "merged_into",
    "message",
    "meta",
    "metadata",
    "object",
    "phones",
    "properties",
    "purged",
    "ref",
    "request_id",
    "restored_at",
    "result",
    "results",
    "self",
    "source_updated_at",
    "str",
    "system",
    "to_string",
    "true",
    "unmerged_from",
    "updated_at",
    "updated_by",
    "url",
    "value_of",
    "version",
    "warning",
    "warnings",
];

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

/// Returns whether `name` is the internal name of an option: it matches `^[a-z][a-z0-9_]{0,62}$`. Fields of earlier builds
/// have such names, too.
pub(super) fn is_option_name(name: &str) -> bool {
    (1..=MAX_NAME_LENGTH).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns whether a new field can have this internal name: it matches `^[a-z][a-z0-9]*(_[a-z0-9]+)*$` and has at most 63
/// characters.
pub(super) fn is_field_name(name: &str) -> bool {
    is_option_name(name) && !name.contains("__") && !name.ends_with('_')
}

/// Returns whether a name is reserved. The name of a system field is not: it is taken.
pub(super) fn is_reserved(name: &str) -> bool {
    RESERVED_NAMES.contains(&name) && !system::all().iter().any(|field| field.internal_name == name)
}

/// Returns the form of a name that generated clients tell apart. They split names into words and join them again in the
/// style of their language, which loses the underscores before digits: `a_1` and `a1` both become `a1`. Repeated and
/// trailing underscores, which names of earlier builds may have, are lost in the same way.
pub(super) fn distinct_form(name: &str) -> String {
    let mut form = String::with_capacity(name.len());
    for word in name.split('_').filter(|word| !word.is_empty()) {
        if !form.is_empty() && !word.starts_with(|first: char| first.is_ascii_digit()) {
            form.push('_');
        }
        form.push_str(word);
    }
    form
}

/// Derives the internal name of a field from its label. A reserved name gets the prefix `field_`: `URL` → `field_url`.
pub(super) fn field_name_from_label(label: &str) -> String {
    const PREFIX: &str = "field";
    let name = name_from_label(label, PREFIX);
    if is_reserved(&name) { format!("{PREFIX}_{name}") } else { name }
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

    #[test]
    fn name_from_a_label_is_a_field_name_that_is_not_reserved() {
        let labels = ["__a__ b__", "a_", "_1", "ß__", "日本_1", "URL", "Data!", "ID", "self", "!!!"].map(str::to_owned);
        let long = (55..70).map(|length| "a".repeat(length) + "_b c");
        let digits = (55..70).map(|length| "1".repeat(length) + " b");
        let reserved = RESERVED_NAMES.map(str::to_owned);
        for label in labels.into_iter().chain(long).chain(digits).chain(reserved) {
            let name = field_name_from_label(&label);
            assert!(is_field_name(&name) && !is_reserved(&name), "{label}: {name}");
        }
        assert_eq!(["URL", "ID", "Email"].map(field_name_from_label), ["field_url", "id", "email"]);
    }

    #[test]
    fn field_name_consists_of_words_separated_by_single_underscores() {
        for name in ["a", "a1", "a_1", "a_b_c", "a1_2b", &"a".repeat(63)] {
            assert!(is_field_name(name), "{name}");
        }
        for name in ["", "_a", "a_", "a__b", "1a", "A", "a-b", "ä", "a\n", &"a".repeat(64)] {
            assert!(!is_field_name(name), "{name}");
        }
        assert!(is_option_name("a__b_") && !is_option_name("_a"));
    }

    #[test]
    fn names_that_differ_only_in_underscores_before_digits_have_one_form() {
        for name in ["a1", "a_1", "a__1", "a1_"] {
            assert_eq!(distinct_form(name), "a1", "{name}");
        }
        assert_eq!(distinct_form("line_2_b_33c"), "line2_b33c");
        assert_ne!(distinct_form("a_b"), distinct_form("ab"));
        assert_ne!(distinct_form("a1_b"), distinct_form("a1b"));
    }
}
