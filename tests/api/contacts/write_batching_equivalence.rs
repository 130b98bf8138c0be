//! Write batching gives the same responses as one write at a time.
//!
//! The test sends random requests concurrently to a server with write batching, and one by one to a server that writes
//! each update in its own transaction. It compares every response and the final state.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::{Account, ApiResponse, Server, proptest_config, run_concurrently};

/// How many requests run concurrently.
const WRITERS: usize = 10;
const ROUNDS: usize = 80;
/// How many external ids each writer uses.
const KEYS: usize = 3;
const PROPERTIES: &str = "job_title,size,tags,badge,version";

/// A request of one writer.
///
/// The writers share nothing except one external id that is always taken. The result of a request therefore does not
/// depend on the order in which the requests of different writers run.
#[derive(Debug, Clone)]
enum Operation {
    Create(Value),
    Patch(Target, Value, Precondition),
    Upsert(usize, Value, Precondition),
    Archive(Target),
    Restore(usize),
    Batch { action: &'static str, by_key: bool, inputs: Vec<(usize, Value)>, atomic: bool },
}

/// A contact of the writer: by its index, or by the index of an external id that a contact may hold.
#[derive(Debug, Clone, Copy)]
enum Target {
    Contact(usize),
    Key(usize),
}

/// The precondition header of a request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Precondition {
    None,
    /// `If-Match: *`
    IfMatchAny,
    /// `If-None-Match: *`
    IfNoneMatchAny,
    /// `If-Match` with the last known ETag of the contact, or `*`.
    IfMatchCurrent,
    /// `If-Match` with an ETag that no contact has.
    IfMatchStale,
}

/// Returns an external id that only this writer uses.
fn external_id(writer: usize, number: usize) -> String {
    format!("own-{writer}-{number}")
}

/// Generates the `fields` of a request.
fn fields_strategy(writer: usize) -> impl Strategy<Value = Value> {
    let text = prop_oneof![4 => Just(json!("A")), 4 => Just(json!("é😀")), 2 => Just(json!(null)), 1 => Just(json!(7))];
    let size = prop_oneof![Just(json!(1)), Just(json!(1.0)), Just(json!(2.5)), Just(json!(null))];
    let tags = [json!(["red"]), json!(["blue", "red"]), json!([]), json!(["red"]), json!(["pink"])];
    let tags = prop::sample::select(tags.to_vec());
    let own = (0..KEYS).prop_map(move |number| json!(external_id(writer, number)));
    let external_id = prop_oneof![6 => own, 1 => Just(json!("taken")), 2 => Just(json!(null))];
    let badge =
        (0..3_usize).prop_map(move |number| if number == 2 { json!(null) } else { json!(writer * 10 + number) });
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

/// Generates a request of this writer.
fn operation_strategy(writer: usize) -> impl Strategy<Value = Operation> {
    let target = || prop_oneof![(0..8_usize).prop_map(Target::Contact), (0..KEYS).prop_map(Target::Key)];
    let preconditions = [
        Precondition::None,
        Precondition::None,
        Precondition::None,
        Precondition::None,
        Precondition::IfMatchAny,
        Precondition::IfNoneMatchAny,
        Precondition::IfMatchCurrent,
        Precondition::IfMatchStale,
    ];
    let precondition = || prop::sample::select(preconditions.to_vec());
    let action = prop_oneof![Just("create"), Just("update"), Just("upsert"), Just("archive"), Just("read")];
    let inputs = prop::collection::vec((0..8_usize, fields_strategy(writer)), 1..6);
    prop_oneof![
        2 => fields_strategy(writer).prop_map(Operation::Create),
        8 => (target(), fields_strategy(writer), precondition())
            .prop_map(|(target, fields, precondition)| Operation::Patch(target, fields, precondition)),
        4 => (0..KEYS, fields_strategy(writer), precondition())
            .prop_map(|(key, fields, precondition)| Operation::Upsert(key, fields, precondition)),
        2 => target().prop_map(Operation::Archive),
        2 => (0..8_usize).prop_map(Operation::Restore),
        4 => (action, any::<bool>(), inputs, any::<bool>())
            .prop_map(|(action, by_key, inputs, atomic)| Operation::Batch { action, by_key, inputs, atomic }),
    ]
}

/// An account on one of the two compared servers.
struct ComparedAccount {
    account: Account,
    /// The ids of the contacts of each writer, in order of creation.
    ids_by_writer: Vec<Vec<String>>,
    /// A label for each contact id, which is equal on both servers.
    labels: HashMap<String, String>,
    /// The last known ETag of each contact id.
    etags: HashMap<String, String>,
}

impl ComparedAccount {
    async fn new(server: &Server) -> Self {
        let account = Account::on_server(server);
        account.define(json!({"label": "size", "type": "number"})).await;
        account.define(json!({"label": "badge", "type": "number", "unique": true})).await;
        let options = json!([{"label": "red"}, {"label": "blue"}]);
        account.define(json!({"label": "tags", "type": "multi_select", "options": options})).await;
        account.number_fields().await;
        let taken = account.create(json!({"first_name": "N", "external_id": "taken"})).await;
        let labels = HashMap::from([(taken, "taken".to_owned())]);
        let mut compared = Self { account, ids_by_writer: vec![vec![]; WRITERS], labels, etags: HashMap::new() };
        for writer in 0..WRITERS {
            let fields = json!({"first_name": "N", "external_id": external_id(writer, 0)});
            let created = compared.account.post("/contacts", json!({"fields": fields})).await.expect(201);
            compared.record_response(writer, &created);
        }
        compared
    }

    fn contact_id(&self, writer: usize, number: usize) -> &str {
        &self.ids_by_writer[writer][number % self.ids_by_writer[writer].len()]
    }

    fn path(&self, writer: usize, target: Target) -> String {
        match target {
            Target::Contact(number) => format!("/contacts/{}?properties={PROPERTIES}", self.contact_id(writer, number)),
            Target::Key(number) => {
                format!("/contacts/{}?id_property=external_id&properties={PROPERTIES}", external_id(writer, number))
            }
        }
    }

    /// Starts to send the request of a writer.
    fn send(&self, writer: usize, operation: &Operation) -> impl Future<Output = ApiResponse> + Send + 'static {
        let call = |method: &str, path: &str| self.account.call(method, path);
        let write = |method: &str, target: Target, fields: &Value, precondition: Precondition| {
            let call = call(method, &self.path(writer, target)).json(&json!({"fields": fields}));
            let etag = if let Target::Contact(number) = target {
                self.etags.get(self.contact_id(writer, number))
            } else {
                None
            };
            match precondition {
                Precondition::None => call,
                Precondition::IfMatchAny => call.header("if-match", "*"),
                Precondition::IfNoneMatchAny => call.header("if-none-match", "*"),
                Precondition::IfMatchCurrent => call.header("if-match", etag.map_or("*", String::as_str)),
                Precondition::IfMatchStale => call.header("if-match", "\"stale\""),
            }
        };
        let call = match operation {
            Operation::Create(fields) => {
                call("POST", &format!("/contacts?properties={PROPERTIES}")).json(&json!({"fields": fields}))
            }
            Operation::Patch(target, fields, precondition) => write("PATCH", *target, fields, *precondition),
            Operation::Upsert(key, fields, precondition) => write("PUT", Target::Key(*key), fields, *precondition),
            Operation::Archive(target) => call("DELETE", &self.path(writer, *target)),
            Operation::Restore(number) => {
                call("POST", &format!("/contacts/{}/restore", self.contact_id(writer, *number)))
            }
            Operation::Batch { action, .. } => {
                call("POST", &format!("/contacts/batch/{action}")).json(&self.batch_body(writer, operation))
            }
        };
        call.send()
    }

    /// Returns the body of a batch request.
    fn batch_body(&self, writer: usize, operation: &Operation) -> Value {
        let Operation::Batch { action, by_key, inputs, atomic } = operation else {
            panic!("{operation:?} is not a batch")
        };
        let by_key = *action != "create" && (*by_key || *action == "upsert");
        let input = |(number, fields): &(usize, Value)| {
            let id =
                if by_key { external_id(writer, number % KEYS) } else { self.contact_id(writer, *number).to_owned() };
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

    /// Records the new contacts and ETags of a response.
    fn record_response(&mut self, writer: usize, response: &ApiResponse) {
        let results = response.body["results"].as_array().into_iter().flatten();
        let new = results.filter(|result| result["status"] == 201).map(|result| &result["contact"]);
        let new: Vec<_> = new.chain((response.status == 201).then_some(&response.body)).collect();
        for contact in new {
            let id = contact["id"].as_str().unwrap().to_owned();
            self.labels.insert(id.clone(), format!("contact {} of writer {writer}", self.ids_by_writer[writer].len()));
            self.ids_by_writer[writer].push(id);
        }
        if let (Some(id), false) = (response.body["id"].as_str(), response.etag().is_empty()) {
            self.etags.insert(id.to_owned(), response.etag());
        }
    }

    /// Returns a response without the values that differ between the servers: ids and times.
    fn comparable_response(&self, response: &ApiResponse) -> Value {
        json!([
            response.status,
            self.replace_ids_and_times(&response.body),
            response.etag().is_empty(),
            response.header("location").is_empty()
        ])
    }

    /// Replaces contact ids by labels, and removes or replaces times, cursors and request ids.
    fn replace_ids_and_times(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(|item| self.replace_ids_and_times(item)).collect(),
            Value::Object(members) => {
                let is_equal_on_both =
                    |name: &str| !["created_at", "updated_at", "request_id", "at", "cursor"].contains(&name);
                let compared = members.iter().filter(|(name, _)| is_equal_on_both(name));
                compared
                    .map(|(name, value)| {
                        let is_id =
                            ["id", "existing_id", "contact_id", "created_beside_archived"].contains(&name.as_str());
                        let value = match value {
                            Value::String(id) if is_id => {
                                json!(self.labels.get(id).map_or("unknown contact", |label| label))
                            }
                            Value::String(time) if time.ends_with('Z') => json!("a time"),
                            other => self.replace_ids_and_times(other),
                        };
                        (name.clone(), value)
                    })
                    .collect()
            }
            other => other.clone(),
        }
    }

    /// Reads every contact with its history, the owner of each unique key and the number of contacts.
    async fn read_state(&self) -> Vec<Value> {
        let mut state = vec![];
        for id in self.ids_by_writer.iter().flatten() {
            let contact = self.account.get(&format!("/contacts/{id}?properties={PROPERTIES}")).await.expect(200);
            let history = self.account.get(&format!("/contacts/{id}/history?limit=1000")).await.expect(200);
            state.push(json!([self.comparable_response(&contact), self.replace_ids_and_times(&history.body)]));
        }
        let keys = "SELECT contact_id::text, field_id, key, is_active FROM contact_keys WHERE account_id = $1";
        let keys: Vec<(String, i32, String, bool)> =
            sqlx::query_as(keys).bind(self.account.id).fetch_all(&mut self.account.database().await).await.unwrap();
        let mut keys: Vec<_> =
            keys.into_iter().map(|(id, field, key, active)| (self.labels[&id].clone(), field, key, active)).collect();
        keys.sort();
        state.push(json!(keys));
        state.push(self.account.get("/contacts?archived=true").await.body["pagination"]["count"].clone());
        state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn write_batching_gives_the_same_responses_as_single_writes() {
    let mut batched = ComparedAccount::new(Server::shared()).await;
    let mut single = ComparedAccount::new(&Server::shared().without_write_batching()).await;
    let mut runner = TestRunner::new(proptest_config());
    let mut statuses = HashMap::new();
    for round in 0..ROUNDS {
        let operations: Vec<_> =
            (0..WRITERS).map(|writer| operation_strategy(writer).new_tree(&mut runner).unwrap().current()).collect();
        let calls = operations.iter().enumerate().map(|(writer, operation)| batched.send(writer, operation));
        let batched_responses = run_concurrently(calls.collect::<Vec<_>>()).await;
        for (writer, (operation, response)) in operations.iter().zip(&batched_responses).enumerate() {
            let single_response = single.send(writer, operation).await;
            batched.record_response(writer, response);
            single.record_response(writer, &single_response);
            let (left, right) = (batched.comparable_response(response), single.comparable_response(&single_response));
            assert_eq!(left, right, "round {round}, writer {writer}: {operation:?}");
            *statuses.entry(response.status).or_insert(0) += 1;
        }
    }
    assert_eq!(batched.read_state().await, single.read_state().await);
    // The random requests have to cover every kind of response.
    for status in [200, 201, 207, 400, 404, 409, 412] {
        assert!(statuses.get(&status).is_some_and(|count| *count >= 5), "{statuses:?}");
    }
}
