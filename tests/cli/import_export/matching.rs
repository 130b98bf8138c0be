//! `contacts import`: which contact a row changes.

use super::super::{ACCOUNT, program};
use super::Fixture;

const LINKEDIN: &str = "First Name,Last Name,Company\nAda,Lovelace,A\nAlan,Turing,B\nAda,Lovelace,A\n";

#[test]
fn dry_run_counts_values_of_fields_that_do_not_exist_yet() {
    let fixture = Fixture::new("dry_run_new_fields");
    let old = "email,last_name\na@b.cd,A\n,Keyless\n";
    assert!(fixture.import(ACCOUNT, old, &[]).1.contains("2 created"));
    let text = "email,last_name,Odd\na@b.cd,A,1\n,Keyless,2\n,,3\n";
    let expected = "1 created, 1 updated, 0 unchanged, 0 skipped, 1 refused";
    for arguments in [&["--create-fields", "--dry-run"][..], &["--create-fields"]] {
        let (_, printed) = fixture.import(ACCOUNT, text, arguments);
        assert!(printed.contains(expected), "{arguments:?}: {printed}");
    }
}

#[test]
fn company_with_a_key_and_no_name_is_named_by_its_company() {
    let fixture = Fixture::new("companies_with_ids");
    let text = "external_id,company_name,phone\n1,Acme,030 1234\n";
    for expected in ["1 created", "1 unchanged"] {
        let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
        assert!(succeeded && printed.contains(expected), "{printed}");
    }
    let names = "SELECT string_agg(last_name, ',') FROM contacts";
    assert_eq!(fixture.query_text(names), "Acme");
    // The name of an existing contact stays.
    assert!(fixture.import(ACCOUNT, "external_id,last_name\n1,Ada\n", &[]).0);
    assert!(fixture.import(ACCOUNT, text.replace("Acme", "Acme 2"), &[]).0);
    assert_eq!(fixture.query_text(names), "Ada");
}

#[test]
fn plan_warns_of_rows_with_one_key_and_different_names() {
    let fixture = Fixture::new("shared_key");
    let warning = "Warning: rows with different names have the same email, such as office@acme.example.";
    let text = "First name,Email\nAda,office@acme.example\nBob,office@acme.example\nEve,-\nZoe,-\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(succeeded && printed.contains(warning) && printed.contains("3 created, 1 updated"), "{printed}");
    let (_, printed) = fixture.import(ACCOUNT, text.replace("Bob", "ada"), &[]);
    assert!(!printed.contains("Warning"), "{printed}");
}

#[test]
fn rows_without_a_key_are_created_once() {
    let fixture = Fixture::new("keyless");
    let count = |expected: &str, text: &str, arguments: &[&str]| {
        let (succeeded, printed) = fixture.import(ACCOUNT, text, arguments);
        assert!(succeeded && printed.contains(expected), "{expected}: {printed}");
        printed
    };
    count("3 created, 0 updated, 0 unchanged", LINKEDIN, &["--dry-run"]);
    count("3 created, 0 updated, 0 unchanged", LINKEDIN, &[]);
    let printed = count("0 created, 0 updated, 3 unchanged", LINKEDIN, &[]);
    assert!(printed.contains("3 rows without a key are unchanged: the import of people.csv at 20"), "{printed}");
    count("0 created, 0 updated, 3 unchanged", LINKEDIN, &["--dry-run"]);
    // The key depends neither on the order of the columns nor on the file.
    let reordered = "Company;Last Name;First Name\nA;Lovelace;Ada\nC;Hopper;Grace\nA;Lovelace;Ada\nA;Lovelace;Ada\n";
    count("2 created, 0 updated, 2 unchanged", reordered, &[]);
    assert_eq!(fixture.query_text("SELECT count(*)::text FROM imported_rows"), "5");

    // An archived contact counts as none, and so does one that was never created.
    fixture.run_statement("UPDATE contacts SET archived_at = now() WHERE last_name = 'Turing'");
    count("1 created, 0 updated, 2 unchanged", LINKEDIN, &[]);
    count("0 created, 0 updated, 3 unchanged", LINKEDIN, &[]);
    fixture.run_statement(
        "INSERT INTO imported_rows SELECT account_id, '00000000-0000-0000-0000-000000000001', \
         '00000000-0000-0000-0000-000000000002', now(), 'x' FROM imported_rows LIMIT 1",
    );
    fixture.run_statement("DELETE FROM contacts WHERE last_name = 'Turing' AND archived_at IS NULL");
    count("1 created, 0 updated, 2 unchanged", LINKEDIN, &[]);
}

#[test]
fn purges_remove_the_keys_of_rows() {
    let fixture = Fixture::new("keyless_purge");
    assert!(fixture.import(ACCOUNT, LINKEDIN, &[]).0);
    fixture.purge_contact(ACCOUNT, "Turing");
    assert_eq!(fixture.query_text("SELECT count(*)::text FROM imported_rows"), "2");
    let (succeeded, printed) = fixture.import(ACCOUNT, LINKEDIN, &[]);
    assert!(succeeded && printed.contains("1 created, 0 updated, 2 unchanged"), "{printed}");
    assert!(fixture.run(&["account", "purge", ACCOUNT, "--yes"]).status.success());
    assert_eq!(fixture.query_text("SELECT count(*)::text FROM imported_rows"), "0");
}

#[test]
fn refused_rows_without_a_key_leave_no_key() {
    let fixture = Fixture::new("keyless_refused");
    let (succeeded, printed) = fixture.import(ACCOUNT, "First Name,Phone\nAda,123\n,456\n", &[]);
    assert!(!succeeded && printed.contains("1 created") && printed.contains("1 refused"), "{printed}");
    assert!(printed.contains("a new contact needs at least one of email, first_name, last_name"), "{printed}");
    assert_eq!(fixture.query_text("SELECT count(*)::text FROM imported_rows"), "1");
    let (succeeded, printed) = fixture.import(ACCOUNT, "First Name,Email\nBob,\n", &["--without-key", "refuse"]);
    assert!(!succeeded && printed.contains("1 refused") && printed.contains("email is empty"), "{printed}");
}

#[test]
fn first_match_field_with_a_value_identifies_the_contact_and_clashes_name_the_line() {
    let fixture = Fixture::new("match");
    let text = "external_id,email,last_name\nx1,a@b.cd,A\n,c@b.cd,C\nx2,A@b.cd,B\nx1,,A2\n,c@b.cd,C2\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(!succeeded && printed.contains("2 created, 2 updated, 0 unchanged, 0 skipped, 1 refused"), "{printed}");
    let report = fixture.read_file("people.refused.csv");
    assert!(report.contains("which line 2 has written (duplicate)") && report.contains(",4\n"), "{report}");
    let (succeeded, printed) =
        fixture.import(ACCOUNT, "external_id,email,last_name\nx9,c@b.cd,C3\n", &["--match", "email,external_id"]);
    assert!(succeeded && printed.contains("0 created, 1 updated"), "{printed}");
    let (_, printed) = fixture.import(ACCOUNT, "external_id,email\nx8,c@b.cd\n", &[]);
    assert!(printed.contains("1 refused") && !printed.contains("line 2 has written"), "{printed}");
}

#[test]
fn rows_that_the_options_rule_out_are_skipped() {
    let fixture = Fixture::new("only");
    let text = "email,last_name\na@b.cd,A\nb@b.cd,B\n";
    for (text, arguments, expected) in [
        (text, &["--update-only"][..], "0 created, 0 updated, 0 unchanged, 2 skipped, 0 refused"),
        ("email,last_name\na@b.cd,A\n", &["--create-only"], "1 created, 0 updated, 0 unchanged, 0 skipped, 0 refused"),
        (text, &["--create-only", "--dry-run"], "1 created, 0 updated, 0 unchanged, 1 skipped, 0 refused"),
        (text, &["--create-only"], "1 created, 0 updated, 0 unchanged, 1 skipped, 0 refused"),
        (
            "email,last_name\na@b.cd,X\nc@b.cd,C\n,D\n",
            &["--update-only"],
            "0 created, 1 updated, 0 unchanged, 2 skipped, 0 refused",
        ),
    ] {
        let (succeeded, printed) = fixture.import(ACCOUNT, text, arguments);
        assert!(succeeded && printed.contains(expected), "{arguments:?}: {printed}");
    }
}

#[test]
fn commands_on_a_database_without_a_schema_say_to_migrate() {
    let (cluster, url) = super::start_database("unmigrated");
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("people.csv"), "email\na@b.cd\n").unwrap();
    for arguments in [
        &["import", "people.csv", "--account", ACCOUNT][..],
        &["export", "--format", "csv", "--account", ACCOUNT],
        &["client", "list"],
    ] {
        let output = program(&folder).env("DATABASE_URL", &url).args(arguments).output().unwrap();
        let printed = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && printed.contains("run `contacts migrate` first"),
            "{arguments:?}: {printed}"
        );
    }
    drop(cluster);
}

#[test]
fn commands_without_a_database_url_use_the_running_dev_database() {
    let folder = tempfile::TempDir::new().unwrap();
    let data = folder.path().join("data");
    std::fs::write(folder.path().join("people.csv"), "First Name,Email\nMary,mary@example.com\n").unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program(&folder);
        let output = command.env("CONTACTS_DATA_DIR", &data).args(arguments).output().unwrap();
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.success(), printed.concat())
    };
    let (succeeded, printed) = run(&["import", "people.csv"]);
    assert!(!succeeded && printed.contains("DATABASE_URL is not set") && printed.contains("contacts dev"), "{printed}");
    let running = super::super::dev::start_dev(&folder, &data);
    let (succeeded, printed) = run(&["import", "people.csv"]);
    assert!(succeeded && printed.contains("dev database") && printed.contains("1 created"), "{printed}");
    let (succeeded, printed) = run(&["export", "--format", "csv"]);
    assert!(succeeded && printed.contains("mary@example.com") && printed.contains("ada@example.com"), "{printed}");
    let (succeeded, printed) = run(&["client", "create", "--name", "Sync"]);
    assert!(succeeded && printed.contains("client_secret: "), "{printed}");
    drop(running);
}
