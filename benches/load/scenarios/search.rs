//! Searches and lists of an account with many contacts, beside small accounts, and what its search index costs.

use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use super::{import, print_progress, set_index};
use crate::bench::{Bench, Operation, Target};
use crate::client::search_requests::SearchKind;
use crate::client::workload::Workload;
use crate::data::DataSet;
use crate::options::Options;
use crate::report::{FigureTable, RequestTable};
use crate::server::run_command;

/// The number of callers that search at the same time.
const CALLERS: usize = 8;
/// The least time of an operation. A search without an index takes seconds.
const MIN_TIME: Duration = Duration::from_secs(5);

/// Prints the searches, the writes and the figures of the index.
pub async fn print_table(bench: &Bench, options: &Options) {
    let large = DataSet { shares_names: true, ..DataSet::narrow(set_index::LARGE_ACCOUNT, options.rows, 1) };
    let small = DataSet { shares_names: true, ..DataSet::narrow(set_index::SMALL_ACCOUNTS, 100_000, 100) };
    bench.fill(small, vec![]).await;
    bench.fill(large, vec![]).await;
    let mut figures = FigureTable::new("Search index");
    for (index, target) in bench.targets.iter().enumerate() {
        let started = Instant::now();
        if wait_for_index(bench, target, large).await {
            figures.record(
                "building the index, µs for each contact",
                1,
                index,
                started.elapsed().as_secs_f64() * 1e6 / large.rows as f64,
            );
        }
        for (name, tables) in [
            ("a contact without its index entry, bytes", "'contacts', 'contact_keys'"),
            ("its index entry, bytes", "'search_entries'"),
        ] {
            let bytes = table_bytes(bench, target, tables).await / (large.rows + small.rows) as f64;
            figures.record(name, 0, index, bytes);
        }
    }
    let mut table = RequestTable::new("Search", "", "ratio");
    for round in 0..bench.rounds {
        print_progress("search", round, bench.rounds);
        for (name, workload, connections, set) in operations(large, small) {
            let operation =
                Operation { name, reference: None, workload, connections, set, time: bench.time.max(MIN_TIME) };
            bench.measure(&mut table, round, operation).await;
        }
        measure_import(bench, &mut table, round, large).await;
    }
    for (index, target) in bench.targets.iter().enumerate() {
        for (figure, workload) in [
            ("HOT updates, share of PATCH of job_title", Workload::PatchJobTitle),
            ("HOT updates, share of PATCH of last_name", Workload::PatchLastName),
        ] {
            figures.record(figure, 3, index, hot_share(bench, target, workload, large).await);
        }
    }
    table.print(bench.is_comparison());
    figures.print(bench.is_comparison());
}

fn operations(large: DataSet, small: DataSet) -> Vec<(&'static str, Workload, usize, DataSet)> {
    let search = |name, kind| (name, Workload::Find(kind), CALLERS, large);
    vec![
        search("query of a name, 8", SearchKind::Name),
        search("query of two names, 8", SearchKind::TwoNames),
        search("query of a beginning, 8", SearchKind::Beginning),
        search("query with a common word, 8", SearchKind::CommonWord),
        search("query of a letter, 8", SearchKind::Letter),
        search("eq on phone, 8", SearchKind::Phone),
        search("starts_with on company_name, 8", SearchKind::Company),
        search("100 by last_name, 8", SearchKind::Sorted),
        search("100 by last_name, descending, 8", SearchKind::SortedDescending),
        search("updated in the last second, 8", SearchKind::Updated),
        search("created in the last second, 8", SearchKind::Created),
        search("filter without an index, 8", SearchKind::Unindexed),
        ("list with its count, 8", Workload::ListWithCount, CALLERS, large),
        ("small account: list with its count, 8", Workload::ListWithCount, CALLERS, small),
        ("small account: 100 by last_name, 8", Workload::Find(SearchKind::Sorted), CALLERS, small),
        ("small account: query of a name, 8", Workload::Find(SearchKind::Letter), CALLERS, small),
        ("PATCH of job_title, 64", Workload::PatchJobTitle, 64, large),
        ("PATCH of last_name, 64", Workload::PatchLastName, 64, large),
        ("POST, 64", Workload::Post, 64, large),
    ]
}

/// Measures `contacts import` of new contacts into the account of a set.
async fn measure_import(bench: &Bench, table: &mut RequestTable, round: usize, set: DataSet) {
    let (rows, account) = ((set.rows / 20).max(1_000), set.account(0).to_string());
    let row = |n| format!("i{round}-{n},i{round}-{n}@example.com,First{},Last{},+2 555 {n}\n", n % 400, n % 20_000);
    let header = "external_id,email,first_name,last_name,phone\n".to_owned();
    let file = bench.cluster.folder().join("new.csv");
    std::fs::write(&file, header + &(0..rows).map(row).collect::<String>()).unwrap();
    for (index, target) in bench.targets_of_round(round) {
        let import = async {
            run_command(&target.binary, &bench.cluster.url(&target.database), |command| {
                command.args(["import", "--match", "external_id", "--account", &account]).arg(&file)
            });
        };
        table.record("import of new contacts", None, index, import::measure(bench, rows, import).await);
    }
}

/// Returns the share of HOT updates of a workload.
async fn hot_share(bench: &Bench, target: &Target, workload: Workload, set: DataSet) -> f64 {
    let before = update_counts(bench, target).await;
    let operation = Operation { name: "PATCH", reference: None, workload, connections: 64, set, time: bench.time };
    bench.measure_target(target, &target.server, operation).await;
    let after = update_counts(bench, target).await;
    (after.1 - before.1) / (after.0 - before.0)
}

/// Returns the number of updates of contacts so far, and of the HOT updates among them.
async fn update_counts(bench: &Bench, target: &Target) -> (f64, f64) {
    const COUNTS: &str =
        "SELECT n_tup_upd::float8, n_tup_hot_upd::float8 FROM pg_stat_user_tables WHERE relname = 'contacts'";
    // The sessions report their updates with a delay.
    tokio::time::sleep(Duration::from_secs(2)).await;
    sqlx::query_as(COUNTS).fetch_one(&mut connect(bench, target).await).await.unwrap()
}

async fn connect(bench: &Bench, target: &Target) -> PgConnection {
    PgConnection::connect(bench.cluster.url(&target.database).expose()).await.unwrap()
}

/// Returns the size of tables with their indexes.
async fn table_bytes(bench: &Bench, target: &Target, names: &str) -> f64 {
    let size = format!(
        "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::float8 FROM unnest(ARRAY[{names}]) name"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(size)).fetch_one(&mut connect(bench, target).await).await.unwrap()
}

/// Waits until the service has built the index of the account. Returns false if its build has no index.
async fn wait_for_index(bench: &Bench, target: &Target, set: DataSet) -> bool {
    const IS_COMPLETE: &str = "SELECT EXISTS (SELECT FROM search_indexes WHERE account_id = $1 AND is_complete)";
    let mut database = connect(bench, target).await;
    // A search requests the index.
    let request = Operation {
        name: "query of a letter, 8",
        reference: None,
        workload: Workload::Find(SearchKind::Letter),
        connections: 1,
        set,
        time: Duration::from_millis(100),
    };
    bench.measure_target(target, &target.server, request).await;
    loop {
        match sqlx::query_scalar(IS_COMPLETE).bind(set.account(0)).fetch_one(&mut database).await {
            Ok(true) => break,
            Ok(false) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(_) => return false,
        }
    }
    sqlx::raw_sql("VACUUM ANALYZE search_entries").execute(&mut database).await.unwrap();
    true
}
