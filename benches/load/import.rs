//! Compares `contacts import` with a `COPY` of the same file on the same machine.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use contacts::config::Secret;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::bench_database::BenchDatabase;
use crate::data::{self, DataSize};
use crate::options::Options;
use crate::report::{self, Measurement, ResultRow};
use crate::server::{cpu_of_children, cpu_of_process_tree};

const BASELINE: &str = "COPY into a table with its key";

/// Prints the rows a second of imports of new, changed and unchanged contacts.
pub async fn print_import_table(options: &Options) {
    let database = BenchDatabase::start(DataSize { rows: 1, accounts: 1, fields: 1, has_unique_keys: false }).await;
    let first = write_csv_file(&database, options.rows, "first.csv", "Analyst");
    let second = write_csv_file(&database, options.rows, "second.csv", "Countess");
    let mut rows: Vec<ResultRow> = vec![];
    let mut record = |name: &str, measurement: Measurement| match rows.iter_mut().find(|row| row.name == name) {
        Some(row) => row.measurements.push(measurement),
        None => rows.push(ResultRow { name: name.to_owned(), measurements: vec![measurement] }),
    };
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        let account = data::account(round as u64 + 1_000);
        record(BASELINE, measure(&database, options.rows, async { copy(&database.url(), &first).await }).await);
        record(
            "import of new contacts",
            measure(&database, options.rows, async { import(&database, &first, account) }).await,
        );
        record(
            "import of one change each",
            measure(&database, options.rows, async { import(&database, &second, account) }).await,
        );
        record(
            "import of no change",
            measure(&database, options.rows, async { import(&database, &second, account) }).await,
        );
    }
    report::print_table(&rows, BASELINE);
}

/// Writes a CSV file of contacts, each with two unique keys and six other values. Returns its path.
fn write_csv_file(database: &BenchDatabase, rows: u64, name: &str, title: &str) -> PathBuf {
    let mut text = "external_id,email,first_name,last_name,phone,company_name,job_title,website\n".to_owned();
    for n in 0..rows {
        writeln!(
            text,
            "x-{n},c{n}@example.com,First{n},Last{n},+1 555 {n:07},Company {},{title},https://example.com/{n}",
            n % 1_000
        )
        .unwrap();
    }
    let path = database.folder().join(name);
    fs::write(&path, text).unwrap();
    path
}

/// Measures an operation on this number of rows.
async fn measure(database: &BenchDatabase, rows: u64, operation: impl Future<Output = ()>) -> Measurement {
    let (database_cpu, children_cpu, started) =
        (cpu_of_process_tree(database.pid()), cpu_of_children(), Instant::now());
    operation.await;
    let per_row = |time: std::time::Duration| Some(time.as_secs_f64() * 1e6 / rows as f64);
    Measurement {
        rate: rows as f64 / started.elapsed().as_secs_f64(),
        server_cpu: per_row(cpu_of_children().saturating_sub(children_cpu)),
        database_cpu: per_row(cpu_of_process_tree(database.pid()).saturating_sub(database_cpu)),
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

/// Runs `contacts import` on a file.
fn import(database: &BenchDatabase, file: &Path, account: Uuid) {
    let output = Command::new(env!("CARGO_BIN_EXE_contacts"))
        .args(["import", "--match", "external_id", "--account", &account.to_string()])
        .arg(file)
        .env("DATABASE_URL", database.url().expose())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
