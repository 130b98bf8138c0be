//! `contacts import` beside a bare `COPY` of the same file on the same machine.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use contacts::config::Secret;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::report::{self, Figures, Row};
use crate::server::{cpu_of_children, cpu_of_family};
use crate::stage::{Shape, Stage};
use crate::{Plan, data};

const BASELINE: &str = "COPY into a table with its key";

/// Prints how many rows a second of new contacts, of changed and of equal ones.
pub async fn table(plan: &Plan) {
    let stage = Stage::set(Shape { rows: 1, accounts: 1, fields: 1, keys: false }).await;
    let first = file(&stage, plan.rows, "first.csv", "Analyst");
    let second = file(&stage, plan.rows, "second.csv", "Countess");
    let mut rows: Vec<Row> = vec![];
    let mut take = |name: &str, figures: Figures| match rows.iter_mut().find(|row| row.name == name) {
        Some(row) => row.figures.push(figures),
        None => rows.push(Row { name: name.to_owned(), figures: vec![figures] }),
    };
    for round in 0..plan.rounds {
        eprintln!("round {} of {}", round + 1, plan.rounds);
        let account = data::account(round as u64 + 1_000);
        take(BASELINE, measure(&stage, plan.rows, async { copy(&stage.url(), &first).await }).await);
        take("import of new contacts", measure(&stage, plan.rows, async { import(&stage, &first, account) }).await);
        take("import of one change each", measure(&stage, plan.rows, async { import(&stage, &second, account) }).await);
        take("import of no change", measure(&stage, plan.rows, async { import(&stage, &second, account) }).await);
    }
    report::print(&rows, BASELINE);
}

/// A file of contacts with two unique keys and six other values each.
fn file(stage: &Stage, rows: u64, name: &str, title: &str) -> PathBuf {
    let mut text = "external_id,email,first_name,last_name,phone,company_name,job_title,website\n".to_owned();
    for n in 0..rows {
        writeln!(
            text,
            "x-{n},c{n}@example.com,First{n},Last{n},+1 555 {n:07},Company {},{title},https://example.com/{n}",
            n % 1_000
        )
        .unwrap();
    }
    let path = stage.folder().join(name);
    fs::write(&path, text).unwrap();
    path
}

async fn measure(stage: &Stage, rows: u64, work: impl Future<Output = ()>) -> Figures {
    let (database, children, started) = (cpu_of_family(stage.pid()), cpu_of_children(), Instant::now());
    work.await;
    let per_row = |time: std::time::Duration| Some(time.as_secs_f64() * 1e6 / rows as f64);
    Figures {
        rate: rows as f64 / started.elapsed().as_secs_f64(),
        server_cpu: per_row(cpu_of_children().saturating_sub(children)),
        database_cpu: per_row(cpu_of_family(stage.pid()).saturating_sub(database)),
        ..Figures::default()
    }
}

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

fn import(stage: &Stage, file: &Path, account: Uuid) {
    let output = Command::new(env!("CARGO_BIN_EXE_contacts"))
        .args(["import", "--match", "external_id", "--account", &account.to_string()])
        .arg(file)
        .env("DATABASE_URL", stage.url().expose())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
