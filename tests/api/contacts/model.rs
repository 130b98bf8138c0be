//! The writer gives the answers of one write at a time: random requests go through it many at once, and one by one
//! through a server that gathers nothing, and every answer and the final state are compared.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::{Account, Answer, Server, at_once};

const LANES: usize = 10;
const ROUNDS: usize = 80;
/// How many keys each lane plays with.
const KEYS: usize = 3;
const PROPERTIES: &str = "job_title,size,tags,badge";

/// A request of one lane. Lanes share nothing but a key that is always taken, so that what comes of a request does not
/// depend on which lane comes first.
#[derive(Debug, Clone)]
enum Operation {
    Create(Value),
    Patch(Target, Value, Tag),
    Upsert(usize, Value, Tag),
    Archive(Target),
    Restore(usize),
    Batch { action: &'static str, by_key: bool, inputs: Vec<(usize, Value)>, atomic: bool },
}

/// One of the lane's contacts, by its number or by a key that it may hold.
#[derive(Debug, Clone, Copy)]
enum Target {
    Contact(usize),
    Key(usize),
}

/// The precondition that is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Tag {
    None,
    Any,
    Absent,
    Fresh,
    Stale,
}

fn key(lane: usize, number: usize) -> String {
    format!("own-{lane}-{number}")
}

fn fields(lane: usize) -> impl Strategy<Value = Value> {
    let text = prop_oneof![4 => Just(json!("A")), 4 => Just(json!("é😀")), 2 => Just(json!(null)), 1 => Just(json!(7))];
    let size = prop_oneof![Just(json!(1)), Just(json!(1.0)), Just(json!(2.5)), Just(json!(null))];
    let tags = [json!(["red"]), json!(["blue", "red"]), json!([]), json!(["red"]), json!(["pink"])];
    let tags = prop::sample::select(tags.to_vec());
    let own = (0..KEYS).prop_map(move |number| json!(key(lane, number)));
    let external_id = prop_oneof![6 => own, 1 => Just(json!("taken")), 2 => Just(json!(null))];
    let badge = (0..3_usize).prop_map(move |number| if number == 2 { json!(null) } else { json!(lane * 10 + number) });
    let name = prop::option::weighted(0.8, text.clone());
    (
        name,
        prop::option::of(text),
        prop::option::of(size),
        prop::option::of(tags),
        prop::option::of(external_id),
        prop::option::of(badge),
    )
        .prop_map(|(first_name, job_title, size, tags, external_id, badge)| {
            let names = ["first_name", "job_title", "size", "tags", "external_id", "badge"];
            let values = [first_name, job_title, size, tags, external_id, badge];
            names.into_iter().zip(values).filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
        })
}

fn operation(lane: usize) -> impl Strategy<Value = Operation> {
    let target = || prop_oneof![(0..8_usize).prop_map(Target::Contact), (0..KEYS).prop_map(Target::Key)];
    let tags = [Tag::None, Tag::None, Tag::None, Tag::None, Tag::Any, Tag::Absent, Tag::Fresh, Tag::Stale];
    let tag = || prop::sample::select(tags.to_vec());
    let action = prop_oneof![Just("create"), Just("update"), Just("upsert"), Just("archive"), Just("read")];
    let inputs = prop::collection::vec((0..8_usize, fields(lane)), 1..6);
    prop_oneof![
        2 => fields(lane).prop_map(Operation::Create),
        8 => (target(), fields(lane), tag()).prop_map(|(target, fields, tag)| Operation::Patch(target, fields, tag)),
        4 => (0..KEYS, fields(lane), tag()).prop_map(|(key, fields, tag)| Operation::Upsert(key, fields, tag)),
        2 => target().prop_map(Operation::Archive),
        2 => (0..8_usize).prop_map(Operation::Restore),
        4 => (action, any::<bool>(), inputs, any::<bool>())
            .prop_map(|(action, by_key, inputs, atomic)| Operation::Batch { action, by_key, inputs, atomic }),
    ]
}

/// One side of the comparison: an account, the contacts of each lane, what each is called here, and their last tags.
struct Side {
    account: Account,
    lanes: Vec<Vec<String>>,
    names: HashMap<String, String>,
    tags: HashMap<String, String>,
}

impl Side {
    async fn new(server: &Server) -> Self {
        let account = Account::on(server);
        account.define(json!({"label": "size", "type": "number"})).await;
        account.define(json!({"label": "badge", "type": "number", "unique": true})).await;
        let options = json!([{"label": "red"}, {"label": "blue"}]);
        account.define(json!({"label": "tags", "type": "multi_select", "options": options})).await;
        let taken = account.create(json!({"first_name": "N", "external_id": "taken"})).await;
        let names = HashMap::from([(taken, "taken".to_owned())]);
        let mut side = Self { account, lanes: vec![vec![]; LANES], names, tags: HashMap::new() };
        for lane in 0..LANES {
            let fields = json!({"first_name": "N", "external_id": key(lane, 0)});
            let created = side.account.post("/contacts", json!({"fields": fields})).await.expect(201);
            side.learn(lane, &created);
        }
        side
    }

    fn id(&self, lane: usize, number: usize) -> &str {
        &self.lanes[lane][number % self.lanes[lane].len()]
    }

    fn path(&self, lane: usize, target: Target) -> String {
        match target {
            Target::Contact(number) => format!("/contacts/{}?properties={PROPERTIES}", self.id(lane, number)),
            Target::Key(number) => {
                format!("/contacts/{}?id_property=external_id&properties={PROPERTIES}", key(lane, number))
            }
        }
    }

    fn send(&self, lane: usize, operation: &Operation) -> impl Future<Output = Answer> + Send + 'static {
        let call = |method: &str, path: &str| self.account.call(method, path);
        let write = |method: &str, target: Target, fields: &Value, tag: Tag| {
            let call = call(method, &self.path(lane, target)).json(&json!({"fields": fields}));
            let known = if let Target::Contact(number) = target { self.tags.get(self.id(lane, number)) } else { None };
            match tag {
                Tag::None => call,
                Tag::Any => call.header("if-match", "*"),
                Tag::Absent => call.header("if-none-match", "*"),
                Tag::Fresh => call.header("if-match", known.map_or("*", String::as_str)),
                Tag::Stale => call.header("if-match", "\"stale\""),
            }
        };
        let call = match operation {
            Operation::Create(fields) => {
                call("POST", &format!("/contacts?properties={PROPERTIES}")).json(&json!({"fields": fields}))
            }
            Operation::Patch(target, fields, tag) => write("PATCH", *target, fields, *tag),
            Operation::Upsert(key, fields, tag) => write("PUT", Target::Key(*key), fields, *tag),
            Operation::Archive(target) => call("DELETE", &self.path(lane, *target)),
            Operation::Restore(number) => call("POST", &format!("/contacts/{}/restore", self.id(lane, *number))),
            Operation::Batch { action, .. } => {
                call("POST", &format!("/contacts/batch/{action}")).json(&self.batch(lane, operation))
            }
        };
        call.send()
    }

    fn batch(&self, lane: usize, operation: &Operation) -> Value {
        let Operation::Batch { action, by_key, inputs, atomic } = operation else { panic!("a batch") };
        let by_key = *action != "create" && (*by_key || *action == "upsert");
        let input = |(number, fields): &(usize, Value)| {
            let id = if by_key { key(lane, number % KEYS) } else { self.id(lane, *number).to_owned() };
            match *action {
                "create" => json!({"fields": fields}),
                "read" | "archive" => json!({"id": id}),
                _ => json!({"id": id, "fields": fields}),
            }
        };
        let inputs: Vec<_> = inputs.iter().map(input).collect();
        let property = by_key.then_some("external_id");
        json!({"inputs": inputs, "id_property": property, "atomic": atomic, "properties": PROPERTIES})
    }

    /// Takes note of new contacts and tags.
    fn learn(&mut self, lane: usize, answer: &Answer) {
        let results = answer.body["results"].as_array().into_iter().flatten();
        let new = results.filter(|result| result["status"] == 201).map(|result| &result["contact"]);
        let new: Vec<_> = new.chain((answer.status == 201).then_some(&answer.body)).collect();
        for contact in new {
            let id = contact["id"].as_str().unwrap().to_owned();
            self.names.insert(id.clone(), format!("contact {} of lane {lane}", self.lanes[lane].len()));
            self.lanes[lane].push(id);
        }
        if let (Some(id), false) = (answer.body["id"].as_str(), answer.etag().is_empty()) {
            self.tags.insert(id.to_owned(), answer.etag());
        }
    }

    /// An answer without what differs between the sides: ids and times.
    fn comparable(&self, answer: &Answer) -> Value {
        let version = answer.etag().split('-').nth(1).map(str::to_owned);
        json!([answer.status, self.named(&answer.body), version, answer.header("location").is_empty()])
    }

    fn named(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.named(item)).collect(),
            Value::Object(members) => {
                let is_kept = |name: &str| !["created_at", "updated_at", "request_id", "at", "cursor"].contains(&name);
                let kept = members.iter().filter(|(name, _)| is_kept(name));
                kept.map(|(name, value)| {
                    let is_id = name == "id" || name == "existing_id" || name == "contact_id";
                    let value = match value {
                        Value::String(id) if is_id => json!(self.names.get(id).map_or("never there", |name| name)),
                        Value::String(time) if time.ends_with('Z') => json!("a time"),
                        other => self.named(other),
                    };
                    (name.clone(), value)
                })
                .collect()
            }
            other => other.clone(),
        }
    }

    /// Every contact with its history, and who holds which key.
    async fn state(&self) -> Vec<Value> {
        let mut state = vec![];
        for id in self.lanes.iter().flatten() {
            let contact = self.account.get(&format!("/contacts/{id}?properties={PROPERTIES}")).await.expect(200);
            let history = self.account.get(&format!("/contacts/{id}/history?limit=1000")).await.expect(200);
            state.push(json!([self.comparable(&contact), self.named(&history.body)]));
        }
        let keys = "SELECT contact_id::text, field_id, key, active FROM contact_keys WHERE account_id = $1";
        let keys: Vec<(String, i32, String, bool)> =
            sqlx::query_as(keys).bind(self.account.id).fetch_all(&mut self.account.database().await).await.unwrap();
        let mut keys: Vec<_> =
            keys.into_iter().map(|(id, field, key, active)| (self.names[&id].clone(), field, key, active)).collect();
        keys.sort();
        state.push(json!(keys));
        state.push(self.account.get("/contacts?archived=true").await.body["pagination"]["count"].clone());
        state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_as_one_write_at_a_time_does() {
    let mut batched = Side::new(Server::shared()).await;
    let mut single = Side::new(&Server::shared().unbatched()).await;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut statuses = HashMap::new();
    for round in 0..ROUNDS {
        let operations: Vec<_> =
            (0..LANES).map(|lane| operation(lane).new_tree(&mut runner).unwrap().current()).collect();
        let calls = operations.iter().enumerate().map(|(lane, operation)| batched.send(lane, operation));
        let together = at_once(calls.collect::<Vec<_>>()).await;
        for (lane, (operation, answer)) in operations.iter().zip(&together).enumerate() {
            let alone = single.send(lane, operation).await;
            batched.learn(lane, answer);
            single.learn(lane, &alone);
            let (left, right) = (batched.comparable(answer), single.comparable(&alone));
            assert_eq!(left, right, "round {round}, lane {lane}: {operation:?}");
            *statuses.entry(answer.status).or_insert(0) += 1;
        }
    }
    assert_eq!(batched.state().await, single.state().await);
    // The requests were of every kind.
    for status in [200, 201, 207, 400, 404, 409, 412] {
        assert!(statuses.get(&status).is_some_and(|count| *count >= 5), "{statuses:?}");
    }
}
