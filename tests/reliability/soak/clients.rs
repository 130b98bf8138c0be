//! Clients that send requests of every kind and keep the number of contacts constant.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Account, ApiResponse, SeededRandom, test_seed};

/// The number of clients. Each has its own account.
const CLIENTS: u64 = 16;
/// The number of contacts of each client.
const CONTACTS: usize = 500;
/// The interval between the starts of two calls of a client. All clients together send 320 calls a second.
const CALL_INTERVAL: Duration = Duration::from_millis(50);

/// The durations of calls since they were last taken.
#[derive(Default)]
pub struct Latencies(Mutex<Vec<Duration>>);

impl Latencies {
    fn add(&self, latency: Duration) {
        self.0.lock().unwrap().push(latency);
    }

    /// Removes and returns all durations, in ascending order.
    pub fn take(&self) -> Vec<Duration> {
        let mut latencies = std::mem::take(&mut *self.0.lock().unwrap());
        latencies.sort_unstable();
        latencies
    }
}

/// A set of running clients.
pub struct SoakClients {
    stopped: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl SoakClients {
    /// Creates the data of each client and starts the clients on the service of this account.
    pub async fn start(account: &Account, latencies: &Arc<Latencies>) -> Self {
        let (stopped, mut tasks) = (Arc::default(), JoinSet::new());
        let first_seed = test_seed();
        for seed in first_seed..first_seed + CLIENTS {
            let account = Account::on_server(&account.server).on_address(account.server.address);
            let client = SoakClient::new(account, seed, Arc::clone(latencies)).await;
            tasks.spawn(client.run(Arc::clone(&stopped)));
        }
        Self { stopped, tasks }
    }

    /// Stops the clients. Panics if a response had an unexpected status.
    pub async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

struct SoakClient {
    account: Account,
    random: SeededRandom,
    contacts: Vec<String>,
    cursor: String,
    latencies: Arc<Latencies>,
}

impl SoakClient {
    /// Creates the fields and contacts of a client.
    async fn new(account: Account, seed: u64, latencies: Arc<Latencies>) -> Self {
        account.define(json!({"label": "score", "type": "number"})).await;
        account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
        let inputs: Vec<_> = (0..CONTACTS).map(|number| json!({"fields": new_contact(number)})).collect();
        let created = account.batch("create", json!({"inputs": inputs})).await.expect(200);
        let id = |result: &Value| result["contact"]["id"].as_str().unwrap().to_owned();
        let contacts = created.body["results"].as_array().unwrap().iter().map(id).collect();
        Self { account, random: SeededRandom::new(seed), contacts, cursor: "now".to_owned(), latencies }
    }

    async fn run(mut self, stopped: Arc<AtomicBool>) {
        let mut interval = tokio::time::interval(CALL_INTERVAL);
        while !stopped.load(Ordering::Relaxed) {
            interval.tick().await;
            let started = Instant::now();
            self.call().await;
            self.latencies.add(started.elapsed());
        }
    }

    /// Sends a random call.
    async fn call(&mut self) {
        let (id, number) = (self.random.choose(&self.contacts).clone(), next_number());
        let account = &self.account;
        let changed = json!({"job_title": format!("T{number}"), "score": number});
        match self.random.below(100) {
            0..35 => account.patch(&id, changed).await.expect(200),
            35..40 => account.patch(&id, json!({"badge": format!("b{number}")})).await.expect(200),
            40..60 => account.get(&format!("/contacts/{id}?properties=score,badge")).await.expect(200),
            60..68 => account.get("/contacts?limit=50").await.expect(200),
            68..73 => self.search().await,
            73..78 => self.poll().await,
            78..83 => account.put(&format!("x{}?id_property=external_id", number % 100), changed).await.expect(200),
            83..88 => self.update_many(number).await,
            88..91 => self.account.get(&format!("/contacts/{id}/history")).await.expect(200),
            91..94 => self.archive_and_restore(&id).await,
            94..98 => self.replace(id, number).await,
            _ => self.create_and_delete_field(number).await,
        };
    }

    async fn search(&self) -> ApiResponse {
        let body = json!({"query": "lovelace", "filters": [{"property": "score", "operator": "gt", "value": 100}],
                          "sorts": ["-score"], "limit": 20});
        self.account.post("/contacts/search", body).await.expect(200)
    }

    async fn poll(&mut self) -> ApiResponse {
        let response =
            self.account.get(&format!("/contacts/changes?limit=1000&after={}", self.cursor)).await.expect(200);
        self.cursor = response.body["next"].as_str().unwrap().to_owned();
        response
    }

    async fn update_many(&mut self, number: usize) -> ApiResponse {
        let from = number % (CONTACTS - 20);
        let input = |id| json!({"id": id, "fields": {"last_name": format!("L{number}")}});
        let inputs: Vec<_> = self.contacts[from..from + 20].iter().map(input).collect();
        self.account.batch("update", json!({"inputs": inputs})).await.expect(200)
    }

    async fn archive_and_restore(&self, id: &str) -> ApiResponse {
        self.account.delete(&format!("/contacts/{id}")).await.expect(200);
        self.account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200)
    }

    /// Purges a contact and creates a new one with the same values.
    ///
    /// The creation is sent twice with the same idempotency key, as after a lost response.
    async fn replace(&mut self, id: String, number: usize) -> ApiResponse {
        let index = self.contacts.iter().position(|contact| *contact == id).unwrap();
        self.account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
        let body = json!({"fields": new_contact(index)});
        let create = || {
            self.account.call("POST", "/contacts").header("idempotency-key", &format!("k{number}")).json(&body).send()
        };
        let created = create().await.expect(201);
        self.contacts[index] = created.id();
        assert_eq!(create().await.expect(201).header("idempotency-replayed"), "true");
        created
    }

    /// Creates a custom field, sets a value of it, and deletes the field.
    async fn create_and_delete_field(&self, number: usize) -> ApiResponse {
        let name = format!("f{number}");
        self.account.define(json!({"internal_name": name, "label": "Passing", "type": "text"})).await;
        self.account.patch(&self.contacts[0], json!({name.as_str(): "x"})).await.expect(200);
        self.account.delete(&format!("/fields/{name}")).await.expect(204)
    }
}

/// Returns a number that no other call gets.
fn next_number() -> usize {
    static NUMBERS: AtomicUsize = AtomicUsize::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// Returns the initial values of the contact with this index.
fn new_contact(index: usize) -> Value {
    json!({"first_name": "Ada", "last_name": "Lovelace", "email": format!("ada{index}@example.com"),
           "external_id": format!("x{index}")})
}
