//! What prints does not mind that no one reads.

use std::fs;
use std::io::pipe;

use tempfile::TempDir;

use super::{ACCOUNT, SECRET, database, lines, program};

#[test]
fn commands_end_well_when_no_one_reads_what_they_print() {
    let (_cluster, url) = database("unread");
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("people.csv"), "email\na@b.cd\n").unwrap();
    for arguments in [
        &["migrate"][..],
        &["token", "--account", ACCOUNT],
        &["client", "create", "--account", ACCOUNT, "--name", "Sync"],
        &["client", "list"],
        &["import", "people.csv", "--account", ACCOUNT, "--match", "email"],
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut command = program(&folder);
        command.args(arguments).env("DATABASE_URL", &url).env("JWT_SECRET", SECRET).stdout(writer);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {:?}", lines(&output));
    }
}
