//! The memory of the service while hostile callers send the dearest requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::connection::{Connection, RawRequest};
use super::fixture::HostileFixture;
use super::shapes::Shape;
use crate::support::run_concurrently;

/// The duration of each shape without `HOSTILE_SECONDS`.
const SECONDS: u64 = 2;
/// The most memory that the service may take, in KiB.
const MAX_MEMORY_KIB: u64 = 512 * 1024;
/// The status in the table for a connection that ended without a response.
const DISCONNECTED: u16 = 0;
/// The speed of clients that read or send slowly.
const SLOW_BYTES_PER_SECOND: usize = 10 * 1024;

/// The order of the shapes: those that only read come first.
const SHAPES: [Shape; 19] = [
    Shape::BatchRead,
    Shape::BatchReadAtomic,
    Shape::List,
    Shape::ListCompressed,
    Shape::Search,
    Shape::Get,
    Shape::SlowReader,
    Shape::SlowSender,
    Shape::MillionValues,
    Shape::InvalidInputs,
    Shape::Token,
    Shape::Patch,
    Shape::PatchOptions,
    Shape::BatchUpdate,
    Shape::BatchUpdateSmall,
    Shape::BatchUpdateOptions,
    Shape::ChangeFeed,
    Shape::Upsert,
    Shape::Archive,
];

/// The number of responses by status.
type Statuses = BTreeMap<u16, usize>;

/// Sends requests one after another until the end. Returns the statuses of the responses.
async fn send_until(
    end: Instant,
    shape: Shape,
    address: std::net::SocketAddr,
    requests: Vec<RawRequest>,
    offset: usize,
) -> Statuses {
    let mut statuses = Statuses::new();
    let mut requests = requests.iter().cycle().skip(offset);
    let mut connection = None;
    while Instant::now() < end {
        let request = requests.next().unwrap();
        let mut open = match connection.take() {
            Some(open) => open,
            None if shape == Shape::SlowReader => Connection::open_slow(address).await.unwrap(),
            None => Connection::open(address).await.unwrap(),
        };
        let exchange = async {
            match shape {
                Shape::SlowReader => open.exchange_slowly(request, SLOW_BYTES_PER_SECOND).await,
                Shape::SlowSender => open.send_slowly(request, SLOW_BYTES_PER_SECOND).await,
                _ => open.exchange(request).await,
            }
        };
        let is_slow = matches!(shape, Shape::SlowReader | Shape::SlowSender);
        let response = match is_slow {
            // A slow exchange does not end by itself.
            true => match tokio::time::timeout(end.saturating_duration_since(Instant::now()), exchange).await {
                Ok(response) => response,
                Err(_) => return statuses,
            },
            false => exchange.await,
        };
        let status = match response {
            Ok(response) => response.status,
            Err(error) => {
                assert!(shape.may_be_disconnected(), "{shape:?}: {error}");
                DISCONNECTED
            }
        };
        *statuses.entry(status).or_default() += 1;
        if status == 200 || status == 207 {
            connection = Some(open);
        }
        if status == 503 {
            // Even a hostile client gains nothing by more rejected requests than this.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    statuses
}

/// Runs a shape with all callers at once, and checks the statuses of the responses. Returns the statuses.
async fn run_shape(fixture: &HostileFixture, shape: Shape, duration: Duration) -> Statuses {
    let address = fixture.service.address();
    let requests: Vec<_> = fixture.callers.iter().map(|caller| shape.requests(caller)).collect();
    let end = Instant::now() + duration;
    let calls = requests.iter().flat_map(|requests| {
        (0..shape.connections()).map(move |number| send_until(end, shape, address, requests.clone(), number))
    });
    let mut statuses = Statuses::new();
    for of_connection in run_concurrently(calls).await {
        of_connection.into_iter().for_each(|(status, count)| *statuses.entry(status).or_default() += count);
    }
    let is_allowed = |status: &u16| {
        shape.allowed_statuses().contains(status) || (shape.may_be_disconnected() && *status == DISCONNECTED)
    };
    assert!(statuses.keys().all(is_allowed), "{shape:?}: {statuses:?}");
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_callers_of_each_shape_leave_the_memory_of_the_service_below_512_mib() {
    let seconds = std::env::var("HOSTILE_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let only = std::env::var("HOSTILE_SHAPES").ok();
    let started = Instant::now();
    let mut fixture = HostileFixture::new().await;
    println!("set-up: {:.1?}, {} MiB", started.elapsed(), fixture.service.peak_memory_kib() / 1024);
    println!("shape, MiB before, peak MiB, seconds, responses by status");
    let mut exceeded = vec![];
    for shape in SHAPES {
        if only.as_ref().is_some_and(|only| !only.split(',').any(|name| name == format!("{shape:?}"))) {
            continue;
        }
        fixture.restore_contacts().await;
        fixture.service.reset_peak_memory();
        let before = fixture.service.memory_kib();
        let started = Instant::now();
        let statuses = run_shape(&fixture, shape, Duration::from_secs(seconds)).await;
        let peak = fixture.service.peak_memory_kib();
        println!("{shape:?}, {}, {}, {:.1}, {statuses:?}", before / 1024, peak / 1024, started.elapsed().as_secs_f64());
        fixture.service.expect_running();
        fixture.callers[0].account.anonymous("GET", "/healthz").send().await.expect(200);
        if peak >= MAX_MEMORY_KIB {
            exceeded.push((shape, peak));
        }
    }
    let log = fixture.service.log();
    assert!(!log.contains("panicked") && !log.contains("internal error"), "{log}");
    assert!(exceeded.is_empty(), "the service takes too much memory, in KiB: {exceeded:?}");
}
