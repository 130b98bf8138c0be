//! A change of a contact, as the change feed and the contact's history store it
//! (`docs/api-reference.md#change-feed`).

use std::convert::Infallible;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{Archival, Contact, LastChange};
use crate::fields::{FieldId, Value, Values, format_instant, system};

/// The kind of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The contact was created.
    Created,
    /// Values of the contact changed.
    Updated,
    /// The contact was archived.
    Archived,
    /// The contact was restored.
    Restored,
    /// The contact and all its values were deleted permanently.
    Purged,
}

impl ChangeKind {
    const ALL: [Self; 5] = [Self::Created, Self::Updated, Self::Archived, Self::Restored, Self::Purged];

    /// Returns the name in responses and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Archived => "archived",
            Self::Restored => "restored",
            Self::Purged => "purged",
        }
    }

    /// Returns the kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A change that is not stored yet.
#[derive(Debug, Clone)]
pub struct Change {
    /// The position in the account's change feed; provisional until the change is stored (`last_change.rs`).
    pub position: i64,
    /// The position of the contact's previous change, which may be provisional, too; 0 for its first change.
    pub previous_position: i64,
    /// The id of the contact.
    pub contact_id: Uuid,
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The time of the change. For all kinds except a purge, this is the contact's new `updated_at`.
    pub at: DateTime<Utc>,
    /// The user or client that made the change.
    pub actor: Option<Arc<str>>,
    /// The contact before the change; `None` for a new contact, and for a purged contact, whose values must not be
    /// stored.
    pub before: Option<Arc<Contact>>,
    /// The contact after the change; `None` for a purged contact, whose values must not be stored.
    pub after: Option<Arc<Contact>>,
}

impl Change {
    /// Returns this change with the final times of its contacts, placed after the account's change `last`. Returns `None` if
    /// they stay the same.
    #[must_use]
    pub fn place_times(&self, last: LastChange) -> Option<Self> {
        let place = |contact: &Option<Arc<Contact>>| last.place_times(contact.as_deref()?, false).map(Arc::new);
        let (before, after) = (place(&self.before), place(&self.after));
        if before.is_none() && after.is_none() {
            return None;
        }
        let (before, after) = (before.or(self.before.clone()), after.or(self.after.clone()));
        Some(Self { before, after, ..self.clone() })
    }

    /// Returns the memory of the values that the change replaces and sets, in bytes.
    #[must_use]
    pub fn changed_bytes(&self) -> usize {
        let none = Values::default();
        let old = self.before.as_ref().map_or(&none, |contact| &contact.values);
        let new = self.after.as_ref().map_or(&none, |contact| &contact.values);
        let mut bytes = 0;
        let Ok(()) = for_each_difference::<Infallible>(old, new, |_, old, new| {
            bytes += old.into_iter().chain(new).map(Value::memory_bytes).sum::<usize>();
            Ok(())
        });
        bytes
    }

    /// Returns the values that the change affects, in their stored form.
    #[must_use]
    pub fn changed_values(&self) -> ChangedValues<'_> {
        ChangedValues(self)
    }
}

/// The values that a change affects. Serializes to `{"13": [old, new], …}`. The keys are field ids, so that a response
/// can contain the current names of the fields.
#[derive(Debug)]
pub struct ChangedValues<'a>(&'a Change);

impl Serialize for ChangedValues<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Change { before, after: Some(after), .. } = self.0 else { return map.end() };
        let none = Values::default();
        let old = before.as_ref().map_or(&none, |before| &before.values);
        for_each_difference(old, &after.values, |field, old, new| map.serialize_entry(&field.0, &(old, new)))?;
        let archival = before.as_ref().and_then(|before| before.archival.as_ref());
        if archival != after.archival.as_ref() {
            let (old, new) = (ArchivedValue(archival), ArchivedValue(after.archival.as_ref()));
            map.serialize_entry(&system::ARCHIVED.0, &(&old, &new))?;
            if old.actor() != new.actor() {
                map.serialize_entry(&system::ARCHIVED_BY.0, &(old.actor(), new.actor()))?;
            }
        }
        map.end()
    }
}

/// Calls `visit` with the old and the new value of each field whose values differ. Both lists are ordered by field.
fn for_each_difference<E>(
    old: &Values,
    new: &Values,
    mut visit: impl FnMut(FieldId, Option<&Value>, Option<&Value>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    while let Some(field) = [old.peek(), new.peek()].into_iter().flatten().map(|(field, _)| *field).min() {
        let old_value = old.next_if(|(id, _)| *id == field).map(|(_, value)| value);
        let new_value = new.next_if(|(id, _)| *id == field).map(|(_, value)| value);
        if old_value != new_value {
            visit(field, old_value, new_value)?;
        }
    }
    Ok(())
}

/// The value of the field `archived`: `false`, or the time of archiving.
struct ArchivedValue<'a>(Option<&'a Archival>);

impl<'a> ArchivedValue<'a> {
    fn actor(&self) -> Option<&'a str> {
        self.0.and_then(|archival| archival.by.as_deref())
    }
}

impl Serialize for ArchivedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(archival) => serializer.serialize_str(&format_instant(archival.at)),
            None => serializer.serialize_bool(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::ContactPatch;

    fn contact(values: &[(FieldId, &str)]) -> Contact {
        let mut contact = Contact::new(&ContactPatch::default());
        values.iter().for_each(|(field, text)| contact.values.set(*field, Some(Value::Text((*text).into()))));
        contact
    }

    fn stored_change(before: Option<Contact>, after: Option<Contact>) -> String {
        let change = Change {
            position: 2,
            previous_position: 1,
            contact_id: Uuid::nil(),
            kind: ChangeKind::Updated,
            at: DateTime::UNIX_EPOCH,
            actor: None,
            before: before.map(Arc::new),
            after: after.map(Arc::new),
        };
        serde_json::to_string(&change.changed_values()).expect("changes serialize")
    }

    #[test]
    fn change_contains_exactly_the_values_that_differ() {
        let (before, after) = (
            contact(&[(system::FIRST_NAME, "Ada"), (system::EMAIL, "a@b.cd"), (system::PHONE, "555")]),
            contact(&[(system::EMAIL, "a@b.cd"), (system::PHONE, "556"), (FieldId(100), "x")]),
        );
        let expected = r#"{"2":["Ada",null],"11":["555","556"],"100":[null,"x"]}"#;
        assert_eq!(stored_change(Some(before.clone()), Some(after)), expected);
        assert_eq!(stored_change(None, Some(contact(&[(system::EMAIL, "a@b.cd")]))), r#"{"4":[null,"a@b.cd"]}"#);
        assert_eq!(stored_change(Some(before), None), "{}");
    }

    #[test]
    fn change_of_archival_contains_its_time_and_actor() {
        let contact = contact(&[]);
        let archived =
            Contact { archival: Some(Archival { at: DateTime::UNIX_EPOCH, by: Some("u1".into()) }), ..contact.clone() };
        let expected = r#"{"7":[false,"1970-01-01T00:00:00.000Z"],"10":[null,"u1"]}"#;
        assert_eq!(stored_change(Some(contact.clone()), Some(archived.clone())), expected);
        let restored = r#"{"7":["1970-01-01T00:00:00.000Z",false],"10":["u1",null]}"#;
        assert_eq!(stored_change(Some(archived), Some(contact)), restored);
    }
}
