//! `contacts account`: exports and removes all data of an account.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{ACCOUNT, program, start_database};

const OTHER: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4f";
const TABLES: [&str; 6] = ["accounts", "contacts", "contact_keys", "changes", "fields", "clients"];

/// Runs a command, with this text on its standard input. Returns its exit code and its output.
fn run(folder: &TempDir, url: &str, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = program(folder);
    command.env("DATABASE_URL", url).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that reads nothing may have ended already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Returns the number of rows of an account in each table.
fn rows(url: &str, account: &str) -> BTreeMap<&'static str, i64> {
    Runtime::new().unwrap().block_on(async {
        let mut database = PgConnection::connect(url).await.unwrap();
        let mut rows = BTreeMap::new();
        for table in TABLES {
            let count = format!("SELECT count(*) FROM {table} WHERE account_id = '{account}'");
            let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&mut database).await.unwrap();
            rows.insert(table, count);
        }
        rows
    })
}

#[test]
fn account_is_exported_and_removed_without_touching_another_one() {
    let (cluster, url) = start_database("account");
    let folder = TempDir::new().unwrap();
    assert_eq!(run(&folder, &url, &["migrate"], "").0, Some(0));
    let people: String = (0..2_500).map(|number| format!("x{number},Ada {number},gold\n")).collect();
    std::fs::write(folder.path().join("people.csv"), format!("external_id,first_name,tier\n{people}")).unwrap();
    for account in [ACCOUNT, OTHER] {
        let import = ["import", "people.csv", "--match", "external_id", "--create-fields", "--account", account];
        assert_eq!(run(&folder, &url, &import, "").0, Some(0));
        let (code, ..) = run(&folder, &url, &["client", "create", "--name", "Sync", "--account", account], "");
        assert_eq!(code, Some(0));
    }

    let (code, exported, _) = run(&folder, &url, &["account", "export", ACCOUNT], "");
    assert_eq!(code, Some(0));
    let mut lines: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in exported.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        lines.entry(line["type"].as_str().unwrap().to_owned()).or_default().push(line);
    }
    let counts: Vec<_> = lines.iter().map(|(name, lines)| (name.as_str(), lines.len())).collect();
    assert_eq!(counts, [("change", 2_500), ("client", 1), ("contact", 2_500), ("field", 1)]);
    assert_eq!(lines["contact"][0]["contact"]["tier"], "gold");
    assert_eq!(lines["change"][0]["change"]["type"], "created");
    assert_eq!(lines["field"][0]["field"]["internal_name"], "tier");
    assert_eq!(lines["client"][0]["client"]["name"], "Sync");
    assert!(!exported.contains("secret"));

    let (before, of_other) = (rows(&url, ACCOUNT), rows(&url, OTHER));
    for answer in ["", "yes\n", &format!("{OTHER}\n")] {
        let (code, _, error) = run(&folder, &url, &["account", "purge", ACCOUNT], answer);
        assert!(code == Some(1) && error.contains("nothing was removed"), "{answer}: {error}");
    }
    assert_eq!(rows(&url, ACCOUNT), before);
    let (code, printed, error) = run(&folder, &url, &["account", "purge", ACCOUNT], &format!("{ACCOUNT}\n"));
    assert_eq!(code, Some(0), "{error}");
    for line in ["2500\tcontacts", "2500\tcontact_keys", "2500\tchanges", "1\tfields", "1\taccounts"] {
        assert!(printed.lines().any(|printed| printed == line), "{line}: {printed}");
    }
    let remaining = rows(&url, ACCOUNT);
    assert!(remaining.iter().all(|(table, rows)| *rows == i64::from(*table == "clients")), "{remaining:?}");
    let (_, clients, _) = run(&folder, &url, &["client", "list", "--account", ACCOUNT], "");
    assert!(clients.contains("revoked") && !clients.contains("Sync"), "{clients}");
    assert_eq!(rows(&url, OTHER), of_other);
    let (code, printed, _) = run(&folder, &url, &["account", "purge", ACCOUNT, "--yes"], "");
    assert_eq!((code, printed.lines().count()), (Some(0), 2), "{printed}");
    drop(cluster);
}
