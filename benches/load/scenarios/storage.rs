//! The disk space of contacts and changes, the WAL of a PATCH, and the cost of the clean-up. `docs/scale-out.md` computes the
//! size of a cluster from these figures.

use std::time::{Duration, Instant};

use contacts::config::{DatabaseSettings, Secret};
use contacts::repository::Repository;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::bench::{Bench, Operation, Target};
use crate::client::workload::Workload;
use crate::report::FigureTable;

/// How many times as long as another operation the PATCH requests run.
const PATCH_TIMES: u32 = 5;

/// Prints the figures.
pub async fn print_table(bench: &Bench) {
    let mut table = FigureTable::new("Storage");
    for (index, target) in bench.targets.iter().enumerate() {
        let mut database = Database::open(bench, target).await;
        record_sizes(&mut database, &mut table, index).await;
        record_wal(bench, target, &mut database, &mut table, index).await;
        record_cleanup(bench, target, &mut database, &mut table, index).await;
    }
    table.print(bench.is_comparison());
}

/// The database of a target.
struct Database(PgConnection);

impl Database {
    async fn open(bench: &Bench, target: &Target) -> Self {
        Self(PgConnection::connect(bench.cluster.url(&target.database).expose()).await.unwrap())
    }

    /// Returns the number that a query selects.
    async fn number(&mut self, query: &str) -> f64 {
        let query = format!("SELECT ({query})::double precision");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut self.0).await.unwrap()
    }

    /// Returns the WAL written so far, in bytes.
    async fn wal(&mut self) -> f64 {
        self.number("pg_current_wal_insert_lsn() - '0/0'::pg_lsn").await
    }

    /// Runs a statement. Returns its time and its WAL in bytes.
    async fn run(&mut self, statement: &'static str) -> (Duration, f64) {
        let (started, wal) = (Instant::now(), self.wal().await);
        sqlx::raw_sql(statement).execute(&mut self.0).await.unwrap();
        (started.elapsed(), self.wal().await - wal)
    }
}

async fn record_sizes(database: &mut Database, table: &mut FigureTable, index: usize) {
    let per_row = |size: &str, name: &str| format!("SELECT {size}('{name}')::float8 / (SELECT count(*) FROM {name})");
    for (figure, size, name) in [
        ("a contact: row, bytes", "pg_table_size", "contacts"),
        ("a contact: index, bytes", "pg_indexes_size", "contacts"),
        ("a unique key: row and indexes, bytes", "pg_total_relation_size", "contact_keys"),
    ] {
        table.record(figure, 0, index, database.number(&per_row(size, name)).await);
    }
}

/// Records the WAL of a PATCH, which is the greatest just after a checkpoint, and the size of a change.
async fn record_wal(bench: &Bench, target: &Target, database: &mut Database, table: &mut FigureTable, index: usize) {
    database.run("CHECKPOINT").await;
    for (figure, times) in
        [("WAL of a PATCH after a checkpoint, bytes", 1), ("WAL of a PATCH later, bytes", PATCH_TIMES)]
    {
        let (wal, changes) = (database.wal().await, database.number("SELECT count(*) FROM changes").await);
        patch(bench, target, bench.time * times).await;
        let changes = database.number("SELECT count(*) FROM changes").await - changes;
        table.record(figure, 0, index, (database.wal().await - wal) / changes);
    }
    let size = "SELECT pg_total_relation_size('changes')::float8 / (SELECT count(*) FROM changes)";
    table.record("a change: row and index, bytes", 0, index, database.number(size).await);
}

async fn patch(bench: &Bench, target: &Target, time: Duration) {
    let (name, workload, set) = ("PATCH", Workload::Patch, bench.main);
    let operation = Operation { name, reference: None, workload, connections: 64, set, time };
    bench.measure_target(target, &target.server, operation).await;
}

/// Records the cost of the deletion of expired changes, and of the vacuum after it.
async fn record_cleanup(
    bench: &Bench,
    target: &Target,
    database: &mut Database,
    table: &mut FigureTable,
    index: usize,
) {
    let (vacuum, wal) = database.run("VACUUM contacts").await;
    table.record("vacuum of the contacts, seconds", 2, index, vacuum.as_secs_f64());
    table.record("vacuum of the contacts, WAL in MB", 1, index, wal / 1e6);
    let changes = database.number("SELECT count(*) FROM changes").await;
    let settings = DatabaseSettings {
        url: Secret::new(bench.cluster.url(&target.database).expose()),
        max_connections: 16,
        write_batch_max: 256,
        migrate_on_start: false,
        change_retention: Duration::ZERO,
        search_index_min_contacts: contacts::config::DEFAULT_SEARCH_INDEX_MIN_CONTACTS,
        timeout: Duration::from_secs(10),
    };
    let repository = Repository::new(&settings).unwrap();
    let (started, wal) = (Instant::now(), database.wal().await);
    repository.delete_expired_records().await.unwrap();
    let (time, wal) = (started.elapsed(), database.wal().await - wal);
    repository.close().await;
    let deleted = changes - database.number("SELECT count(*) FROM changes").await;
    table.record("deletion of expired changes, each µs", 1, index, time.as_secs_f64() * 1e6 / deleted);
    table.record("deletion of expired changes, WAL of each in bytes", 0, index, wal / deleted);
    let (vacuum, wal) = database.run("VACUUM changes").await;
    table.record("vacuum of the changes, each deleted one µs", 2, index, vacuum.as_secs_f64() * 1e6 / deleted);
    table.record("vacuum of the changes, WAL of each deleted one in bytes", 0, index, wal / deleted);
}
