//! The table of system fields: the same for every account (contract §4).

use std::sync::{Arc, LazyLock};

use super::{Field, FieldId, Kind};

/// `id`
pub const ID: FieldId = FieldId(1);
/// `first_name`
pub const FIRST_NAME: FieldId = FieldId(2);
/// `last_name`
pub const LAST_NAME: FieldId = FieldId(3);
/// `email`
pub const EMAIL: FieldId = FieldId(4);
/// `contact_owner`
pub const CONTACT_OWNER: FieldId = FieldId(5);
/// `external_id`
pub const EXTERNAL_ID: FieldId = FieldId(6);
/// `archived`
pub const ARCHIVED: FieldId = FieldId(7);
/// `created_at`
pub const CREATED_AT: FieldId = FieldId(8);
/// `updated_at`
pub const UPDATED_AT: FieldId = FieldId(9);
/// `archived_by`
pub const ARCHIVED_BY: FieldId = FieldId(10);
/// `phone`
pub const PHONE: FieldId = FieldId(11);
/// `mobile_phone`
pub const MOBILE_PHONE: FieldId = FieldId(12);
/// `job_title`
pub const JOB_TITLE: FieldId = FieldId(13);
/// `company_name`
pub const COMPANY_NAME: FieldId = FieldId(14);
/// `website`
pub const WEBSITE: FieldId = FieldId(15);

/// The system fields that callers can write, in the order of their columns in the database.
pub const STORED: [FieldId; 10] =
    [FIRST_NAME, LAST_NAME, EMAIL, CONTACT_OWNER, EXTERNAL_ID, PHONE, MOBILE_PHONE, JOB_TITLE, COMPANY_NAME, WEBSITE];

/// Names that no field can have: they are keys of requests and errors, or the tenant (contract §4).
pub const RESERVED_NAMES: [&str; 8] =
    ["account_id", "error", "code", "message", "details", "request_id", "fields", "properties"];

/// Every system field, in the order of answers.
#[must_use]
pub fn all() -> &'static [Arc<Field>] {
    static ALL: LazyLock<Vec<Arc<Field>>> = LazyLock::new(table);
    &ALL
}

/// The key of a body that names a part of the system that callers can't write. `account_id` is no field of
/// an answer, but is refused in the same way.
#[must_use]
pub fn is_system_owned(name: &str) -> bool {
    name == "account_id" || all().iter().any(|field| field.internal_name == name && !field.writable)
}

fn table() -> Vec<Arc<Field>> {
    const NAME_LENGTH: usize = 255;
    // No actor is longer than the token that names it (contract §3); only a search is checked against it.
    const MAX_ACTOR_LENGTH: usize = 8 * 1024;
    let read_only = |id, name, label, kind| field(id, name, label, kind, 0, |field| field.writable = false);
    vec![
        field(ID, "id", "ID", Kind::Uuid, 0, |field| {
            field.writable = false;
            field.unique = true;
        }),
        field(FIRST_NAME, "first_name", "First name", Kind::Text, NAME_LENGTH, |_| {}),
        field(LAST_NAME, "last_name", "Last name", Kind::Text, NAME_LENGTH, |_| {}),
        field(EMAIL, "email", "Email", Kind::Email, 254, |field| field.unique = true),
        field(CONTACT_OWNER, "contact_owner", "Contact owner", Kind::User, 254, |_| {}),
        field(EXTERNAL_ID, "external_id", "External ID", Kind::Text, 255, |field| field.unique = true),
        read_only(ARCHIVED, "archived", "Archived", Kind::Archived),
        read_only(CREATED_AT, "created_at", "Created at", Kind::Datetime),
        read_only(UPDATED_AT, "updated_at", "Updated at", Kind::Datetime),
        field(ARCHIVED_BY, "archived_by", "Archived by", Kind::Text, MAX_ACTOR_LENGTH, |field| {
            field.writable = false;
            field.default = false;
        }),
        field(PHONE, "phone", "Phone", Kind::Phone, 40, |field| field.default = false),
        field(MOBILE_PHONE, "mobile_phone", "Mobile phone", Kind::Phone, 40, |field| field.default = false),
        field(JOB_TITLE, "job_title", "Job title", Kind::Text, NAME_LENGTH, |field| field.default = false),
        field(COMPANY_NAME, "company_name", "Company name", Kind::Text, NAME_LENGTH, |field| field.default = false),
        field(WEBSITE, "website", "Website", Kind::Url, 2_048, |field| field.default = false),
    ]
}

/// A system field in every answer, writable and not unique, but for what `but` changes.
fn field(
    id: FieldId,
    name: &str,
    label: &str,
    kind: Kind,
    max_length: usize,
    but: impl FnOnce(&mut Field),
) -> Arc<Field> {
    let mut field = Field {
        id,
        internal_name: name.to_owned(),
        label: label.to_owned(),
        kind,
        system: true,
        default: true,
        writable: true,
        unique: false,
        max_length,
        options: vec![],
        created_at: None,
        updated_at: None,
    };
    but(&mut field);
    Arc::new(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(keep: impl Fn(&Field) -> bool) -> Vec<&'static str> {
        all().iter().filter(|field| keep(field)).map(|field| field.internal_name.as_str()).collect()
    }

    #[test]
    fn is_the_table_of_the_contract() {
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
        assert_eq!(names(|field| field.default), default);
        assert_eq!(names(|field| field.unique), ["id", "email", "external_id"]);
        assert_eq!(names(|field| !field.writable), ["id", "archived", "created_at", "updated_at", "archived_by"]);
    }

    #[test]
    fn stores_exactly_the_writable_fields() {
        let writable: Vec<_> = all().iter().filter(|field| field.writable).map(|field| field.id).collect();
        assert_eq!(writable, STORED);
    }
}
