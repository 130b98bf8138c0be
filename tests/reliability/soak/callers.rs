//! Callers who do a bit of everything, and leave as many contacts as there were.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Account, Answer, Dice};

/// How many there are. Each has an account of its own.
const CALLERS: u64 = 16;
/// How many contacts each has.
const CONTACTS: usize = 500;
/// The pause between the beginnings of two calls of a caller: 320 calls a second in all.
const PACE: Duration = Duration::from_millis(50);

/// How long calls took, since this was last asked.
#[derive(Default)]
pub struct Latencies(Mutex<Vec<Duration>>);

impl Latencies {
    fn add(&self, latency: Duration) {
        self.0.lock().unwrap().push(latency);
    }

    /// All of them, shortest first.
    pub fn take(&self) -> Vec<Duration> {
        let mut latencies = std::mem::take(&mut *self.0.lock().unwrap());
        latencies.sort_unstable();
        latencies
    }
}

/// The callers, at work.
pub struct Callers {
    stopped: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Callers {
    /// Starts them, at the service that this account is at.
    pub async fn start(account: &Account, latencies: &Arc<Latencies>) -> Self {
        let (stopped, mut tasks) = (Arc::default(), JoinSet::new());
        for seed in 0..CALLERS {
            let account = Account::on(&account.server).at_address(account.server.address);
            let caller = Caller::new(account, seed, Arc::clone(latencies)).await;
            tasks.spawn(caller.work(Arc::clone(&stopped)));
        }
        Self { stopped, tasks }
    }

    /// Stops them. Each of their calls must have been answered as it should.
    pub async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

struct Caller {
    account: Account,
    dice: Dice,
    contacts: Vec<String>,
    cursor: String,
    latencies: Arc<Latencies>,
}

impl Caller {
    /// One with contacts.
    async fn new(account: Account, seed: u64, latencies: Arc<Latencies>) -> Self {
        account.define(json!({"label": "score", "type": "number"})).await;
        account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
        let inputs: Vec<_> = (0..CONTACTS).map(|number| json!({"fields": new_contact(number)})).collect();
        let created = account.batch("create", json!({"inputs": inputs})).await.expect(200);
        let id = |result: &Value| result["contact"]["id"].as_str().unwrap().to_owned();
        let contacts = created.body["results"].as_array().unwrap().iter().map(id).collect();
        Self { account, dice: Dice::new(seed), contacts, cursor: "now".to_owned(), latencies }
    }

    async fn work(mut self, stopped: Arc<AtomicBool>) {
        let mut pace = tokio::time::interval(PACE);
        while !stopped.load(Ordering::Relaxed) {
            pace.tick().await;
            let started = Instant::now();
            self.call().await;
            self.latencies.add(started.elapsed());
        }
    }

    /// One thing that callers do.
    async fn call(&mut self) {
        let (id, number) = (self.dice.pick(&self.contacts).clone(), next());
        let account = &self.account;
        let changed = json!({"job_title": format!("T{number}"), "score": number});
        match self.dice.roll(100) {
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
            _ => self.redefine(number).await,
        };
    }

    async fn search(&self) -> Answer {
        let body = json!({"query": "lovelace", "filters": [{"property": "score", "operator": "gt", "value": 100}],
                          "sorts": ["-score"], "limit": 20});
        self.account.post("/contacts/search", body).await.expect(200)
    }

    async fn poll(&mut self) -> Answer {
        let answer = self.account.get(&format!("/contacts/changes?limit=1000&after={}", self.cursor)).await.expect(200);
        self.cursor = answer.body["next"].as_str().unwrap().to_owned();
        answer
    }

    async fn update_many(&mut self, number: usize) -> Answer {
        let from = number % (CONTACTS - 20);
        let input = |id| json!({"id": id, "fields": {"last_name": format!("L{number}")}});
        let inputs: Vec<_> = self.contacts[from..from + 20].iter().map(input).collect();
        self.account.batch("update", json!({"inputs": inputs})).await.expect(200)
    }

    async fn archive_and_restore(&self, id: &str) -> Answer {
        self.account.delete(&format!("/contacts/{id}")).await.expect(200);
        self.account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200)
    }

    /// A contact goes for good, and a new one takes its place. It is created twice with one key, as after a lost answer.
    async fn replace(&mut self, id: String, number: usize) -> Answer {
        let place = self.contacts.iter().position(|contact| *contact == id).unwrap();
        self.account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
        let body = json!({"fields": new_contact(place)});
        let create = || {
            self.account.call("POST", "/contacts").header("idempotency-key", &format!("k{number}")).json(&body).send()
        };
        let created = create().await.expect(201);
        self.contacts[place] = created.id();
        assert_eq!(create().await.expect(201).header("idempotency-replayed"), "true");
        created
    }

    /// A field that is added, used, and deleted again.
    async fn redefine(&self, number: usize) -> Answer {
        let name = format!("f{number}");
        self.account.define(json!({"internal_name": name, "label": "Passing", "type": "text"})).await;
        self.account.patch(&self.contacts[0], json!({name.as_str(): "x"})).await.expect(200);
        self.account.delete(&format!("/fields/{name}")).await.expect(204)
    }
}

/// A number that no one else has.
fn next() -> usize {
    static NUMBERS: AtomicUsize = AtomicUsize::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// What a contact at this place of its caller's has from the beginning.
fn new_contact(place: usize) -> Value {
    json!({"first_name": "Ada", "last_name": "Lovelace", "email": format!("ada{place}@example.com"),
           "external_id": format!("x{place}")})
}
