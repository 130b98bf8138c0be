//! A reader of the change feed, and the contacts that result when its entries are applied in order.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::Account;

/// Returns the value percent-encoded for a query string.
pub fn percent_encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// A client that reads the change feed page by page.
#[derive(Debug, Clone, Default)]
pub struct FeedReader {
    /// The cursor of the next page; `None` before the first page.
    pub next: Option<String>,
    /// All entries read so far.
    pub entries: Vec<Value>,
}

impl FeedReader {
    /// Reads one page, with these additional query parameters. Returns the number of its entries, or `None` on a 503.
    pub async fn read(&mut self, account: &Account, parameters: &str) -> Option<usize> {
        let after = self.next.as_ref().map(|next| format!("&after={next}")).unwrap_or_default();
        let response = account.get(&format!("/contacts/changes?{parameters}{after}")).await;
        if response.status == 503 {
            return None;
        }
        let response = response.expect(200);
        let page = response.body["data"].as_array().unwrap();
        self.entries.extend_from_slice(page);
        self.next = Some(response.body["next"].as_str().expect("next is never null").to_owned());
        Some(page.len())
    }

    /// Reads until a page is empty and returns all entries. The service has to be up.
    pub async fn read_all(&mut self, account: &Account) -> &[Value] {
        while self.read(account, "limit=1000").await.expect("the service is up") > 0 {}
        &self.entries
    }

    /// Returns the whole feed of an account.
    pub async fn read_entire_feed(account: &Account) -> Vec<Value> {
        let mut reader = Self::default();
        reader.read_all(account).await;
        reader.entries
    }
}

/// The contacts of an account, rebuilt only from its change feed.
#[derive(Debug, Default)]
pub struct FeedReplay {
    /// For each existing contact, by id: every value that an entry has set, and its times.
    pub contacts: BTreeMap<String, Map<String, Value>>,
}

impl FeedReplay {
    /// Applies the entries, and checks that each old value equals the value before the entry.
    pub fn from_entries(entries: &[Value]) -> Self {
        let purged = entries.iter().filter(|entry| entry["type"] == "purged");
        let purged: HashMap<_, _> = purged.map(|entry| (entry["contact_id"].as_str().unwrap(), entry)).collect();
        let mut replay = Self::default();
        for entry in entries {
            let id = entry["contact_id"].as_str().unwrap();
            // A purge removes the values from earlier entries: entries read after it are empty.
            let is_emptied = entry["changed"] == json!({}) && purged.contains_key(id);
            replay.apply(id, entry, is_emptied);
        }
        replay
    }

    fn apply(&mut self, id: &str, entry: &Value, is_emptied: bool) {
        if entry["type"] == "created" {
            let created =
                Map::from_iter([("created_at".into(), entry["at"].clone()), ("archived".into(), json!(false))]);
            assert!(self.contacts.insert(id.to_owned(), created).is_none(), "created twice: {entry}");
        }
        let contact =
            self.contacts.get_mut(id).unwrap_or_else(|| panic!("entry for a contact that does not exist: {entry}"));
        assert!(contact.get("updated_at").is_none_or(|at| at.as_str() <= entry["at"].as_str()), "{entry}: {contact:?}");
        contact.insert("updated_at".into(), entry["at"].clone());
        // Every change increases the version by 1.
        let version = contact.get("version").and_then(Value::as_u64).unwrap_or_default() + 1;
        contact.insert("version".into(), json!(version));
        if entry["type"] == "purged" {
            assert_eq!(entry["changed"], json!({}));
            self.contacts.remove(id);
            return;
        }
        assert!(is_emptied || entry["changed"] != json!({}), "entry without a change: {entry}");
        for (name, difference) in entry["changed"].as_object().unwrap() {
            let before = contact.get(name).unwrap_or(&Value::Null);
            assert!(*before == difference["old"], "{name} was {before}: {entry}");
            assert_ne!(difference["old"], difference["new"], "{entry}");
            contact.insert(name.clone(), difference["new"].clone());
        }
    }

    /// Checks that the list of the account returns exactly these contacts, in the default properties and these others.
    pub async fn expect_matches_contacts_of(&self, account: &Account, properties: &str) {
        let mut after = String::new();
        let mut listed = BTreeMap::new();
        loop {
            let path = format!("/contacts?archived=true&limit=100&properties={properties}{after}");
            let page = account.get(&path).await.expect(200);
            for contact in page.body["data"].as_array().unwrap() {
                listed.insert(contact["id"].as_str().unwrap().to_owned(), contact.clone());
            }
            let Some(next) = page.body["pagination"]["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(self.contacts.keys().collect::<Vec<_>>(), listed.keys().collect::<Vec<_>>());
        for (id, contact) in &self.contacts {
            for (name, value) in listed[id].as_object().unwrap().iter().filter(|(name, _)| *name != "id") {
                assert_eq!(contact.get(name).unwrap_or(&Value::Null), value, "{name} of {id}");
            }
        }
    }
}
