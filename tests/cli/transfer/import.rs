//! `contacts import`: what is written, refused and told; stopped and run again.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::super::{ACCOUNT, Running, program, wait_for};
use super::{Stage, many};

#[test]
fn creates_changes_and_leaves_alone_what_is_equal() {
    let stage = Stage::set("import");
    let by_email = ["--match", "email", "--map", "E-mail=email"];
    let (done, said) =
        stage.import(ACCOUNT, "\u{feff}E-mail,first_name\r\nada@b.cd,Ada\r\nbob@b.cd,\"Bob\r\nJr\"\r\n", &by_email);
    assert!(done && said.contains("2 created, 0 updated, 0 unchanged, 0 refused"), "{said}");
    let (done, said) =
        stage.import(ACCOUNT, "E-mail,first_name\nADA@b.cd,Ada\nbob@b.cd,Rob\nbob@b.cd,\neve@b.cd,Eve\n", &by_email);
    assert!(done && said.contains("1 created, 1 updated, 2 unchanged, 0 refused"), "{said}");
    let contacts = stage.contacts(ACCOUNT);
    assert_eq!(contacts.len(), 3);
    // The stored spelling stays, and an empty cell says nothing.
    assert_eq!((&contacts[0]["email"], &contacts[1]["first_name"]), (&"ada@b.cd".into(), &"Rob".into()));
    assert!(!stage.folder.path().join("people.refused.csv").exists());
    let told = stage.value("SELECT string_agg(kind || ' by ' || actor, ', ' ORDER BY position) FROM changes");
    assert_eq!(told, "created by import, created by import, updated by import, created by import");
}

#[test]
fn reports_every_refused_row_and_does_the_others() {
    let stage = Stage::set("refusals");
    stage.field(ACCOUNT, r#"{"label": "Size", "type": "number"}"#);
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
    let (done, said) = stage.import(ACCOUNT, &text, &["--match", "external_id"]);
    assert!(!done && said.contains("2 created, 0 updated, 0 unchanged, 7 refused"), "{said}");
    assert!(said.contains("people.refused.csv"), "{said}");
    let report = stage.read("people.refused.csv");
    let mut rows = report.lines();
    assert_eq!(rows.next(), Some("line,code,message"));
    for (start, parts) in [
        ("3,validation_failed,", &["email", "(invalid_format)", "size", "(invalid_type)"][..]),
        ("4,duplicate_contact,", &["email", "(duplicate)"]),
        ("5,validation_failed,", &["external_id", "(required)"]),
        ("7,validation_failed,", &["first_name", "(required)"]),
        ("8,validation_failed,", &["email", "(invalid_format)"]),
        ("10,invalid_body,", &["3 cells"]),
        ("11,invalid_body,", &["UTF-8"]),
    ] {
        let row = rows.next().unwrap();
        assert!(row.starts_with(start) && parts.iter().all(|part| row.contains(part)), "{start} {row}");
    }
    assert_eq!(rows.next(), None);
    let (_, said) = stage.import(ACCOUNT, &text, &["--match", "external_id", "--report", "elsewhere.csv"]);
    assert!(said.contains("2 unchanged, 7 refused") && said.contains("elsewhere.csv"), "{said}");
    assert_eq!(stage.read("elsewhere.csv"), report);
}

#[test]
fn writes_nothing_when_the_header_is_wrong_or_it_is_only_tried() {
    let stage = Stage::set("tried");
    for (text, arguments, complaints) in [
        ("email,Colour,x\na@b.cd,red,1\n", &["--match", "email"][..], &["Colour", "\"x\""][..]),
        ("first_name\nAda\n", &["--match", "email"], &["no column email"]),
        ("email,email\n", &["--match", "email"], &["second column"]),
        ("email\n", &["--match", "first_name"], &["no unique field"]),
        ("", &["--match", "email"], &["is empty"]),
        ("email\n", &["--match", "email", "--report", "people.csv"], &["--report"]),
        ("email\n", &["--match", "email", "--map", "email"], &["header=field"]),
    ] {
        let (done, said) = stage.import(ACCOUNT, text, arguments);
        assert!(!done && complaints.iter().all(|complaint| said.contains(complaint)), "{text}: {said}");
    }
    assert_eq!(stage.read("people.csv"), "email\n", "the file is as it was");
    let text = "email,Favourite colour\na@b.cd,red\nnobody,blue\n";
    let (done, said) = stage.import(ACCOUNT, text, &["--match", "email", "--create-fields", "--dry-run"]);
    assert!(!done && said.contains("1 created") && said.contains("1 refused") && said.contains("nothing was written"));
    assert_eq!(
        stage.value("SELECT count(*)::text FROM contacts") + &stage.value("SELECT count(*)::text FROM fields"),
        "00"
    );
    for what in ["1 created", "1 unchanged"] {
        let (_, said) = stage.import(ACCOUNT, text, &["--match", "email", "--create-fields"]);
        assert!(said.contains(what), "{said}");
    }
    assert_eq!(stage.contacts(ACCOUNT)[0]["favourite_colour"], "red");
}

#[test]
fn can_be_stopped_and_run_again_without_duplicates() {
    let stage = Stage::set("stopped");
    const COUNT: usize = 40_000;
    stage.write("people.csv", many(COUNT));
    let count = || stage.value("SELECT count(*)::text FROM contacts").parse::<usize>().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let before = count();
        let mut command = program(&stage.folder);
        command.args(["import", "people.csv", "--account", ACCOUNT, "--match", "external_id"]);
        let command = command.env("DATABASE_URL", &stage.url).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running(command.spawn().unwrap());
        wait_for("some rows", || (count() > before).then_some(()));
        running.signal(signal);
        assert!(!running.0.wait().unwrap().success(), "{signal}");
        let mut said = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said.contains("run it again"), signal == Signal::SIGINT, "{said}");
        assert!(count() < COUNT, "{signal}: it was done before it could be stopped");
    }
    let output = stage.run(&["import", "people.csv", "--account", ACCOUNT, "--match", "external_id"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains(", 0 updated, ") && !said.contains(" 0 unchanged"), "{said}");
    let contacts = stage.contacts(ACCOUNT);
    let ids: BTreeSet<_> = contacts.iter().map(|contact| contact["external_id"].to_string()).collect();
    assert_eq!((contacts.len(), ids.len()), (COUNT, COUNT));
    assert_eq!(stage.value("SELECT count(*)::text FROM changes"), COUNT.to_string());
}

#[test]
fn reads_standard_input() {
    let stage = Stage::set("pipes");
    let mut command = program(&stage.folder);
    command.args(["import", "-", "--account", ACCOUNT, "--match", "external_id", "--actor", "crm"]);
    let command = command.env("DATABASE_URL", &stage.url).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = Running(command.spawn().unwrap());
    running.0.stdin.take().unwrap().write_all(many(30_000).as_bytes()).unwrap();
    assert!(running.0.wait().unwrap().success());
    assert_eq!(stage.value("SELECT min(actor) || max(actor) || count(*) FROM changes"), "crmcrm30000");
}

#[test]
fn two_at_once_make_each_contact_once() {
    let stage = Stage::set("twins");
    stage.write("people.csv", many(6_000));
    let start = |report: &str| {
        let mut command = program(&stage.folder);
        command.args(["import", "people.csv", "--account", ACCOUNT, "--match", "external_id", "--report", report]);
        Running(command.env("DATABASE_URL", &stage.url).stdout(Stdio::piped()).spawn().unwrap())
    };
    let created = ["one.csv", "two.csv"].map(start).map(|mut running| {
        let mut said = String::new();
        running.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(running.0.wait().unwrap().success(), "{said}");
        said.split(" created").next().unwrap().parse::<u32>().unwrap()
    });
    assert_eq!(created.iter().sum::<u32>(), 6_000, "{created:?}");
    assert_eq!(stage.value("SELECT count(*)::text FROM changes"), "6000");
}
