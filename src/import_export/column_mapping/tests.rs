//! Tests of the mapping of columns.

use super::*;
use crate::contacts::UniqueKey;
use crate::fields::{FieldId, Value, registry_fixtures as fixtures};

fn options(maps: &[(&str, &str)], match_field: &str, create_fields: bool) -> MappingOptions {
    let maps = maps.iter().map(|(header, name)| ((*header).to_owned(), (*name).to_owned())).collect();
    MappingOptions { maps, match_field: match_field.to_owned(), create_fields }
}

fn map_header(header: &[&str], options: &MappingOptions) -> Result<ColumnMapping, HeaderError> {
    let header: Vec<_> = header.iter().map(|name| (*name).to_owned()).collect();
    ColumnMapping::new(&header, options, &Arc::new(fixtures::registry()))
}

fn problems(header: &[&str], options: &MappingOptions) -> Vec<String> {
    map_header(header, options).expect_err("an invalid header").0
}

fn parse_row(columns: &ColumnMapping, cells: &[&str]) -> Result<Write, RejectedRow> {
    columns.parse_row(cells.iter().copied())
}

#[test]
fn row_becomes_an_upsert_of_its_filled_cells() {
    let columns = map_header(
        &["id", " E-mail ", "shoe_size", "tags", "last_name"],
        &options(&[("E-mail", "email")], "email", false),
    )
    .expect("a valid header");
    assert_eq!(columns.skipped_columns(), ["id"]);
    let Ok(Write::Upsert(upsert)) = parse_row(&columns, &["x", "Ada@b.cd", "38", "", ""]) else {
        panic!("the row did not become an upsert")
    };
    assert_eq!(upsert.key, UniqueKey { field: system::EMAIL, key: "ada@b.cd".into() });
    assert_eq!(upsert.property_value, (system::EMAIL, Value::Text("Ada@b.cd".into())));
    assert!(!upsert.patch.get(FieldId(100)).is_absent() && upsert.patch.get(system::LAST_NAME).is_absent());
}

#[test]
fn invalid_row_is_rejected_with_every_problem() {
    let columns = map_header(&["email", "shoe_size"], &options(&[], "email", false)).expect("a valid header");
    let rejected = |cells: &[&str]| parse_row(&columns, cells).expect_err("an invalid row");
    assert_eq!(rejected(&["a@b.cd"]).code, "invalid_body");
    let both = rejected(&["", "large"]);
    assert!(both.message.contains("(invalid_type)") && both.message.contains("email is empty"), "{both:?}");
    assert_eq!(rejected(&["nobody", "1"]).message.matches("email").count(), 2, "one problem with its example");
}

#[test]
fn every_unknown_header_is_a_problem_with_a_suggestion() {
    let by_email = options(&[], "email", false);
    assert_eq!(problems(&["email", "colour", "Shoe size"], &by_email).len(), 2);
    assert!(problems(&["email", "Shoe size"], &by_email)[0].contains("--map \"Shoe size=shoe_size\""));
    assert!(problems(&["email;first_name"], &by_email)[0].contains("commas"));
    assert_eq!(problems(&["email", ""], &by_email).len(), 1);
}

#[test]
fn ambiguous_columns_and_invalid_maps_are_problems() {
    assert_eq!(problems(&["email", "badge", "badge"], &options(&[], "email", false)).len(), 1);
    assert_eq!(problems(&["email", "E-mail"], &options(&[("E-mail", "email")], "email", false)).len(), 1);
    assert!(map_header(&["email", "E-mail"], &options(&[("E-mail", "")], "email", false)).is_ok());
    assert_eq!(problems(&["email"], &options(&[("Mail", "email")], "email", false)).len(), 1);
    assert_eq!(problems(&["email", "x"], &options(&[("x", "nope")], "email", false)).len(), 1);
    assert_eq!(problems(&["email", "x"], &options(&[("x", "id")], "email", false)).len(), 1);
}

#[test]
fn match_field_must_be_unique_and_have_a_column() {
    for property in ["first_name", "id", "nope", "badge"] {
        assert_eq!(problems(&["email", "first_name"], &options(&[], property, true)).len(), 1, "{property}");
    }
    assert!(map_header(&["badge"], &options(&[], "badge", false)).is_ok());
}

#[test]
fn unknown_headers_become_text_fields_with_create_fields() {
    let columns = map_header(&["email", "Favourite colour", "x"], &options(&[("x", "extra")], "email", true))
        .expect("a valid header");
    let names: Vec<_> = columns.new_fields().iter().map(|new| (&*new.internal_name, &*new.label)).collect();
    assert_eq!(names, [("favourite_colour", "Favourite colour"), ("extra", "x")]);
    let long = "y".repeat(4_097);
    assert!(parse_row(&columns, &["a@b.cd", "red", ""]).is_ok());
    assert!(
        parse_row(&columns, &["a@b.cd", &long, ""]).expect_err("a text over the limit").message.contains("(too_long)")
    );
    // In the fixture, labels equal names, so an earlier import could have created `tags`.
    assert!(
        map_header(&["email", "tags"], &options(&[], "email", true)).expect("a valid header").new_fields().is_empty()
    );
    for taken in ["Email", "Tags", "error", "!"] {
        let result = map_header(&["email", taken], &options(&[], "email", true));
        assert_eq!(result.is_err(), !["error", "!"].contains(&taken), "{taken}");
    }
    assert_eq!(problems(&["email", "x"], &options(&[("x", "error")], "email", true)).len(), 1);
    assert_eq!(problems(&["email", "x"], &options(&[("x", "a__b")], "email", true)).len(), 1);
    assert_eq!(problems(&["email", "a1", "a 1"], &options(&[], "email", true)).len(), 1);
    assert_eq!(problems(&["email", "a b", "a-b"], &options(&[], "email", true)).len(), 1);
}
