//! Many callers who write one account at random, and remember what they were answered.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, Answer, CUT_OFF, Dice};

/// What the custom fields of [`prepare`] are called; every answer shows them.
pub const PROPERTIES: &str = "job_title,score,tags,badge";
/// How many changes one call makes at most.
const MAX_BATCH: usize = 5;
const KEYS: [&str; 6] = ["k0", "k1", "k2", "k3", "k4", "k5"];

/// Defines the custom fields that the storm writes.
pub async fn prepare(account: &Account) {
    account.define(json!({"label": "score", "type": "number"})).await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let options = json!([{"label": "red"}, {"label": "green"}, {"label": "blue"}]);
    account.define(json!({"label": "tags", "type": "multi_select", "options": options})).await;
}

/// What all writers of a storm know.
#[derive(Default)]
pub struct Log {
    /// The contacts that were ever created.
    ids: Mutex<Vec<String>>,
    /// Each state of a contact that was answered: its id and `updated_at`. No two states of a contact share one.
    states: Mutex<BTreeSet<(String, String)>>,
    purged: Mutex<BTreeSet<String>>,
    /// How many answers left it unknown what was done.
    unknown: Mutex<usize>,
    stopped: AtomicBool,
}

impl Log {
    /// Tells the writers to stop after the write that they are at.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Whether the writers have been told to stop.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// A contact; before there is any, one that is not there.
    pub fn any_id(&self, dice: &mut Dice) -> String {
        let ids = self.ids.lock().unwrap();
        if ids.is_empty() { Uuid::nil().to_string() } else { dice.pick(&ids).clone() }
    }

    fn learn(&self, contact: &Value) {
        let text = |name: &str| contact[name].as_str().unwrap().to_owned();
        if self.states.lock().unwrap().insert((text("id"), text("updated_at")))
            && contact["created_at"] == contact["updated_at"]
        {
            self.ids.lock().unwrap().push(text("id"));
        }
    }

    /// Remembers an answer. `purges` is the contact that the call was to purge.
    fn learn_answer(&self, answer: &Answer, purges: Option<String>) {
        match answer.status {
            200 | 201 if answer.body["id"].is_string() => self.learn(&answer.body),
            200 | 207 => {
                let results = answer.body["results"].as_array().unwrap().iter();
                results
                    .filter(|result| result["contact"].is_object())
                    .for_each(|result| self.learn(&result["contact"]));
            }
            204 => assert!(self.purged.lock().unwrap().insert(purges.unwrap()), "purged twice"),
            404 | 409 => {}
            503 | CUT_OFF => *self.unknown.lock().unwrap() += 1,
            _ => panic!("{}", answer.text),
        }
    }

    /// Checks that each state that was answered is told of exactly once, and that nothing else is, but for what came
    /// of answers that said nothing.
    pub fn expect_told(&self, entries: &[Value]) {
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
        let is_purge = |entry: &&Value| entry["type"] == "purged";
        let purges: Vec<_> = entries.iter().filter(is_purge).map(|entry| text(entry, "contact_id")).collect();
        let told: Vec<_> = entries
            .iter()
            .filter(|entry| !is_purge(entry))
            .map(|entry| (text(entry, "contact_id"), text(entry, "at")))
            .collect();
        assert!(self.tells_enough(), "a storm that did little");
        let (states, purged) = (self.states.lock().unwrap(), self.purged.lock().unwrap());
        let told_once: BTreeSet<_> = told.iter().cloned().collect();
        assert_eq!(told.len(), told_once.len(), "told twice");
        assert_eq!(states.difference(&told_once).collect::<Vec<_>>(), Vec::<&(String, String)>::new(), "never told");
        let purged_once: BTreeSet<_> = purges.iter().cloned().collect();
        assert_eq!(purges.len(), purged_once.len());
        assert!(purged.is_subset(&purged_once));
        let without_an_answer = told_once.len() + purged_once.len() - states.len() - purged.len();
        assert!(without_an_answer <= self.unknown() * MAX_BATCH, "{without_an_answer} are told of without an answer");
    }

    /// Whether so much was answered that the check of it means something.
    pub fn tells_enough(&self) -> bool {
        self.acknowledged() > 30 && !self.purged.lock().unwrap().is_empty()
    }

    /// How many changes were answered.
    pub fn acknowledged(&self) -> usize {
        self.states.lock().unwrap().len() + self.purged.lock().unwrap().len()
    }

    /// How many answers said nothing.
    pub fn unknown(&self) -> usize {
        *self.unknown.lock().unwrap()
    }
}

/// Writes at random, this many times or until the log is stopped.
pub async fn write(account: Account, log: Arc<Log>, seed: u64, times: usize) {
    let mut dice = Dice::new(seed);
    for turn in 0..times {
        if log.is_stopped() {
            return;
        }
        let id = log.any_id(&mut dice);
        let answer = call(&account, &log, &mut dice, &id, &format!("{seed}-{turn}")).await;
        log.learn_answer(&answer, Some(id));
        if answer.status == CUT_OFF {
            // There is no one to ask again at once.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// One write of any kind, of the contact with this id where it is about one.
async fn call(account: &Account, log: &Log, dice: &mut Dice, id: &str, mark: &str) -> Answer {
    let fields = |dice: &mut Dice| json!({"fields": fields(dice, mark)});
    let key = *dice.pick(&KEYS);
    let (method, path, body) = match dice.roll(20) {
        0..2 => ("POST", "/contacts?x=1".to_owned(), Some(fields(dice))),
        2..9 => ("PATCH", format!("/contacts/{id}?x=1"), Some(fields(dice))),
        9..11 => ("DELETE", format!("/contacts/{id}?x=1"), None),
        11..14 => ("POST", format!("/contacts/{id}/restore?x=1"), None),
        14..16 => ("PUT", format!("/contacts/{key}?id_property=external_id"), Some(upsert(dice, mark))),
        16 if dice.hits(3) => ("POST", format!("/contacts/{id}/purge?x=1"), None),
        _ => return batch(account, log, dice, mark).await,
    };
    let call = account.call(method, &format!("{path}&properties={PROPERTIES}"));
    match body {
        Some(body) => call.json(&body).send().await,
        None => call.send().await,
    }
}

/// Values at random, one of which no other write has.
fn fields(dice: &mut Dice, mark: &str) -> Value {
    let mut fields = json!({"first_name": "N", "job_title": mark});
    if dice.hits(2) {
        fields["score"] = json!(dice.roll(3));
    }
    if dice.hits(3) {
        fields["tags"] = dice.pick(&[json!(["blue", "red"]), json!(["green"]), json!([])]).clone();
    }
    if dice.hits(4) {
        fields["external_id"] = dice.pick(&[json!("k0"), json!("k1"), json!("k2"), json!(null)]).clone();
    }
    if dice.hits(5) {
        fields["badge"] = dice.pick(&[json!("c0"), json!("c1"), json!("c2"), json!(null)]).clone();
    }
    fields
}

fn upsert(dice: &mut Dice, mark: &str) -> Value {
    let mut fields = fields(dice, mark);
    fields.as_object_mut().unwrap().remove("external_id");
    json!({"fields": fields})
}

async fn batch(account: &Account, log: &Log, dice: &mut Dice, mark: &str) -> Answer {
    let action = *dice.pick(&["create", "update", "update", "upsert", "archive"]);
    let count = 1 + dice.roll(MAX_BATCH as u64);
    let inputs: Vec<_> = (0..count)
        .map(|index| {
            let mark = format!("{mark}-{index}");
            let id = log.any_id(dice);
            match action {
                "create" => json!({"fields": fields(dice, &mark)}),
                "update" => json!({"id": id, "fields": fields(dice, &mark)}),
                "upsert" => json!({"id": dice.pick(&KEYS), "fields": upsert(dice, &mark)["fields"]}),
                _ => json!({"id": id}),
            }
        })
        .collect();
    let mut body = json!({"inputs": inputs, "properties": PROPERTIES.split(',').collect::<Vec<_>>()});
    body["atomic"] = json!(dice.hits(3));
    if action == "upsert" {
        body["id_property"] = json!("external_id");
    }
    account.post(&format!("/contacts/batch/{action}"), body).await
}
