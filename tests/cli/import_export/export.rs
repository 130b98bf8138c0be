//! `contacts export`: an export can be imported again without loss.

use std::io::Read;
use std::process::Stdio;

use super::super::{ACCOUNT, ChildGuard, program};
use super::{Fixture, OTHER_ACCOUNT, csv_with_contacts};

/// Returns a CSV row with a text, and with values of every other type that are hard to parse or to print.
fn row_with_edge_values(number: usize, text: &str) -> String {
    const NUMBERS: [&str; 7] = ["18446744073709551615", "-9223372036854775808", "1e300", "0.1", "-0", "5e-324", ""];
    const TIMES: [&str; 3] = ["2026-05-01T12:00:00.123+02:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"];
    let pick = |values: &[&'static str]| values[number % values.len()];
    let text = format!("\"{}\"", text.replace('"', "\"\""));
    let (score, ok, at) = (pick(&NUMBERS), pick(&["true", "FALSE", ""]), pick(&TIMES));
    let (tags, tier) = (pick(&["red", "blue;red", "green", ""]), pick(&["red", ""]));
    format!("x{number},{text},{text},{score},{ok},{at},2024-02-29,{tags},{tier}\n")
}

#[test]
fn exported_csv_imports_into_equal_contacts() {
    let fixture = Fixture::new("round");
    for account in [ACCOUNT, OTHER_ACCOUNT] {
        let options = r#""options": [{"label": "Red"}, {"label": "Green"}, {"label": "Blue"}]"#;
        for field in [
            r#"{"label": "Note", "type": "text"}"#.to_owned(),
            r#"{"label": "Score", "type": "number"}"#.to_owned(),
            r#"{"label": "Ok", "type": "checkbox"}"#.to_owned(),
            r#"{"label": "At", "type": "datetime"}"#.to_owned(),
            r#"{"label": "Day", "type": "date"}"#.to_owned(),
            format!(r#"{{"label": "Tags", "type": "multi_select", {options}}}"#),
            format!(r#"{{"label": "Tier", "type": "dropdown", {options}}}"#),
        ] {
            fixture.create_field(account, &field);
        }
    }
    let texts = [
        "a,b",
        "\"",
        "\"\"",
        "a\nb",
        "a\r\nb",
        "a\t b",
        "a;b",
        "=1+1",
        "-1",
        "@x",
        "'",
        "null",
        "true",
        "0012",
        "Größe 👩‍👩‍👧 e\u{301} \u{202e}",
        "\\N",
        "\\",
        "NULL",
        ",",
        "\u{1}",
    ];
    let rows = texts.iter().enumerate().map(|(number, text)| row_with_edge_values(number, text));
    let file = "external_id,last_name,note,score,ok,at,day,tags,tier\n".to_owned() + &rows.collect::<String>();
    let (succeeded, printed) = fixture.import(ACCOUNT, &file, &["--match", "external_id"]);
    assert!(succeeded && printed.contains(&format!("{} created", texts.len())), "{printed}");

    let export = fixture.export(ACCOUNT, &["--format", "csv"]);
    let (succeeded, printed) = fixture.import(OTHER_ACCOUNT, &export, &["--match", "external_id"]);
    assert!(succeeded && printed.contains(&format!("{} created", texts.len())), "{printed}");
    assert!(printed.contains("id, archived, created_at, updated_at, archived_by"), "{printed}");
    let comparable_contacts = |account| {
        let mut contacts = fixture.contacts(account);
        for contact in &mut contacts {
            for name in ["id", "created_at", "updated_at"] {
                contact.as_object_mut().unwrap().remove(name);
            }
        }
        contacts
    };
    let (first, second) = (comparable_contacts(ACCOUNT), comparable_contacts(OTHER_ACCOUNT));
    assert_eq!(first, second);
    for (contact, text) in first.iter().zip(texts) {
        assert_eq!((&contact["last_name"], &contact["note"]), (&text.into(), &text.into()));
    }
    assert_eq!(first[0]["score"].to_string(), "18446744073709551615");
    assert_eq!(first[1]["tags"], serde_json::json!(["red", "blue"]));
    let (succeeded, printed) =
        fixture.import(OTHER_ACCOUNT, fixture.export(OTHER_ACCOUNT, &["--format", "csv"]), &["--match", "external_id"]);
    assert!(succeeded && printed.contains(&format!("{} unchanged", texts.len())), "{printed}");

    let safe = fixture.export(ACCOUNT, &["--format", "csv", "--spreadsheet-safe"]);
    assert!(safe.contains(",'=1+1,") && safe.contains(",'@x,") && safe.contains(",'-1,"), "{safe}");
    assert!(
        !fixture.run(&["export", "--account", ACCOUNT, "--format", "ndjson", "--spreadsheet-safe"]).status.success()
    );
}

#[test]
fn export_exits_with_0_when_its_output_is_closed_early() {
    let fixture = Fixture::new("pipes");
    assert!(fixture.import(ACCOUNT, csv_with_contacts(30_000), &["--match", "external_id"]).0);
    for format in ["csv", "ndjson"] {
        let mut command = program(&fixture.folder);
        command.args(["export", "--account", ACCOUNT, "--format", format]).env("DATABASE_URL", &fixture.url);
        let mut running = ChildGuard(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let mut first = [0; 100];
        running.0.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let mut printed = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut printed).unwrap();
        assert!(running.0.wait().unwrap().success() && printed.is_empty(), "{format}: {printed}");
    }
    assert_eq!(fixture.export(OTHER_ACCOUNT, &["--format", "ndjson"]), "");
    assert_eq!(fixture.export(OTHER_ACCOUNT, &["--format", "csv"]).lines().count(), 1);
}
