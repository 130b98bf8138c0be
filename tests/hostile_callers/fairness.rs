//! A hostile account cannot keep another account from being served.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::connection::{Connection, RawRequest};
use crate::fixture::{Caller, HostileFixture, all_properties};
use crate::shapes::Shape;
use crate::timings::Timings;

/// The duration of the calls of the other account without `HOSTILE_SECONDS`.
const SECONDS: u64 = 10;
/// How long the hostile account sends requests before the other account does.
const RAMP_UP: Duration = Duration::from_secs(3);
/// The number of connections of the hostile account for each kind of request: 256 in all.
const WORKLOADS: [(Shape, usize); 8] = [
    (Shape::BatchRead, 32),
    (Shape::List, 48),
    (Shape::Search, 48),
    (Shape::BatchUpdate, 16),
    (Shape::BatchUpdateSmall, 16),
    (Shape::Patch, 48),
    (Shape::InvalidInputs, 16),
    (Shape::SlowReader, 32),
];
/// A debug build needs many times the usual time for a request.
const DEBUG_SETTINGS: &[(&str, &str)] = &[("REQUEST_TIMEOUT_MS", "60000")];
/// The number of contacts of the hostile account that searches read, besides the large ones.
const SMALL_CONTACTS: i32 = 5_000;
/// The properties of the other account's contacts: 10 of them bring a page to 200 KiB.
const PAGE_PROPERTIES: usize = 5;
/// The speed at which a slow reader reads.
const SLOW_BYTES_PER_SECOND: usize = 10 * 1024;

/// Sends requests until `stopped` is set. Reconnects when the service disconnects. Records the duration of each response.
async fn send_until_stopped(
    address: SocketAddr,
    shape: Shape,
    requests: Arc<[RawRequest]>,
    offset: usize,
    stopped: Arc<AtomicBool>,
) -> Timings {
    let mut timings = Timings::default();
    let mut requests = requests.iter().cycle().skip(offset);
    let mut connection = None;
    while !stopped.load(Ordering::Relaxed) {
        let request = requests.next().unwrap();
        let mut open = match connection.take() {
            Some(open) => open,
            None if shape == Shape::SlowReader => Connection::open_slow(address).await.unwrap(),
            None => Connection::open(address).await.unwrap(),
        };
        let started = Instant::now();
        let response = match shape {
            Shape::SlowReader => open.exchange_slowly(request, SLOW_BYTES_PER_SECOND).await,
            _ => open.exchange(request).await,
        };
        match response {
            Ok(response) => {
                timings.add(response.status, started.elapsed());
                connection = Some(open).filter(|_| response.status < 500 && !response.is_closing);
            }
            Err(error) => assert!(shape.may_be_disconnected(), "{shape:?}: {error}"),
        }
    }
    timings
}

/// Creates another account with contacts of 20 KiB. Returns its id, and its requests, each with a name.
async fn create_contacts(caller: &Caller) -> (Uuid, Vec<(&'static str, RawRequest)>) {
    let account = caller.account.for_new_account();
    for number in 0..PAGE_PROPERTIES {
        account.define(json!({"label": format!("text_{number}"), "type": "text"})).await;
    }
    let texts = (0..PAGE_PROPERTIES).map(|number| (format!("text_{number}"), json!("x".repeat(4_090))));
    let mut fields = Map::from_iter(texts);
    fields.insert("first_name".to_owned(), json!("Grace"));
    let mut id = String::new();
    for _ in 0..10 {
        id = account.create(fields.clone().into()).await;
    }
    let request = |method_and_path: &str, body: String| RawRequest::new(method_and_path, &account.token, body);
    let query = all_properties()[..PAGE_PROPERTIES].join(",");
    let patch = json!({"fields": {"last_name": "Hopper"}});
    let changed = json!({"fields": {"last_name": "Murray"}});
    let search = json!({"filters": [{"property": "first_name", "operator": "contains", "value": "rac"}]});
    let requests = vec![
        ("GET", request(&format!("GET /contacts/{id}"), String::new())),
        ("PATCH", request(&format!("PATCH /contacts/{id}"), patch.to_string())),
        ("search", request("POST /contacts/search", search.to_string())),
        ("list of 200 KiB", request(&format!("GET /contacts?limit=10&properties={query}"), String::new())),
        ("PATCH", request(&format!("PATCH /contacts/{id}"), changed.to_string())),
    ];
    (account.id, requests)
}

/// Adds small contacts to an account, which a search without an index has to read.
async fn add_small_contacts(caller: &Caller) {
    let mut connection = caller.account.database().await;
    let insert = "INSERT INTO contacts (account_id, id, version, first_name, created_at, updated_at) \
                  SELECT $1, gen_random_uuid(), 1, 'Ada', now(), now() FROM generate_series(1, $2)";
    sqlx::query(insert).bind(caller.account.id).bind(SMALL_CONTACTS).execute(&mut connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_an_account_are_never_503_while_another_holds_256_connections() {
    let seconds = std::env::var("HOSTILE_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let settings = if cfg!(debug_assertions) { DEBUG_SETTINGS } else { &[] };
    let mut fixture = HostileFixture::new(settings).await;
    let address = fixture.service.address();
    let hostile = fixture.callers[0].clone();
    add_small_contacts(&hostile).await;
    let (other, requests) = create_contacts(&fixture.callers[1]).await;
    fixture.service.reset_peak_memory();

    let stopped = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for (shape, connections) in WORKLOADS {
        let requests: Arc<[RawRequest]> = shape.requests(&hostile).into();
        for number in 0..connections {
            clients.spawn(send_until_stopped(address, shape, Arc::clone(&requests), number, Arc::clone(&stopped)));
        }
    }
    tokio::time::sleep(RAMP_UP).await;
    let mut kinds: Vec<(&str, Timings)> = vec![];
    let mut connection = Connection::open(address).await.unwrap();
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut failures = vec![];
    while Instant::now() < end {
        for (kind, request) in &requests {
            let started = Instant::now();
            let response = connection.exchange(request).await.unwrap();
            let took = started.elapsed();
            if response.status != 200 {
                failures.push((*kind, response.status, took));
                connection = Connection::open(address).await.unwrap();
            }
            assert!(*kind != "list of 200 KiB" || response.status != 200 || response.body_bytes > 200 * 1024);
            match kinds.iter_mut().find(|(known, _)| known == kind) {
                Some((_, timings)) => timings.add(response.status, took),
                None => kinds.push((*kind, Timings::with(response.status, took))),
            }
        }
    }
    stopped.store(true, Ordering::Relaxed);
    let mut of_hostile = Timings::default();
    // Slow readers do not end by themselves.
    let deadline = Instant::now() + Duration::from_secs(12);
    while let Ok(Some(timings)) = tokio::time::timeout_at(deadline.into(), clients.join_next()).await {
        of_hostile.append(timings.unwrap());
    }
    println!("peak memory: {} MiB", fixture.service.peak_memory_kib() / 1024);
    println!("hostile account: {of_hostile}");
    for (kind, timings) in &kinds {
        println!("other account, {kind}: {timings}");
    }
    fixture.service.expect_running();
    let log = fixture.service.log();
    let of_other: Vec<_> = log.lines().filter(|line| line.contains(&other.to_string())).collect();
    assert!(failures.is_empty(), "requests of the other account failed: {failures:?}\n{}", of_other.join("\n"));
}
