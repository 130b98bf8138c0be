//! More is asked than can be served: as much is served as before, and whoever is turned away learns it at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;
use tokio::task::JoinSet;

use crate::process::Process;
use crate::proxy::{Network, Proxy};
use crate::support::{Account, Answer, OwnCluster, at_once};

/// For how long callers find out how much can be served. None of them is turned away.
const CALM: Duration = Duration::from_secs(3);
/// How much more is asked than can be served.
const TIMES: f64 = 10.0;
/// How long it takes until lines have formed, and for how long it goes on then.
const RISE: Duration = Duration::from_secs(3);
const HEIGHT: Duration = Duration::from_secs(5);
/// How soon whoever is turned away has to learn it: a line that is too long is seen without standing in it.
const MAX_REFUSAL: Duration = Duration::from_secs(1);
/// How long whoever is served may have to wait: after ten seconds he would get nothing.
const MAX_ANSWER: Duration = Duration::from_secs(8);
/// What the service may need for what waits, in KiB.
const MAX_GROWTH: u64 = 32 * 1024;

/// What is asked for. Each kind waits in another line.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// For a connection.
    List,
    /// For a connection, and before that for one of few turns.
    Search,
    /// For a batch of the writer.
    Patch,
    /// For the account's lane.
    Batch,
}

impl Kind {
    /// How many callers it takes to ask for all that can be served.
    fn callers(self) -> usize {
        match self {
            Self::List | Self::Patch => 16,
            Self::Search => 6,
            Self::Batch => 36,
        }
    }
}

/// Who asks.
#[derive(Clone)]
struct Caller {
    account: Account,
    contact: String,
    kind: Kind,
}

impl Caller {
    /// Asks once. Returns the answer, and how long it took.
    async fn ask(&self) -> (Answer, Duration) {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let fields = json!({"job_title": NUMBERS.fetch_add(1, Ordering::Relaxed).to_string()});
        let started = Instant::now();
        let answer = match self.kind {
            Kind::List => self.account.get("/contacts?limit=5").await,
            Kind::Search => self.account.post("/contacts/search", json!({"sorts": ["-first_name"]})).await,
            Kind::Patch => self.account.patch(&self.contact, fields).await,
            Kind::Batch => {
                let inputs = vec![json!({"id": self.contact, "fields": fields}); 50];
                self.account.batch("update", json!({"inputs": inputs})).await
            }
        };
        (answer, started.elapsed())
    }

    /// Asks again and again until then. Returns how often it was answered.
    async fn ask_until(self, end: Instant) -> u32 {
        let mut answered = 0;
        while Instant::now() < end {
            self.ask().await.0.expect(200);
            answered += 1;
        }
        answered
    }
}

/// The service with a database that is far away: what it can serve is bounded by that, and not by this machine, which has
/// to ask for ten times as much.
struct Stage {
    caller: Caller,
    service: Process,
    _proxy: Proxy,
    _database: OwnCluster,
}

impl Stage {
    async fn new(kind: Kind) -> Self {
        let database = OwnCluster::new().await;
        // Nor may it be bounded by what the disk has to do for others.
        database.set("fsync = off").await;
        let proxy = Proxy::to(&database.url()).await;
        let settings = [("DATABASE_MAX_CONNECTIONS", "8"), ("WRITE_BATCH_MAX", "4")];
        let mut service = Process::new(proxy.url(), &settings);
        service.start();
        service.ready().await;
        let account = Account::on(&database.server()).at_address(service.address());
        let contact = account.create(json!({"first_name": "Ada"})).await;
        proxy.set(Network::Delayed(Duration::from_millis(60)));
        Self { caller: Caller { account, contact, kind }, service, _proxy: proxy, _database: database }
    }

    /// Has callers ask who wait for their answers. Returns how many there are in a second.
    async fn serve_calmly(&self) -> f64 {
        let started = Instant::now();
        let calls = (0..self.caller.kind.callers()).map(|_| self.caller.clone().ask_until(started + CALM));
        let answered: u32 = at_once(calls).await.into_iter().sum();
        f64::from(answered) / started.elapsed().as_secs_f64()
    }

    /// Has callers ask at this rate, whether others have been answered or not.
    async fn storm(&self, rate: f64) -> Storm {
        let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let (started, mut calls, mut storm) = (Instant::now(), JoinSet::new(), Storm::default());
        while started.elapsed() < RISE + HEIGHT {
            pace.tick().await;
            let caller = self.caller.clone();
            calls.spawn(async move { (caller.ask().await, started.elapsed()) });
            storm.memory_kib = storm.memory_kib.max(self.service.memory_kib());
        }
        while let Some(call) = calls.join_next().await {
            let ((answer, took), at) = call.unwrap();
            storm.note(&answer, took, (RISE..RISE + HEIGHT).contains(&at));
        }
        storm
    }
}

/// What came of a storm.
#[derive(Default)]
struct Storm {
    /// How many were answered while it was at its height.
    answered: u32,
    longest_answer: Duration,
    /// How long each of those took that were turned away.
    refusals: Vec<Duration>,
    memory_kib: u64,
}

impl Storm {
    fn note(&mut self, answer: &Answer, took: Duration, at_its_height: bool) {
        match answer.status {
            200 => {
                self.answered += u32::from(at_its_height);
                self.longest_answer = self.longest_answer.max(took);
            }
            503 => {
                assert!(!answer.header("retry-after").is_empty());
                self.refusals.push(took);
            }
            _ => panic!("{}", answer.text),
        }
    }

    fn rate(&self) -> f64 {
        f64::from(self.answered) / HEIGHT.as_secs_f64()
    }

    /// How long a refusal took, but for one in a hundred.
    fn refusal(&self) -> Duration {
        let mut refusals = self.refusals.clone();
        refusals.sort_unstable();
        refusals.get(refusals.len() * 99 / 100).copied().unwrap_or_default()
    }
}

#[rstest]
#[case::for_a_connection(Kind::List)]
#[case::for_a_turn(Kind::Search)]
#[case::for_a_batch(Kind::Patch)]
#[case::for_the_lane_of_the_account(Kind::Batch)]
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures what can be served, so it needs the machine to itself; .ci/run runs it"]
async fn ten_times_too_much_is_asked(#[case] kind: Kind) {
    let stage = Stage::new(kind).await;
    let calm = stage.serve_calmly().await;
    let before = stage.service.memory_kib();
    let storm = stage.storm(calm * TIMES).await;
    let after = stage.serve_calmly().await;
    println!(
        "{kind:?}: {calm:.0}/s; asked {TIMES} times that: {:.0}/s, answered within {:.1?}, {} turned away within {:.1?}, {} KiB more; \
         then {after:.0}/s",
        storm.rate(),
        storm.longest_answer,
        storm.refusals.len(),
        storm.refusal(),
        storm.memory_kib.saturating_sub(before),
    );
    assert!(storm.rate() >= 0.8 * calm, "it served less");
    assert!(storm.refusals.len() > 100);
    assert!(storm.refusal() < MAX_REFUSAL, "a refusal took long");
    assert!(storm.longest_answer < MAX_ANSWER, "an answer took long");
    assert!(storm.memory_kib < before + MAX_GROWTH, "it took more and more memory");
    assert!(after >= 0.8 * calm, "it has not recovered");
}
