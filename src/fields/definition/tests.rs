//! Tests of the bodies of the fields API.

use super::*;
use crate::fields::registry_fixtures as fixtures;
use crate::json;

fn parse_new(body: &str) -> Result<NewField, Vec<(String, IssueCode)>> {
    let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
    NewField::parse(&body).map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect())
}

fn expect_rejected(body: &str, expected: &[(&str, IssueCode)]) {
    let issues = parse_new(body).expect_err(body);
    let issues: Vec<_> = issues.iter().map(|(field, code)| (field.as_str(), *code)).collect();
    assert_eq!(issues, expected, "{body}");
}

#[test]
fn complete_field_definition_is_parsed() {
    let field = parse_new(
        r#"{"label": "Size", "type": "dropdown", "unique": false, "options": [{"label": "Small"}, {"internal_name": "xl", "label": "Large"}]}"#,
    );
    assert_eq!(
        field.expect("a valid definition"),
        NewField {
            internal_name: "size".into(),
            label: "Size".into(),
            kind: Kind::Dropdown,
            unique: false,
            options: vec![FieldOption::new("small", "Small"), FieldOption::new("xl", "Large")],
        }
    );
    assert!(
        parse_new(r#"{"label": "B", "type": "text", "unique": true, "internal_name": null}"#)
            .expect("a valid definition")
            .unique
    );
}

#[test]
fn every_invalid_key_of_a_definition_is_reported() {
    use IssueCode::*;
    expect_rejected("{}", &[("label", Required), ("type", Required)]);
    expect_rejected(
        r#"{"label": 1, "type": "uuid", "unique": 1}"#,
        &[("label", InvalidType), ("type", InvalidOption), ("unique", InvalidType)],
    );
    expect_rejected(
        r#"{"label": " ", "type": "text", "colour": 1, "system": true}"#,
        &[("colour", UnknownField), ("system", ForbiddenField), ("label", Required)],
    );
    expect_rejected(r#"{"label": "X", "type": "text", "internal_name": "error"}"#, &[("internal_name", InvalidFormat)]);
    expect_rejected(
        r#"{"label": "X", "type": "text", "internal_name": "Bad-Name"}"#,
        &[("internal_name", InvalidFormat)],
    );
    expect_rejected(r#"{"label": "X", "type": "date", "unique": true}"#, &[("unique", InvalidOption)]);
    expect_rejected(r#"{"label": "X", "type": "text", "options": []}"#, &[("options", ForbiddenField)]);
    for (options, code) in [
        ("[]", Required),
        ("null", Required),
        ("{}", InvalidType),
        ("[1]", InvalidType),
        (r#"[{"internal_name": "a"}]"#, Required),
        (r#"[{"label": "A"}, {"label": "a"}]"#, InvalidOption),
        (r#"[{"label": "A", "colour": 1}]"#, UnknownField),
        (r#"[{"label": "A", "internal_name": "A"}]"#, InvalidFormat),
    ] {
        expect_rejected(
            &format!(r#"{{"label": "X", "type": "multi_select", "options": {options}}}"#),
            &[("options", code)],
        );
    }
}

#[test]
fn field_patch_changes_only_label_and_options() {
    let registry = fixtures::registry();
    let patch = |field: &str, body: &str| {
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("a JSON object");
        FieldPatch::parse(&body, registry.get(field).map(|field| &**field))
            .map_err(|issues| issues.into_iter().map(|issue| (issue.field, issue.code)).collect::<Vec<_>>())
    };
    assert_eq!(patch("tags", "{}"), Ok(FieldPatch::default()));
    let options = Some(vec![FieldOption::new("red", "Rot")]);
    assert_eq!(
        patch("tags", r#"{"options": [{"internal_name": "red", "label": "Rot"}]}"#),
        Ok(FieldPatch { label: None, options })
    );
    assert_eq!(patch("tags", r#"{"type": "text"}"#), Err(vec![("type".into(), IssueCode::ForbiddenField)]));
    assert_eq!(
        patch("shoe_size", r#"{"label": null, "options": [{"label": "A"}]}"#).expect_err("both keys are invalid").len(),
        2
    );
    assert_eq!(patch("email", "{}"), Err(vec![("email".into(), IssueCode::ForbiddenField)]));
    assert_eq!(patch("nope", r#"{"label": ""}"#), Err(vec![("label".into(), IssueCode::Required)]));
}
