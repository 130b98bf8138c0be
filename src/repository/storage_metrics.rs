//! Metrics of the repository: their names and descriptions, and handles of frequently updated metrics.
//!
//! Gauges that are cheaper to read than to maintain are updated at each scrape: see [`Repository::update_gauges`].

use metrics::{Counter, Histogram, Unit};
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::Repository;

const WRITE_RETRIES: &str = "contacts_write_reruns_total";
const REGISTRY_LOADS: &str = "contacts_registry_loads_total";
const QUEUE_DEPTH: &str = "contacts_queue_depth";
const QUEUE_REJECTIONS: &str = "contacts_queue_refusals_total";
const BATCH_SIZE: &str = "contacts_queue_batch_size";
const BATCH_DURATION: &str = "contacts_queue_batch_duration_seconds";
const ACCOUNT_QUEUES: &str = "contacts_write_account_queues";
const ACCOUNT_QUEUES_WAITING: &str = "contacts_write_account_queues_waiting";
const REGISTRIES_CACHED: &str = "contacts_registries_cached";
const SUBSCRIBED_ACCOUNTS: &str = "contacts_feed_accounts_waiting";
const CONNECTIONS: &str = "contacts_database_connections";
const CONNECTIONS_MAX: &str = "contacts_database_connections_max";
const CONNECTIONS_WAITING: &str = "contacts_database_connections_waiting";
const CONNECTION_WAIT: &str = "contacts_database_connection_wait_seconds";
const WRITABLE: &str = "contacts_database_writable";
const CONNECTION_FAILURES: &str = "contacts_database_connection_failures_total";

/// Describes the metrics, and starts rarely incremented counters at zero.
pub(super) fn describe_metrics() {
    describe_gauge!(QUEUE_DEPTH, "Single writes or reads by id that are queued for the next batch.");
    describe_counter!(QUEUE_REJECTIONS, "Single writes or reads by id that were rejected because of overload.");
    describe_histogram!(BATCH_SIZE, "Number of single writes or reads by id in a batch.");
    describe_histogram!(BATCH_DURATION, Unit::Seconds, "Time from the start of a batch to its replies.");
    describe_counter!(WRITE_RETRIES, "Writes that were retried, by reason.");
    describe_gauge!(ACCOUNT_QUEUES, "Accounts with writes that run under the account's lock instead of in a batch.");
    describe_gauge!(ACCOUNT_QUEUES_WAITING, "Write jobs in the queues of these accounts.");
    describe_counter!(REGISTRY_LOADS, "Field registries read from the database, by cause: first use or a change.");
    describe_gauge!(REGISTRIES_CACHED, "Field registries in memory, one for each account in use.");
    describe_gauge!(SUBSCRIBED_ACCOUNTS, "Accounts with long polls, whose positions are read every 500 ms.");
    describe_gauge!(CONNECTIONS, "Open database connections, by pool and state.");
    describe_gauge!(CONNECTIONS_MAX, "Maximum number of database connections of a pool.");
    describe_gauge!(CONNECTIONS_WAITING, "Callers that wait for a database connection.");
    describe_gauge!(WRITABLE, "Whether the database can write: 1, or 0 while it is read-only.");
    describe_histogram!(CONNECTION_WAIT, Unit::Seconds, "Time to acquire a database connection.");
    describe_counter!(
        CONNECTION_FAILURES,
        "Failures to acquire a database connection, because of overload or because the database is down."
    );
    Retry::ALL.into_iter().for_each(|retry| retry.count(0));
    RegistryLoad::ALL.into_iter().for_each(|load| load.count(0));
}

impl Repository {
    /// Updates the gauges. Call this before each scrape of the metrics.
    pub fn update_gauges(&self) {
        self.pool.update_gauges(0);
        self.reader.update_gauges();
        self.writer.update_gauges();
        gauge!(WRITABLE).set(f64::from(u8::from(self.is_writable())));
        gauge!(SUBSCRIBED_ACCOUNTS).set(self.subscribed_account_count() as f64);
        gauge!(REGISTRIES_CACHED).set(self.registry_cache.count() as f64);
    }
}

/// The reason for the retry of a write.
#[derive(Debug, Clone, Copy)]
pub(super) enum Retry {
    /// Another transaction was writing to the same account.
    AccountInUse,
    /// The batch failed, perhaps because of another write.
    BatchFailed,
    /// The data that the write depends on has changed since it was read.
    Conflict,
    /// Another transaction held a row lock.
    Locked,
}

impl Retry {
    const ALL: [Self; 4] = [Self::AccountInUse, Self::BatchFailed, Self::Conflict, Self::Locked];

    /// Counts retried writes.
    pub(super) fn count(self, writes: usize) {
        let reason = match self {
            Self::AccountInUse => "account_in_use",
            Self::BatchFailed => "batch_failed",
            Self::Conflict => "conflict",
            Self::Locked => "locked",
        };
        counter!(WRITE_RETRIES, "reason" => reason).increment(writes as u64);
    }
}

/// The cause of the load of a registry.
#[derive(Debug, Clone, Copy)]
pub(super) enum RegistryLoad {
    /// The registry was not cached.
    FirstUse,
    /// The cached registry is outdated, or a write was validated against an outdated one.
    Changed,
}

impl RegistryLoad {
    const ALL: [Self; 2] = [Self::FirstUse, Self::Changed];

    /// Counts loaded registries.
    pub(super) fn count(self, registries: u64) {
        let cause = match self {
            Self::FirstUse => "first_use",
            Self::Changed => "changed",
        };
        counter!(REGISTRY_LOADS, "cause" => cause).increment(registries);
    }
}

/// The metrics that a batch queue updates.
pub(super) struct QueueMetrics {
    pub(super) batch_sizes: Histogram,
    pub(super) batch_durations: Histogram,
    pub(super) rejections: Counter,
}

/// Returns the metrics with the label `queue="<name>"`.
pub(super) fn queue_metrics(name: &'static str) -> QueueMetrics {
    QueueMetrics {
        batch_sizes: histogram!(BATCH_SIZE, "queue" => name),
        batch_durations: histogram!(BATCH_DURATION, "queue" => name),
        rejections: counter!(QUEUE_REJECTIONS, "queue" => name),
    }
}

/// Sets the total number of jobs in all queues with this name.
pub(super) fn set_queue_depth(name: &'static str, depth: usize) {
    gauge!(QUEUE_DEPTH, "queue" => name).set(depth as f64);
}

/// Sets the number of account queues, and the number of jobs in all of them.
pub(super) fn set_account_queues(queues: usize, jobs: usize) {
    gauge!(ACCOUNT_QUEUES).set(queues as f64);
    gauge!(ACCOUNT_QUEUES_WAITING).set(jobs as f64);
}

/// The metrics of a connection pool.
#[derive(Clone)]
pub(super) struct PoolMetrics {
    name: &'static str,
    pub(super) wait: Histogram,
    pub(super) failures: Counter,
}

impl PoolMetrics {
    /// Returns the metrics with the label `pool="<name>"`.
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            wait: histogram!(CONNECTION_WAIT, "pool" => name),
            failures: counter!(CONNECTION_FAILURES, "pool" => name),
        }
    }

    /// Sets the numbers of used and idle connections, the maximum number of connections, and the number of waiting
    /// callers.
    pub(super) fn set_gauges(&self, in_use: usize, idle: usize, max: u32, waiting: usize) {
        gauge!(CONNECTIONS, "pool" => self.name, "state" => "in_use").set(in_use as f64);
        gauge!(CONNECTIONS, "pool" => self.name, "state" => "idle").set(idle as f64);
        gauge!(CONNECTIONS_MAX, "pool" => self.name).set(f64::from(max));
        gauge!(CONNECTIONS_WAITING, "pool" => self.name).set(waiting as f64);
    }
}
