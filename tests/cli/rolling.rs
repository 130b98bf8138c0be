//! Restarts and migrations without failed requests: two instances on one database behind a proxy.

use std::collections::BTreeMap;
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
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{ChildGuard, free_address, is_ready, send_request, serve_command, start_database, token, wait_for};

/// The interval between two readiness probes of an instance.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);

/// An instance behind the proxy.
struct Backend {
    address: String,
    is_ready: AtomicBool,
    /// The number of requests that it has answered.
    answered: AtomicUsize,
}

/// A minimal load balancer. It forwards requests in turn to the instances that are ready, over persistent connections.
/// It tries another instance only when it cannot connect.
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

    /// Starts to serve and returns the address.
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
            let response = self.client.get(format!("http://{}/readyz", backend.address)).send().await;
            backend.is_ready.store(response.is_ok_and(|response| response.status() == 200), Ordering::Relaxed);
            tokio::time::sleep(PROBE_INTERVAL).await;
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
            Ok(response) => {
                backend.answered.fetch_add(1, Ordering::Relaxed);
                let status = response.status();
                return match response.bytes().await {
                    Ok(bytes) => (status, Body::from(bytes)).into_response(),
                    Err(error) => (StatusCode::BAD_GATEWAY, format!("{index}: {error:?}")).into_response(),
                };
            }
        }
    }
    (StatusCode::BAD_GATEWAY, "no instance is ready").into_response()
}

/// The responses that all clients received.
#[derive(Default)]
struct ResponseTally {
    /// The number of responses, by method and status.
    responses: Mutex<BTreeMap<(String, u16), usize>>,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// A client that sends requests without a pause and records every response that is not a success.
struct LoadClient {
    name: usize,
    base: String,
    token: String,
    client: Client,
    tally: Arc<ResponseTally>,
}

impl LoadClient {
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
            Ok(response) => (response.status().as_u16(), response.text().await.unwrap_or_default()),
            Err(error) => (0, format!("{error:?}")),
        };
        *self.tally.responses.lock().unwrap().entry((method.to_owned(), status)).or_default() += 1;
        if !(200..300).contains(&status) {
            self.tally.failures.lock().unwrap().push(format!("{method} {path}: {status} {text}"));
        }
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Creates, updates, reads and upserts contacts. Records a failure when an acknowledged update is not read back.
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
fn rolling_restart_of_two_instances_fails_no_request() {
    let (cluster, url) = start_database("rolling");
    let folders = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let addresses = [free_address(), free_address()];
    let start = |index: usize| serve_command(&folders[index], &url, &addresses[index]).spawn().map(ChildGuard).unwrap();
    let mut instances = [start(0), start(1)];
    let runtime = Runtime::new().unwrap();
    let proxy = Proxy::new(&addresses);
    let base = runtime.block_on(proxy.start());
    let await_ready = |index: usize| wait_for("readiness", || proxy.is_ready(index).then_some(()));
    (0..2).for_each(await_ready);

    let tally = Arc::new(ResponseTally::default());
    let token = token();
    let callers: Vec<_> = (0..24)
        .map(|name| LoadClient {
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
    let responses = tally.responses.lock().unwrap();
    let total: usize = responses.values().sum();
    let by_instance = [0, 1].map(|index| proxy.backends[index].answered.load(Ordering::Relaxed));
    println!("{total} responses, {by_instance:?} by each instance: {responses:?}");
    assert!(total >= 200 && by_instance.iter().all(|answered| answered * 4 >= total), "{total}: {by_instance:?}");
    drop((instances, cluster));
}

/// Runs the statements of another version of the service, on tables of its own, until `is_over` is set.
///
/// Returns the number of statements, and the longest duration of a statement.
async fn run_other_version(url: String, is_over: Arc<AtomicBool>) -> (usize, Duration) {
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let (mut count, mut longest) = (0, Duration::ZERO);
    while !is_over.load(Ordering::Relaxed) {
        for statement in [
            "INSERT INTO other_version (id, version) VALUES (gen_random_uuid(), 1)",
            "UPDATE other_version SET version = version + 1 WHERE id = (SELECT id FROM other_version LIMIT 1)",
            "SELECT id, version FROM other_version LIMIT 10",
        ] {
            let started = Instant::now();
            sqlx::query(statement).execute(&mut connection).await.unwrap();
            longest = longest.max(started.elapsed());
            count += 1;
        }
    }
    (count, longest)
}

/// There is one migration so far, so no version precedes it. An open transaction that has created one of its tables
/// stands in for the previous version: the migration has to wait for its end.
#[test]
fn migrations_wait_for_open_transactions_while_another_version_reads_and_writes() {
    let (cluster, url) = start_database("migration_wait");
    let runtime = Runtime::new().unwrap();
    let mut long_transaction = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        for statement in [
            "CREATE TABLE other_version (id uuid PRIMARY KEY, version bigint NOT NULL)",
            "BEGIN",
            "CREATE TABLE contacts (id uuid)",
        ] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        connection
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let before = runtime.spawn(run_other_version(url.clone(), Arc::clone(&is_over)));
    let folder = TempDir::new().unwrap();
    let addresses = [free_address(), free_address(), free_address()];
    let instances: Vec<_> = ["false", "true", "true"]
        .iter()
        .zip(&addresses)
        .map(|(migrates, address)| serve_command(&folder, &url, address).env("MIGRATE_ON_START", migrates).spawn())
        .map(|child| child.map(ChildGuard).unwrap())
        .collect();
    for address in &addresses {
        wait_for("the start", || send_request(address, "GET /healthz", ""));
    }
    std::thread::sleep(Duration::from_secs(1));
    assert!(addresses.iter().all(|address| !is_ready(address)));
    runtime.block_on(async { sqlx::raw_sql("ROLLBACK").execute(&mut long_transaction).await.unwrap() });
    // The instance that does not migrate notices the migration without a restart.
    for address in &addresses {
        wait_for("readiness", || is_ready(address).then_some(()));
        let created = send_request(address, "POST /contacts", r#"{"fields": {"first_name": "A"}}"#).unwrap();
        assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    }
    std::thread::sleep(Duration::from_millis(300));
    is_over.store(true, Ordering::Relaxed);
    let (count, longest) = runtime.block_on(before).unwrap();
    println!("{count} statements of the other version, the longest took {longest:?}");
    assert!(count > 100 && longest < Duration::from_secs(7), "{count}, {longest:?}");
    drop((instances, cluster));
}
