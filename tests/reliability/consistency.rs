//! Random sequences of calls have the same results in the service as in a simple model of the API.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use crate::concurrent_writers::skip_writes_at_random;
use crate::model::{Call, Contact, ExpectedResponse, FIELDS, Model, PROPERTIES, Target};
use crate::support::{Account, ApiResponse, Server, proptest_config};

/// The number of accounts of a case.
const ACCOUNTS: usize = 2;
/// The largest number of calls of a case.
const CALLS: usize = 60;
/// The number of cases without `CONSISTENCY_CASES`. A case has half of [`CALLS`] calls on average.
const CASES: u32 = 100;

fn value_strategy(name: &'static str) -> BoxedStrategy<Value> {
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

fn fields_strategy() -> impl Strategy<Value = Map<String, Value>> {
    let fields: Vec<_> = FIELDS.iter().map(|(name, _)| prop::option::weighted(0.35, value_strategy(name))).collect();
    fields.prop_map(|values| {
        let named = FIELDS.iter().zip(values);
        named.filter_map(|((name, _), value)| Some(((*name).to_owned(), value?))).collect()
    })
}

fn call_strategy() -> impl Strategy<Value = Call> {
    let number = || 0..8_usize;
    let key = || prop::sample::select(vec!["k1", "k2", "K1", "k3"]).prop_map(str::to_owned);
    let target = || prop_oneof![3 => number().prop_map(Target::Contact), 1 => key().prop_map(Target::Key)];
    prop_oneof![
        5 => fields_strategy().prop_map(Call::Create),
        3 => target().prop_map(Call::Get),
        8 => (target(), fields_strategy()).prop_map(|(target, fields)| Call::Patch(target, fields)),
        4 => (key(), fields_strategy()).prop_map(|(key, fields)| Call::Put(key, fields)),
        3 => target().prop_map(Call::Archive),
        3 => number().prop_map(Call::Restore),
        1 => number().prop_map(Call::Purge),
    ]
}

/// Accounts of the service, and the model that they are compared with.
struct ModelComparison {
    accounts: Vec<Account>,
    model: Model,
    /// The ids of contacts by their number. `owners` holds the index of the account of each.
    ids: Vec<String>,
    owners: Vec<usize>,
    /// The latest `ETag` and `updated_at` of each contact, by its number.
    states: HashMap<usize, (String, String)>,
    /// Whether the database skips writes at random.
    skips_writes: bool,
}

impl ModelComparison {
    async fn new(server: &Server, skips_writes: bool) -> Self {
        let mut accounts = vec![];
        for _ in 0..ACCOUNTS {
            let account = Account::on_server(server);
            account.define(json!({"label": "score", "type": "number"})).await;
            account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
            accounts.push(account);
        }
        let (ids, owners, states) = (vec![], vec![], HashMap::new());
        Self { accounts, model: Model::default(), ids, owners, states, skips_writes }
    }

    fn path(&self, target: &Target) -> String {
        match target {
            Target::Contact(number) => {
                let unknown_id = uuid::Uuid::nil().to_string();
                format!("/contacts/{}?properties={PROPERTIES}", self.ids.get(*number).unwrap_or(&unknown_id))
            }
            Target::Key(key) => format!("/contacts/{key}?id_property=external_id&properties={PROPERTIES}"),
        }
    }

    /// Sends a call, again if it had no effect because the database has skipped its writes several times.
    async fn send(&self, account: usize, call: &Call) -> ApiResponse {
        loop {
            let response = self.send_once(account, call).await;
            if response.status != 503 || !self.skips_writes {
                return response;
            }
        }
    }

    async fn send_once(&self, account: usize, call: &Call) -> ApiResponse {
        let action_path =
            |number: &usize, action: &str| self.path(&Target::Contact(*number)).replace('?', &format!("/{action}?"));
        let (method, path, fields) = match call {
            Call::Create(fields) => ("POST", format!("/contacts?properties={PROPERTIES}"), Some(fields)),
            Call::Get(target) => ("GET", self.path(target), None),
            Call::Patch(target, fields) => ("PATCH", self.path(target), Some(fields)),
            Call::Put(key, fields) => ("PUT", self.path(&Target::Key(key.clone())), Some(fields)),
            Call::Archive(target) => ("DELETE", self.path(target), None),
            Call::Restore(number) => ("POST", action_path(number, "restore"), None),
            Call::Purge(number) => {
                let path = action_path(number, "purge");
                ("POST", path.split('?').next().unwrap().to_owned(), None)
            }
        };
        let call = self.accounts[account].call(method, &path);
        match fields {
            Some(fields) => call.json(&json!({"fields": fields})).send().await,
            None => call.send().await,
        }
    }

    /// Sends a call and compares the response with the model. Returns its status.
    ///
    /// A call that addresses a contact by number is sent by the account that owns the contact, or by another account if
    /// `is_stranger` is set. The number is taken modulo the number of contacts. `caller` sends all other calls.
    async fn send_and_compare(
        &mut self,
        caller: usize,
        is_stranger: bool,
        mut call: Call,
    ) -> Result<u16, TestCaseError> {
        let mut account = caller;
        if let Some(number) = call.number().filter(|_| !self.ids.is_empty()) {
            *number %= self.ids.len();
            account = (self.owners[*number] + usize::from(is_stranger)) % ACCOUNTS;
        }
        let call = &call;
        let response = self.send(account, call).await;
        match self.model.apply(account, call) {
            ExpectedResponse::Purged => prop_assert_eq!((response.status, &*response.text), (204, "")),
            ExpectedResponse::Error { status, code, fields } => {
                prop_assert_eq!((response.status, &response.body["code"]), (status, &json!(code)), "{}", response.text);
                let mut named: Vec<_> = response.details().into_iter().map(|(field, _)| field).collect();
                named.sort_unstable();
                prop_assert_eq!(named, fields);
            }
            ExpectedResponse::Contact { status, number, is_changed } => {
                prop_assert_eq!(response.status, status, "{}", response.text);
                if status == 201 {
                    self.ids.push(response.id());
                    self.owners.push(account);
                }
                prop_assert_eq!(&response.id(), &self.ids[number]);
                expect_values(&response.body, &self.model.contacts[&number])?;
                let state = (response.etag(), response.body["updated_at"].as_str().unwrap().to_owned());
                let before = self.states.insert(number, state.clone());
                if let Some((tag, time)) = before {
                    prop_assert_eq!(is_changed, tag != state.0, "the ETag");
                    prop_assert!(if is_changed { time < state.1 } else { time == state.1 }, "updated_at");
                }
            }
        }
        Ok(response.status)
    }

    /// Compares the lists of all accounts with the model.
    async fn compare_lists(&self) -> Result<(), TestCaseError> {
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

/// Compares the fields of a contact in a response with the model.
fn expect_values(returned: &Value, contact: &Contact) -> Result<(), TestCaseError> {
    for (name, _) in FIELDS {
        prop_assert_eq!(&returned[name], contact.values.get(name).unwrap_or(&Value::Null), "{}", name);
    }
    prop_assert_eq!(returned["archived"].is_string(), contact.is_archived);
    Ok(())
}

/// Sends random calls to a server, whose database may skip writes at random, and compares the responses with the model.
fn expect_results_of_model(server: &Server, skips_writes: bool) {
    let cases = std::env::var("CONSISTENCY_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..proptest_config() });
    let runtime = Runtime::new().unwrap();
    let statuses = std::cell::RefCell::new(HashMap::new());
    let calls = prop::collection::vec((0..ACCOUNTS, prop::bool::weighted(0.05), call_strategy()), 1..CALLS);
    let run = |calls: Vec<(usize, bool, Call)>| {
        runtime.block_on(async {
            let mut comparison = ModelComparison::new(server, skips_writes).await;
            for (caller, is_stranger, call) in calls {
                let status = comparison.send_and_compare(caller, is_stranger, call).await?;
                *statuses.borrow_mut().entry(status).or_insert(0) += 1;
            }
            comparison.compare_lists().await
        })
    };
    runner.run(&calls, run).unwrap();
    let statuses = statuses.into_inner();
    // The cases covered every status.
    for status in [200, 201, 204, 400, 404, 409] {
        assert!(statuses.get(&status).is_some_and(|count| *count >= 5), "{statuses:?}");
    }
}

#[test]
fn random_calls_have_the_same_results_as_in_the_model() {
    expect_results_of_model(Server::shared(), false);
}

#[test]
fn random_calls_have_the_same_results_as_in_the_model_if_some_writes_are_not_stored_at_random() {
    let server = Server::with_own_postgresql_database("consistency_skip");
    Runtime::new().unwrap().block_on(async {
        skip_writes_at_random(&Account::on_server(&server), 0.1, 0.03).await;
    });
    expect_results_of_model(&server, true);
}
