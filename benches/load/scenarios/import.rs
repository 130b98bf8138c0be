//! Compares `contacts import` with a `COPY` of the same file on the same machine, and measures the PATCHes of other accounts
//! meanwhile.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contacts::config::Secret;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{print_progress, set_index};
use crate::bench::{Bench, Operation, Target};
use crate::client::workload::Workload;
use crate::data::DataSet;
use crate::options::Options;
use crate::report::{Measurement, RequestTable};
use crate::server::{cpu_of_children, run_command};

const BASELINE: &str = "COPY into a table with the same keys";
const PATCH_ALONE: &str = "PATCH, 16";
/// The number of accounts whose contacts are changed while another account imports.
const PATCHED_ACCOUNTS: u64 = 100;

/// Prints the rows a second of imports of new, changed and unchanged contacts, and PATCH with and without an import.
pub async fn print_table(options: &Options) {
    // The accounts of the imports get their contacts from them.
    let bench = Bench::start(options, DataSet::narrow(set_index::MAIN, 10_000, PATCHED_ACCOUNTS)).await;
    let first = write_csv_file(&bench, options.rows, "first.csv", "Analyst");
    let second = write_csv_file(&bench, options.rows, "second.csv", "Countess");
    let mut table = RequestTable::new("Import", "", "ratio to COPY");
    for round in 0..options.rounds {
        print_progress("import", round, options.rounds);
        let url = bench.cluster.url(&bench.targets[0].database);
        table.record(BASELINE, None, 0, measure(&bench, options.rows, async { copy(&url, &first).await }).await);
        for (name, file) in [
            ("import of new contacts", &first),
            ("import of one change each", &second),
            ("import of no change", &second),
        ] {
            for (index, target) in bench.targets_of_round(round) {
                let operation = async { import(&bench, target, file, round) };
                table.record(name, Some(BASELINE), index, measure(&bench, options.rows, operation).await);
            }
        }
    }
    table.print(bench.is_comparison());
    print_patches_beside_imports(&bench, &first).await;
}

/// Prints PATCH of 100 accounts, alone and while another account imports.
async fn print_patches_beside_imports(bench: &Bench, file: &Path) {
    let mut table = RequestTable::new("PATCH while another account imports", PATCH_ALONE, "ratio without import");
    let patch = Operation {
        name: PATCH_ALONE,
        reference: None,
        workload: Workload::Patch,
        connections: 16,
        set: bench.main,
        time: bench.time,
    };
    for round in 0..bench.rounds {
        for (index, target) in bench.targets_of_round(round) {
            let measurement = bench.measure_target(target, &target.server, patch).await;
            table.record(PATCH_ALONE, None, index, measurement);
            let imports = RepeatedImports::start(bench, target, file, round);
            let measurement = bench.measure_target(target, &target.server, patch).await;
            table.record("PATCH, 16, beside an import", Some(PATCH_ALONE), index, measurement);
            imports.stop().await;
        }
    }
    table.print(bench.is_comparison());
}

/// Imports of a file into new accounts, one after another.
struct RepeatedImports {
    is_stopping: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl RepeatedImports {
    fn start(bench: &Bench, target: &Target, file: &Path, round: usize) -> Self {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let (is_stopped, binary, file) = (Arc::clone(&is_stopping), target.binary.clone(), file.to_owned());
        let (url, set) = (bench.cluster.url(&target.database), bench.main);
        let task = tokio::task::spawn_blocking(move || {
            for number in 0.. {
                if is_stopped.load(Ordering::Relaxed) {
                    return;
                }
                let account = set.account(100_000 + 1_000 * round as u64 + number);
                run_import(&binary, &url, &file, account);
            }
        });
        Self { is_stopping, task }
    }

    /// Waits for the end of the running import.
    async fn stop(self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
    }
}

/// Writes a CSV file of contacts, each with two unique keys and six other values. Returns its path.
fn write_csv_file(bench: &Bench, rows: u64, name: &str, title: &str) -> PathBuf {
    let mut text = "external_id,email,first_name,last_name,phone,company_name,job_title,website\n".to_owned();
    for n in 0..rows {
        writeln!(
            text,
            "x-{n},c{n}@example.com,First{n},Last{n},+1 555 {n:07},Company {},{title},https://example.com/{n}",
            n % 1_000
        )
        .unwrap();
    }
    let path = bench.cluster.folder().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Measures an operation on this number of rows.
pub(super) async fn measure(bench: &Bench, rows: u64, operation: impl Future<Output = ()>) -> Measurement {
    let (database_cpu, children_cpu, started) = (bench.cluster.cpu(), cpu_of_children(), Instant::now());
    operation.await;
    let per_row = |time: Duration| time.as_secs_f64() * 1e6 / rows as f64;
    Measurement {
        rate: rows as f64 / started.elapsed().as_secs_f64(),
        server_cpu: per_row(cpu_of_children().saturating_sub(children_cpu)),
        database_cpu: per_row(bench.cluster.cpu().saturating_sub(database_cpu)),
        ..Measurement::default()
    }
}

/// Copies a file into a table with the unique keys of contacts.
async fn copy(url: &Secret, file: &Path) {
    let mut connection = PgConnection::connect(url.expose()).await.unwrap();
    let table = "DROP TABLE IF EXISTS plain; CREATE TABLE plain (external_id text PRIMARY KEY, email text UNIQUE, first_name text, \
                 last_name text, phone text, company_name text, job_title text, website text)";
    sqlx::raw_sql(table).execute(&mut connection).await.unwrap();
    let mut copy = connection.copy_in_raw("COPY plain FROM STDIN (FORMAT csv, HEADER)").await.unwrap();
    for piece in fs::read(file).unwrap().chunks(64 * 1024) {
        copy.send(piece).await.unwrap();
    }
    copy.finish().await.unwrap();
}

/// Runs `contacts import` on a file. Each round has an account of its own.
fn import(bench: &Bench, target: &Target, file: &Path, round: usize) {
    let account = bench.main.account(1_000 + round as u64);
    run_import(&target.binary, &bench.cluster.url(&target.database), file, account);
}

fn run_import(binary: &Path, url: &Secret, file: &Path, account: Uuid) {
    let account = account.to_string();
    run_command(binary, url, |command| {
        command.args(["import", "--match", "external_id", "--account", &account]).arg(file)
    });
}
