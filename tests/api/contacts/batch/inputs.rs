//! A fault of an input refuses that input alone, with the error of the single call.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{code as code_of, expect_summary, statuses};
use crate::support::Account;

/// An error as far as a batch and the single call say the same.
fn comparable(status: &Value, error: &Value) -> Value {
    let details = error["details"].as_array().into_iter().flatten();
    let details: Vec<_> =
        details.map(|detail| [&detail["field"], &detail["code"], &detail["existing_id"]].map(Value::clone)).collect();
    json!([status, error["code"], error["message"], details])
}

#[tokio::test]
async fn the_errors_are_those_of_the_single_calls() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com", "external_id": "t"})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let gone = account.create(json!({"first_name": "G", "external_id": "g"})).await;
    account.delete(&format!("/contacts/{gone}")).await.expect(200);
    let by = |value: &str| format!("/contacts/{value}?id_property=external_id");
    let (long, nobody) = ("x".repeat(256), Uuid::now_v7().to_string());
    let refused = json!({"email": "nope", "size": 1, "archived": true});
    let clash = json!({"first_name": "B", "email": "taken@example.com"});
    for (action, property, id, fields, method, path) in [
        ("create", None, None, Some(json!({})), "POST", "/contacts".to_owned()),
        ("create", None, None, Some(refused.clone()), "POST", "/contacts".into()),
        ("create", None, None, Some(clash.clone()), "POST", "/contacts".into()),
        ("update", None, Some(&*id), Some(refused.clone()), "PATCH", format!("/contacts/{id}")),
        ("update", None, Some(&id), Some(clash.clone()), "PATCH", format!("/contacts/{id}")),
        ("update", None, Some(&gone), Some(json!({})), "PATCH", format!("/contacts/{gone}")),
        ("update", None, Some(&nobody), Some(json!({})), "PATCH", format!("/contacts/{nobody}")),
        ("update", None, Some("nope"), Some(json!({})), "PATCH", "/contacts/nope".into()),
        ("update", None, Some("nope"), Some(refused.clone()), "PATCH", "/contacts/nope".into()),
        ("update", None, Some(" "), Some(json!({})), "PATCH", "/contacts/%20".into()),
        ("update", Some("external_id"), Some("g"), Some(json!({})), "PATCH", by("g")),
        ("update", Some("external_id"), Some(" "), Some(json!({})), "PATCH", by("%20")),
        ("update", Some("external_id"), Some(&long), Some(json!({})), "PATCH", by(&long)),
        ("update", Some("external_id"), Some(""), Some(json!({})), "PATCH", "/contacts/".into()),
        ("upsert", Some("external_id"), Some("n"), Some(json!({})), "PUT", by("n")),
        ("upsert", Some("external_id"), Some("n"), Some(clash.clone()), "PUT", by("n")),
        ("upsert", Some("external_id"), Some("x"), Some(clash), "PUT", by("x")),
        ("upsert", Some("external_id"), Some(&long), Some(refused), "PUT", by(&long)),
        ("upsert", Some("external_id"), Some("x"), Some(json!({"external_id": "y"})), "PUT", by("x")),
        ("upsert", Some("email"), Some(" "), Some(json!({})), "PUT", "/contacts/%20?id_property=email".into()),
        ("archive", None, Some(&gone), None, "DELETE", format!("/contacts/{gone}")),
        ("archive", Some("external_id"), Some("g"), None, "DELETE", by("g")),
        ("read", None, Some("nope"), None, "GET", "/contacts/nope".into()),
        ("read", Some("external_id"), Some("g"), None, "GET", by("g")),
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
        let expected = comparable(&json!(single.status), &single.body);
        assert_eq!(comparable(&result["status"], &result["error"]), expected, "{action} {input}: {method} {path}");
    }
}

#[tokio::test]
async fn an_input_of_another_shape_is_refused_alone() {
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
        let good = if action == "create" {
            json!({"fields": {"first_name": "C"}})
        } else {
            json!({"id": "nope", "fields": {}})
        };
        let answer = account.batch(action, json!({"inputs": [input, good]})).await.expect(207);
        assert_eq!((statuses(&answer)[0], code_of(&answer, 0)), (400, &json!(code)), "{action} {input}");
        assert!(action != "create" || statuses(&answer)[1] == 201);
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_said_to_be_one() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A", "external_id": "42"})).await;
    for action in ["read", "archive"] {
        for id in [json!(42), json!(true), json!(["42"]), json!({"id": "42"})] {
            let answer =
                account.batch(action, json!({"inputs": [{"id": id}], "id_property": "external_id"})).await.expect(207);
            let error = &answer.body["results"][0]["error"];
            assert_eq!(error["code"], "validation_failed", "{action} {id}");
            assert_eq!(
                (&error["details"][0]["field"], &error["details"][0]["code"]),
                (&json!("external_id"), &json!("invalid_type"))
            );
        }
    }
}

#[tokio::test]
async fn good_inputs_are_done_beside_refused_ones() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..100)
        .map(|index| match index % 4 {
            0 => json!({"fields": {"first_name": index}}),
            1 => json!({"fields": {"email": "a@example.com"}}),
            _ => json!({"fields": {"first_name": format!("{index}")}}),
        })
        .collect();
    let answer = account.batch("create", json!({"inputs": inputs})).await;
    expect_summary(&answer, 100, 25 + 24);
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 51);
    assert!(answer.body["results"].as_array().unwrap().iter().all(|result| result.get("request_id").is_none()));
}
