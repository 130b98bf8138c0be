//! Compares `contacts import` with a `COPY` of the same file on the same machine.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contacts::config::Secret;
use sqlx::{Connection, PgConnection};

use super::{print_progress, set_index};
use crate::bench::{Bench, Target};
use crate::data::DataSet;
use crate::options::Options;
use crate::report::{Measurement, RequestTable};
use crate::server::{cpu_of_children, run_command};

const BASELINE: &str = "COPY into a table with its key";

/// Prints the rows a second of imports of new, changed and unchanged contacts.
pub async fn print_table(options: &Options) {
    // The accounts get their contacts from the imports.
    let bench = Bench::start(options, DataSet::narrow(set_index::MAIN, 1, 1)).await;
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

/// Copies a file into a table with a primary key.
async fn copy(url: &Secret, file: &Path) {
    let mut connection = PgConnection::connect(url.expose()).await.unwrap();
    let table = "DROP TABLE IF EXISTS plain; CREATE TABLE plain (external_id text PRIMARY KEY, email text, first_name text, \
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
    let account = bench.main.account(1_000 + round as u64).to_string();
    run_command(&target.binary, &bench.cluster.url(&target.database), |command| {
        command.args(["import", "--match", "external_id", "--account", &account]).arg(file)
    });
}
