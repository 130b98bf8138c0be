//! The baseline: pgbench on the same table, with one prepared statement in each transaction.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::cluster::BenchCluster;
use crate::data::DataSet;
use crate::report::Measurement;

/// An UPDATE of one row by its key.
pub const UPDATE: &str = "UPDATE contacts SET job_title = 'Title ' || :n::bigint, version = version + 1, updated_at = now() \
                          WHERE account_id = {account} AND id = {contact};";
/// A SELECT of one row by its key.
pub const SELECT: &str = "SELECT * FROM contacts WHERE account_id = {account} AND id = {contact};";

/// Measures a script on a data set of a database, with this many clients.
pub fn measure(
    cluster: &BenchCluster,
    database: &str,
    set: DataSet,
    script: &str,
    clients: usize,
    time: Duration,
) -> Measurement {
    let statement = script
        .replace("{account}", &set.account_sql(":n::bigint"))
        .replace("{contact}", &set.contact_sql(":n::bigint"));
    let file = cluster.folder().join("pgbench.sql");
    fs::write(&file, format!("\\set n random(0, {} - 1)\n{statement}\n", set.rows)).unwrap();
    let before = cluster.cpu();
    let output = Command::new(cluster.program("pgbench"))
        .args(["--no-vacuum", "--protocol", "prepared", "--client", &clients.to_string()])
        .args(["--jobs", &clients.min(2).to_string(), "--time", &time.as_secs().to_string(), "--file"])
        .arg(&file)
        .arg(cluster.url(database).expose())
        .output()
        .unwrap();
    let cpu = cluster.cpu().saturating_sub(before).as_secs_f64() * 1e6;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let figure = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split('=').nth(1)?.split_whitespace().next()?.parse::<f64>().ok())
    };
    let rate = figure("tps").unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    // pgbench prints only the mean latency.
    let mean = figure("latency average").unwrap_or(f64::NAN);
    Measurement { rate, p50: mean, database_cpu: cpu / (rate * time.as_secs_f64()), ..Measurement::default() }
}
