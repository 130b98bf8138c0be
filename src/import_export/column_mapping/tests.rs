//! Tests of the mapping of columns, and of the conversion of rows.

use super::super::column_description::ColumnDescription;
use super::super::mapping_options::{ColumnChoice, DateFormat, OnBadCell, WithoutKey};
use super::super::parsed_row::{ParsedRow, RowAction};
use super::super::refused_row::RefusedRow;
use super::*;
use crate::contacts::{ContactPatch, PatchedValue, UniqueKey, Upsert, Write};
use crate::fields::{FieldId, RegistryVersion, Value, registry_fixtures as fixtures};

fn options(maps: &[(&str, &str)]) -> MappingOptions {
    let map = |(column, name): &(&str, &str)| ColumnChoice { column: (*column).into(), choice: (*name).into() };
    MappingOptions { maps: maps.iter().map(map).collect(), ..MappingOptions::default() }
}

fn by(match_field: &str) -> MappingOptions {
    MappingOptions { match_fields: vec![match_field.to_owned()], ..MappingOptions::default() }
}

/// Maps a table: its header, and its rows as a sample.
fn map_table(table: &[&[&str]], options: &MappingOptions, registry: Registry) -> Result<ColumnMapping, HeaderError> {
    let header: Vec<_> = table[0].iter().map(|name| (*name).to_owned()).collect();
    let mut sample = TableSample::new(header.len(), true);
    table[1..].iter().for_each(|row| sample.add_row(row.iter().copied()));
    ColumnMapping::new(&header, &sample, options, &Arc::new(registry))
}

fn map(table: &[&[&str]], options: &MappingOptions) -> ColumnMapping {
    map_table(table, options, fixtures::registry()).expect("a valid header")
}

fn problems(table: &[&[&str]], options: &MappingOptions) -> Vec<String> {
    map_table(table, options, fixtures::registry()).expect_err("an invalid header").0
}

/// Returns the target of each column, or `-` for one that is left out.
fn targets(table: &[&[&str]], options: &MappingOptions) -> Vec<String> {
    let header: Vec<_> = table[0].iter().map(|name| (*name).to_owned()).collect();
    let columns = map(table, options);
    let target = |index| match columns.describe(index, &header, &TableSample::default()) {
        ColumnDescription::Imported(target) | ColumnDescription::Created(target) => target,
        _ => "-".to_owned(),
    };
    (0..header.len()).map(target).collect()
}

fn parse<'a>(columns: &ColumnMapping, cells: &'a [&'a str]) -> Result<ParsedRow, RefusedRow> {
    columns.parse_row(cells.iter().copied())
}

fn upsert(columns: &ColumnMapping, cells: &[&str]) -> Upsert {
    match parse(columns, cells).expect("a valid row").action {
        RowAction::Write(Write::Upsert(upsert), _) => upsert,
        other => panic!("the row became {other:?}"),
    }
}

fn created(columns: &ColumnMapping, cells: &[&str]) -> ContactPatch {
    match parse(columns, cells).expect("a valid row").action {
        RowAction::CreateWithoutKey(patch, _) => patch,
        other => panic!("the row became {other:?}"),
    }
}

fn text(patch: &ContactPatch, field: FieldId) -> Option<&str> {
    match patch.get(field) {
        PatchedValue::Value(Value::Text(text)) => Some(text),
        _ => None,
    }
}

#[test]
fn row_becomes_an_upsert_of_its_filled_cells() {
    let columns = map(&[&["id", " E-mail ", "shoe_size", "tags", "last_name"]], &by("email"));
    let upsert = upsert(&columns, &["x", "Ada@b.cd", "38", "", ""]);
    assert_eq!(upsert.key, UniqueKey { field: system::EMAIL, key: "ada@b.cd".into() });
    assert_eq!(upsert.property_value, (system::EMAIL, Value::Text("Ada@b.cd".into())));
    assert!(!upsert.patch.get(FieldId(100)).is_absent() && upsert.patch.get(system::LAST_NAME).is_absent());
}

#[test]
fn headers_are_matched_by_name_label_and_alias_in_this_order() {
    let default = MappingOptions::default();
    for (header, expected) in [
        (
            &["First Name", "E-Mail", "Handy", "SHOE size"][..],
            &["first_name", "email", "mobile_phone", "shoe_size"][..],
        ),
        (&["Telefon", "Phone", "phone"], &["-", "-", "phone"]),
        (&["Telefon", "PHONE NUMBER"], &["phone", "-"]),
        (&["Title", "Job title", "Email"], &["-", "job_title", "email"]),
        (&["Colour", "", "Email", "Created at"], &["-", "-", "email", "-"]),
        (&["Vorname", "Name"], &["first_name", "last_name"]),
        (&["Nombre", "Apellidos"], &["first_name", "last_name"]),
        (&["Name", "Email"], &["first_name and last_name", "email"]),
    ] {
        let values: Vec<_> = (0..header.len()).map(|index| format!("Ada {index}2345")).collect();
        let row: Vec<_> = values.iter().map(String::as_str).collect();
        assert_eq!(targets(&[header, &row], &default), expected, "{header:?}");
    }
}

#[test]
fn empty_columns_give_way_and_titles_of_persons_are_no_jobs() {
    let default = MappingOptions::default();
    let table: &[&[&str]] = &[&["Home Phone", "Business Phone", "Title", "Email"], &["", "12345", "Mrs.", "a@b.cd"]];
    assert_eq!(targets(table, &default), ["-", "phone", "-", "email"]);
    let owner: &[&[&str]] = &[&["Email", "Contact owner"], &["a@b.cd", "Grace Hopper"]];
    assert_eq!(targets(owner, &default), ["email", "-"]);
    let owner: &[&[&str]] = &[&["Email", "Contact owner"], &["a@b.cd", "grace@b.cd"]];
    assert_eq!(targets(owner, &default), ["email", "contact_owner"]);
}

#[test]
fn values_show_what_a_column_is_not() {
    let default = MappingOptions::default();
    for (header, rows, expected) in [
        // Flags are no companies, and numbers of orders no names.
        (&["Email", "Customer"][..], &[&["a@b.cd", "True"][..], &["b@b.cd", "False"]][..], &["email", "-"][..]),
        (&["Name", "Billing Name"], &[&["#1001", "Ada L"], &["#1002", "Bob B"]], &["-", "first_name and last_name"]),
        // Everybody has the email of the host, and nobody one below `Email`.
        (&["User Email", "E-mail guest"], &[&["h@b.cd", "a@b.cd"], &["h@b.cd", "b@b.cd"]], &["-", "email"]),
        // But the internal name always counts, and rows of one contact have the same email.
        (&["email", "Work email"], &[&["a@b.cd", "a@w.cd"], &["a@b.cd", "b@w.cd"]], &["email", "-"]),
        (&["external_id", "Contact ID"], &[&["1", "71"], &["1", "72"]], &["external_id", "-"]),
        // Siblings have the email of one parent, and a flag is no address.
        (&["First name", "Parent email"], &[&["Ada", "p@b.cd"], &["Bob", "p@b.cd"]], &["first_name", "-"]),
        (&["First name", "Subscriber"], &[&["Ada", "yes"], &["Bob", "no"]], &["first_name", "-"]),
        (
            &["First name", "Last name", "Preferred name"],
            &[&["Robert", "Poe", "Bobby"], &["Ada", "L", "Countess"]],
            &["first_name", "last_name", "first_name and last_name, in rows without one of them"],
        ),
        (&["Email", "E-Mail-Adresse"], &[&["anonymous", "a@b.cd"], &["anonymous", "b@b.cd"]], &["-", "email"]),
        (&["external_id", "Record ID"], &[&["", "1"], &["", "2"]], &["-", "external_id"]),
        (&["Lead ID", "Contact ID"], &[&["9", "1"], &["9", "2"]], &["-", "external_id"]),
        // Beside both names, another name is that of the company.
        (
            &["Nom", "Nom (contact)", "Prénom (contact)"],
            &[&["ACME", "Lovelace", "Ada"], &["Bell", "Babbage", "Charles"]],
            &["company_name", "last_name", "first_name"],
        ),
        (
            &["Nom", "Prénom", "Nom"],
            &[&["Ada L", "Ada", "L"], &["Bob B", "Bob", "B"]],
            &["-", "first_name", "last_name"],
        ),
    ] {
        let table: Vec<&[&str]> = [header].into_iter().chain(rows.iter().copied()).collect();
        assert_eq!(targets(&table, &default), expected, "{header:?}");
    }
}

#[test]
fn user_can_choose_columns_by_header_and_number() {
    let header = &["A", "Email", "Email 2", "Notes"];
    let row = &["Ada", "", "a@b.cd", "x"];
    let chosen = options(&[("#1", "first_name"), ("email", ""), ("Email 2", "email")]);
    assert_eq!(targets(&[header, row], &chosen), ["first_name", "-", "email", "-"]);
    let twice = options(&[("#1", "email"), ("#2", "email")]);
    assert_eq!(problems(&[header, row], &twice), ["Columns 1 and 2 are both mapped to email"]);
    for (column, name) in [("Mail", "email"), ("#9", "email"), ("A", "nope"), ("A", "id")] {
        assert_eq!(problems(&[header, row], &options(&[(column, name)])).len(), 1, "{column}={name}");
    }
}

#[test]
fn first_match_field_with_a_value_identifies_the_contact() {
    let table: &[&[&str]] = &[&["external_id", "email", "last_name"]];
    let columns = map(table, &MappingOptions::default());
    assert_eq!(columns.match_field_names(), ["external_id", "email"]);
    assert_eq!(upsert(&columns, &["x", "a@b.cd", ""]).key.field, system::EXTERNAL_ID);
    assert_eq!(upsert(&columns, &["", "a@b.cd", ""]).key.field, system::EMAIL);
    assert_eq!(text(&created(&columns, &["", " ", "L"]), system::LAST_NAME), Some("L"));
    assert_eq!(map(table, &by("email")).match_field_names(), ["email"]);
    for property in ["first_name", "id", "nope", "badge"] {
        assert_eq!(problems(table, &by(property)).len(), 1, "{property}");
    }
    let refuse = RowRules { without_key: WithoutKey::Refuse, ..RowRules::default() };
    let columns = map(table, &MappingOptions { row_rules: refuse, ..by("email") });
    assert!(parse(&columns, &["x", "", ""]).is_err_and(|refused| refused.reason.starts_with("email is empty")));
}

#[test]
fn options_rule_out_new_or_existing_contacts() {
    let columns = |writes| {
        let row_rules = RowRules { writes, ..RowRules::default() };
        map(&[&["email", "last_name"]], &MappingOptions { row_rules, ..MappingOptions::default() })
    };
    let action = |writes, cells: &[&str]| parse(&columns(writes), cells).expect("a valid row").action;
    let update = action(AllowedWrites::UpdateOnly, &["a@b.cd", "L"]);
    assert!(matches!(update, RowAction::Write(Write::Update { .. }, system::EMAIL)));
    assert!(matches!(action(AllowedWrites::UpdateOnly, &["", "L"]), RowAction::Skip));
    let create = action(AllowedWrites::CreateOnly, &["a@b.cd", "L"]);
    assert!(matches!(create, RowAction::Write(Write::Create(_), system::EMAIL)));
    assert!(matches!(action(AllowedWrites::CreateOnly, &["", "L"]), RowAction::CreateWithoutKey(..)));
}

#[test]
fn invalid_row_is_refused_with_every_problem() {
    let columns = map(&[&["email", "shoe_size"]], &by("email"));
    let both = parse(&columns, &["nobody", "large"]).expect_err("an invalid row");
    assert!(both.reason.contains("(invalid_type)") && both.reason.contains("(invalid_format)"), "{both:?}");
    assert!(parse(&columns, &["a@b.cd", "1", " ", ""]).is_ok() && parse(&columns, &["a@b.cd"]).is_ok());
    let long = parse(&columns, &["a@b.cd", "1", "", "x"]).expect_err("an invalid row");
    assert!(long.reason.contains("more cells than the header") && long.reason.contains("\"x\""), "{long:?}");
}

#[test]
fn invalid_cell_can_be_skipped_unless_it_is_the_key() {
    let row_rules = RowRules { on_bad_cell: OnBadCell::Skip, ..RowRules::default() };
    let columns = map(&[&["email", "shoe_size", "last_name"]], &MappingOptions { row_rules, ..by("email") });
    let row = parse(&columns, &["a@b.cd", "large", "L"]).expect("a valid row");
    assert!(row.skipped_cells.is_some_and(|skipped| skipped.reason.contains("shoe_size")));
    assert!(parse(&columns, &["nobody", "1", "L"]).is_err());
}

#[test]
fn complete_name_is_split_where_the_names_are_empty() {
    let table: &[&[&str]] = &[&["First Name", "Last Name", "Display Name", "Phone"], &["Ada", "L", "x", "1"]];
    let columns = map(table, &MappingOptions::default());
    let names = |cells: &[&str]| {
        let patch = created(&columns, cells);
        let name = |field| text(&patch, field).unwrap_or_default().to_owned();
        (name(system::FIRST_NAME), name(system::LAST_NAME))
    };
    let pair = |first: &str, last: &str| (first.to_owned(), last.to_owned());
    assert_eq!(names(&["Ada", "Lovelace", "Countess", ""]), pair("Ada", "Lovelace"));
    assert_eq!(names(&["", "", "Ada Lovelace", ""]), pair("Ada", "Lovelace"));
    assert_eq!(names(&["Ada", "", "Ada King Lovelace", ""]), pair("Ada", "King Lovelace"));
    assert_eq!(names(&["", "Lovelace", "Ada Lovelace", ""]), pair("Ada", "Lovelace"));
    assert_eq!(names(&["", "Lovelace", "Lovelace GmbH", ""]), pair("", "Lovelace"));
    assert_eq!(names(&["Ada", "", "Countess", ""]), pair("Ada", ""));
}

#[test]
fn unknown_columns_become_fields_of_the_detected_type() {
    let create = MappingOptions { create_fields: true, ..options(&[("x", "extra")]) };
    let table: &[&[&str]] = &[
        &["email", "Favourite colour", "x", "Size (EU)", "Since", "Empty"],
        &["a@b.cd", "red", "1", "2", "2024-01-31", ""],
    ];
    let columns = map(table, &create);
    let new: Vec<_> =
        columns.new_fields().iter().map(|new| (&*new.internal_name, &*new.label, new.kind.as_str())).collect();
    assert_eq!(
        new,
        [
            ("favourite_colour", "Favourite colour", "text"),
            ("extra", "x", "number"),
            ("size_eu", "Size (EU)", "number"),
            ("since", "Since", "date")
        ]
    );
    let long = "y".repeat(4_097);
    assert!(parse(&columns, &["a@b.cd", &long]).is_err_and(|refused| refused.reason.contains("(too_long)")));
    let typed = ColumnChoice { column: "Size (EU)".into(), choice: Kind::Text };
    let columns = map(table, &MappingOptions { field_types: vec![typed], ..create.clone() });
    assert_eq!(columns.new_fields()[2].kind, Kind::Text);
    // Both columns would become the same field.
    assert_eq!(
        map(&[&["email", "a b", "a-b"], &["", "1", "2"]], &MappingOptions { create_fields: true, ..options(&[]) })
            .new_fields()
            .len(),
        1
    );
    for name in ["error", "a__b"] {
        let create = MappingOptions { create_fields: true, ..options(&[("x", name)]) };
        assert_eq!(problems(&[&["email", "x"], &["a@b.cd", "1"]], &create).len(), 1, "{name}");
    }
}

#[test]
fn ambiguous_dates_of_a_date_field_are_a_problem_unless_the_form_is_chosen() {
    let day = || Registry::new(RegistryVersion::default(), vec![fixtures::custom(104, "day", Kind::Date)]);
    let table: &[&[&str]] = &[&["email", "day"], &["a@b.cd", "03/04/2024"]];
    let error = map_table(table, &MappingOptions::default(), day()).expect_err("ambiguous dates");
    assert!(error.0.len() == 1 && error.0[0].contains("--date-format"), "{error:?}");
    let chosen = MappingOptions { date_format: DateFormat::parse("mm/dd/yyyy"), ..MappingOptions::default() };
    let columns = map_table(table, &chosen, day()).expect("a valid header");
    assert_eq!(text(&upsert(&columns, &["a@b.cd", "03/04/2024"]).patch, FieldId(104)), Some("2024-03-04"));
    let shown: &[&[&str]] = &[&["email", "day"], &["a@b.cd", "03/04/2024"], &["b@b.cd", "31/12/2024"]];
    let columns = map_table(shown, &MappingOptions::default(), day()).expect("a valid header");
    assert_eq!(text(&upsert(&columns, &["a@b.cd", "03/04/2024"]).patch, FieldId(104)), Some("2024-04-03"));
}

#[test]
fn report_of_refused_rows_is_imported_without_its_own_columns() {
    let create = MappingOptions { create_fields: true, ..options(&[]) };
    let table: &[&[&str]] = &[&["email", "reason", "line"], &["a@b.cd", "x", "3"]];
    assert!(map(table, &create).new_fields().is_empty());
    assert_eq!(targets(table, &create), ["email", "-", "-"]);
}

#[test]
fn file_without_a_column_for_a_field_is_a_problem() {
    let error = problems(&[&["foo", "bar"], &["1", "2"]], &options(&[]));
    assert!(error.len() == 1 && error[0].contains("\"foo\", \"bar\"") && error[0].contains("--map"), "{error:?}");
}

#[test]
fn all_other_values_of_a_cell_are_named() {
    let columns = map(&[&["email", "phone"]], &by("email"));
    let row = parse(&columns, &["a@b.cd ::: c@d.ef", "123; 456"]).expect("a valid row");
    assert_eq!(
        row.other_values,
        ["email: c@d.ef", "phone: 456"].map(|other| format!("because the field takes one value: {other}"))
    );
}

#[test]
fn ids_of_another_system_are_external_ids() {
    let table = |id| targets(&[&["Id", "Email"], &[id, "a@b.cd"]], &options(&[]))[0].clone();
    assert_eq!(table("0031t00000AbCdEAAV"), "external_id");
    assert_eq!(table("cus_N1x2y3"), "external_id");
    // The ids of an export of this service, and the numbers of some table.
    assert_eq!(table("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e"), "-");
    assert_eq!(table("17"), "-");
    // A column that says that it has external ids is better.
    assert_eq!(targets(&[&["Id", "Customer ID"], &["cus_N1x2y3", "4711-0815"]], &options(&[])), ["-", "external_id"]);
}

#[test]
fn contact_without_email_and_name_is_named_by_its_company() {
    let columns =
        map(&[&["First name", "Last name", "Company", "Email"], &["Ada", "L", "Acme", "a@b.cd"]], &options(&[]));
    let patch = created(&columns, &["", "", "Acme", ""]);
    assert_eq!((text(&patch, system::LAST_NAME), text(&patch, system::COMPANY_NAME)), (Some("Acme"), Some("Acme")));
    assert_eq!(text(&created(&columns, &["Ada", "", "Acme", ""]), system::LAST_NAME), None);
}

#[test]
fn other_rows_and_columns_show_what_a_name_is() {
    let names = |table: &[&[&str]], cells: &[&str]| {
        let patch = created(&map(table, &options(&[])), cells);
        [system::FIRST_NAME, system::LAST_NAME, system::COMPANY_NAME].map(|id| text(&patch, id).map(str::to_owned))
    };
    let expected = |first: Option<&str>, last: Option<&str>, company: Option<&str>| {
        [first, last, company].map(|name| name.map(str::to_owned))
    };
    let capitals: &[&[&str]] = &[&["Nom"], &["ABADIE Juliet"], &["DE LA VEGA Juan"], &["ABBE Jean"]];
    assert_eq!(names(capitals, &["ABDEL JALIL Ali"]), expected(Some("Ali"), Some("ABDEL JALIL"), None));
    let schools: &[&[&str]] =
        &[&["Name", "Email"], &["Papageno-Grundschule", ""], &["Lycée Zola", ""], &["Hotel Adlon", ""]];
    let school = names(schools, &["Staatliche Schule Berlin", ""]);
    assert_eq!(school, expected(None, Some("Staatliche Schule Berlin"), Some("Staatliche Schule Berlin")));
    let odoo: &[&[&str]] = &[&["Name", "Is a Company"], &["Azure Interior", "True"], &["Ada Lovelace", "False"]];
    let azure = names(odoo, &["Azure Interior", "True"]);
    assert_eq!(azure, expected(None, Some("Azure Interior"), Some("Azure Interior")));
    assert_eq!(names(odoo, &["Ada Lovelace", "False"]), expected(Some("Ada"), Some("Lovelace"), None));
    // A flag without names, and one that the user has left out, are not used.
    assert_eq!(targets(&[&["First name", "Is a Company"], &["Ada", "True"]], &options(&[])), ["first_name", "-"]);
    assert!(map(odoo, &options(&[("Is a Company", "")])).company_flag.is_none());
    // `Jan` is no part of `Jansen`, but in single rows `Name` can be the last name.
    let part: &[&[&str]] = &[&["Vorname", "Name"], &["Jan", "Jansen"], &["Peter", "Petersen"]];
    assert_eq!(names(part, &["Jan", "Jansen"]), expected(Some("Jan"), Some("Jansen"), None));
    let mixed: &[&[&str]] =
        &[&["Vorname", "Name"], &["Ada", "Ada Lovelace"], &["Eve", "Eve Miller"], &["Bob", "Stone"]];
    assert_eq!(names(mixed, &["Bob", "Stone"]), expected(Some("Bob"), Some("Stone"), None));
    let suppliers: &[&[&str]] = &[&["Name", "Ansprechperson"], &["Göldlin Apotheke", "Ada Lovelace"]];
    let supplier = names(suppliers, &["Göldlin Apotheke", "Ada Lovelace"]);
    assert_eq!(supplier, expected(Some("Ada"), Some("Lovelace"), Some("Göldlin Apotheke")));
    let title = targets(&[&["Name", "Title"], &["Ada Lovelace", "Ada Lovelace"]], &options(&[]));
    assert_eq!(title, ["first_name and last_name", "-"]);
    let marks: &[&[&str]] = &[&["Name", "Title"], &["Ada", "CTO"], &["#N/A", "#N/A"], &["#N/A", "#N/A"]];
    assert_eq!(targets(marks, &options(&[])), ["first_name and last_name", "job_title"]);
    // One contact of two in a cell.
    assert_eq!(names(&[&["Name"]], &["Olaf Böhm\nFlorian Maier"]), expected(Some("Olaf"), Some("Böhm"), None));
    // A column `Name` that has the only name twice.
    let google: &[&[&str]] = &[&["Name", "Given Name", "Family Name"], &["Ana", "Ana", ""]];
    assert_eq!(names(google, &["Ana", "Ana", ""]), expected(Some("Ana"), None, None));
    assert_eq!(
        names(&[&["Given Name", "Display Name"]], &["Ada", "LOVELACE Ada"]),
        expected(Some("Ada"), Some("LOVELACE"), None)
    );
}
