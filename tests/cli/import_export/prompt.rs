//! The question that `contacts import` asks on a terminal.

use std::fs::File;
use std::io::Write as _;
use std::process::Stdio;

use nix::pty::openpty;

use super::Fixture;
use crate::{ACCOUNT, program};

/// Runs an import whose standard input is a terminal, on which a person types this line. Returns whether the command succeeded, what it
/// printed on standard output, and what it printed on standard error.
fn import_on_terminal(fixture: &Fixture, typed: &str, arguments: &[&str]) -> (bool, String, String) {
    let terminal = openpty(None, None).unwrap();
    let mut keyboard = File::from(terminal.master);
    keyboard.write_all(typed.as_bytes()).unwrap();
    let output = program(&fixture.folder)
        .env("DATABASE_URL", &fixture.url)
        .args([&["import", "people.csv", "--account", ACCOUNT], arguments].concat())
        .stdin(Stdio::from(terminal.slave))
        .output()
        .unwrap();
    let [printed, shown] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), printed, shown)
}

#[test]
fn import_asks_on_a_terminal_and_imports_only_after_yes() {
    const QUESTION: &str = "Import these rows? [y/N] ";
    /// The character that ends the input of a terminal.
    const END: &str = "\u{4}";
    let fixture = Fixture::new("prompt");
    fixture.write_file("people.csv", "email\na@b.cd\n");
    for typed in ["\n", "n\n", "no\n", "yess\n", END] {
        let (succeeded, printed, shown) = import_on_terminal(&fixture, typed, &[]);
        assert!(!succeeded && printed.is_empty(), "{typed:?}: {printed}");
        // The plan is shown before the question.
        assert!(shown.find("people.csv") < shown.find(QUESTION), "{typed:?}: {shown}");
        assert!(shown.contains("nothing was imported"), "{typed:?}: {shown}");
    }
    assert!(fixture.contacts(ACCOUNT).is_empty());
    // Nothing to ask: the answer is given, or nothing will be written.
    let (succeeded, printed, shown) = import_on_terminal(&fixture, "n\n", &["--dry-run"]);
    assert!(succeeded && printed.starts_with("1 created") && !shown.contains(QUESTION), "{printed}{shown}");
    for (typed, arguments, expected, asks) in [
        (" Y \n", &[][..], "1 created", true),
        ("yes\n", &[], "0 created", true),
        ("n\n", &["--yes"], "0 created", false),
    ] {
        let (succeeded, printed, shown) = import_on_terminal(&fixture, typed, arguments);
        assert!(succeeded && printed.starts_with(expected), "{typed:?}: {printed}{shown}");
        assert_eq!(shown.contains(QUESTION), asks, "{typed:?}: {shown}");
    }
    assert_eq!(fixture.contacts(ACCOUNT).len(), 1);
}
