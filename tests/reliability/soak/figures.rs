//! What the service and its database take.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::{PgConnection, Row};

use super::callers::Latencies;
use crate::process::Process;

/// How many connections to its database a service may have.
pub const POOL: u16 = 16;
/// Memory is given back late, and in large pieces.
const SLACK_KIB: u64 = 8 * 1024;
/// A machine that others use too is slow at times.
const SLACK: Duration = Duration::from_millis(100);

/// The most that was taken within a part of the time.
#[derive(Default)]
pub struct Figures {
    memory_kib: u64,
    /// Sockets included: of its database, and of callers, who open one more when none of theirs is idle yet.
    files: usize,
    /// Those of a second service too, which tests have in their own process, and which is idle.
    connections: i64,
    /// Of `contacts`, `contact_keys` and `accounts`, with their indexes.
    tables_kib: i64,
    changes_kib: i64,
    /// Of all updates so far, in percent.
    hot: i64,
    calls: usize,
    p50: Duration,
    p99: Duration,
}

impl Figures {
    pub const HEADER: &str = "memory KiB, files, connections; tables, change log KiB, HOT %; calls, p50, p99";

    /// Checks that it is no more than what was taken before, but for what has other reasons than time.
    #[track_caller]
    pub fn expect_no_more_than(&self, before: &Self) {
        assert!(self.memory_kib <= before.memory_kib + before.memory_kib / 8 + SLACK_KIB, "memory grows: {self}");
        assert!(self.connections <= i64::from(2 * POOL), "connections stay open: {self}");
        assert!(self.p50 <= before.p50 * 3 + SLACK, "calls take longer and longer: {self}");
    }

    /// Checks that tables hardly grow any more. They do at first: pages of an index are given back only once nothing is
    /// left in them of the contacts that were there in the beginning.
    #[track_caller]
    pub fn expect_tables_of(&self, before: &Self) {
        assert!(self.tables_kib <= before.tables_kib + before.tables_kib / 10, "tables bloat: {self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { memory_kib, files, connections, tables_kib, changes_kib, hot, calls, p50, p99 } = self;
        write!(
            f,
            "{memory_kib}, {files}, {connections}; {tables_kib}, {changes_kib}, {hot}; {calls}, {p50:.1?}, {p99:.1?}"
        )
    }
}

/// Looks at a service and its database.
pub struct Watch<'a> {
    service: &'a Process,
    database: PgConnection,
}

impl<'a> Watch<'a> {
    pub fn new(service: &'a Process, database: PgConnection) -> Self {
        Self { service, database }
    }

    /// Looks every second, until then.
    pub async fn until(&mut self, end: Instant, latencies: &Latencies) -> Figures {
        let mut most = Figures::default();
        while Instant::now() < end {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.look(&mut most).await;
        }
        let latencies = latencies.take();
        let quantile = |percent: usize| latencies[(latencies.len() - 1) * percent / 100];
        Figures { calls: latencies.len(), p50: quantile(50), p99: quantile(99), ..most }
    }

    async fn look(&mut self, most: &mut Figures) {
        const SIZES: &str = "SELECT \
             (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'contacts') AS connections, \
             (SELECT sum(pg_total_relation_size(oid))::bigint / 1024 FROM pg_class \
              WHERE relname IN ('contacts', 'contact_keys', 'accounts')) AS tables, \
             pg_total_relation_size('changes') / 1024 AS changes, \
             (SELECT 100 * n_tup_hot_upd / greatest(n_tup_upd, 1) FROM pg_stat_user_tables WHERE relname = 'contacts') AS hot";
        let row = sqlx::query(SIZES).fetch_one(&mut self.database).await.unwrap();
        most.connections = most.connections.max(row.get("connections"));
        most.tables_kib = most.tables_kib.max(row.get("tables"));
        most.changes_kib = row.get("changes");
        most.hot = row.get("hot");
        most.memory_kib = most.memory_kib.max(self.service.memory_kib());
        most.files = most.files.max(self.service.open_files());
    }
}
