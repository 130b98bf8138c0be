//! A reader of the change feed, and what its entries come to when they are applied one after another.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::Account;

/// A value as it stands in a query.
pub fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// Someone who reads the feed from page to page.
#[derive(Debug, Clone, Default)]
pub struct Reader {
    /// Where to go on; `None` before the first page.
    pub next: Option<String>,
    /// All that was read.
    pub entries: Vec<Value>,
}

impl Reader {
    /// Reads a page with these further parameters. Returns how many entries it had; `None` when the service could not
    /// answer.
    pub async fn read(&mut self, account: &Account, parameters: &str) -> Option<usize> {
        let after = self.next.as_ref().map(|next| format!("&after={next}")).unwrap_or_default();
        let answer = account.get(&format!("/contacts/changes?{parameters}{after}")).await;
        if answer.status == 503 {
            return None;
        }
        let answer = answer.expect(200);
        let page = answer.body["data"].as_array().unwrap();
        self.entries.extend_from_slice(page);
        self.next = Some(answer.body["next"].as_str().expect("next is never null").to_owned());
        Some(page.len())
    }

    /// Reads until there is nothing more. The service has to be up.
    pub async fn read_all(&mut self, account: &Account) -> &[Value] {
        while self.read(account, "limit=1000").await.expect("the service is up") > 0 {}
        &self.entries
    }

    /// The whole feed of an account.
    pub async fn all_of(account: &Account) -> Vec<Value> {
        let mut reader = Self::default();
        reader.read_all(account).await;
        reader.entries
    }
}

/// The contacts of an account, made of nothing but its feed.
#[derive(Debug, Default)]
pub struct Replay {
    /// Of each contact that is there: the values that were ever told of, and its times.
    pub contacts: BTreeMap<String, Map<String, Value>>,
}

impl Replay {
    /// Applies entries, and checks that each begins where the one before it ended.
    pub fn of(entries: &[Value]) -> Self {
        let purged = entries.iter().filter(|entry| entry["type"] == "purged");
        let purged: HashMap<_, _> = purged.map(|entry| (entry["contact_id"].as_str().unwrap(), entry)).collect();
        let mut replay = Self::default();
        for entry in entries {
            let id = entry["contact_id"].as_str().unwrap();
            // What was read after the purge is empty, and what was read before is not.
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
        let contact = self.contacts.get_mut(id).unwrap_or_else(|| panic!("of no contact: {entry}"));
        assert!(contact.get("updated_at").is_none_or(|at| at.as_str() < entry["at"].as_str()), "{entry}: {contact:?}");
        contact.insert("updated_at".into(), entry["at"].clone());
        if entry["type"] == "purged" {
            assert_eq!(entry["changed"], json!({}));
            self.contacts.remove(id);
            return;
        }
        assert!(is_emptied || entry["changed"] != json!({}), "says nothing: {entry}");
        for (name, difference) in entry["changed"].as_object().unwrap() {
            let before = contact.get(name).unwrap_or(&Value::Null);
            assert!(*before == difference["old"], "{name} was {before}: {entry}");
            assert_ne!(difference["old"], difference["new"], "{entry}");
            contact.insert(name.clone(), difference["new"].clone());
        }
    }

    /// Checks that these are the contacts that the account lists, with these properties besides the default ones.
    pub async fn expect_state_of(&self, account: &Account, properties: &str) {
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
