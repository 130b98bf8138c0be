//! The service does what a simple model of the contract does, whatever the order of the calls.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::model::{Call, Contact, Expected, FIELDS, Model, PROPERTIES, Target};
use crate::support::{Account, Answer};

const ACCOUNTS: usize = 2;
/// The most calls of one case.
const CALLS: usize = 60;
/// How many cases there are, unless `CONSISTENCY_CASES` says otherwise. They have half of [`CALLS`] on average.
const CASES: u32 = 100;

fn value(name: &'static str) -> BoxedStrategy<Value> {
    let good = match name {
        "email" => vec![json!("a@example.com"), json!("A@Example.com"), json!("b@example.com")],
        "external_id" => vec![json!("k1"), json!("k2"), json!("K1")],
        "score" => vec![json!(1), json!(2.5)],
        "badge" => vec![json!("x"), json!("y")],
        _ => vec![json!("Ada"), json!("Grace 😀")],
    };
    let empty = if name == "score" { json!(null) } else { json!("") };
    prop_oneof![
        48 => prop::sample::select(good),
        6 => Just(json!(null)),
        2 => Just(empty),
        1 => Just(json!([1]))
    ]
    .boxed()
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let fields: Vec<_> = FIELDS.iter().map(|(name, _)| prop::option::weighted(0.35, value(name))).collect();
    fields.prop_map(|values| {
        let named = FIELDS.iter().zip(values);
        named.filter_map(|((name, _), value)| Some(((*name).to_owned(), value?))).collect()
    })
}

fn call() -> impl Strategy<Value = Call> {
    let number = || 0..8_usize;
    let key = || prop::sample::select(vec!["k1", "k2", "K1", "k3"]).prop_map(str::to_owned);
    let target = || prop_oneof![3 => number().prop_map(Target::Contact), 1 => key().prop_map(Target::Key)];
    prop_oneof![
        5 => fields().prop_map(Call::Create),
        3 => target().prop_map(Call::Get),
        8 => (target(), fields()).prop_map(|(target, fields)| Call::Patch(target, fields)),
        4 => (key(), fields()).prop_map(|(key, fields)| Call::Put(key, fields)),
        3 => target().prop_map(Call::Archive),
        3 => number().prop_map(Call::Restore),
        1 => number().prop_map(Call::Purge),
    ]
}

/// The real accounts, beside the model of them.
struct Beside {
    accounts: Vec<Account>,
    model: Model,
    /// The ids of contacts by their number, and the accounts that created them.
    ids: Vec<String>,
    owners: Vec<usize>,
    /// The last tag and the last time of change of each.
    states: HashMap<usize, (String, String)>,
}

impl Beside {
    async fn new() -> Self {
        let mut accounts = vec![];
        for _ in 0..ACCOUNTS {
            let account = Account::new().await;
            account.define(json!({"label": "score", "type": "number"})).await;
            account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
            accounts.push(account);
        }
        Self { accounts, model: Model::default(), ids: vec![], owners: vec![], states: HashMap::new() }
    }

    fn path(&self, target: &Target) -> String {
        match target {
            Target::Contact(number) => {
                let nobody = uuid::Uuid::nil().to_string();
                format!("/contacts/{}?properties={PROPERTIES}", self.ids.get(*number).unwrap_or(&nobody))
            }
            Target::Key(key) => format!("/contacts/{key}?id_property=external_id&properties={PROPERTIES}"),
        }
    }

    async fn send(&self, account: usize, call: &Call) -> Answer {
        let of =
            |number: &usize, action: &str| self.path(&Target::Contact(*number)).replace('?', &format!("/{action}?"));
        let (method, path, fields) = match call {
            Call::Create(fields) => ("POST", format!("/contacts?properties={PROPERTIES}"), Some(fields)),
            Call::Get(target) => ("GET", self.path(target), None),
            Call::Patch(target, fields) => ("PATCH", self.path(target), Some(fields)),
            Call::Put(key, fields) => ("PUT", self.path(&Target::Key(key.clone())), Some(fields)),
            Call::Archive(target) => ("DELETE", self.path(target), None),
            Call::Restore(number) => ("POST", of(number, "restore"), None),
            Call::Purge(number) => ("POST", of(number, "purge"), None),
        };
        let call = self.accounts[account].call(method, &path);
        match fields {
            Some(fields) => call.json(&json!({"fields": fields})).send().await,
            None => call.send().await,
        }
    }

    /// Makes a call, and compares what it is answered. Numbers beyond those of contacts begin anew; the caller is the
    /// owner of the contact it is about, if there is one, or a stranger.
    async fn step(&mut self, caller: usize, is_stranger: bool, mut call: Call) -> Result<u16, TestCaseError> {
        let mut account = caller;
        if let Some(number) = call.number().filter(|_| !self.ids.is_empty()) {
            *number %= self.ids.len();
            account = (self.owners[*number] + usize::from(is_stranger)) % ACCOUNTS;
        }
        let call = &call;
        let answer = self.send(account, call).await;
        match self.model.apply(account, call) {
            Expected::Gone => prop_assert_eq!((answer.status, &*answer.text), (204, "")),
            Expected::Refused { status, code, fields } => {
                prop_assert_eq!((answer.status, &answer.body["code"]), (status, &json!(code)), "{}", answer.text);
                let mut named: Vec<_> = answer.details().into_iter().map(|(field, _)| field).collect();
                named.sort_unstable();
                prop_assert_eq!(named, fields);
            }
            Expected::Contact { status, number, is_changed } => {
                prop_assert_eq!(answer.status, status, "{}", answer.text);
                if status == 201 {
                    self.ids.push(answer.id());
                    self.owners.push(account);
                }
                prop_assert_eq!(&answer.id(), &self.ids[number]);
                expect_values(&answer.body, &self.model.contacts[&number])?;
                let state = (answer.etag(), answer.body["updated_at"].as_str().unwrap().to_owned());
                let before = self.states.insert(number, state.clone());
                if let Some((tag, time)) = before {
                    prop_assert_eq!(is_changed, tag != state.0, "the tag");
                    prop_assert!(if is_changed { time < state.1 } else { time == state.1 }, "updated_at");
                }
            }
        }
        Ok(answer.status)
    }

    /// Compares what there is in the end, as lists show it.
    async fn finish(&self) -> Result<(), TestCaseError> {
        for (index, account) in self.accounts.iter().enumerate() {
            let list = account.get(&format!("/contacts?archived=true&limit=100&properties={PROPERTIES}")).await;
            let listed = list.body["data"].as_array().unwrap();
            let own: Vec<_> = self.model.contacts.iter().filter(|(_, contact)| contact.account == index).collect();
            prop_assert_eq!(listed.len(), own.len());
            for (listed, (number, contact)) in listed.iter().zip(own) {
                prop_assert_eq!(&listed["id"], &self.ids[*number]);
                expect_values(listed, contact)?;
            }
        }
        Ok(())
    }
}

fn expect_values(shown: &Value, contact: &Contact) -> Result<(), TestCaseError> {
    for (name, _) in FIELDS {
        prop_assert_eq!(&shown[name], contact.values.get(name).unwrap_or(&Value::Null), "{}", name);
    }
    prop_assert_eq!(shown["archived"].is_string(), contact.is_archived);
    Ok(())
}

#[test]
fn does_what_the_model_does() {
    let cases = std::env::var("CONSISTENCY_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let config = Config {
        cases,
        failure_persistence: None::<Box<FileFailurePersistence>>.map(|none| none as _),
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let runtime = Runtime::new().unwrap();
    let statuses = std::cell::RefCell::new(HashMap::new());
    let calls = prop::collection::vec((0..ACCOUNTS, prop::bool::weighted(0.05), call()), 1..CALLS);
    let run = |calls: Vec<(usize, bool, Call)>| {
        runtime.block_on(async {
            let mut beside = Beside::new().await;
            for (caller, is_stranger, call) in calls {
                let status = beside.step(caller, is_stranger, call).await?;
                *statuses.borrow_mut().entry(status).or_insert(0) += 1;
            }
            beside.finish().await
        })
    };
    runner.run(&calls, run).unwrap();
    let statuses = statuses.into_inner();
    println!("calls by status: {statuses:?}");
    // They were of every kind.
    for status in [200, 201, 204, 400, 404, 409] {
        assert!(statuses.get(&status).is_some_and(|count| *count >= 5), "{statuses:?}");
    }
}
