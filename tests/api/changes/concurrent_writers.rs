//! Concurrent clients that send random writes to one account and record the responses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, ApiResponse, NO_RESPONSE, SeededRandom};

/// The properties that every response includes: system fields and the custom fields of [`define_fields`].
pub const PROPERTIES: &str = "job_title,version,score,tags,badge";
/// The largest number of changes of one call.
const MAX_CHANGES_PER_CALL: usize = 5;
const EXTERNAL_IDS: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];

/// Defines the custom fields that the writers set.
pub async fn define_fields(account: &Account) {
    account.define(json!({"label": "score", "type": "number"})).await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let options = json!([{"label": "red"}, {"label": "green"}, {"label": "blue"}]);
    account.define(json!({"label": "tags", "type": "multi_select", "options": options})).await;
}

/// The writes that the writers of one account have made so far.
#[derive(Default)]
pub struct WriteLog {
    /// The ids of all contacts that were created.
    ids: Mutex<Vec<String>>,
    /// The `updated_at` of each state of a contact in a response, by its id and version.
    states: Mutex<BTreeMap<(String, u64), String>>,
    /// The ids of the contacts whose purge was acknowledged.
    purged: Mutex<BTreeSet<String>>,
    /// The number of calls with an unknown outcome: 503 or no response.
    unknown: Mutex<usize>,
    stopped: AtomicBool,
}

impl WriteLog {
    /// Makes each writer stop after its current write.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Returns whether [`stop`](Self::stop) was called.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Returns the id of a random contact, or the nil id before a contact is created.
    pub fn random_id(&self, random: &mut SeededRandom) -> String {
        let ids = self.ids.lock().unwrap();
        if ids.is_empty() { Uuid::nil().to_string() } else { random.choose(&ids).clone() }
    }

    fn record_state(&self, contact: &Value) {
        let text = |name: &str| contact[name].as_str().unwrap().to_owned();
        let (version, updated_at) = (contact["version"].as_u64().unwrap(), text("updated_at"));
        let known = self.states.lock().unwrap().insert((text("id"), version), updated_at.clone());
        match known {
            Some(known) => assert_eq!(known, updated_at, "two states have the same version"),
            None if version == 1 => self.ids.lock().unwrap().push(text("id")),
            None => {}
        }
    }

    /// Records a response. `purged_id` is the contact that was purged if the response is a 204.
    fn record_response(&self, response: &ApiResponse, purged_id: Option<String>) {
        match response.status {
            200 | 201 if response.body["id"].is_string() => self.record_state(&response.body),
            200 | 207 => {
                let results = response.body["results"].as_array().unwrap().iter();
                results
                    .filter(|result| result["contact"].is_object())
                    .for_each(|result| self.record_state(&result["contact"]));
            }
            204 => assert!(self.purged.lock().unwrap().insert(purged_id.unwrap()), "purged twice"),
            404 | 409 => {}
            503 | NO_RESPONSE => *self.unknown.lock().unwrap() += 1,
            _ => panic!("{}", response.text),
        }
    }

    /// Checks that the feed contains each acknowledged state exactly once.
    ///
    /// All other entries must come from calls with an unknown outcome, of which each makes at most
    /// [`MAX_CHANGES_PER_CALL`] changes.
    pub fn expect_matches_feed(&self, entries: &[Value]) {
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let is_purge = |entry: &&Value| entry["type"] == "purged";
        let purges: Vec<_> = entries.iter().filter(is_purge).map(|entry| text(entry, "contact_id")).collect();
        // Every change of a contact increases its version by 1.
        let mut versions: BTreeMap<String, u64> = BTreeMap::new();
        let mut states_in_feed = BTreeMap::new();
        for entry in entries.iter().filter(|entry| !is_purge(entry)) {
            let version = versions.entry(text(entry, "contact_id")).or_default();
            *version += 1;
            states_in_feed.insert((text(entry, "contact_id"), *version), text(entry, "at"));
        }
        assert!(self.has_enough_writes(), "too few writes were acknowledged");
        let (states, purged) = (self.states.lock().unwrap(), self.purged.lock().unwrap());
        for (state, updated_at) in states.iter() {
            assert_eq!(states_in_feed.get(state), Some(updated_at), "the feed lacks an acknowledged state");
        }
        let times: Vec<_> = entries.iter().map(|entry| text(entry, "at")).collect();
        assert!(times.is_sorted(), "the times in the feed decrease");
        let distinct_purges: BTreeSet<_> = purges.iter().cloned().collect();
        assert_eq!(purges.len(), distinct_purges.len());
        assert!(purged.is_subset(&distinct_purges));
        let unacknowledged = states_in_feed.len() + distinct_purges.len() - states.len() - purged.len();
        assert!(
            unacknowledged <= self.unknown_count() * MAX_CHANGES_PER_CALL,
            "{unacknowledged} entries were not acknowledged, more than the calls without a response explain"
        );
    }

    /// Returns whether enough writes were acknowledged for the checks to be meaningful.
    pub fn has_enough_writes(&self) -> bool {
        self.acknowledged_count() > 30 && !self.purged.lock().unwrap().is_empty()
    }

    /// Returns the number of acknowledged changes.
    pub fn acknowledged_count(&self) -> usize {
        self.states.lock().unwrap().len() + self.purged.lock().unwrap().len()
    }

    /// Returns the number of calls with an unknown outcome.
    pub fn unknown_count(&self) -> usize {
        *self.unknown.lock().unwrap()
    }
}

/// Sends this many random writes, or fewer when the log is stopped.
pub async fn send_random_writes(account: Account, log: Arc<WriteLog>, seed: u64, times: usize) {
    let mut random = SeededRandom::new(seed);
    for turn in 0..times {
        if log.is_stopped() {
            return;
        }
        let id = log.random_id(&mut random);
        let response = send_random_write(&account, &log, &mut random, &id, &format!("{seed}-{turn}")).await;
        log.record_response(&response, Some(id));
        if response.status == NO_RESPONSE {
            // The service is down: an immediate retry would fail, too.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Sends one random write, to this contact when the write addresses one by id.
async fn send_random_write(
    account: &Account,
    log: &WriteLog,
    random: &mut SeededRandom,
    id: &str,
    mark: &str,
) -> ApiResponse {
    let body = |random: &mut SeededRandom| json!({"fields": random_fields(random, mark)});
    let key = *random.choose(&EXTERNAL_IDS);
    let (method, path, body) = match random.below(20) {
        0..2 => ("POST", "/contacts?".to_owned(), Some(body(random))),
        2..9 => ("PATCH", format!("/contacts/{id}?"), Some(body(random))),
        9..11 => ("DELETE", format!("/contacts/{id}?"), None),
        11..14 => ("POST", format!("/contacts/{id}/restore?"), None),
        14..16 => ("PUT", format!("/contacts/{key}?id_property=external_id&"), Some(random_upsert_body(random, mark))),
        16 if random.one_in(3) => return account.call("POST", &format!("/contacts/{id}/purge")).send().await,
        _ => return send_random_batch(account, log, random, mark).await,
    };
    let call = account.call(method, &format!("{path}properties={PROPERTIES}"));
    match body {
        Some(body) => call.json(&body).send().await,
        None => call.send().await,
    }
}

/// Returns random values, with `mark` as a value that no other write has.
fn random_fields(random: &mut SeededRandom, mark: &str) -> Value {
    let mut fields = json!({"first_name": "N", "job_title": mark});
    if random.one_in(2) {
        fields["score"] = json!(random.below(3));
    }
    if random.one_in(3) {
        fields["tags"] = random.choose(&[json!(["blue", "red"]), json!(["green"]), json!([])]).clone();
    }
    if random.one_in(4) {
        fields["external_id"] = random.choose(&[json!("k0"), json!("k1"), json!("k2"), json!(null)]).clone();
    }
    if random.one_in(5) {
        fields["badge"] = random.choose(&[json!("c0"), json!("c1"), json!("c2"), json!(null)]).clone();
    }
    fields
}

fn random_upsert_body(random: &mut SeededRandom, mark: &str) -> Value {
    let mut fields = random_fields(random, mark);
    fields.as_object_mut().unwrap().remove("external_id");
    json!({"fields": fields})
}

async fn send_random_batch(account: &Account, log: &WriteLog, random: &mut SeededRandom, mark: &str) -> ApiResponse {
    let action = *random.choose(&["create", "update", "update", "upsert", "archive"]);
    let count = 1 + random.below(MAX_CHANGES_PER_CALL as u64);
    let inputs: Vec<_> = (0..count)
        .map(|index| {
            let mark = format!("{mark}-{index}");
            let id = log.random_id(random);
            match action {
                "create" => json!({"fields": random_fields(random, &mark)}),
                "update" => json!({"id": id, "fields": random_fields(random, &mark)}),
                "upsert" => {
                    json!({"id": random.choose(&EXTERNAL_IDS), "fields": random_upsert_body(random, &mark)["fields"]})
                }
                _ => json!({"id": id}),
            }
        })
        .collect();
    let mut body = json!({"inputs": inputs, "properties": PROPERTIES.split(',').collect::<Vec<_>>()});
    body["atomic"] = json!(random.one_in(3));
    if action == "upsert" {
        body["id_property"] = json!("external_id");
    }
    account.post(&format!("/contacts/batch/{action}"), body).await
}

/// Makes the database skip updates of contacts and report new unique keys as taken, each with this probability, as if
/// another writer had been first.
pub async fn skip_writes_at_random(account: &Account, updates: f64, keys: f64) {
    let triggers = format!(
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF random() < {updates} THEN RETURN NULL; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER skip BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION skip(); \
         CREATE FUNCTION collide() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN IF random() < {keys} THEN RAISE unique_violation; END IF; RETURN NEW; END $$; \
         CREATE TRIGGER collide BEFORE INSERT ON contact_keys FOR EACH ROW EXECUTE FUNCTION collide()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(triggers)).execute(&mut account.database().await).await.unwrap();
}
