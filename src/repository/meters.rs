//! What this room measures: names, help texts, and the handles of what is measured often.
//!
//! What is cheaper to look at than to follow is looked at when the metrics are asked for: see [`Repository::measure`].

use metrics::{Counter, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::Repository;

const RERUNS: &str = "contacts_write_reruns_total";
const REGISTRY_LOADS: &str = "contacts_registry_loads_total";
const QUEUE_DEPTH: &str = "contacts_queue_depth";
const QUEUE_REFUSALS: &str = "contacts_queue_refusals_total";
const BATCH_SIZE: &str = "contacts_queue_batch_size";
const BATCH_DURATION: &str = "contacts_queue_batch_duration_seconds";
const LANES: &str = "contacts_write_lanes";
const LANES_WAITING: &str = "contacts_write_lanes_waiting";
const CACHED: &str = "contacts_registries_cached";
const CONNECTIONS: &str = "contacts_database_connections";
const CONNECTIONS_MAX: &str = "contacts_database_connections_max";
const WAITING: &str = "contacts_database_connections_waiting";
const WAIT: &str = "contacts_database_connection_wait_seconds";
const FAILURES: &str = "contacts_database_connection_failures_total";

/// Says what each metric is, and shows those that are counted rarely from the beginning.
pub(super) fn describe() {
    describe_gauge!(QUEUE_DEPTH, "Single writes (or reads by id) that wait for the next batch.");
    describe_counter!(QUEUE_REFUSALS, "Single writes (or reads by id) turned away because too much waited already.");
    describe_histogram!(BATCH_SIZE, "Single writes (or reads by id) that were gathered into one batch.");
    describe_histogram!(BATCH_DURATION, Unit::Seconds, "Time that a batch took, from its start to its answers.");
    describe_counter!(RERUNS, "Writes that had to be run again, by what stood in their way.");
    describe_gauge!(LANES, "Accounts with work that is written under the account's lock, beside the batches.");
    describe_gauge!(LANES_WAITING, "Pieces of work that wait in these accounts' lanes.");
    describe_counter!(REGISTRY_LOADS, "Registries of fields read from the database: on first use, or when changed.");
    describe_gauge!(CACHED, "Registries of fields in memory, one an account in use.");
    describe_gauge!(CONNECTIONS, "Open connections to the database, by pool and whether they are in use.");
    describe_gauge!(CONNECTIONS_MAX, "Connections to the database that a pool may open.");
    describe_gauge!(WAITING, "Callers that wait for a connection to the database.");
    describe_histogram!(WAIT, Unit::Seconds, "Time until a connection to the database was had.");
    describe_counter!(
        FAILURES,
        "Connections to the database that were not had: none would be free in time, or it is away."
    );
    Rerun::ALL.into_iter().for_each(|rerun| rerun.count(0));
    Load::ALL.into_iter().for_each(|load| load.count(0));
}

impl Repository {
    /// Brings the gauges up to date that are looked at only when the metrics are asked for.
    pub fn measure(&self) {
        self.pool.measure(0);
        self.reader.measure();
        self.writer.measure();
        gauge!(CACHED).set(self.registries.count() as f64);
    }
}

/// What stood in a write's way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rerun {
    /// Someone else wrote to its account at the same moment.
    AccountInUse,
    /// Its batch failed, perhaps because of another write.
    BatchFailed,
    /// What it had read was no longer so.
    Conflict,
    /// Someone held a row that it needs.
    Locked,
}

impl Rerun {
    const ALL: [Self; 4] = [Self::AccountInUse, Self::BatchFailed, Self::Conflict, Self::Locked];

    /// Counts so many writes that are run again for this.
    pub(super) fn count(self, writes: usize) {
        let reason = match self {
            Self::AccountInUse => "account_in_use",
            Self::BatchFailed => "batch_failed",
            Self::Conflict => "conflict",
            Self::Locked => "locked",
        };
        counter!(RERUNS, "reason" => reason).increment(writes as u64);
    }
}

/// Why a registry is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// It was not in memory.
    FirstUse,
    /// Another instance has changed it, or a write says that someone has.
    Changed,
}

impl Load {
    const ALL: [Self; 2] = [Self::FirstUse, Self::Changed];

    /// Counts so many registries that are read for this.
    pub(super) fn count(self, registries: u64) {
        let cause = match self {
            Self::FirstUse => "first_use",
            Self::Changed => "changed",
        };
        counter!(REGISTRY_LOADS, "cause" => cause).increment(registries);
    }
}

/// What is measured of a queue, whenever a batch is taken from it.
pub(super) struct QueueMeters {
    pub(super) sizes: Histogram,
    pub(super) durations: Histogram,
    pub(super) refusals: Counter,
}

/// The handles of the queues of this name.
pub(super) fn queue(name: &'static str) -> QueueMeters {
    QueueMeters {
        sizes: histogram!(BATCH_SIZE, "queue" => name),
        durations: histogram!(BATCH_DURATION, "queue" => name),
        refusals: counter!(QUEUE_REFUSALS, "queue" => name),
    }
}

/// Shows how many things wait in the queues of this name.
pub(super) fn show_queue(name: &'static str, depth: usize) {
    gauge!(QUEUE_DEPTH, "queue" => name).set(depth as f64);
}

/// Shows how many lanes there are, and how many jobs wait in them.
pub(super) fn show_lanes(lanes: usize, waiting: usize) {
    gauge!(LANES).set(lanes as f64);
    gauge!(LANES_WAITING).set(waiting as f64);
}

/// What is measured of a pool, whenever a connection is taken from it.
#[derive(Clone)]
pub(super) struct PoolMeters {
    name: &'static str,
    pub(super) wait: Histogram,
    pub(super) failures: Counter,
}

impl PoolMeters {
    /// The handles of a pool of this name.
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, wait: histogram!(WAIT, "pool" => name), failures: counter!(FAILURES, "pool" => name) }
    }

    /// Shows how many connections are in use, are not, may be opened, and are waited for.
    pub(super) fn show(&self, in_use: usize, idle: usize, max: u32, waiting: usize) {
        gauge!(CONNECTIONS, "pool" => self.name, "state" => "in_use").set(in_use as f64);
        gauge!(CONNECTIONS, "pool" => self.name, "state" => "idle").set(idle as f64);
        gauge!(CONNECTIONS_MAX, "pool" => self.name).set(f64::from(max));
        gauge!(WAITING, "pool" => self.name).set(waiting as f64);
    }
}
