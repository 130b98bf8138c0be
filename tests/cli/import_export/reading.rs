//! `contacts import`: files that cannot be read, or only in part.

use std::fs;

use super::super::{ACCOUNT, program};
use super::Fixture;

#[test]
fn files_that_are_no_table_are_named_and_not_printed() {
    let fixture = Fixture::new("formats");
    for (content, message) in [
        (&b"%PDF-1.7\n\x01\x02secret"[..], "This is a PDF"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0secret", "old Excel file"),
        (b"\x89PNG\r\n\x1a\nsecret", "an image"),
        (b"PK\x03\x04secret", "damaged ZIP archive"),
        (b"<html><table>secret", "an HTML page"),
        (b"{\"secret\": 1}", "a JSON file"),
        (b"dn: cn=secret", "an LDIF file"),
        (b"secret\0\x01\x02\x03\x04\x05\x06\x07\0\xff\xfe\xfd\x01\x02", "binary data"),
        (b"", "is empty"),
        (b"Ada,Lovelace,ada@example.com\n", "has no header row"),
    ] {
        let (succeeded, printed) = fixture.import(ACCOUNT, content, &[]);
        assert!(!succeeded && printed.contains(message) && !printed.contains("secret"), "{message}: {printed}");
    }
    assert_eq!(fixture.query_text("SELECT count(*)::text FROM contacts"), "0");
}

#[test]
fn rest_of_a_file_after_an_open_quote_is_one_refused_row() {
    let fixture = Fixture::new("quotes");
    let rows: String = (4..=60).map(|number| format!("c{number}@example.com,Name {number}\n")).collect();
    let text = format!("email,last_name\nc2@example.com,Two\nc3@example.com,\"Three\n{rows}");
    let (succeeded, printed) = fixture.import(ACCOUNT, &text, &[]);
    assert!(!succeeded && printed.contains("1 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    assert!(
        report.contains("the quote that opens in line 3 is not closed") && report.contains("c60@example.com"),
        "{report}"
    );
    let mended = text.replace("\"Three", "Three");
    let (succeeded, printed) = fixture.import(ACCOUNT, mended, &[]);
    assert!(succeeded && printed.contains("58 created, 0 updated, 1 unchanged"), "{printed}");
}

#[test]
fn quotes_that_do_not_enclose_their_cells_refuse_the_row_or_the_file() {
    let fixture = Fixture::new("stray_quotes");
    let text = "email,last_name\na@b.cd,\"Ada \"the Countess\" L\"\nb@b.cd,B\nc@b.cd,\"open\nd@b.cd,D\ne@b.cd,\"q\"\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(!succeeded && printed.contains("1 created, 0 updated, 0 unchanged, 0 skipped, 2 refused"), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    assert!(report.contains("in line 2, a quote") && report.contains("in line 6, a quote"), "{report}");
    for header in ["email,\"last_name\na@b.cd,A\n", "email,\"last_name\na@b.cd,A\nb@b.cd,\"B\"\n"] {
        let (succeeded, printed) = fixture.import(ACCOUNT, header, &[]);
        assert!(!succeeded && printed.contains("a quote that opens in line 1"), "{printed}");
    }
}

#[test]
fn lines_that_are_quoted_as_a_whole_are_divided() {
    let fixture = Fixture::new("quoted_lines");
    let text = "\"email,last_name,job_title\"\n\"a@b.cd,A,\"\"Owner, manager\"\"\"\n\"b@b.cd,B,\"\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(succeeded && printed.contains("2 created"), "{printed}");
    assert_eq!(fixture.contacts(ACCOUNT)[0]["job_title"], "Owner, manager");
}

#[test]
fn repeated_headers_are_left_out_and_named() {
    let fixture = Fixture::new("repeated_headers");
    let text = "Email,Name\na@b.cd,Ada L\nEmail,Name\nb@b.cd,Bob B\n\nOthers,\nEmail,Name\nc@b.cd,Eve E\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(succeeded && printed.contains("3 created, 0 updated, 0 unchanged, 0 skipped, 0 refused"), "{printed}");
    assert!(printed.contains("3 rows without a contact") && printed.contains("line 6: Others"), "{printed}");
}

#[test]
fn rows_that_differ_only_in_empty_cells_are_taken_and_footers_left_out() {
    let fixture = Fixture::new("ragged");
    let text = "\nReport of today\n\nEmail;Last Name;Phone\na@b.cd;A;;;\nb@b.cd;B\n;;\n\nc@b.cd;C;123;x\n\nTotal: 3 contacts\n\
                Exported on 2024-01-31\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(!succeeded && printed.contains("2 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"), "{printed}");
    assert!(
        printed.contains("Left out from line 11: 2 rows") && printed.contains("Exported on 2024-01-31"),
        "{printed}"
    );
    assert!(fixture.read_file("people.refused.csv").contains("\"x\"\" has no column"));
    let (succeeded, printed) = fixture.import(ACCOUNT, text.replace("123;x", "123"), &[]);
    assert!(succeeded && printed.contains("1 created, 0 updated, 2 unchanged"), "{printed}");
}

#[test]
fn report_can_be_mended_and_imported_again() {
    let fixture = Fixture::new("report");
    let text = "Name;E-Mail;Notes\nAda Lovelace;ada@b.cd;\"a;b\"\nBob;bob;n\nEve;eve;\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &["--create-fields"]);
    assert!(!succeeded && printed.contains("1 created, 0 updated, 0 unchanged, 0 skipped, 2 refused"), "{printed}");
    assert!(printed.contains("2 × email: must be an email address"), "{printed}");
    assert!(printed.contains("for example line 3: Bob | bob | n"), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    assert!(report.starts_with("Name,E-Mail,Notes,reason,line\nBob,bob,n,\"email: must be"), "{report}");
    assert!(report.lines().nth(2).unwrap().ends_with(",4"), "{report}");
    let mended = report.replace("Bob,bob,", "Bob,bob@b.cd,");
    let (succeeded, printed) = fixture.import(ACCOUNT, mended, &["--create-fields"]);
    assert!(!succeeded && printed.contains("1 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"), "{printed}");
    assert!(fixture.read_file("people.refused.csv").starts_with("Name,E-Mail,Notes,reason,line\nEve,eve,,"));
    assert_eq!(fixture.query_text("SELECT string_agg(internal_name, ',') FROM fields"), "notes");
    assert_eq!(fixture.contacts(ACCOUNT)[1]["notes"], "n");
}

#[test]
fn report_of_an_earlier_import_is_kept() {
    let fixture = Fixture::new("earlier_report");
    let report = "people.refused.csv";
    fixture.write_file(report, "mended\n");
    let (succeeded, printed) = fixture.import(ACCOUNT, "email\na@b.cd\n", &["--dry-run"]);
    assert!(succeeded && fixture.read_file(report) == "mended\n", "{printed}");
    let (succeeded, printed) = fixture.import(ACCOUNT, "email\nbob\n", &[]);
    assert!(!succeeded && printed.contains("The report of an earlier import is now"), "{printed}");
    assert!(fixture.read_file(report).contains("bob,"));
    fixture.import(ACCOUNT, "email\neve\n", &["--dry-run"]);
    assert!(fixture.read_file(report).contains("eve,") && fixture.read_file("people.refused.2.csv").contains("bob,"));
    assert_eq!(fixture.read_file("people.refused.1.csv"), "mended\n");
    // A report that the user names is overwritten.
    fixture.import(ACCOUNT, "email\nzoe\n", &["--report", "people.refused.1.csv"]);
    assert!(fixture.read_file("people.refused.1.csv").contains("zoe,"));
}

#[test]
fn row_with_other_rows_in_a_cell_is_refused_and_all_are_in_the_report() {
    let fixture = Fixture::new("embedded_rows");
    let text = "Name,Note,Email\nAda,\"call back,a@b.cd\nBob,x,b@b.cd\nEve,done\",e@b.cd\nZoe,,z@b.cd\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(!succeeded && printed.contains("1 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    assert!(report.contains("Bob,x,b@b.cd") && report.contains("in or after line 2 is closed too late"), "{report}");
}

#[test]
fn blanks_before_quoted_cells_are_ignored() {
    let fixture = Fixture::new("quote_blanks");
    let text = "\"Name\", \"Email\", \"Company\"\n\"Ada Lovelace\", \"a@b.cd\", \"Engines, Ltd\"\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(succeeded && printed.contains("1 created"), "{printed}");
    let stored = "SELECT last_name || ' ' || email || ' ' || company_name FROM contacts";
    assert_eq!(fixture.query_text(stored), "Lovelace a@b.cd Engines, Ltd");
}

#[test]
fn invalid_cells_are_skipped_on_request_and_other_values_are_named() {
    let fixture = Fixture::new("cells");
    let text = "email,phone,website\na@b.cd ::: firstname.lastname@company.example ::: c@d.ef,123,example.com\nx@b.cd,call me,\nbad,123,\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &["--on-bad-cell", "skip"]);
    assert!(!succeeded && printed.contains("2 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"), "{printed}");
    let others =
        "Line 2: not imported, because the field takes one value: email: firstname.lastname@company.example, c@d.ef";
    assert!(printed.contains(others), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    assert!(report.contains("x@b.cd,call me,,\"phone: ") && report.contains("bad,123,,"), "{report}");
    let text = text.replace("bad,123,\n", "");
    let (succeeded, printed) = fixture.import(ACCOUNT, &text, &["--on-bad-cell", "skip"]);
    assert!(
        succeeded && printed.contains("2 unchanged") && printed.contains("Stored 1 row without an invalid cell"),
        "{printed}"
    );
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(!succeeded && printed.contains("1 unchanged, 0 skipped, 1 refused"), "{printed}");
}

#[test]
fn plan_shows_what_goes_where_and_dates_must_not_be_ambiguous() {
    let fixture = Fixture::new("plan");
    fixture.create_field(ACCOUNT, r#"{"label": "Birthday", "type": "date"}"#);
    let text = "E-Mail;Geburtstag;Birthday;Colour\na@b.cd;x;03/04/1980;\u{1b}[31mred\nb@b.cd;;;blue\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &["--dry-run"]);
    assert!(!succeeded && printed.contains("--date-format dd/mm/yyyy"), "{printed}");
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &["--dry-run", "--date-format", "dd/mm/yyyy"]);
    assert!(succeeded && printed.contains("Dry run: no contact was written"), "{printed}");
    for line in [
        "people.csv: CSV, UTF-8, separated by semicolons, header in line 1, 2 rows",
        "→ email  a@b.cd | b@b.cd",
        "→ birthday  03/04/1980",
        "Geburtstag: no field has this name",
        "Colour: no field has this name",
        "Contacts are matched by email. Rows without it become new contacts.",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert!(!printed.contains('\u{1b}'));
    assert!(fixture.import(ACCOUNT, text, &["--date-format", "dd/mm/yyyy", "--create-fields"]).0);
    assert_eq!(fixture.contacts(ACCOUNT)[0]["birthday"], "1980-04-03");
}

#[test]
#[cfg(target_os = "linux")]
fn refused_rows_are_printed_where_no_file_can_be_written() {
    let fixture = Fixture::new("read_only");
    fixture.write_file("people.csv", "email,first_name\nada@b.cd,Ada\nbob,Bob\n");
    let mut command = program(&fixture.folder);
    // Not even root can create a file there.
    command.current_dir("/sys").args(["import", "-", "--account", ACCOUNT]).env("DATABASE_URL", &fixture.url);
    let input = fs::File::open(fixture.folder.path().join("people.csv")).unwrap();
    let output = command.stdin(input).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(stdout, "1 created, 0 updated, 0 unchanged, 0 skipped, 1 refused\n");
    assert!(stderr.contains("import.refused.csv cannot be written"), "{stderr}");
    assert!(stderr.contains("\nemail,first_name,reason,line\nbob,Bob,\"email: must be"), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
    // A file that the user chooses is written, or nothing is imported.
    let refused = fixture.run(&["import", "people.csv", "--account", ACCOUNT, "--report", "/sys/refused.csv"]);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
}
