//! Tests of cells.

use proptest::prelude::*;

use super::*;
use crate::fields::registry_fixtures::custom;
use crate::fields::{FieldOption, IssueCode, Number, system};

fn field(kind: Kind) -> Field {
    // Only fields of option types use these options.
    let options = [("red", "Red"), ("green", "Green, dark"), ("blue", "Bleu ciel")];
    Field { options: options.map(|(name, label)| FieldOption::new(name, label)).to_vec(), ..custom(100, "f", kind) }
}

fn parse_cell(kind: Kind, cell: &str) -> Result<Option<Value>, IssueCode> {
    parse_with(kind, cell, CellRules::default())
}

fn parse_with(kind: Kind, cell: &str, rules: CellRules) -> Result<Option<Value>, IssueCode> {
    parse(&field(kind), cell, rules).map(|cell| cell.value).map_err(|issue| issue.code)
}

fn options(names: &[&str]) -> Value {
    Value::Options(names.iter().map(|name| (*name).to_owned()).collect())
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn cells_are_parsed_by_the_type_of_their_field() {
    for (kind, cell, value) in [
        (Kind::Text, " a;b ", text("a;b")),
        (Kind::Text, "null", text("null")),
        (Kind::Text, "42", text("42")),
        (Kind::Email, " a@b.cd ", text("a@b.cd")),
        (Kind::Email, "Ada <a@b.cd>", text("a@b.cd")),
        (Kind::Email, "mailto:a@b.cd", text("a@b.cd")),
        (Kind::Number, "-1.50", Value::Number(Number::Double(-1.5))),
        (Kind::Number, " 1,234.5 ", Value::Number(Number::Double(1234.5))),
        (Kind::Checkbox, "TRUE", Value::Checkbox(true)),
        (Kind::Checkbox, "Ja", Value::Checkbox(true)),
        (Kind::Checkbox, "SÍ", Value::Checkbox(true)),
        (Kind::Checkbox, "oui", Value::Checkbox(true)),
        (Kind::Checkbox, "1", Value::Checkbox(true)),
        (Kind::Checkbox, "nein", Value::Checkbox(false)),
        (Kind::Checkbox, "non", Value::Checkbox(false)),
        (Kind::Checkbox, "0", Value::Checkbox(false)),
        (Kind::Dropdown, "red", text("red")),
        (Kind::Dropdown, "BLEU CIEL", text("blue")),
        (Kind::Dropdown, "green, dark", text("green")),
        (Kind::MultiSelect, "red; blue;red", options(&["blue", "red"])),
        (Kind::MultiSelect, "Red, Bleu ciel", options(&["blue", "red"])),
        (Kind::MultiSelect, "Green, dark;;red", options(&["green", "red"])),
        (Kind::Datetime, "2026-05-01T12:00:00+02:00", text("2026-05-01T10:00:00.000Z")),
        (Kind::Datetime, "2026-05-01 12:00", text("2026-05-01T12:00:00.000Z")),
        (Kind::Date, "01.05.2026", text("2026-05-01")),
        (Kind::Date, "2026-05-01 00:00:00", text("2026-05-01")),
        (Kind::Url, "example.com/a", text("https://example.com/a")),
        (Kind::Url, "http://example.com", text("http://example.com")),
        (Kind::Phone, "+49\u{a0}30\u{2011}1234", text("+49 30-1234")),
        (Kind::Phone, "\u{202a}+1 555 0100\u{202c}", text("+1 555 0100")),
        (Kind::Phone, "tel:+1-555-0100", text("+1-555-0100")),
        (Kind::Phone, "555 0100 extension 7", text("555 0100 ext 7")),
        (Kind::Phone, "Tel.: 555 0100", text("555 0100")),
        (Kind::Phone, "555 0100 (work)", text("555 0100")),
        (Kind::Phone, "(555) 0100\u{a0}(home)", text("(555) 0100")),
        (Kind::Phone, "=\"+49301234\"", text("+49301234")),
        (Kind::Phone, "030 123456 Durchwahl 12", text("030 123456 ext 12")),
        (Kind::Phone, "+1 (555) 123-4567 Ext: 12", text("+1 (555) 123-4567 ext 12")),
        (Kind::Email, "MAILTO:a@b.cd", text("a@b.cd")),
        (Kind::Email, "SMTP:a@b.cd", text("a@b.cd")),
        (Kind::Email, "E-Mail: a@b.cd", text("a@b.cd")),
        (Kind::Email, "a@b.cd (work)", text("a@b.cd")),
        (Kind::Email, "a@b.cd.", text("a@b.cd")),
    ] {
        assert_eq!(parse_cell(kind, cell), Ok(Some(value)), "{kind:?} {cell}");
    }
    for kind in Kind::CUSTOM {
        for blank in ["", "  ", "\u{a0}\t\n"] {
            assert_eq!(parse_cell(kind, blank), Ok(None), "{kind:?}");
        }
    }
    assert_eq!(parse_cell(Kind::Date, "0/0/00"), Ok(None));
    for kind in [Kind::Email, Kind::Phone, Kind::Url] {
        for placeholder in ["-", "n/a", "N/A", "?", "none", "keine", "k.A.", "https://"] {
            assert_eq!(parse_cell(kind, placeholder), Ok(None), "{kind:?} {placeholder}");
        }
    }
}

#[test]
fn cells_that_are_not_values_of_their_field_are_refused() {
    for (kind, cell, code) in [
        (Kind::Number, "null", IssueCode::InvalidType),
        (Kind::Number, "1,5", IssueCode::InvalidType),
        (Kind::Number, "1e400", IssueCode::OutOfRange),
        (Kind::Checkbox, "null", IssueCode::InvalidType),
        (Kind::Checkbox, "2", IssueCode::InvalidType),
        (Kind::Dropdown, "pink", IssueCode::InvalidOption),
        (Kind::MultiSelect, "red;pink", IssueCode::InvalidOption),
        (Kind::Date, "01/05/2026", IssueCode::InvalidFormat),
        (Kind::Email, "nobody; a@b.cd", IssueCode::InvalidFormat),
        (Kind::Phone, "call me", IssueCode::InvalidFormat),
        (Kind::Url, "no site", IssueCode::InvalidFormat),
        (Kind::Url, "a@b.cd", IssueCode::InvalidFormat),
        (Kind::Text, "a\0b", IssueCode::InvalidFormat),
    ] {
        assert_eq!(parse_cell(kind, cell), Err(code), "{kind:?} {cell}");
    }
}

#[test]
fn rules_of_the_column_decide_numbers_and_dates() {
    let comma = CellRules { decimal_sign: DecimalSign::Comma, ..CellRules::default() };
    assert_eq!(parse_with(Kind::Number, "1.234,5", comma), Ok(Some(Value::Number(Number::Double(1234.5)))));
    let month_first = CellRules { dates: DateRule::Ordered(DateOrder::MonthFirst), ..CellRules::default() };
    assert_eq!(parse_with(Kind::Date, "01/05/2026", month_first), Ok(Some(text("2026-01-05"))));
}

#[test]
fn first_of_several_values_is_taken_and_the_others_are_returned() {
    for (kind, cell, first, others) in [
        (Kind::Email, "a@b.cd ::: e@f.gh", "a@b.cd", &["e@f.gh"][..]),
        (Kind::Email, "a@b.cd; e@f.gh,i@j.kl", "a@b.cd", &["e@f.gh", "i@j.kl"]),
        (Kind::Phone, "+1 555 0100 ::: 555 0101", "+1 555 0100", &["555 0101"]),
        (Kind::Url, "a.example ::: https://b.example", "https://a.example", &["https://b.example"]),
        (Kind::Email, "a@b.cd;", "a@b.cd", &[]),
        (Kind::Email, "a@b.cd / e@f.gh", "a@b.cd", &["e@f.gh"]),
        (Kind::Email, "a@b.cd e@f.gh", "a@b.cd", &["e@f.gh"]),
        (Kind::Phone, "030/1234-56 oder 030/1234-57", "030/1234-56", &["030/1234-57"]),
        (Kind::Phone, "Phone: (415) 444-6538 Mobile: (415) 444-6539", "(415) 444-6538", &["Mobile: (415) 444-6539"]),
        (Kind::Phone, "Tel. 030 4444", "030 4444", &[]),
        (Kind::Phone, "call me ::: 030 4444 ::: 030 5555", "030 4444", &["call me", "030 5555"]),
        (Kind::Phone, "01 44 55 66 77 poste 12", "01 44 55 66 77 ext 12", &[]),
        (Kind::Phone, "030 1234-DW: 12", "030 1234 ext 12", &[]),
        (Kind::Phone, "030 1234 (Durchwahl 12)", "030 1234 ext 12", &[]),
        (Kind::Phone, "tel:+4930123;ext=12", "+4930123 ext 12", &[]),
        (Kind::Phone, "Fax: 030 1234567; Tel: 030 5555", "030 5555", &[]),
        (Kind::Email, "/o=EX/cn=ada;SMTP:a@b.cd", "a@b.cd", &[]),
        (Kind::Email, "n/a; e@f.gh", "e@f.gh", &[]),
        (Kind::Phone, "01632 960503 / 07700 900503", "01632 960503", &["07700 900503"]),
        (Kind::Phone, "01632 / 960503", "01632 / 960503", &[]),
        (Kind::Phone, "+49 6221 / 123456", "+49 6221 / 123456", &[]),
        (Kind::Email, "Tom and Jerry <tj@b.cd>", "tj@b.cd", &[]),
        (Kind::Email, "a@b.cd and e@f.gh", "a@b.cd", &["e@f.gh"]),
        (Kind::Email, "\u{202a}a@b.cd\u{202c}", "a@b.cd", &[]),
        (Kind::Url, "www.a.de / www.b.de", "https://www.a.de", &["www.b.de"]),
    ] {
        let parsed = parse(&field(kind), cell, CellRules::default()).expect("a valid cell");
        assert_eq!(
            (parsed.value, &parsed.others[..]),
            (Some(text(first)), &others.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>()[..])
        );
    }
}

#[test]
fn cells_without_a_usable_value_are_blank() {
    let parse = |kind, cell| parse(&field(kind), cell, CellRules::default());
    let fax = "Fax: 030 1234567";
    let unusable = ParsedCell { unusable: vec![fax.to_owned()], ..ParsedCell::default() };
    assert_eq!(parse(Kind::Phone, fax), Ok(unusable));
    assert_eq!(parse(Kind::Email, "n/a ::: n/a"), Ok(ParsedCell::default()));
    assert!(parse(Kind::Phone, "030 123456 Poste").is_err());
}

#[test]
fn wrong_email_before_another_one_is_refused() {
    assert!(parse(&field(Kind::Email), "a@b; e@f.gh", CellRules::default()).is_err());
}

#[test]
fn ids_that_say_nothing_or_were_shortened_identify_no_contact() {
    let id = system::stored().iter().find(|field| field.id == system::EXTERNAL_ID).expect("a system field");
    let parse = |cell| parse(id, cell, CellRules::default()).map(|parsed| parsed.value).map_err(|issue| issue.code);
    for placeholder in ["-", "n/a", "NULL"] {
        assert_eq!(parse(placeholder), Ok(None), "{placeholder}");
    }
    assert_eq!(parse("1.23457E+11"), Err(IssueCode::InvalidFormat));
    assert_eq!(parse("1,23457E+11"), Err(IssueCode::InvalidFormat));
    assert_eq!(parse("CASE+11"), Ok(Some(text("CASE+11"))));
}

#[test]
fn address_of_exchange_is_no_email_and_is_returned() {
    let address = "/o=ExchangeLabs/ou=Exchange Administrative Group/cn=Recipients/cn=ada";
    let parsed = parse(&field(Kind::Email), address, CellRules::default()).expect("a valid cell");
    assert_eq!(parsed, ParsedCell { unusable: vec![address.to_owned()], ..ParsedCell::default() });
}

proptest! {
    #![proptest_config(crate::test_seed::proptest_config())]

    #[test]
    fn formatted_text_and_numbers_parse_to_the_same_value(
        word in "[^\0]{1,40}",
        double in prop::num::f64::NORMAL,
        integer in any::<u64>(),
    ) {
        let number = |digits: String| Value::Number(Number::parse(&digits).expect("a number"));
        let trimmed = trim(&word);
        let value = Some(text(trimmed)).filter(|_| !trimmed.is_empty());
        prop_assert_eq!(parse_cell(Kind::Text, &word), Ok(value));
        for value in [
            number(serde_json::to_string(&double).expect("serializes")),
            number(integer.to_string()),
        ] {
            let field = field(Kind::Number);
            prop_assert_eq!(parse_cell(Kind::Number, &super::format(&field, &value)), Ok(Some(value.clone())));
        }
    }

    #[test]
    fn formatted_set_of_options_parses_to_the_same_value(
        chosen in prop::sample::subsequence(vec!["blue", "green", "red"], 1..=3),
    ) {
        let (field, value) = (field(Kind::MultiSelect), options(&chosen));
        prop_assert_eq!(parse_cell(Kind::MultiSelect, &super::format(&field, &value)), Ok(Some(value.clone())));
    }
}
