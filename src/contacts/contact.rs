//! A contact, and what changes it.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use uuid::Uuid;

use super::Draft;
use crate::fields::{Registry, Values};

/// A contact of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// A UUIDv7: ids are in the order of creation.
    pub id: Uuid,
    /// Counts the changes, from 1. Two states of a contact never share a version.
    pub version: i64,
    /// Where in the account's change feed its last change stands; 0 while it has none there.
    pub position: i64,
    /// The set values of its writable fields.
    pub values: Values,
    /// When and by whom it was archived; `None` while it is active.
    pub archival: Option<Archival>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it last changed. Moves with every change.
    pub updated_at: DateTime<Utc>,
}

/// When and by whom a contact was archived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archival {
    /// When.
    pub at: DateTime<Utc>,
    /// The token's `sub`; `None` for a token without one.
    pub by: Option<String>,
}

impl Contact {
    /// A new contact with the values of `draft`.
    #[must_use]
    pub fn new(draft: &Draft) -> Self {
        let created_at = now();
        let mut values = Values::default();
        draft.apply(&mut values);
        let id = draft.id().unwrap_or_else(Uuid::now_v7);
        Self { id, version: 1, position: 0, values, archival: None, created_at, updated_at: created_at }
    }

    /// This contact after `draft`; `None` when that changes nothing.
    #[must_use]
    pub fn patched(&self, draft: &Draft, registry: &Registry) -> Option<Self> {
        let mut values = self.values.clone();
        draft.apply(&mut values);
        if values == self.values {
            return None;
        }
        Some(self.next(values, registry))
    }

    /// This contact, archived by `actor`.
    #[must_use]
    pub fn archived(&self, actor: Option<&str>, registry: &Registry) -> Self {
        let archived = self.next(self.values.clone(), registry);
        let archival = Archival { at: archived.updated_at, by: actor.map(str::to_owned) };
        Self { archival: Some(archival), ..archived }
    }

    /// This contact, active again.
    #[must_use]
    pub fn restored(&self, registry: &Registry) -> Self {
        self.next(self.values.clone(), registry)
    }

    /// The time of its next change: now, and later than the one before.
    #[must_use]
    pub fn next_instant(&self) -> DateTime<Utc> {
        now().max(self.updated_at + TimeDelta::milliseconds(1))
    }

    /// The next version of the same contact, active, without the values of fields that were deleted. `updated_at` moves
    /// on even when the clock does not.
    fn next(&self, mut values: Values, registry: &Registry) -> Self {
        values.retain(|field| !registry.is_deleted(field));
        let updated_at = self.next_instant();
        Self { version: self.version + 1, values, archival: None, updated_at, ..*self }
    }
}

/// The present, in the milliseconds that the service keeps.
#[must_use]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}

/// Reads an id: a UUID in the 8-4-4-4-12 form, in any case (contract §1).
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
    use super::*;
    use crate::fields::{FieldId, Value, registry_samples as samples};
    use crate::json::{self, Json};

    fn draft(fields: &str) -> Draft {
        let fields = json::parse(fields.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        Draft::parse(&fields, &samples::registry()).expect("valid fields")
    }

    #[test]
    fn a_patch_changes_only_the_keys_sent() {
        let contact = Contact::new(&draft(r#"{"first_name": "Ada", "shoe_size": 38, "phone": "+1 555"}"#));
        let patched =
            contact.patched(&draft(r#"{"shoe_size": 39, "phone": null}"#), &samples::registry()).expect("a change");
        assert_eq!(patched.values, Contact::new(&draft(r#"{"first_name": "Ada", "shoe_size": 39}"#)).values);
        assert_eq!(patched.version, 2);
        assert!(patched.updated_at > contact.updated_at);
    }

    #[test]
    fn a_patch_to_equal_values_changes_nothing() {
        let contact = Contact::new(&draft(r#"{"first_name": "Ada", "shoe_size": 38.0, "tags": ["red", "blue"]}"#));
        for same in [
            "{}",
            r#"{"first_name": "Ada", "last_name": null, "phone": ""}"#,
            r#"{"shoe_size": 3.8e1, "tags": ["blue", "red", "blue"]}"#,
        ] {
            assert_eq!(contact.patched(&draft(same), &samples::registry()), None, "{same}");
        }
        assert!(contact.patched(&draft(r#"{"first_name": "ada"}"#), &samples::registry()).is_some());
    }

    #[test]
    fn a_write_drops_the_values_of_deleted_fields() {
        let mut contact = Contact::new(&draft(r#"{"first_name": "Ada"}"#));
        let (deleted, newer) = (FieldId(103), FieldId(104));
        contact.values.set(deleted, Some(Value::Checkbox(true)));
        contact.values.set(newer, Some(Value::Checkbox(true)));
        let registry = samples::registry();
        let patched = contact.patched(&draft(r#"{"last_name": "L"}"#), &registry).expect("a change");
        for written in [patched, contact.archived(None, &registry), contact.restored(&registry)] {
            assert_eq!(written.values.get(deleted), None);
            assert!(written.values.get(newer).is_some());
        }
    }

    #[test]
    fn updated_at_moves_with_every_change() {
        let contact = Contact::new(&draft(r#"{"first_name": "Ada"}"#));
        let ahead = Contact { updated_at: now() + TimeDelta::hours(1), ..contact };
        let archived = ahead.archived(Some("u1"), &samples::registry());
        let restored = archived.restored(&samples::registry());
        assert_eq!(archived.updated_at, ahead.updated_at + TimeDelta::milliseconds(1));
        assert_eq!(restored.updated_at, archived.updated_at + TimeDelta::milliseconds(1));
        assert_eq!((restored.version, restored.archival), (3, None));
    }

    #[test]
    fn ids_are_read_in_one_form_only() {
        let id = Uuid::now_v7();
        assert_eq!(parse_id(&id.to_string().to_uppercase()), Some(id));
        for other in
            [id.simple().to_string(), id.braced().to_string(), id.urn().to_string(), String::new(), "x".repeat(36)]
        {
            assert_eq!(parse_id(&other), None, "{other}");
        }
    }
}
