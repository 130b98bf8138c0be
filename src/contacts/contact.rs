//! A contact and its transitions: created, patched, archived, restored.

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use super::ContactPatch;
use crate::fields::{Registry, Values};

/// A contact of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// A UUIDv7, so ids sort by time of creation.
    pub id: Uuid,
    /// The version, which starts at 1 and increases with each change. No two states of a contact have the same version.
    pub version: i64,
    /// A random number that each change draws, part of the entity tag: after the database has lost changes, later ones have the same
    /// versions. `None` if an older build has created the contact, and no newer one has changed it.
    pub tag: Option<i32>,
    /// The position of its last change in the account's change feed; 0 before the first change is recorded. Negative while
    /// that change is not stored (`last_change.rs`).
    pub position: i64,
    /// The values of its writable fields; of custom fields, only those that are loaded.
    pub values: Values,
    /// An upper bound of the size of the custom values that are not in `values`, in bytes: 0 if all are loaded, `None` if
    /// it is unknown (`contact_size.rs`). It is not part of a contact's state.
    pub unloaded_bytes: Option<usize>,
    /// The time and actor of its archiving; `None` for an active contact.
    pub archival: Option<Archival>,
    /// The time of its creation.
    pub created_at: DateTime<Utc>,
    /// The time of its last change. It never decreases.
    pub updated_at: DateTime<Utc>,
}

/// The time and actor of archiving a contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archival {
    /// The time of archiving.
    pub at: DateTime<Utc>,
    /// The `sub` claim of the token with which the contact was archived; `None` for a token without `sub`.
    pub by: Option<String>,
}

impl Contact {
    /// Creates a contact with the values of `patch`.
    #[must_use]
    pub fn new(patch: &ContactPatch) -> Self {
        let created_at = now();
        let mut values = Values::default();
        patch.apply(&mut values);
        let id = patch.id().unwrap_or_else(Uuid::now_v7);
        Self {
            id,
            version: 1,
            tag: Some(random_tag()),
            position: 0,
            values,
            unloaded_bytes: Some(0),
            archival: None,
            created_at,
            updated_at: created_at,
        }
    }

    /// Returns the next version of this contact with `patch` applied; `None` if the patch changes nothing.
    #[must_use]
    pub fn patched(&self, patch: &ContactPatch, registry: &Registry) -> Option<Self> {
        let mut values = self.values.clone();
        patch.apply(&mut values);
        if values == self.values {
            return None;
        }
        Some(self.next_version(values, registry))
    }

    /// Returns the next version of this contact, archived by `actor`.
    #[must_use]
    pub fn archived(&self, actor: Option<&str>, registry: &Registry) -> Self {
        let archived = self.next_version(self.values.clone(), registry);
        let archival = Archival { at: archived.updated_at, by: actor.map(str::to_owned) };
        Self { archival: Some(archival), ..archived }
    }

    /// Returns the next version of this contact, active again.
    #[must_use]
    pub fn restored(&self, registry: &Registry) -> Self {
        self.next_version(self.values.clone(), registry)
    }

    /// Returns the memory that the contact takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.values.memory_bytes()
    }

    /// Returns the `updated_at` of its next change: the current time, but not before the last change.
    #[must_use]
    pub fn next_updated_at(&self) -> DateTime<Utc> {
        now().max(self.updated_at)
    }

    /// Returns the next version of this contact, active, with these values but without the values of deleted fields.
    /// `updated_at` does not decrease even if the clock does.
    fn next_version(&self, mut values: Values, registry: &Registry) -> Self {
        values.retain(|field| !registry.is_deleted(field));
        let updated_at = self.next_updated_at();
        let tag = Some(random_tag());
        Self { version: self.version + 1, tag, values, archival: None, updated_at, ..*self }
    }
}

fn random_tag() -> i32 {
    let [first, second, third, fourth, ..] = Uuid::new_v4().into_bytes();
    i32::from_be_bytes([first, second, third, fourth])
}

/// Returns the current time, truncated to milliseconds like all stored times.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// Parses an id: a UUID in the 8-4-4-4-12 form, in any case (`docs/api-reference.md#conventions`).
#[must_use]
pub fn parse_id(text: &str) -> Option<Uuid> {
    const HYPHENATED_LENGTH: usize = 36;
    if text.len() != HYPHENATED_LENGTH {
        return None;
    }
    Uuid::try_parse(text).ok()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::fields::{FieldId, Value, registry_fixtures as fixtures};
    use crate::json::{self, Json};

    fn patch(fields: &str) -> ContactPatch {
        let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        ContactPatch::parse(&fields, &fixtures::registry()).expect("valid fields")
    }

    #[test]
    fn patch_changes_only_the_keys_sent() {
        let contact = Contact::new(&patch(r#"{"first_name": "Ada", "shoe_size": 38, "phone": "+1 555"}"#));
        let patched =
            contact.patched(&patch(r#"{"shoe_size": 39, "phone": null}"#), &fixtures::registry()).expect("a change");
        assert_eq!(patched.values, Contact::new(&patch(r#"{"first_name": "Ada", "shoe_size": 39}"#)).values);
        assert_eq!(patched.version, 2);
        assert!(patched.updated_at >= contact.updated_at);
    }

    #[test]
    fn patch_with_equal_values_changes_nothing() {
        let contact = Contact::new(&patch(r#"{"first_name": "Ada", "shoe_size": 38.0, "tags": ["red", "blue"]}"#));
        for same in [
            "{}",
            r#"{"first_name": "Ada", "last_name": null, "phone": ""}"#,
            r#"{"shoe_size": 3.8e1, "tags": ["blue", "red", "blue"]}"#,
        ] {
            assert_eq!(contact.patched(&patch(same), &fixtures::registry()), None, "{same}");
        }
        assert!(contact.patched(&patch(r#"{"first_name": "ada"}"#), &fixtures::registry()).is_some());
    }

    #[test]
    fn every_write_removes_the_values_of_deleted_fields() {
        let mut contact = Contact::new(&patch(r#"{"first_name": "Ada"}"#));
        let (deleted, existing) = (FieldId(103), FieldId(100));
        contact.values.set(deleted, Some(Value::Checkbox(true)));
        contact.values.set(existing, Some(Value::Checkbox(true)));
        let registry = fixtures::registry();
        let patched = contact.patched(&patch(r#"{"last_name": "L"}"#), &registry).expect("a change");
        for written in [patched, contact.archived(None, &registry), contact.restored(&registry)] {
            assert_eq!(written.values.get(deleted), None);
            assert!(written.values.get(existing).is_some());
        }
    }

    #[test]
    fn updated_at_does_not_decrease_when_the_clock_is_set_back() {
        let contact = Contact::new(&patch(r#"{"first_name": "Ada"}"#));
        let ahead = Contact { updated_at: now() + TimeDelta::hours(1), ..contact };
        let archived = ahead.archived(Some("u1"), &fixtures::registry());
        let restored = archived.restored(&fixtures::registry());
        assert_eq!(archived.updated_at, ahead.updated_at);
        assert_eq!(restored.updated_at, ahead.updated_at);
        assert_eq!((restored.version, restored.archival), (3, None));
    }

    #[test]
    fn only_the_hyphenated_form_of_an_id_is_parsed() {
        let id = Uuid::now_v7();
        assert_eq!(parse_id(&id.to_string().to_uppercase()), Some(id));
        for other in
            [id.simple().to_string(), id.braced().to_string(), id.urn().to_string(), String::new(), "x".repeat(36)]
        {
            assert_eq!(parse_id(&other), None, "{other}");
        }
    }
}
