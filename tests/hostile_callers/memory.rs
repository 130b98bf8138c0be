//! The memory of the service while hostile callers send the dearest requests.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::connection::{Connection, RawRequest};
use crate::exports::export_all;
use crate::fixture::HostileFixture;
use crate::many_connections::{open_endless_heads, open_idle_connections, upload_over_http2};
use crate::shapes::Shape;
use crate::support::run_concurrently;

/// The duration of each shape without `HOSTILE_SECONDS`.
const SECONDS: u64 = 1;
/// How long requests may continue after that. The short form then disconnects, the long form lets them all end.
const SHORT_GRACE: Duration = Duration::from_secs(1);
const LONG_GRACE: Duration = Duration::from_secs(15);
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

/// Sends requests one after another until the end, and waits for the last response for `grace`. Returns the statuses of the
/// responses.
async fn send_until(
    (end, grace): (Instant, Duration),
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
        // A slow exchange does not end by itself.
        let is_slow = matches!(shape, Shape::SlowReader | Shape::SlowSender);
        let deadline = if is_slow { end } else { end + grace };
        let Ok(response) = tokio::time::timeout_at(deadline.into(), exchange).await else { return statuses };
        let (status, is_closing) = match response {
            Ok(response) => (response.status, response.is_closing),
            Err(error) => {
                assert!(shape.may_be_disconnected(), "{shape:?}: {error}");
                (DISCONNECTED, true)
            }
        };
        *statuses.entry(status).or_default() += 1;
        // After a rejection, a part of the body may still have to be sent.
        connection = Some(open).filter(|_| (status == 200 || status == 207) && !is_closing);
        if status == 503 {
            // Even a hostile client gains nothing by more rejected requests than this.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    statuses
}

/// Runs a shape with all callers at once, and checks the statuses of the responses. Returns the statuses.
async fn run_shape(fixture: &HostileFixture, shape: Shape, duration: Duration, grace: Duration) -> Statuses {
    let address = fixture.service.address();
    let requests: Vec<_> = fixture.callers.iter().map(|caller| shape.requests(caller)).collect();
    let end = Instant::now() + duration;
    let calls = requests.iter().flat_map(|requests| {
        (0..shape.connections()).map(move |number| send_until((end, grace), shape, address, requests.clone(), number))
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

/// The peaks of the service's memory.
struct PeakMemory {
    fixture: HostileFixture,
    /// The names of the shapes to run, or `None` for all.
    only: Option<String>,
    /// The shapes that took too much memory, with their peak in KiB.
    exceeded: Vec<(String, u64)>,
}

impl PeakMemory {
    /// Runs requests, prints the peak of the memory meanwhile, and checks that the service is healthy afterwards.
    /// `run` returns a summary of the responses.
    #[expect(clippy::print_stdout, reason = "the table is the result of the test")]
    async fn measure(&mut self, name: &str, run: impl AsyncFnOnce(&HostileFixture) -> String) {
        if self.only.as_ref().is_some_and(|only| !only.split(',').any(|selected| selected == name)) {
            return;
        }
        // Each kind starts with a new process. Otherwise its peak would contain the writes of the kind before, which
        // continue when their callers disconnect, and free memory that the allocator still holds.
        let service = &mut self.fixture.service;
        service.kill();
        service.start();
        service.wait_until_ready().await;
        let (before, started) = (service.memory_kib(), Instant::now());
        let responses = run(&self.fixture).await;
        let service = &mut self.fixture.service;
        let peak = service.peak_memory_kib();
        println!("{name}, {}, {}, {:.1}, {responses}", before / 1024, peak / 1024, started.elapsed().as_secs_f64());
        service.expect_running();
        self.fixture.callers[0].account.anonymous("GET", "/healthz").send().await.expect(200);
        if peak >= MAX_MEMORY_KIB {
            self.exceeded.push((name.to_owned(), peak));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_callers_of_each_shape_leave_the_memory_of_the_service_below_512_mib() {
    let seconds = std::env::var("HOSTILE_SECONDS").map_or(SECONDS, |seconds| seconds.parse().unwrap());
    let duration = Duration::from_secs(seconds);
    let grace = if seconds > SECONDS { LONG_GRACE } else { SHORT_GRACE };
    let fixture = HostileFixture::new(&[]).await;
    let mut peaks = PeakMemory { fixture, only: std::env::var("HOSTILE_SHAPES").ok(), exceeded: vec![] };
    println!("shape, MiB before, peak MiB, seconds, responses by status");
    for shape in SHAPES {
        let run = async |fixture: &HostileFixture| {
            fixture.restore_contacts().await;
            format!("{:?}", run_shape(fixture, shape, duration, grace).await)
        };
        peaks.measure(&format!("{shape:?}"), run).await;
    }
    let exports = async |fixture: &HostileFixture| format!("{} MiB each", export_all(fixture).await / 1024);
    peaks.measure("Exports", exports).await;
    let uploads = async |fixture: &HostileFixture| {
        format!("{} responses", upload_over_http2(fixture.service.address(), &fixture.callers, duration).await)
    };
    peaks.measure("Http2Uploads", uploads).await;
    let idle = async |fixture: &HostileFixture| {
        format!("{} connections", open_idle_connections(fixture.service.address()).await.len())
    };
    peaks.measure("IdleConnections", idle).await;
    let heads = async |fixture: &HostileFixture| {
        format!("{} connections", open_endless_heads(fixture.service.address()).await.len())
    };
    peaks.measure("EndlessHeads", heads).await;
    let log = peaks.fixture.service.log();
    assert!(!log.contains("panicked") && !log.contains("internal error"), "{log}");
    assert!(peaks.exceeded.is_empty(), "the service takes too much memory, in KiB: {:?}", peaks.exceeded);
}
