//! A change of a contact, as the feed and the contact's history tell it (contract §6).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use super::{Archival, Contact};
use crate::fields::{FieldId, Value, Values, format_instant, system};

/// What happened to a contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created.
    Created,
    /// Values of it changed.
    Updated,
    /// It was archived.
    Archived,
    /// It was restored.
    Restored,
    /// It is gone for good, with every value of it.
    Purged,
}

impl ChangeKind {
    const ALL: [Self; 5] = [Self::Created, Self::Updated, Self::Archived, Self::Restored, Self::Purged];

    /// The name as it stands in answers and the database.
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

    /// The kind of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A change that is being made.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its place in the account's feed.
    pub position: i64,
    /// The place of the same contact's change before it; 0 for the first.
    pub previous: i64,
    /// The contact.
    pub contact_id: Uuid,
    /// What happened.
    pub kind: ChangeKind,
    /// When: the contact's `updated_at` from then on.
    pub at: DateTime<Utc>,
    /// On whose behalf.
    pub actor: Option<Arc<str>>,
    /// The contact before; `None` for a new one, or where no value may be told.
    pub before: Option<Arc<Contact>>,
    /// The contact after; `None` where no value may be told.
    pub after: Option<Arc<Contact>>,
}

impl Change {
    /// The values that differ, in the form they are stored in.
    #[must_use]
    pub fn changed(&self) -> Differences<'_> {
        Differences(self)
    }
}

/// Serializes to `{"13": [old, new], …}` by field id, so that names are those of the day of reading.
#[derive(Debug)]
pub struct Differences<'a>(&'a Change);

impl Serialize for Differences<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let Change { before, after: Some(after), .. } = self.0 else { return map.end() };
        let none = Values::default();
        let old = before.as_ref().map_or(&none, |before| &before.values);
        each_difference(old, &after.values, |field, old, new| map.serialize_entry(&field.0, &(old, new)))?;
        let archival = before.as_ref().and_then(|before| before.archival.as_ref());
        if archival != after.archival.as_ref() {
            let (was, is) = (Archived(archival), Archived(after.archival.as_ref()));
            map.serialize_entry(&system::ARCHIVED.0, &(&was, &is))?;
            if was.by() != is.by() {
                map.serialize_entry(&system::ARCHIVED_BY.0, &(was.by(), is.by()))?;
            }
        }
        map.end()
    }
}

/// Goes through the values that differ: both lists are ordered by field.
fn each_difference<E>(
    old: &Values,
    new: &Values,
    mut tell: impl FnMut(FieldId, Option<&Value>, Option<&Value>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    while let Some(field) = [old.peek(), new.peek()].into_iter().flatten().map(|(field, _)| *field).min() {
        let was = old.next_if(|(id, _)| *id == field).map(|(_, value)| value);
        let is = new.next_if(|(id, _)| *id == field).map(|(_, value)| value);
        if was != is {
            tell(field, was, is)?;
        }
    }
    Ok(())
}

/// The value of `archived`: `false`, or when.
struct Archived<'a>(Option<&'a Archival>);

impl<'a> Archived<'a> {
    fn by(&self) -> Option<&'a str> {
        self.0.and_then(|archival| archival.by.as_deref())
    }
}

impl Serialize for Archived<'_> {
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
    use crate::contacts::Draft;

    fn contact(values: &[(FieldId, &str)]) -> Contact {
        let mut contact = Contact::new(&Draft::default());
        values.iter().for_each(|(field, text)| contact.values.set(*field, Some(Value::Text((*text).into()))));
        contact
    }

    fn stored(before: Option<Contact>, after: Option<Contact>) -> String {
        let change = Change {
            position: 2,
            previous: 1,
            contact_id: Uuid::nil(),
            kind: ChangeKind::Updated,
            at: DateTime::UNIX_EPOCH,
            actor: None,
            before: before.map(Arc::new),
            after: after.map(Arc::new),
        };
        serde_json::to_string(&change.changed()).expect("serializes")
    }

    #[test]
    fn tells_the_values_that_differ_and_no_other() {
        let (before, after) = (
            contact(&[(system::FIRST_NAME, "Ada"), (system::EMAIL, "a@b.cd"), (system::PHONE, "555")]),
            contact(&[(system::EMAIL, "a@b.cd"), (system::PHONE, "556"), (FieldId(100), "x")]),
        );
        let expected = r#"{"2":["Ada",null],"11":["555","556"],"100":[null,"x"]}"#;
        assert_eq!(stored(Some(before.clone()), Some(after)), expected);
        assert_eq!(stored(None, Some(contact(&[(system::EMAIL, "a@b.cd")]))), r#"{"4":[null,"a@b.cd"]}"#);
        assert_eq!(stored(Some(before), None), "{}");
    }

    #[test]
    fn tells_when_and_by_whom_a_contact_was_archived() {
        let contact = contact(&[]);
        let archived =
            Contact { archival: Some(Archival { at: DateTime::UNIX_EPOCH, by: Some("u1".into()) }), ..contact.clone() };
        let expected = r#"{"7":[false,"1970-01-01T00:00:00.000Z"],"10":[null,"u1"]}"#;
        assert_eq!(stored(Some(contact.clone()), Some(archived.clone())), expected);
        let back = r#"{"7":["1970-01-01T00:00:00.000Z",false],"10":["u1",null]}"#;
        assert_eq!(stored(Some(archived), Some(contact)), back);
    }
}
