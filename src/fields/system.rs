//! The system fields, which are the same for every account (`docs/api-reference.md#system-fields`).

use std::sync::{Arc, LazyLock};

use super::{Field, FieldId, Kind};

/// Defines the system fields, one per line. A line defines the constant with the field's id, and the field's entry in
/// [`all`]. A `writable` field also needs a column of the same name in the table `contacts`: the SQL of the repository
/// is derived from these names.
macro_rules! system_fields {
    ($($constant:ident = $id:literal, $name:literal, $label:literal, $kind:ident, max $max_length:expr, [$($property:ident),*];)+) => {
        $(
            #[doc = concat!("`", $name, "`")]
            pub const $constant: FieldId = FieldId($id);
        )+

        fn build_system_fields() -> Vec<Arc<Field>> {
            vec![$(Arc::new(Field {
                $($property: true,)*
                ..plain_field($constant, $name, $label, Kind::$kind, $max_length)
            })),+]
        }
    };
}

/// The maximum length of names, in characters.
const NAME_LENGTH: usize = 255;
/// The maximum length of an actor, which is part of a token and therefore never longer than a token. Only the values in
/// searches are checked against this limit.
const MAX_ACTOR_LENGTH: usize = 8 * 1024;

// In the order of responses.
system_fields! {
    ID = 1, "id", "ID", Uuid, max 0, [default, unique];
    FIRST_NAME = 2, "first_name", "First name", Text, max NAME_LENGTH, [default, writable];
    LAST_NAME = 3, "last_name", "Last name", Text, max NAME_LENGTH, [default, writable];
    EMAIL = 4, "email", "Email", Email, max 254, [default, writable, unique];
    CONTACT_OWNER = 5, "contact_owner", "Contact owner", User, max 254, [default, writable];
    EXTERNAL_ID = 6, "external_id", "External ID", Text, max 255, [default, writable, unique];
    ARCHIVED = 7, "archived", "Archived", Archived, max 0, [default];
    CREATED_AT = 8, "created_at", "Created at", Datetime, max 0, [default];
    UPDATED_AT = 9, "updated_at", "Updated at", Datetime, max 0, [default];
    ARCHIVED_BY = 10, "archived_by", "Archived by", Text, max MAX_ACTOR_LENGTH, [];
    PHONE = 11, "phone", "Phone", Phone, max 40, [writable];
    MOBILE_PHONE = 12, "mobile_phone", "Mobile phone", Phone, max 40, [writable];
    JOB_TITLE = 13, "job_title", "Job title", Text, max NAME_LENGTH, [writable];
    COMPANY_NAME = 14, "company_name", "Company name", Text, max NAME_LENGTH, [writable];
    WEBSITE = 15, "website", "Website", Url, max 2_048, [writable];
    VERSION = 16, "version", "Version", Number, max 0, [];
}

/// The fields in which `query` searches for words (`docs/api-reference.md#search`).
pub const QUERIED: [FieldId; 6] = [FIRST_NAME, LAST_NAME, EMAIL, PHONE, MOBILE_PHONE, COMPANY_NAME];

/// Returns the fields in which `query` searches for words, in the order of responses.
pub fn queried() -> impl Iterator<Item = &'static Arc<Field>> {
    all().iter().filter(|field| QUERIED.contains(&field.id))
}

/// Returns every system field, in the order of responses.
#[must_use]
pub fn all() -> &'static [Arc<Field>] {
    static ALL: LazyLock<Vec<Arc<Field>>> = LazyLock::new(build_system_fields);
    &ALL
}

/// Returns the system fields that callers can write. Each field is stored in the column of the same name.
#[must_use]
pub fn stored() -> &'static [Arc<Field>] {
    static STORED: LazyLock<Vec<Arc<Field>>> =
        LazyLock::new(|| all().iter().filter(|field| field.writable).cloned().collect());
    &STORED
}

/// Returns the system fields for an account with these custom fields. A custom field that is older than a system field
/// of its name hides it, so that it keeps working in its account. No new custom field can have such a name.
pub(super) fn not_hidden_by(custom: &[Field]) -> impl Iterator<Item = &'static Arc<Field>> {
    all().iter().filter(|field| !custom.iter().any(|custom| custom.internal_name == field.internal_name))
}

/// Returns whether the key of a body names a value that only the system sets. `account_id` is not a field of responses,
/// but is rejected in the same way.
#[must_use]
pub fn is_system_owned(name: &str) -> bool {
    name == "account_id" || all().iter().any(|field| field.internal_name == name && !field.writable)
}

/// Returns a system field that is neither in every response, nor writable, nor unique.
fn plain_field(id: FieldId, name: &str, label: &str, kind: Kind, max_length: usize) -> Field {
    Field {
        id,
        internal_name: name.to_owned(),
        label: label.to_owned(),
        kind,
        system: true,
        default: false,
        writable: false,
        unique: false,
        max_length,
        options: vec![],
        created_at: None,
        updated_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_where(is_included: impl Fn(&Field) -> bool) -> Vec<&'static str> {
        all().iter().filter(|field| is_included(field)).map(|field| field.internal_name.as_str()).collect()
    }

    #[test]
    fn system_fields_match_the_reference() {
        let default = [
            "id",
            "first_name",
            "last_name",
            "email",
            "contact_owner",
            "external_id",
            "archived",
            "created_at",
            "updated_at",
        ];
        assert_eq!(names_where(|field| field.default), default);
        assert_eq!(names_where(|field| field.unique), ["id", "email", "external_id"]);
        assert_eq!(
            names_where(|field| !field.writable),
            ["id", "archived", "created_at", "updated_at", "archived_by", "version"]
        );
    }
}
