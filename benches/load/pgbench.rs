//! The baseline: pgbench on the same table, with one prepared statement in each transaction.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use contacts::embedded::Cluster;

use crate::data::{self, DataSize};
use crate::report::Measurement;

/// An UPDATE of one row by its key.
pub const UPDATE: &str = "UPDATE contacts SET job_title = 'Title ' || :n::bigint, version = version + 1, updated_at = now() \
                          WHERE account_id = {account} AND id = {contact};";
/// A SELECT of one row by its key.
pub const SELECT: &str = "SELECT * FROM contacts WHERE account_id = {account} AND id = {contact};";

/// Runs a script with this many clients.
pub fn run(
    cluster: &Cluster,
    script: &str,
    clients: usize,
    time: Duration,
    size: DataSize,
    folder: &Path,
) -> Measurement {
    let statement = script
        .replace("{account}", &data::account_sql(":n::bigint", size.accounts))
        .replace("{contact}", &data::contact_sql(":n::bigint"));
    let file = folder.join("pgbench.sql");
    fs::write(&file, format!("\\set n random(0, {} - 1)\n{statement}\n", size.rows)).unwrap();
    let output = Command::new(cluster.program("pgbench"))
        .args([
            "--no-vacuum",
            "--protocol",
            "prepared",
            "--client",
            &clients.to_string(),
            "--jobs",
            &clients.min(2).to_string(),
        ])
        .args(["--time", &time.as_secs().to_string(), "--file"])
        .arg(&file)
        .arg(cluster.url("contacts").expose())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figure = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split('=').nth(1)?.split_whitespace().next()?.parse::<f64>().ok())
    };
    let rate = figure("tps").unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    // pgbench prints only the mean latency.
    Measurement { rate, p50: figure("latency average").unwrap_or_default(), p99: f64::NAN, ..Measurement::default() }
}
