//! The change feed and the history of a contact, as callers read them (contract §6).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::ChangeKind;
use super::render::ShownValue;
use crate::fields::{FieldId, Registry, Value, format_instant};
use crate::json::{self, Json};

/// An entry of the feed, as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the account's feed.
    pub position: i64,
    /// The contact.
    pub contact_id: Uuid,
    /// What happened.
    pub kind: ChangeKind,
    /// On whose behalf.
    pub actor: Option<String>,
    /// When.
    pub at: DateTime<Utc>,
    /// The values that differ: `{"13": [old, new], …}` by field id.
    pub changed: String,
}

/// Whose changes a cursor goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of an account.
    Feed(Uuid),
    /// Those of one contact of an account.
    History(Uuid, Uuid),
}

/// A place between two entries, as given to callers: opaque, good for one account (and contact) only. It also tells
/// whether the entry before it is still the one it was: in a database that was restored from a backup it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedCursor {
    position: i64,
    print: Print,
}

type Print = [u8; 8];

impl FeedCursor {
    /// Before the first entry that there ever was.
    pub const START: Self = Self { position: 0, print: [0; 8] };

    /// After this entry.
    #[must_use]
    pub fn after(entry: &Entry) -> Self {
        let millis = entry.at.timestamp_millis().to_be_bytes();
        let print = fingerprint(&[&entry.position.to_be_bytes(), entry.contact_id.as_bytes(), &millis]);
        Self { position: entry.position, print }
    }

    /// The position of the entry before it; 0 at the start.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The text that callers get.
    #[must_use]
    pub fn text(&self, scope: Scope) -> String {
        URL_SAFE_NO_PAD.encode([self.position.to_be_bytes(), self.print, scope.print()].concat())
    }

    /// Reads a cursor back. `None` for a text that is no cursor, or one of another scope.
    #[must_use]
    pub fn read(text: &str, scope: Scope) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (position, rest) = bytes.split_first_chunk::<8>()?;
        let (print, of_scope) = rest.split_first_chunk::<8>()?;
        let position = i64::from_be_bytes(*position);
        (of_scope == scope.print() && position >= 0).then_some(Self { position, print: *print })
    }
}

impl Scope {
    fn print(self) -> Print {
        match self {
            Self::Feed(account) => fingerprint(&[b"feed", account.as_bytes()]),
            Self::History(account, contact) => fingerprint(&[b"history", account.as_bytes(), contact.as_bytes()]),
        }
    }
}

fn fingerprint(parts: &[&[u8]]) -> Print {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let mut print = Print::default();
    print.copy_from_slice(&hasher.finalize()[..8]);
    print
}

impl Entry {
    /// This entry as answers show it, with the names that fields have now. Those of deleted fields are left out.
    #[must_use]
    pub fn show<'a>(&'a self, scope: Scope, registry: &'a Registry) -> ShownEntry<'a> {
        ShownEntry {
            cursor: FeedCursor::after(self).text(scope),
            r#type: self.kind.as_str(),
            contact_id: self.contact_id,
            actor: self.actor.as_deref(),
            at: format_instant(self.at),
            changed: Changed { stored: &self.changed, registry },
        }
    }
}

/// An entry in an answer.
#[derive(Debug, Serialize)]
pub struct ShownEntry<'a> {
    cursor: String,
    r#type: &'static str,
    contact_id: Uuid,
    actor: Option<&'a str>,
    at: String,
    changed: Changed<'a>,
}

/// Serializes to `{name: {"old", "new"}, …}`.
#[derive(Debug)]
struct Changed<'a> {
    stored: &'a str,
    registry: &'a Registry,
}

impl Serialize for Changed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let malformed = || serde::ser::Error::custom("malformed entry of the feed");
        let members = json::parse(self.stored.as_bytes()).ok().and_then(Json::into_object).ok_or_else(malformed)?;
        let mut map = serializer.serialize_map(None)?;
        for (id, pair) in members {
            let Some(field) = id.parse().ok().and_then(|id| self.registry.by_id(FieldId(id))) else { continue };
            let Json::Array(pair) = pair else { return Err(malformed()) };
            let [old, new] = <[Json<'_>; 2]>::try_from(pair).map_err(|_| malformed())?;
            let (old, new) = (Value::from_stored(old), Value::from_stored(new));
            let shown = |value| ShownValue { field, value };
            let difference = Difference { old: shown(old.as_ref()), new: shown(new.as_ref()) };
            map.serialize_entry(&field.internal_name, &difference)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Difference<'a> {
    old: ShownValue<'a>,
    new: ShownValue<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_samples as samples;

    fn entry() -> Entry {
        Entry {
            position: 7,
            contact_id: Uuid::nil(),
            kind: ChangeKind::Updated,
            actor: Some("u1".into()),
            at: DateTime::UNIX_EPOCH,
            changed: r#"{"7":[false,"x"],"13":["Analyst",null],"101":[null,["blue","red"]],"103":[1,2]}"#.into(),
        }
    }

    #[test]
    fn shows_names_of_today_and_nothing_of_deleted_fields() {
        let scope = Scope::Feed(Uuid::nil());
        let shown = serde_json::to_value(entry().show(scope, &samples::registry())).expect("serializes");
        let expected = serde_json::json!({
            "archived": {"old": false, "new": "x"},
            "job_title": {"old": "Analyst", "new": null},
            "tags": {"old": null, "new": ["red", "blue"]}
        });
        assert_eq!(shown["changed"], expected);
        assert_eq!((&shown["type"], &shown["at"]), (&"updated".into(), &"1970-01-01T00:00:00.000Z".into()));
    }

    #[test]
    fn a_cursor_is_good_for_its_own_scope_and_entry_only() {
        let (account, contact) = (Uuid::now_v7(), Uuid::now_v7());
        let (scope, cursor) = (Scope::Feed(account), FeedCursor::after(&entry()));
        assert_eq!(FeedCursor::read(&cursor.text(scope), scope), Some(cursor));
        assert_eq!(FeedCursor::read(&FeedCursor::START.text(scope), scope), Some(FeedCursor::START));
        for other in [Scope::Feed(contact), Scope::History(account, contact)] {
            assert_eq!(FeedCursor::read(&cursor.text(scope), other), None);
        }
        for text in ["", "now", "abc", "ä", &"A".repeat(32), &"A".repeat(1_000)] {
            assert_eq!(FeedCursor::read(text, scope), None, "{text}");
        }
        let another = Entry { at: DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(1), ..entry() };
        assert_ne!(FeedCursor::after(&another), cursor);
    }
}
