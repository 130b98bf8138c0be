//! Restarts and migrations that nobody notices: two instances on one database behind a proxy.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nix::sys::signal::Signal;
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{Running, database, free_address, is_ready, request, serve, token, wait_for};

/// How often the proxy asks an instance whether it is ready.
const PROBE: Duration = Duration::from_millis(50);

/// An instance, as the proxy sees it.
struct Backend {
    address: String,
    is_ready: AtomicBool,
    /// How many requests it has answered.
    answered: AtomicUsize,
}

/// A proxy as simple as they come: it takes the instances that say they are ready in turn, over connections that it
/// keeps, and tries another one only where it can't connect at all.
struct Proxy {
    backends: Vec<Backend>,
    turn: AtomicUsize,
    client: Client,
}

impl Proxy {
    fn new(addresses: &[String]) -> Arc<Self> {
        let backend = |address: &String| Backend {
            address: address.clone(),
            is_ready: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
        };
        let client = Client::builder().retry(reqwest::retry::never()).build().unwrap();
        Arc::new(Self { backends: addresses.iter().map(backend).collect(), turn: AtomicUsize::new(0), client })
    }

    /// Serves at the address that it returns.
    async fn start(self: &Arc<Self>) -> String {
        for index in 0..self.backends.len() {
            let proxy = Arc::clone(self);
            tokio::spawn(async move { proxy.probe(index).await });
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(forward).with_state(Arc::clone(self));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    async fn probe(&self, index: usize) {
        let backend = &self.backends[index];
        loop {
            let answer = self.client.get(format!("http://{}/readyz", backend.address)).send().await;
            backend.is_ready.store(answer.is_ok_and(|answer| answer.status() == 200), Ordering::Relaxed);
            tokio::time::sleep(PROBE).await;
        }
    }

    fn is_ready(&self, index: usize) -> bool {
        self.backends[index].is_ready.load(Ordering::Relaxed)
    }
}

async fn forward(State(proxy): State<Arc<Proxy>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let turn = proxy.turn.fetch_add(1, Ordering::Relaxed);
    for index in (turn..).map(|turn| turn % proxy.backends.len()).take(proxy.backends.len()) {
        let backend = &proxy.backends[index];
        if !proxy.is_ready(index) {
            continue;
        }
        let url = format!("http://{}{}", backend.address, parts.uri);
        let sent = proxy.client.request(parts.method.clone(), url).headers(parts.headers.clone()).body(body.clone());
        match sent.send().await {
            Err(error) if error.is_connect() => {}
            Err(error) => return (StatusCode::BAD_GATEWAY, format!("{index}: {error:?}")).into_response(),
            Ok(answer) => {
                backend.answered.fetch_add(1, Ordering::Relaxed);
                let status = answer.status();
                return match answer.bytes().await {
                    Ok(bytes) => (status, Body::from(bytes)).into_response(),
                    Err(error) => (StatusCode::BAD_GATEWAY, format!("{index}: {error:?}")).into_response(),
                };
            }
        }
    }
    (StatusCode::BAD_GATEWAY, "no instance is ready").into_response()
}

/// What clients were answered.
#[derive(Default)]
struct Tally {
    /// How many answers there were, by method and status.
    answers: Mutex<BTreeMap<(String, u16), usize>>,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// One who calls without a pause, and takes nothing but success.
struct Caller {
    name: usize,
    base: String,
    token: String,
    client: Client,
    tally: Arc<Tally>,
}

impl Caller {
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let url = format!("http://{}{path}", self.base);
        let mut call = self.client.request(method.parse().unwrap(), url).bearer_auth(&self.token);
        if let Some(body) = body {
            call = call.json(&body);
        }
        if method == "POST" {
            call = call.header("idempotency-key", uuid::Uuid::now_v7().to_string());
        }
        let (status, text) = match call.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
            Err(error) => (0, format!("{error:?}")),
        };
        *self.tally.answers.lock().unwrap().entry((method.to_owned(), status)).or_default() += 1;
        if !(200..300).contains(&status) {
            self.tally.failures.lock().unwrap().push(format!("{method} {path}: {status} {text}"));
        }
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Creates, changes, reads and puts contacts; what it has been told is done has to stay done.
    async fn run(self) {
        for round in 0.. {
            if self.tally.is_over.load(Ordering::Relaxed) {
                return;
            }
            let created = self.call("POST", "/contacts", Some(json!({"fields": {"first_name": "A"}}))).await;
            let path = format!("/contacts/{}", created["id"].as_str().unwrap_or_default());
            let name = format!("{} {round}", self.name);
            self.call("PATCH", &path, Some(json!({"fields": {"last_name": name}}))).await;
            let read = self.call("GET", &path, None).await;
            if read["last_name"] != json!(name) {
                self.tally.failures.lock().unwrap().push(format!("{path} should be {name}: {read}"));
            }
            let upsert = format!("/contacts/{}-{}?id_property=external_id", self.name, round % 5);
            self.call("PUT", &upsert, Some(json!({"fields": {"last_name": name}}))).await;
        }
    }
}

#[test]
fn two_instances_are_restarted_in_turn_and_no_request_fails() {
    let (cluster, url) = database("rolling");
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let addresses = [free_address(), free_address()];
    let start = |index: usize| serve(&folders[index], &url, &addresses[index]).spawn().map(Running).unwrap();
    let mut instances = [start(0), start(1)];
    let runtime = Runtime::new().unwrap();
    let proxy = Proxy::new(&addresses);
    let base = runtime.block_on(proxy.start());
    let await_ready = |index: usize| wait_for("readiness", || proxy.is_ready(index).then_some(()));
    (0..2).for_each(await_ready);

    let tally = Arc::new(Tally::default());
    let token = token();
    let callers: Vec<_> = (0..24)
        .map(|name| Caller {
            name,
            base: base.clone(),
            token: token.clone(),
            client: Client::new(),
            tally: Arc::clone(&tally),
        })
        .map(|caller| runtime.spawn(caller.run()))
        .collect();
    for index in [0, 1, 0, 1] {
        std::thread::sleep(Duration::from_millis(300));
        instances[index].signal(Signal::SIGTERM);
        assert_eq!(instances[index].0.wait().unwrap().code(), Some(0));
        instances[index] = start(index);
        await_ready(index);
    }
    std::thread::sleep(Duration::from_millis(300));
    tally.is_over.store(true, Ordering::Relaxed);
    callers.into_iter().for_each(|caller| runtime.block_on(caller).unwrap());

    let failures = tally.failures.lock().unwrap();
    assert!(failures.is_empty(), "{} failed: {:#?}", failures.len(), &failures[..failures.len().min(5)]);
    let answers = tally.answers.lock().unwrap();
    let total: usize = answers.values().sum();
    let by_instance = [0, 1].map(|index| proxy.backends[index].answered.load(Ordering::Relaxed));
    println!("{total} answers, {by_instance:?} by each instance: {answers:?}");
    assert!(total >= 200 && by_instance.iter().all(|answered| answered * 4 >= total), "{total}: {by_instance:?}");
    drop((instances, cluster));
}

/// A service of the version before, as far as the database can tell: what it reads and writes must go on.
async fn predecessor(url: String, is_over: Arc<AtomicBool>) -> (usize, Duration) {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !is_over.load(Ordering::Relaxed) {
        for statement in [
            "INSERT INTO contacts (account_id, id, version, first_name, created_at, updated_at) VALUES (gen_random_uuid(), gen_random_uuid(), 1, 'A', now(), now())",
            "UPDATE contacts SET version = version + 1, last_name = 'B' WHERE id = (SELECT id FROM contacts LIMIT 1)",
            "INSERT INTO accounts (account_id, registry_version, last_field_id) VALUES (gen_random_uuid(), 1, 100)",
            "SELECT account_id, id, version, first_name, custom, archived_at FROM contacts LIMIT 10",
        ] {
            let started = Instant::now();
            sqlx::query(statement).execute(&mut connection).await.unwrap();
            longest = longest.max(started.elapsed());
            count += 1;
        }
    }
    (count, longest)
}

#[test]
fn migrations_run_beside_the_version_before() {
    let (cluster, url) = database("beside");
    let runtime = Runtime::new().unwrap();
    // A database that is behind by migrations of which one needs a table for itself.
    runtime.block_on(async {
        let migrator = Migrator::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations")).await.unwrap();
        let mut connection = PgConnection::connect(&url).await.unwrap();
        migrator.run_to(2, &mut connection).await.unwrap();
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let before = runtime.spawn(predecessor(url.clone(), Arc::clone(&is_over)));
    // Something long that the version before has under way, of which the migration has to wait for the end.
    let mut under_way = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT count(*) FROM contacts, accounts").execute(&mut connection).await.unwrap();
        connection
    });
    let folder = TempDir::new().unwrap();
    let addresses = [free_address(), free_address(), free_address()];
    let instances: Vec<_> = ["false", "true", "true"]
        .iter()
        .zip(&addresses)
        .map(|(migrates, address)| serve(&folder, &url, address).env("MIGRATE_ON_START", migrates).spawn())
        .map(|child| child.map(Running).unwrap())
        .collect();
    for address in &addresses {
        wait_for("the start", || request(address, "GET /healthz", ""));
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(addresses.iter().all(|address| !is_ready(address)));
    runtime.block_on(async { sqlx::raw_sql("COMMIT").execute(&mut under_way).await.unwrap() });
    // The one that does not migrate learns of it without a restart.
    for address in &addresses {
        wait_for("readiness", || is_ready(address).then_some(()));
        let created = request(address, "POST /contacts", r#"{"fields": {"first_name": "A"}}"#).unwrap();
        assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    }
    std::thread::sleep(Duration::from_millis(300));
    is_over.store(true, Ordering::Relaxed);
    let (count, longest) = runtime.block_on(before).unwrap();
    println!("{count} statements of the version before, the longest took {longest:?}");
    assert!(count > 100 && longest < Duration::from_secs(7), "{count}, {longest:?}");
    drop((instances, cluster));
}
