//! Commands whose standard output is closed.

use std::fs;
use std::io::pipe;

use tempfile::TempDir;

use super::{ACCOUNT, SECRET, program, start_database, stderr_lines};

#[test]
fn commands_succeed_when_their_standard_output_is_closed() {
    let (_cluster, url) = start_database("unread");
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
        assert!(output.status.success(), "{arguments:?}: {:?}", stderr_lines(&output));
    }
}
