//! An error in one input rejects only that input, with the error of the single call.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{error_code, expect_summary, result_statuses};
use crate::support::Account;

/// Returns the parts of an error that are equal in a batch and in the single call.
fn comparable_error(status: &Value, error: &Value) -> Value {
    let details = error["details"].as_array().into_iter().flatten();
    let details: Vec<_> =
        details.map(|detail| [&detail["field"], &detail["code"], &detail["existing_id"]].map(Value::clone)).collect();
    json!([status, error["code"], error["message"], details])
}

#[tokio::test]
async fn batch_input_errors_equal_the_errors_of_single_calls() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com", "external_id": "t"})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let archived = account.create(json!({"first_name": "G", "external_id": "g"})).await;
    account.delete(&format!("/contacts/{archived}")).await.expect(200);
    let path_of = |value: &str| format!("/contacts/{value}?id_property=external_id");
    let (too_long, unknown) = ("x".repeat(256), Uuid::now_v7().to_string());
    let invalid = json!({"email": "nope", "size": 1, "archived": true});
    let conflicting = json!({"first_name": "B", "email": "taken@example.com"});
    for (action, property, id, fields, method, path) in [
        ("create", None, None, Some(json!({})), "POST", "/contacts".to_owned()),
        ("create", None, None, Some(invalid.clone()), "POST", "/contacts".into()),
        ("create", None, None, Some(conflicting.clone()), "POST", "/contacts".into()),
        ("update", None, Some(&*id), Some(invalid.clone()), "PATCH", format!("/contacts/{id}")),
        ("update", None, Some(&id), Some(conflicting.clone()), "PATCH", format!("/contacts/{id}")),
        ("update", None, Some(&archived), Some(json!({})), "PATCH", format!("/contacts/{archived}")),
        ("update", None, Some(&unknown), Some(json!({})), "PATCH", format!("/contacts/{unknown}")),
        ("update", None, Some("nope"), Some(json!({})), "PATCH", "/contacts/nope".into()),
        ("update", None, Some("nope"), Some(invalid.clone()), "PATCH", "/contacts/nope".into()),
        ("update", None, Some(" "), Some(json!({})), "PATCH", "/contacts/%20".into()),
        ("update", Some("external_id"), Some("g"), Some(json!({})), "PATCH", path_of("g")),
        ("update", Some("external_id"), Some(" "), Some(json!({})), "PATCH", path_of("%20")),
        ("update", Some("external_id"), Some(&too_long), Some(json!({})), "PATCH", path_of(&too_long)),
        ("update", Some("external_id"), Some(""), Some(json!({})), "PATCH", "/contacts/".into()),
        ("upsert", Some("external_id"), Some("n"), Some(json!({})), "PUT", path_of("n")),
        ("upsert", Some("external_id"), Some("n"), Some(conflicting.clone()), "PUT", path_of("n")),
        ("upsert", Some("external_id"), Some("x"), Some(conflicting), "PUT", path_of("x")),
        ("upsert", Some("external_id"), Some(&too_long), Some(invalid), "PUT", path_of(&too_long)),
        ("upsert", Some("external_id"), Some("x"), Some(json!({"external_id": "y"})), "PUT", path_of("x")),
        ("upsert", Some("email"), Some(" "), Some(json!({})), "PUT", "/contacts/%20?id_property=email".into()),
        ("archive", None, Some(&archived), None, "DELETE", format!("/contacts/{archived}")),
        ("archive", Some("external_id"), Some("g"), None, "DELETE", path_of("g")),
        ("read", None, Some("nope"), None, "GET", "/contacts/nope".into()),
        ("read", Some("external_id"), Some("g"), None, "GET", path_of("g")),
    ] {
        let mut input = json!({});
        if let Some(id) = id {
            input["id"] = json!(id);
        }
        if let Some(fields) = &fields {
            input["fields"] = fields.clone();
        }
        let batch = account.batch(action, json!({"inputs": [input], "id_property": property})).await.expect(207);
        let single = account.call(method, &path).json(&json!({"fields": fields.unwrap_or_default()})).send().await;
        let result = &batch.body["results"][0];
        let expected = comparable_error(&json!(single.status), &single.body);
        assert_eq!(
            comparable_error(&result["status"], &result["error"]),
            expected,
            "{action} {input}: {method} {path}"
        );
    }
}

#[tokio::test]
async fn malformed_batch_input_is_rejected_alone() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (action, input, code) in [
        ("create", json!({}), "invalid_body"),
        ("create", json!({"fields": []}), "invalid_body"),
        ("create", json!({"fields": null}), "invalid_body"),
        ("create", json!({"fields": {"first_name": "B"}, "id": id}), "invalid_body"),
        ("create", json!({"first_name": "B"}), "invalid_body"),
        ("update", json!({"id": id}), "invalid_body"),
        ("update", json!({"fields": {}}), "missing_contact_id"),
        ("update", json!({"id": null, "fields": {}}), "missing_contact_id"),
        ("update", json!({"id": 42, "fields": {}}), "invalid_body"),
        ("update", json!({"id": [id], "fields": {}}), "invalid_body"),
        ("update", json!({"id": id, "fields": {}, "properties": ["phone"]}), "invalid_body"),
        ("archive", json!({"id": id, "fields": {}}), "invalid_body"),
        ("archive", json!({}), "missing_contact_id"),
        ("read", json!({"id": id, "x": 1}), "invalid_body"),
    ] {
        let valid = if action == "create" {
            json!({"fields": {"first_name": "C"}})
        } else {
            json!({"id": "nope", "fields": {}})
        };
        let response = account.batch(action, json!({"inputs": [input, valid]})).await.expect(207);
        assert_eq!((result_statuses(&response)[0], error_code(&response, 0)), (400, &json!(code)), "{action} {input}");
        assert!(action != "create" || result_statuses(&response)[1] == 201);
    }
}

#[tokio::test]
async fn batch_id_of_another_type_is_400_invalid_type() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A", "external_id": "42"})).await;
    for action in ["read", "archive"] {
        for id in [json!(42), json!(true), json!(["42"]), json!({"id": "42"})] {
            let response =
                account.batch(action, json!({"inputs": [{"id": id}], "id_property": "external_id"})).await.expect(207);
            let error = &response.body["results"][0]["error"];
            assert_eq!(error["code"], "validation_failed", "{action} {id}");
            assert_eq!(
                (&error["details"][0]["field"], &error["details"][0]["code"]),
                (&json!("external_id"), &json!("invalid_type"))
            );
        }
    }
}

#[tokio::test]
async fn batch_applies_valid_inputs_next_to_rejected_inputs() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..100)
        .map(|index| match index % 4 {
            0 => json!({"fields": {"first_name": index}}),
            1 => json!({"fields": {"email": "a@example.com"}}),
            _ => json!({"fields": {"first_name": format!("{index}")}}),
        })
        .collect();
    let response = account.batch("create", json!({"inputs": inputs})).await;
    expect_summary(&response, 100, 25 + 24);
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 51);
    assert!(response.body["results"].as_array().unwrap().iter().all(|result| result.get("request_id").is_none()));
}
