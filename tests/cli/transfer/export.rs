//! `contacts export`: what is read back is what was there.

use std::io::Read;
use std::process::Stdio;

use super::super::{ACCOUNT, Running, program};
use super::{OTHER, Stage, many};

/// A row with a text, and values of every other type that are known to trip someone over.
fn hostile(number: usize, text: &str) -> String {
    const NUMBERS: [&str; 7] = ["18446744073709551615", "-9223372036854775808", "1e300", "0.1", "-0", "5e-324", ""];
    const TIMES: [&str; 3] = ["2026-05-01T12:00:00.123+02:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"];
    let pick = |values: &[&'static str]| values[number % values.len()];
    let text = format!("\"{}\"", text.replace('"', "\"\""));
    let (score, ok, at) = (pick(&NUMBERS), pick(&["true", "FALSE", ""]), pick(&TIMES));
    let (tags, tier) = (pick(&["red", "blue;red", "green", ""]), pick(&["red", ""]));
    format!("x{number},{text},{text},{score},{ok},{at},2024-02-29,{tags},{tier}\n")
}

#[test]
fn what_is_exported_is_imported_as_the_same() {
    let stage = Stage::set("round");
    for account in [ACCOUNT, OTHER] {
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
            stage.field(account, &field);
        }
    }
    let texts = [
        "a,b",
        "\"",
        "\"\"",
        " leading",
        "trailing ",
        "a\nb",
        "a\r\nb",
        "\r",
        "\n",
        "a;b",
        "=1+1",
        "-1",
        "@x",
        "\ttab",
        "'",
        "null",
        "true",
        "0012",
        "Größe 👩‍👩‍👧 e\u{301} \u{202e}",
        "\u{feff}",
        "\\N",
        "\\",
        "NULL",
        ",",
        "\u{1}",
    ];
    let rows = texts.iter().enumerate().map(|(number, text)| hostile(number, text));
    let file = "external_id,last_name,note,score,ok,at,day,tags,tier\n".to_owned() + &rows.collect::<String>();
    let (done, said) = stage.import(ACCOUNT, &file, &["--match", "external_id"]);
    assert!(done && said.contains(&format!("{} created", texts.len())), "{said}");

    let export = stage.export(ACCOUNT, &["--format", "csv"]);
    let (done, said) = stage.import(OTHER, &export, &["--match", "external_id"]);
    assert!(done && said.contains(&format!("{} created", texts.len())), "{said}");
    assert!(said.contains("id, archived, created_at, updated_at, archived_by"), "{said}");
    let known = |account| {
        let mut contacts = stage.contacts(account);
        for contact in &mut contacts {
            for name in ["id", "created_at", "updated_at"] {
                contact.as_object_mut().unwrap().remove(name);
            }
        }
        contacts
    };
    let (first, second) = (known(ACCOUNT), known(OTHER));
    assert_eq!(first, second);
    for (contact, text) in first.iter().zip(texts) {
        assert_eq!((&contact["last_name"], &contact["note"]), (&text.into(), &text.into()));
    }
    assert_eq!(first[0]["score"].to_string(), "18446744073709551615");
    assert_eq!(first[1]["tags"], serde_json::json!(["red", "blue"]));
    let (done, said) = stage.import(OTHER, stage.export(OTHER, &["--format", "csv"]), &["--match", "external_id"]);
    assert!(done && said.contains(&format!("{} unchanged", texts.len())), "{said}");

    let safe = stage.export(ACCOUNT, &["--format", "csv", "--spreadsheet-safe"]);
    assert!(safe.contains(",'=1+1,") && safe.contains(",'@x,") && safe.contains(",'-1,"), "{safe}");
    assert!(!stage.run(&["export", "--account", ACCOUNT, "--format", "ndjson", "--spreadsheet-safe"]).status.success());
}

#[test]
fn ends_quietly_when_no_one_reads_on() {
    let stage = Stage::set("pipes");
    assert!(stage.import(ACCOUNT, many(30_000), &["--match", "external_id"]).0);
    for format in ["csv", "ndjson"] {
        let mut command = program(&stage.folder);
        command.args(["export", "--account", ACCOUNT, "--format", format]).env("DATABASE_URL", &stage.url);
        let mut running = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let mut first = [0; 100];
        running.0.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let mut said = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(running.0.wait().unwrap().success() && said.is_empty(), "{format}: {said}");
    }
    assert_eq!(stage.export(OTHER, &["--format", "ndjson"]), "");
    assert_eq!(stage.export(OTHER, &["--format", "csv"]).lines().count(), 1);
}
