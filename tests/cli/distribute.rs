//! `contacts distribute` on a database without Citus.

use tempfile::TempDir;

use super::{program, start_database, stderr_lines};

#[test]
fn distribute_without_citus_changes_nothing_and_says_what_is_missing() {
    let (cluster, url) = start_database("distribute");
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| program(&folder).args(arguments).env("DATABASE_URL", &url).output().unwrap();
    assert!(run(&["migrate"]).status.success());
    for arguments in [&["distribute"][..], &["distribute", "--shards", "4"], &["distribute", "--check"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = stderr_lines(&output).join(" ");
        assert!(error.contains("CREATE EXTENSION citus"), "{error}");
    }
    for arguments in [&["distribute", "--shards", "0"][..], &["distribute", "--check", "--shards", "4"]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    drop(cluster);
}
