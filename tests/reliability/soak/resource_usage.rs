//! The resource usage of the service and its database.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::{PgConnection, Row};

use super::clients::Latencies;
use crate::service_process::ServiceProcess;

/// The largest number of database connections of a service.
pub const POOL_SIZE: u16 = 16;
/// Allowed memory growth in KiB. The allocator returns memory to the system late, and in large blocks.
const MEMORY_TOLERANCE_KIB: u64 = 8 * 1024;
/// Allowed growth of the median latency, because a shared machine is slow at times.
const LATENCY_TOLERANCE: Duration = Duration::from_millis(100);

/// The highest usage within a part of the run.
#[derive(Default)]
pub struct ResourceUsage {
    memory_kib: u64,
    /// Open files, including sockets of the database and of clients. A client opens a further connection when it has no
    /// idle one.
    files: usize,
    /// Database connections, including the connections of a second, idle service in the process of the test.
    connections: i64,
    /// The size of `contacts`, `contact_keys` and `accounts`, with their indexes.
    tables_kib: i64,
    changes_kib: i64,
    /// HOT updates so far, in percent of all updates.
    hot: i64,
    calls: usize,
    p50: Duration,
    p99: Duration,
}

impl ResourceUsage {
    pub const HEADER: &str = "memory KiB, files, connections; tables, change log KiB, HOT %; calls, p50, p99";

    /// Checks that memory, connections and median latency have not grown beyond the tolerances.
    #[track_caller]
    pub fn expect_no_growth_since(&self, before: &Self) {
        assert!(
            self.memory_kib <= before.memory_kib + before.memory_kib / 8 + MEMORY_TOLERANCE_KIB,
            "memory grows: {self}"
        );
        assert!(self.connections <= i64::from(2 * POOL_SIZE), "connections stay open: {self}");
        assert!(self.p50 <= before.p50 * 3 + LATENCY_TOLERANCE, "the median latency grows: {self}");
    }

    /// Checks that the tables have grown by at most 10 percent.
    ///
    /// They grow at first: an index page can be reused only after all entries of the initial contacts in it are
    /// deleted.
    #[track_caller]
    pub fn expect_stable_tables_since(&self, before: &Self) {
        assert!(self.tables_kib <= before.tables_kib + before.tables_kib / 10, "tables bloat: {self}");
    }
}

impl fmt::Display for ResourceUsage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { memory_kib, files, connections, tables_kib, changes_kib, hot, calls, p50, p99 } = self;
        write!(
            f,
            "{memory_kib}, {files}, {connections}; {tables_kib}, {changes_kib}, {hot}; {calls}, {p50:.1?}, {p99:.1?}"
        )
    }
}

/// Samples the resource usage of a service and its database.
pub struct UsageMonitor<'a> {
    service: &'a ServiceProcess,
    database: PgConnection,
}

impl<'a> UsageMonitor<'a> {
    pub fn new(service: &'a ServiceProcess, database: PgConnection) -> Self {
        Self { service, database }
    }

    /// Samples every second until `end`. Returns the highest usage, and the latencies of that period.
    pub async fn measure_until(&mut self, end: Instant, latencies: &Latencies) -> ResourceUsage {
        let mut peak = ResourceUsage::default();
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.sample(&mut peak).await;
        }
        let latencies = latencies.take();
        let quantile = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        ResourceUsage { calls: latencies.len(), p50: quantile(50), p99: quantile(99), ..peak }
    }

    async fn sample(&mut self, peak: &mut ResourceUsage) {
        const SIZES: &str = "SELECT \
             (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'contacts') AS connections, \
             (SELECT sum(pg_total_relation_size(oid))::bigint / 1024 FROM pg_class \
              WHERE relname IN ('contacts', 'contact_keys', 'accounts')) AS tables, \
             pg_total_relation_size('changes') / 1024 AS changes, \
             (SELECT 100 * n_tup_hot_upd / greatest(n_tup_upd, 1) FROM pg_stat_user_tables WHERE relname = 'contacts') AS hot";
        let row = sqlx::query(SIZES).fetch_one(&mut self.database).await.unwrap();
        peak.connections = peak.connections.max(row.get("connections"));
        peak.tables_kib = peak.tables_kib.max(row.get("tables"));
        peak.changes_kib = row.get("changes");
        peak.hot = row.get("hot");
        peak.memory_kib = peak.memory_kib.max(self.service.memory_kib());
        peak.files = peak.files.max(self.service.open_files());
    }
}
