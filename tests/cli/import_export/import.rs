//! `contacts import`: created, updated and rejected rows, and interrupted imports.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::super::{ACCOUNT, ChildGuard, program, wait_for};
use super::{Fixture, csv_with_contacts};

#[test]
fn import_creates_updates_and_leaves_equal_contacts_unchanged() {
    let fixture = Fixture::new("import");
    let by_email = ["--match", "email", "--map", "E-mail=email"];
    let (succeeded, printed) =
        fixture.import(ACCOUNT, "\u{feff}E-mail,first_name\r\nada@b.cd,Ada\r\nbob@b.cd,\"Bob\r\nJr\"\r\n", &by_email);
    assert!(succeeded && printed.contains("2 created, 0 updated, 0 unchanged, 0 skipped, 0 refused"), "{printed}");
    let (succeeded, printed) =
        fixture.import(ACCOUNT, "E-mail,first_name\nADA@b.cd,Ada\nbob@b.cd,Rob\nbob@b.cd,\neve@b.cd,Eve\n", &by_email);
    assert!(succeeded && printed.contains("1 created, 1 updated, 2 unchanged, 0 skipped, 0 refused"), "{printed}");
    let contacts = fixture.contacts(ACCOUNT);
    assert_eq!(contacts.len(), 3);
    // The stored spelling of the email stays, and an empty cell leaves its field unchanged.
    assert_eq!((&contacts[0]["email"], &contacts[1]["first_name"]), (&"ada@b.cd".into(), &"Rob".into()));
    assert!(!fixture.folder.path().join("people.refused.csv").exists());
    let recorded =
        fixture.query_text("SELECT string_agg(kind || ' by ' || actor, ', ' ORDER BY position) FROM changes");
    assert_eq!(recorded, "created by import, created by import, updated by import, created by import");
}

#[test]
fn created_fields_follow_the_rules_for_names() {
    let fixture = Fixture::new("field_names");
    fixture.create_field(ACCOUNT, r#"{"label": "Line 1", "type": "text", "internal_name": "line_1"}"#);
    let arguments = ["--match", "external_id", "--create-fields"];
    // A header that differs from a name only in punctuation means that field.
    let (succeeded, printed) = fixture.import(ACCOUNT, "external_id,email,Line1\nx,x@b.cd,1\n", &arguments);
    assert!(succeeded && printed.contains("→ line_1"), "{printed}");
    // Nothing is written when a chosen name is too similar to an existing name.
    let map = [&arguments[..], &["--map", "other=line1"]].concat();
    let (succeeded, printed) = fixture.import(ACCOUNT, "external_id,email,other\ny,y@b.cd,1\n", &map);
    assert!(!succeeded && printed.contains("only in underscores before digits"), "{printed}");
    assert_eq!(fixture.query_text("SELECT string_agg(internal_name, ',') FROM fields"), "line_1");
    let text = "external_id,email,Data,Line  2__,self\nx2,x2@b.cd,u,l,s\n";
    for counts in ["1 created", "1 unchanged"] {
        let (succeeded, printed) = fixture.import(ACCOUNT, text, &arguments);
        assert!(succeeded && printed.contains(counts), "{printed}");
    }
    let contact = &fixture.contacts(ACCOUNT)[1];
    assert_eq!([&contact["field_data"], &contact["line_2"], &contact["field_self"]], ["u", "l", "s"]);
}

#[test]
fn import_reports_every_refused_row_and_writes_the_others() {
    let fixture = Fixture::new("refusals");
    fixture.create_field(ACCOUNT, r#"{"label": "Size", "type": "number"}"#);
    let text = [
        &b"external_id,email,last_name,size\n"[..],
        b"a,a@b.cd,A,1\n",
        b"b,nobody,B,large\n",
        b"c,A@b.cd,C,\n",
        b",d@b.cd,D,\n\n",
        b"e,,,3\n",
        b"f,\"f@b\n.cd\",F,\n",
        b"g,g@b.cd,G\n",
        b"h,h@b.cd,\xff,\n",
        b"i,i@b.cd,I,2\n",
    ]
    .concat();
    let (succeeded, printed) = fixture.import(ACCOUNT, &text, &["--match", "external_id"]);
    assert!(!succeeded && printed.contains("5 created, 0 updated, 0 unchanged, 0 skipped, 4 refused"), "{printed}");
    assert!(printed.contains("people.refused.csv"), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    assert!(report.starts_with("external_id,email,last_name,size,reason,line\n"), "{report}");
    let mut reader = csv::Reader::from_reader(report.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 4, "{report}");
    for (row, (id, line, parts)) in rows.iter().zip([
        ("b", "3", &["email", "(invalid_format)", "size", "(invalid_type)"][..]),
        ("c", "4", &["email", "(duplicate)", "line 2"]),
        ("e", "7", &["first_name", "(required)"]),
        ("f", "8", &["email", "(invalid_format)"]),
    ]) {
        assert!((&row[0], &row[5]) == (id, line) && parts.iter().all(|part| row[4].contains(part)), "{row:?}");
    }
    let (_, printed) = fixture.import(ACCOUNT, &text, &["--match", "external_id", "--report", "elsewhere.csv"]);
    assert!(printed.contains("5 unchanged, 0 skipped, 4 refused") && printed.contains("elsewhere.csv"), "{printed}");
    assert_eq!(fixture.read_file("elsewhere.csv").lines().count(), report.lines().count());
}

#[test]
fn import_refuses_rows_whose_contact_would_be_too_large() {
    let fixture = Fixture::new("large_rows");
    let headers: Vec<_> = (0..70).map(|number| format!("field_{number}")).collect();
    let row = |id: &str, length: usize| format!("{id},{id}@b.cd,{}\n", vec!["x".repeat(length); 70].join(","));
    // 70 values of 3,800 bytes and their names exceed 262,144 bytes.
    let rows = row("a", 3_000) + &row("b", 3_800) + &row("a", 3_800) + &row("c", 3_000);
    let text = format!("external_id,email,{}\n{rows}", headers.join(","));
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &["--match", "external_id", "--create-fields"]);
    assert!(!succeeded && printed.contains("2 created, 0 updated, 0 unchanged, 0 skipped, 2 refused"), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    let refused: Vec<_> = report.lines().skip(1).collect();
    for (row, line) in refused.iter().zip([",3", ",4"]) {
        assert!(row.ends_with(line) && row.contains("(contact_too_large)"), "{row}");
    }
    assert_eq!(refused.len(), 2);
}

#[test]
fn large_contacts_are_imported_in_several_transactions_and_exported() {
    const CONTACTS: usize = 150;
    let fixture = Fixture::new("large_contacts");
    let headers: Vec<_> = (0..64).map(|number| format!("note_{number}")).collect();
    let text = |value: &str| {
        let row = |number| format!("x{number},c{number}@example.com,{}\n", vec![value; 64].join(","));
        format!("external_id,email,{}\n{}", headers.join(","), (0..CONTACTS).map(row).collect::<String>())
    };
    let (succeeded, printed) = fixture.import(ACCOUNT, text("a"), &["--match", "external_id", "--create-fields"]);
    assert!(succeeded && printed.contains("150 created"), "{printed}");
    // Together 38 MB.
    let enlarged = "WITH c AS (UPDATE contacts SET custom_size = NULL, custom = (SELECT jsonb_object_agg(key, \
                    repeat('x', 4000)) FROM jsonb_each(custom)) RETURNING 1) SELECT count(*)::text FROM c";
    assert_eq!(fixture.query_text(enlarged), CONTACTS.to_string());
    for (arguments, expected) in [
        (&["--match", "external_id", "--dry-run"][..], "0 created, 150 updated, 0 unchanged, 0 skipped, 0 refused"),
        (&["--match", "external_id"], "0 created, 150 updated, 0 unchanged, 0 skipped, 0 refused"),
        (&["--match", "external_id"], "0 created, 0 updated, 150 unchanged, 0 skipped, 0 refused"),
    ] {
        let (succeeded, printed) = fixture.import(ACCOUNT, text("b"), arguments);
        assert!(succeeded && printed.contains(expected), "{printed}");
        if arguments.contains(&"--dry-run") {
            let exported = fixture.contacts(ACCOUNT);
            let is_large =
                |contact: &serde_json::Value| contact["note_63"].as_str().is_some_and(|note| note.len() == 4_000);
            assert!(exported.len() == CONTACTS && exported.iter().all(is_large));
            let csv = fixture.export(ACCOUNT, &["--format", "csv"]);
            assert!(csv.lines().count() == CONTACTS + 1 && csv.len() > CONTACTS * 64 * 4_000);
        }
    }
    assert!(fixture.contacts(ACCOUNT).iter().all(|contact| contact["note_0"] == "b" && contact["note_63"] == "b"));
}

#[test]
fn import_with_a_wrong_header_or_dry_run_writes_nothing() {
    let fixture = Fixture::new("dry_run");
    for (text, arguments, messages) in [
        ("Colour,x\nred,1\n", &[][..], &["Colour", "\"x\""][..]),
        ("first_name\nAda\n", &["--match", "email"], &["No column is mapped to email, which --match needs"]),
        (
            "email,x\n",
            &["--match", "email", "--map", "email=email", "--map", "x=email"],
            &["Columns 1 and 2 are both mapped to email"],
        ),
        (
            "email\n",
            &["--match", "first_name"],
            &["--match first_name: not a unique field. Choose email or external_id"],
        ),
        ("", &["--match", "email"], &["is empty"]),
        ("email\n", &["--match", "email", "--report", "people.csv"], &["--report"]),
        ("email\n", &["--match", "email", "--map", "email"], &["header=field"]),
    ] {
        let (succeeded, printed) = fixture.import(ACCOUNT, text, arguments);
        assert!(!succeeded && messages.iter().all(|message| printed.contains(message)), "{text}: {printed}");
    }
    assert_eq!(fixture.read_file("people.csv"), "email\n", "the imported file has changed");
    let text = "email,Favourite colour\na@b.cd,red\nnobody,blue\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &["--match", "email", "--create-fields", "--dry-run"]);
    assert!(
        !succeeded
            && printed.contains("1 created")
            && printed.contains("1 refused")
            && printed.contains("no contact was written")
    );
    assert_eq!(
        fixture.query_text("SELECT count(*)::text FROM contacts")
            + &fixture.query_text("SELECT count(*)::text FROM fields"),
        "00"
    );
    for expected in ["1 created", "1 unchanged"] {
        let (_, printed) = fixture.import(ACCOUNT, text, &["--match", "email", "--create-fields"]);
        assert!(printed.contains(expected), "{printed}");
    }
    assert_eq!(fixture.contacts(ACCOUNT)[0]["favourite_colour"], "red");
}

#[test]
fn interrupted_import_continues_without_duplicates() {
    let fixture = Fixture::new("stopped");
    const COUNT: usize = 40_000;
    fixture.write_file("people.csv", csv_with_contacts(COUNT));
    let count = || fixture.query_text("SELECT count(*)::text FROM contacts").parse::<usize>().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let before = count();
        let mut command = program(&fixture.folder);
        command.args(["import", "people.csv", "--account", ACCOUNT, "--match", "external_id"]);
        let command = command.env("DATABASE_URL", &fixture.url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = ChildGuard(command.spawn().unwrap());
        wait_for("some rows", || (count() > before).then_some(()));
        running.signal(signal);
        assert!(!running.0.wait().unwrap().success(), "{signal}");
        let mut printed = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        assert_eq!(printed.contains("run it again"), signal == Signal::SIGINT, "{printed}");
        assert!(count() < COUNT, "{signal}: the import finished before the signal");
    }
    let output = fixture.run(&["import", "people.csv", "--account", ACCOUNT, "--match", "external_id"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && printed.contains(", 0 updated, ") && !printed.contains(" 0 unchanged"),
        "{printed}"
    );
    let contacts = fixture.contacts(ACCOUNT);
    let ids: BTreeSet<_> = contacts.iter().map(|contact| contact["external_id"].to_string()).collect();
    assert_eq!((contacts.len(), ids.len()), (COUNT, COUNT));
    assert_eq!(fixture.query_text("SELECT count(*)::text FROM changes"), COUNT.to_string());
}

#[test]
fn import_reads_standard_input() {
    let fixture = Fixture::new("pipes");
    let mut command = program(&fixture.folder);
    command.args(["import", "-", "--account", ACCOUNT, "--match", "external_id", "--actor", "crm"]);
    let command = command.env("DATABASE_URL", &fixture.url).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = ChildGuard(command.spawn().unwrap());
    running.0.stdin.take().unwrap().write_all(csv_with_contacts(30_000).as_bytes()).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert_eq!(fixture.query_text("SELECT min(actor) || max(actor) || count(*) FROM changes"), "crmcrm30000");
}

#[test]
fn concurrent_imports_create_each_contact_once() {
    let fixture = Fixture::new("concurrent");
    fixture.write_file("people.csv", csv_with_contacts(6_000));
    let start = |report: &str| {
        let mut command = program(&fixture.folder);
        command.args(["import", "people.csv", "--account", ACCOUNT, "--match", "external_id", "--report", report]);
        ChildGuard(command.env("DATABASE_URL", &fixture.url).stdout(Stdio::piped()).spawn().unwrap())
    };
    let created = ["one.csv", "two.csv"].map(start).map(|mut running| {
        let mut printed = String::new();
        running.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        assert!(running.0.wait().unwrap().success(), "{printed}");
        printed.split(" created").next().unwrap().parse::<u32>().unwrap()
    });
    assert_eq!(created.iter().sum::<u32>(), 6_000, "{created:?}");
    assert_eq!(fixture.query_text("SELECT count(*)::text FROM changes"), "6000");
}
