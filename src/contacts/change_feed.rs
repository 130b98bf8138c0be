//! The change feed and the history of a contact, as responses contain them (`docs/api-reference.md#change-feed`,
//! `docs/api-reference.md#history`).

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::render::{RenderedFields, RenderedValue};
use super::{ChangeKind, Contact};
use crate::fields::{FieldId, Registry, Selection, Value, format_instant, system};
use crate::json::{self, Json};

/// A stored entry of the change feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry {
    /// The position in the account's change feed.
    pub position: i64,
    /// The id of the contact.
    pub contact_id: Uuid,
    /// The kind of the change.
    pub kind: ChangeKind,
    /// The user or client that made the change.
    pub actor: Option<String>,
    /// The time of the change.
    pub at: DateTime<Utc>,
    /// The values that the change affects, as JSON by field id: `{"13": [old, new], …}`.
    pub changed: String,
    /// The contact when the entry was read, with the custom fields that the caller reads; `None` if it was purged.
    pub contact: Option<Arc<Contact>>,
}

/// The changes that a cursor pages through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedScope {
    /// All changes of an account.
    Feed(Uuid),
    /// The changes of one contact: the ids of the account and the contact.
    History(Uuid, Uuid),
}

/// A position between two entries. Its encoded form is opaque to callers and valid for one scope only. It contains a
/// fingerprint of the entry before the position. After the database is restored from a backup, another entry may have
/// that position, and the fingerprint no longer matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedCursor {
    position: i64,
    /// The fingerprint of the entry before the position.
    fingerprint: FingerprintBytes,
}

type FingerprintBytes = [u8; 8];

impl FeedCursor {
    /// The position before the first entry of the feed.
    pub const START: Self = Self { position: 0, fingerprint: [0; 8] };

    /// Returns the position after this entry.
    #[must_use]
    pub fn after(entry: &FeedEntry) -> Self {
        let millis = entry.at.timestamp_millis().to_be_bytes();
        let fingerprint = short_hash(&[&entry.position.to_be_bytes(), entry.contact_id.as_bytes(), &millis]);
        Self { position: entry.position, fingerprint }
    }

    /// Returns the position of the entry before the cursor; 0 at the start.
    #[must_use]
    pub fn position(&self) -> i64 {
        self.position
    }

    /// Encodes the cursor for responses.
    #[must_use]
    pub fn encode(&self, scope: FeedScope) -> String {
        URL_SAFE_NO_PAD.encode([self.position.to_be_bytes(), self.fingerprint, scope.fingerprint()].concat())
    }

    /// Decodes a cursor. Returns `None` if the text is not a cursor of this scope.
    #[must_use]
    pub fn decode(text: &str, scope: FeedScope) -> Option<Self> {
        let bytes: [u8; 24] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (position, rest) = bytes.split_first_chunk::<8>()?;
        let (fingerprint, scope_fingerprint) = rest.split_first_chunk::<8>()?;
        let position = i64::from_be_bytes(*position);
        (scope_fingerprint == scope.fingerprint() && position >= 0)
            .then_some(Self { position, fingerprint: *fingerprint })
    }
}

impl FeedScope {
    fn fingerprint(self) -> FingerprintBytes {
        match self {
            Self::Feed(account) => short_hash(&[b"feed", account.as_bytes()]),
            Self::History(account, contact) => short_hash(&[b"history", account.as_bytes(), contact.as_bytes()]),
        }
    }
}

/// Returns the first 8 bytes of the SHA-256 hash of the parts.
fn short_hash(parts: &[&[u8]]) -> FingerprintBytes {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    let mut fingerprint = FingerprintBytes::default();
    fingerprint.copy_from_slice(&hasher.finalize()[..8]);
    fingerprint
}

impl FeedEntry {
    /// Renders this entry for a response, with the current names of the fields and the current values of `properties`.
    /// Values of deleted fields are omitted.
    #[must_use]
    pub fn render<'a>(
        &'a self,
        scope: FeedScope,
        registry: &'a Registry,
        properties: &'a Selection,
    ) -> RenderedEntry<'a> {
        let contact = self.contact.as_deref();
        let fields = Some(properties.named()).filter(|fields| !fields.is_empty());
        RenderedEntry {
            cursor: FeedCursor::after(self).encode(scope),
            r#type: self.kind.as_str(),
            contact_id: self.contact_id,
            external_id: contact.and_then(|contact| contact.values.text(system::EXTERNAL_ID)),
            actor: self.actor.as_deref(),
            at: format_instant(self.at),
            changed: RenderedChanges { stored: &self.changed, registry },
            properties: fields.map(|fields| contact.map(|contact| RenderedFields { contact, fields })),
        }
    }
}

/// An entry of the change feed in a response.
#[derive(Debug, Serialize)]
pub struct RenderedEntry<'a> {
    cursor: String,
    r#type: &'static str,
    contact_id: Uuid,
    external_id: Option<&'a str>,
    actor: Option<&'a str>,
    at: String,
    changed: RenderedChanges<'a>,
    /// The requested properties. The outer `None`: none are requested; the inner one: the contact was purged.
    #[serde(skip_serializing_if = "Option::is_none")]
    properties: Option<Option<RenderedFields<'a>>>,
}

/// The changed values of an entry. Serializes to `{name: {"old", "new"}, …}`.
#[derive(Debug)]
struct RenderedChanges<'a> {
    stored: &'a str,
    registry: &'a Registry,
}

impl Serialize for RenderedChanges<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let malformed = || serde::ser::Error::custom("malformed entry of the change feed");
        let members = json::parse(self.stored.as_bytes()).ok().and_then(Json::into_object).ok_or_else(malformed)?;
        let mut map = serializer.serialize_map(None)?;
        for (id, pair) in members {
            let Some(field) = id.parse().ok().and_then(|id| self.registry.by_id(FieldId(id))) else { continue };
            let Json::Array(pair) = pair else { return Err(malformed()) };
            let [old, new] = <[Json<'_>; 2]>::try_from(pair).map_err(|_| malformed())?;
            let (old, new) = (Value::from_stored(old), Value::from_stored(new));
            let render = |value| RenderedValue { field, value };
            let difference = RenderedDifference { old: render(old.as_ref()), new: render(new.as_ref()) };
            map.serialize_entry(&field.internal_name, &difference)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct RenderedDifference<'a> {
    old: RenderedValue<'a>,
    new: RenderedValue<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::registry_fixtures as fixtures;

    fn entry() -> FeedEntry {
        FeedEntry {
            position: 7,
            contact_id: Uuid::nil(),
            kind: ChangeKind::Updated,
            actor: Some("u1".into()),
            at: DateTime::UNIX_EPOCH,
            changed: r#"{"7":[false,"x"],"13":["Analyst",null],"101":[null,["blue","red"]],"103":[1,2]}"#.into(),
            contact: None,
        }
    }

    #[test]
    fn rendered_entry_has_current_names_and_omits_deleted_fields() {
        let scope = FeedScope::Feed(Uuid::nil());
        let (registry, properties) = (fixtures::registry(), Selection::default());
        let rendered = serde_json::to_value(entry().render(scope, &registry, &properties)).expect("entries serialize");
        let expected = serde_json::json!({
            "archived": {"old": false, "new": "x"},
            "job_title": {"old": "Analyst", "new": null},
            "tags": {"old": null, "new": ["red", "blue"]}
        });
        assert_eq!(rendered["changed"], expected);
        assert_eq!((&rendered["type"], &rendered["at"]), (&"updated".into(), &"1970-01-01T00:00:00.000Z".into()));
        assert!(rendered["external_id"].is_null() && rendered.get("properties").is_none());
    }

    #[test]
    fn rendered_entry_has_the_requested_properties_of_the_contact() {
        let registry = fixtures::registry();
        let properties = Selection::parse(["email", "tags"], &registry).expect("known names");
        let render = |contact| {
            let entry = FeedEntry { contact, ..entry() };
            let rendered = entry.render(FeedScope::Feed(Uuid::nil()), &registry, &properties);
            let rendered = serde_json::to_value(rendered).expect("entries serialize");
            (rendered["external_id"].clone(), rendered["properties"].clone())
        };
        let patch =
            [("email", "a@b.cd"), ("external_id", "k")].map(|(name, text)| (name.into(), Json::String(text.into())));
        let patch = crate::contacts::ContactPatch::parse(&patch.into(), &registry).expect("valid fields");
        let expected = serde_json::json!({"email": "a@b.cd", "tags": null});
        assert_eq!(render(Some(Arc::new(Contact::new(&patch)))), ("k".into(), expected));
        assert_eq!(render(None), (serde_json::Value::Null, serde_json::Value::Null));
    }

    #[test]
    fn feed_cursor_is_valid_only_for_its_scope_and_entry() {
        let (account, contact) = (Uuid::now_v7(), Uuid::now_v7());
        let (scope, cursor) = (FeedScope::Feed(account), FeedCursor::after(&entry()));
        assert_eq!(FeedCursor::decode(&cursor.encode(scope), scope), Some(cursor));
        assert_eq!(FeedCursor::decode(&FeedCursor::START.encode(scope), scope), Some(FeedCursor::START));
        for other in [FeedScope::Feed(contact), FeedScope::History(account, contact)] {
            assert_eq!(FeedCursor::decode(&cursor.encode(scope), other), None);
        }
        for text in ["", "now", "abc", "ä", &"A".repeat(32), &"A".repeat(1_000)] {
            assert_eq!(FeedCursor::decode(text, scope), None, "{text}");
        }
        let another = FeedEntry { at: DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(1), ..entry() };
        assert_ne!(FeedCursor::after(&another), cursor);
    }
}
