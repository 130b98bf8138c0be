//! `contacts import FILE` alone reads the exports of other programs. The files have their layouts and our own data.

use std::fs;
use std::path::Path;

use encoding_rs::{MACINTOSH, WINDOWS_1252};
use oem_cp::code_table::ENCODING_TABLE_CP850;
use serde_json::{Value, json};

use super::Fixture;
use super::workbook::{workbook, workbook_of};
use crate::ACCOUNT;

/// An exported file, the number of contacts in it, and values of its first contact.
type Layout = (&'static str, u32, &'static [(&'static str, &'static str)]);

const LAYOUTS: [Layout; 12] = [
    (
        "hubspot.csv",
        3,
        &[
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", "ada@example.com"),
            ("external_id", "101"),
            ("phone", "+44 20 7946 0001"),
            ("company_name", "Analytical Engines"),
            ("job_title", "Countess"),
            ("website", "https://analytical.example.com"),
            ("contact_owner", ""),
        ],
    ),
    (
        "salesforce_report.csv",
        2,
        &[
            ("first_name", "Ada"),
            ("email", "ada@example.com"),
            ("external_id", "0035g00000AbCdE"),
            ("phone", "(020) 7946-0001"),
            ("mobile_phone", "+44 7700 900001"),
            ("company_name", "Analytical Engines"),
            ("job_title", "Countess"),
        ],
    ),
    (
        "google_old.csv",
        3,
        &[
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", "ada@example.com"),
            ("phone", "+44 7700 900001"),
            ("company_name", "Analytical Engines"),
            ("job_title", "Countess"),
            ("website", "http://www.google.com/profiles/1"),
        ],
    ),
    (
        "google_new.csv",
        2,
        &[
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", "ada@example.com"),
            ("phone", "+44 7700 900001"),
            ("company_name", "Analytical Engines"),
            ("job_title", "Countess"),
            ("website", "https://analytical.example.com"),
        ],
    ),
    (
        "outlook_classic.csv",
        2,
        &[
            ("first_name", "Zoë"),
            ("last_name", "Müller"),
            ("email", "zoe@example.de"),
            ("phone", "+49 (221) 123-0"),
            ("mobile_phone", "+49 170 1234567"),
            ("company_name", "Größe & Söhne"),
            ("job_title", "Geschäftsführerin"),
            ("website", "https://www.groesse.example"),
        ],
    ),
    (
        "outlook_new.csv",
        2,
        &[
            ("first_name", "Zoë"),
            ("email", "zoe@example.de"),
            ("phone", "+49 221 1230"),
            ("mobile_phone", "+49 170 1234567"),
            ("company_name", "Größe & Söhne"),
            ("job_title", "Geschäftsführerin"),
            ("website", "https://groesse.example"),
        ],
    ),
    (
        "linkedin.csv",
        3,
        &[
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", "ada@example.com"),
            ("company_name", "Analytical Engines"),
            ("job_title", "Countess"),
            ("website", "https://www.linkedin.com/in/ada"),
        ],
    ),
    (
        "thunderbird.csv",
        3,
        &[
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", "ada@example.com"),
            ("phone", "+44 20 7946 0001"),
            ("mobile_phone", "+44 7700 900001"),
            ("job_title", "Countess"),
            ("company_name", "Analytical Engines"),
            ("website", "https://analytical.example.com"),
        ],
    ),
    (
        "mautic.csv",
        2,
        &[
            ("first_name", "Ada"),
            ("email", "ada@example.com"),
            ("job_title", "Countess"),
            ("company_name", "Analytical Engines"),
            ("phone", "+442079460001"),
            ("mobile_phone", "+447700900001"),
        ],
    ),
    (
        "odoo.csv",
        3,
        &[
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", "ada@example.com"),
            ("external_id", "__export__.res_partner_7"),
            ("job_title", "Countess"),
            ("company_name", "Analytical Engines"),
        ],
    ),
    (
        "roundcube.vcf",
        2,
        &[
            ("first_name", "Ada"),
            ("last_name", "Lovelace"),
            ("email", "ada@example.com"),
            ("mobile_phone", "+44 7700 900001"),
            ("company_name", "Analytical Engines"),
            ("job_title", "Countess"),
            ("website", "https://analytical.example.com"),
        ],
    ),
    (
        "monica.vcf",
        1,
        &[
            ("first_name", "Ada"),
            ("email", "ada@example.com"),
            ("phone", "+44-20-7946-0001"),
            ("job_title", "Countess"),
            ("external_id", "0c1f2a66-8c4e-4c1f-9d3e-000000000001"),
        ],
    ),
];

/// Returns the content of an exported file. The classic Outlook writes Windows-1252 and CRLF.
fn read_layout(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/import_export/files");
    if file != "outlook_classic.csv" {
        return fs::read(folder.join(file)).unwrap();
    }
    let text = fs::read_to_string(folder.join("outlook_classic.utf8.csv")).unwrap().replace('\n', "\r\n");
    WINDOWS_1252.encode(&text).0.into_owned()
}

/// Returns the id of an account of its own for each number.
pub fn account(number: usize) -> String {
    format!("0198c0de-7a3b-7c11-9d2e-{number:012x}")
}

fn expect_first_contact(contacts: &[Value], expected: &[(&str, &str)], file: &str) {
    // Contacts are exported by id, and new contacts without a key get theirs first.
    let (_, email) = expected.iter().find(|(name, _)| *name == "email").unwrap();
    let contact = contacts.iter().find(|contact| contact["email"] == *email).unwrap();
    for (name, value) in expected {
        let value = if value.is_empty() { Value::Null } else { json!(value) };
        assert_eq!(contact[name], value, "{file}: {name}");
    }
}

#[test]
fn exports_of_other_programs_are_imported_without_options() {
    let fixture = Fixture::new("layouts");
    for (number, (file, count, expected)) in LAYOUTS.into_iter().enumerate() {
        let account = account(number);
        fixture.write_file(file, read_layout(file));
        for line in [
            format!("{count} created, 0 updated, 0 unchanged, 0 skipped, 0 refused\n"),
            format!("0 created, 0 updated, {count} unchanged, 0 skipped, 0 refused\n"),
        ] {
            let output = fixture.run(&["import", file, "--account", &account]);
            let (printed, plan) =
                (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
            assert!(output.status.success() && printed == line, "{file}: {printed}{plan}");
        }
        let contacts = fixture.contacts(&account);
        expect_first_contact(&contacts, expected, file);
        assert!(!fixture.folder.path().join(Path::new(file).with_extension("refused.csv")).exists(), "{file}");
    }
    // Apple exports groups as cards, which are no contacts.
    fixture.write_file("apple.vcf", read_layout("apple.vcf"));
    let output = fixture.run(&["import", "apple.vcf", "--account", &account(90)]);
    let printed = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && printed.contains("Left out from line 15") && printed.contains("Customers"),
        "{printed}"
    );
    let zoe = &fixture.contacts(&account(90))[0];
    assert_eq!(
        (&zoe["last_name"], &zoe["website"], &zoe["phone"]),
        (&json!("Müller"), &json!("https://groesse.example"), &json!(null))
    );
}

#[test]
fn values_are_no_names_and_job_titles_only_because_of_their_header() {
    let fixture = Fixture::new("meanings");
    let text = "Id,Name,Role,Titel,E-post (required)\n\
        '7210448301122,\"Acme, Inc.\",end-user,Dr.,office@acme.example\n\
        7210448301123,Zoë Müller,admin,Dipl.-Ing.,zoe@example.se\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text, &[]);
    assert!(succeeded && printed.contains("2 created"), "{printed}");
    let acme = [
        ("external_id", "7210448301122"),
        ("last_name", "Acme, Inc."),
        ("company_name", "Acme, Inc."),
        ("email", "office@acme.example"),
    ];
    let contacts = fixture.contacts(ACCOUNT);
    expect_first_contact(&contacts, &acme, "companies");
    assert!(contacts.iter().all(|contact| contact["job_title"].is_null()), "{contacts:?}");
    assert_eq!((&contacts[1]["first_name"], &contacts[1]["last_name"]), (&json!("Zoë"), &json!("Müller")));
    assert!(contacts[0]["first_name"].is_null() && contacts[1]["company_name"].is_null(), "{contacts:?}");
}

#[test]
fn sheet_with_contacts_is_found_behind_a_summary() {
    let fixture = Fixture::new("sheets");
    let book = workbook_of(
        r#"<sheet name="Summary" sheetId="3" r:id="e"/>"#,
        &[&["First name", "Email"], &["Ada", "ada@example.com"]],
    );
    let (succeeded, printed) = fixture.import(ACCOUNT, book, &[]);
    assert!(succeeded && printed.contains("1 created"), "{printed}");
    assert!(printed.contains("sheet People (not imported: Summary, Old)"), "{printed}");
}

#[test]
fn columns_are_found_by_the_words_of_their_headers_and_by_their_values() {
    let fixture = Fixture::new("words_and_values");
    let text = "Kundennummer,Name,Courrier,Work,Host Email,Web Site\n\
                1,LOVELACE Ada,ada@example.com,+44 20 7946 0001,host@example.com,Main\n\
                1,HOPPER Grace,grace@example.com,+1 202 555 0100,host@example.com,Main\n";
    let (succeeded, printed) = fixture.import(ACCOUNT, text.replace("Name", "NOM Prénom"), &[]);
    assert!(succeeded && printed.contains("2 created"), "{printed}");
    let expected = [
        ("first_name", "Ada"),
        ("last_name", "LOVELACE"),
        ("email", "ada@example.com"),
        ("phone", "+44 20 7946 0001"),
        ("external_id", ""),
        ("website", ""),
    ];
    expect_first_contact(&fixture.contacts(ACCOUNT), &expected, "words and values");
    assert!(printed.contains("different contacts have the same value"), "{printed}");
    assert!(printed.contains("its values are not web addresses"), "{printed}");
}

#[test]
fn forms_of_excel_are_imported_alike() {
    let rows: &[&[&str]] = &[
        &[
            "Vorname",
            "Nachname",
            "Firma",
            "Position",
            "E-Mail-Adresse",
            "Telefon geschäftlich",
            "Mobiltelefon",
            "Webseite",
        ],
        &[
            "Zoë",
            "Müller",
            "Größe & Söhne",
            "Geschäftsführerin",
            "zoe@example.de",
            "+49 221 1230",
            "+49 170 1234567",
            "groesse.example",
        ],
        &["Jörg", "Weiß", "", "", "joerg@example.de", "", "", ""],
    ];
    let text = |separator: &str| rows.iter().map(|row| row.join(separator) + "\r\n").collect::<String>();
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let forms = [
        ("utf8.csv", ["\u{feff}", &text(",")].concat().into_bytes(), "CSV, UTF-8, separated by commas"),
        ("ansi.csv", WINDOWS_1252.encode(&text(",")).0.into_owned(), "CSV, Windows-1252, separated by commas"),
        (
            "semicolons.csv",
            WINDOWS_1252.encode(&text(";")).0.into_owned(),
            "CSV, Windows-1252, separated by semicolons",
        ),
        ("unicode.txt", [b"\xff\xfe".to_vec(), utf_16(&text("\t"))].concat(), "CSV, UTF-16, separated by tabs"),
        (
            "macintosh.csv",
            MACINTOSH.encode(&text(";").replace("\r\n", "\r")).0.into_owned(),
            "CSV, Mac OS Roman, separated by semicolons",
        ),
        (
            "ms-dos.csv",
            oem_cp::encode_string_lossy(&text(";"), &ENCODING_TABLE_CP850),
            "CSV, MS-DOS (code page 850), separated by semicolons",
        ),
        ("people.xlsx", workbook(rows), "Excel workbook, first sheet (not imported: Old)"),
    ];
    let fixture = Fixture::new("excel");
    for (number, (file, content, format)) in forms.into_iter().enumerate() {
        fixture.write_file(file, content);
        let output = fixture.run(&["import", file, "--account", &account(number)]);
        let (printed, plan) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(printed, "2 created, 0 updated, 0 unchanged, 0 skipped, 0 refused\n", "{file}: {plan}");
        assert!(output.status.success(), "{file}: {plan}");
        assert!(plan.starts_with(&format!("{file}: {format}, header in line 1, 2 rows\n")), "{plan}");
        let expected = [
            ("first_name", "Zoë"),
            ("last_name", "Müller"),
            ("email", "zoe@example.de"),
            ("company_name", "Größe & Söhne"),
            ("job_title", "Geschäftsführerin"),
            ("phone", "+49 221 1230"),
            ("mobile_phone", "+49 170 1234567"),
            ("website", "https://groesse.example"),
        ];
        expect_first_contact(&fixture.contacts(&account(number)), &expected, file);
    }
}
