//! The statements that the service runs, from the log of its database while every operation runs.

use std::collections::BTreeSet;
use std::fs;

use contacts::embedded::Cluster;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::every_operation::{connect, run_every_operation};
use super::start_database;

/// The tables with rows of accounts.
pub const TABLES: [&str; 13] = [
    "accounts",
    "fields",
    "contacts",
    "contact_keys",
    "changes",
    "idempotency_keys",
    "idempotency_key_contacts",
    "pending_erasures",
    "clients",
    "search_indexes",
    "search_entries",
    "source_times",
    "imported_rows",
];

/// Returns the distinct prepared statements about [`TABLES`] in a log of PostgreSQL.
fn statements_in_log(log: &str) -> BTreeSet<String> {
    let entries = log.split("LOG:  ").skip(1).filter_map(|entry| {
        let (kind, statement) = entry.split_once(": ")?;
        let lines = statement.lines().take_while(|line| !line.contains("DETAIL:  ") && !line.starts_with("20"));
        kind.starts_with("execute ").then(|| lines.collect::<Vec<_>>().join("\n"))
    });
    let is_query = |statement: &String| {
        ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].iter().any(|keyword| statement.starts_with(keyword))
            && TABLES.iter().any(|table| statement.contains(table))
    };
    entries.filter(is_query).collect()
}

/// Runs every operation on a new database. Returns the database, its URL, and the statements.
pub fn run_and_log_every_operation(runtime: &Runtime, name: &str) -> (Cluster, String, BTreeSet<String>) {
    let (cluster, url) = start_database(name);
    let folder = TempDir::new().unwrap();
    let migrate = super::program(&folder).arg("migrate").env("DATABASE_URL", &url).status().unwrap();
    assert!(migrate.success());
    runtime.block_on(async {
        let log_all = "ALTER DATABASE contacts SET log_statement = 'all'";
        sqlx::raw_sql(log_all).execute(&mut connect(&url).await).await.unwrap();
    });
    run_every_operation(runtime, &folder, &url, &url);
    let log = std::env::temp_dir().join(format!("contacts-cli-{name}-{}/postgres.log", std::process::id()));
    let statements = statements_in_log(&fs::read_to_string(log).unwrap());
    assert!(statements.len() > 40, "{} statements: {statements:#?}", statements.len());
    (cluster, url, statements)
}
