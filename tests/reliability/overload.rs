//! Overload: throughput does not fall, and excess requests are rejected quickly.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use tokio::task::JoinSet;

use crate::database_proxy::{DatabaseProxy, NetworkState};
use crate::service_process::ServiceProcess;
use crate::support::{Account, ApiResponse, DedicatedCluster, run_concurrently};

/// How long clients measure the throughput without overload. No request is rejected meanwhile.
const BASELINE_DURATION: Duration = Duration::from_secs(3);
/// The request rate under overload, as a multiple of the measured throughput.
const OVERLOAD_FACTOR: f64 = 10.0;
/// How long the queues take to fill up, and how long the throughput is measured after that.
const RAMP_UP: Duration = Duration::from_secs(3);
const MEASUREMENT: Duration = Duration::from_secs(5);
/// The longest time until a rejection. A request is rejected before it waits in a queue that is too long.
const MAX_REJECTION_TIME: Duration = Duration::from_secs(1);
/// The longest time until a success. It is below the request timeout of ten seconds.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(8);
/// The most memory that the service may use for waiting requests, in KiB.
const MAX_MEMORY_GROWTH_KIB: u64 = 32 * 1024;

/// A kind of request. Each kind waits in a different queue.
#[derive(Debug, Clone, Copy)]
enum Workload {
    /// Waits for a database connection.
    List,
    /// Waits for one of the few search permits, and then for a database connection.
    Search,
    /// Waits for a batch of the writer.
    Patch,
    /// Waits in the queue of its account.
    Batch,
}

impl Workload {
    /// Returns the number of clients that reach the full throughput.
    fn client_count(self) -> usize {
        match self {
            Self::List | Self::Patch => 16,
            Self::Search => 6,
            Self::Batch => 36,
        }
    }
}

/// A client that sends one kind of request.
#[derive(Clone)]
struct OverloadClient {
    account: Account,
    contact: String,
    workload: Workload,
}

impl OverloadClient {
    /// Sends a request. Returns the response and its duration.
    async fn send(&self) -> (ApiResponse, Duration) {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let fields = json!({"job_title": NUMBERS.fetch_add(1, Ordering::Relaxed).to_string()});
        let started = Instant::now();
        let response = match self.workload {
            Workload::List => self.account.get("/contacts?limit=5").await,
            Workload::Search => self.account.post("/contacts/search", json!({"sorts": ["-first_name"]})).await,
            Workload::Patch => self.account.patch(&self.contact, fields).await,
            Workload::Batch => {
                let inputs = vec![json!({"id": self.contact, "fields": fields}); 50];
                self.account.batch("update", json!({"inputs": inputs})).await
            }
        };
        (response, started.elapsed())
    }

    /// Sends requests one after another until `end`. Returns the number of responses.
    async fn send_until(self, end: Instant) -> u32 {
        let mut answered = 0;
        while Instant::now() < end {
            self.send().await.0.expect(200);
            answered += 1;
        }
        answered
    }
}

/// A service with a slow network to its database. The network limits the throughput, so this machine is fast enough to
/// send ten times as many requests.
struct OverloadFixture {
    client: OverloadClient,
    service: ServiceProcess,
    _proxy: DatabaseProxy,
    _database: DedicatedCluster,
}

impl OverloadFixture {
    async fn new(workload: Workload) -> Self {
        let database = DedicatedCluster::new().await;
        // Without fsync, other users of the disk do not limit the throughput either.
        database.alter_system("fsync = off").await;
        let proxy = DatabaseProxy::start(&database.url()).await;
        let settings = [("DATABASE_MAX_CONNECTIONS", "8"), ("WRITE_BATCH_MAX", "4")];
        let mut service = ServiceProcess::new(proxy.url(), &settings);
        service.start();
        service.wait_until_ready().await;
        let account = Account::on_server(&database.server()).on_address(service.address());
        let contact = account.create(json!({"first_name": "Ada"})).await;
        proxy.set_state(NetworkState::Delayed(Duration::from_millis(60)));
        Self { client: OverloadClient { account, contact, workload }, service, _proxy: proxy, _database: database }
    }

    /// Sends requests until none is rejected: the first ones open connections and prepare statements, which takes seconds over
    /// the slow network.
    async fn warm_up(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let calls = (0..self.client.workload.client_count()).map(|_| {
                let client = self.client.clone();
                async move { client.send().await.0.status }
            });
            if run_concurrently(calls).await.into_iter().all(|status| status == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "requests are rejected without overload");
        }
    }

    /// Runs clients that wait for each response before the next request. Returns the responses a second.
    async fn measure_throughput(&self) -> f64 {
        self.warm_up().await;
        let started = Instant::now();
        let calls = (0..self.client.workload.client_count())
            .map(|_| self.client.clone().send_until(started + BASELINE_DURATION));
        let answered: u32 = run_concurrently(calls).await.into_iter().sum();
        f64::from(answered) / started.elapsed().as_secs_f64()
    }

    /// Sends requests at a fixed rate, without waiting for responses.
    async fn overload(&self, rate: f64) -> OverloadResult {
        let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let (started, mut calls, mut result) = (Instant::now(), JoinSet::new(), OverloadResult::default());
        while started.elapsed() < RAMP_UP + MEASUREMENT {
            pace.tick().await;
            let client = self.client.clone();
            calls.spawn(async move { (client.send().await, started.elapsed()) });
            result.memory_kib = result.memory_kib.max(self.service.memory_kib());
        }
        while let Some(call) = calls.join_next().await {
            let ((response, took), at) = call.unwrap();
            result.add(&response, took, (RAMP_UP..RAMP_UP + MEASUREMENT).contains(&at));
        }
        result
    }
}

/// The outcome of an overload.
#[derive(Default)]
struct OverloadResult {
    /// The number of successes among the requests of the measurement period.
    answered: u32,
    longest_response: Duration,
    /// The duration of each rejected request.
    rejections: Vec<Duration>,
    memory_kib: u64,
}

impl OverloadResult {
    fn add(&mut self, response: &ApiResponse, took: Duration, is_measured: bool) {
        match response.status {
            200 => {
                self.answered += u32::from(is_measured);
                self.longest_response = self.longest_response.max(took);
            }
            503 => {
                assert!(!response.header("retry-after").is_empty());
                self.rejections.push(took);
            }
            _ => panic!("{}", response.text),
        }
    }

    /// Returns the successes a second during the measurement.
    fn rate(&self) -> f64 {
        f64::from(self.answered) / MEASUREMENT.as_secs_f64()
    }

    /// Returns the 99th percentile of the durations of rejected requests.
    fn rejection_p99(&self) -> Duration {
        let mut rejections = self.rejections.clone();
        rejections.sort_unstable();
        rejections.get(rejections.len() * 99 / 100).copied().unwrap_or_default()
    }
}

#[rstest]
#[case::list(Workload::List)]
#[case::search(Workload::Search)]
#[case::patch(Workload::Patch)]
#[case::batch(Workload::Batch)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures throughput, so it needs the machine to itself; .ci/run runs it"]
async fn tenfold_load_keeps_throughput_and_rejects_the_excess_quickly(#[case] workload: Workload) {
    let fixture = OverloadFixture::new(workload).await;
    let baseline = fixture.measure_throughput().await;
    let before = fixture.service.memory_kib();
    let result = fixture.overload(baseline * OVERLOAD_FACTOR).await;
    let after = fixture.measure_throughput().await;
    println!(
        "{workload:?}: {baseline:.0}/s; at {OVERLOAD_FACTOR} times that rate: {:.0}/s within {:.1?}, {} rejected within {:.1?}, {} KiB more; \
         afterwards {after:.0}/s",
        result.rate(),
        result.longest_response,
        result.rejections.len(),
        result.rejection_p99(),
        result.memory_kib.saturating_sub(before),
    );
    assert!(result.rate() >= 0.8 * baseline, "overload has reduced the throughput");
    assert!(result.rejections.len() > 100);
    assert!(result.rejection_p99() < MAX_REJECTION_TIME, "rejections took too long");
    assert!(result.longest_response < MAX_RESPONSE_TIME, "a success took too long");
    assert!(result.memory_kib < before + MAX_MEMORY_GROWTH_KIB, "the memory of the service grew too much");
    assert!(after >= 0.8 * baseline, "the throughput has not recovered");
}
