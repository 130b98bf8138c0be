//! `index`, `id` and `ref` of each result.

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

/// Returns `index`, `id` and `ref` of each result.
fn labels(response: &ApiResponse) -> Vec<(Value, Value, Value)> {
    let results = response.body["results"].as_array().unwrap();
    let label = |result: &Value| {
        let members = result.as_object().unwrap();
        (members["index"].clone(), members["id"].clone(), members["ref"].clone())
    };
    results.iter().map(label).collect()
}

#[tokio::test]
async fn result_has_the_id_of_its_contact_and_the_ref_of_its_input() {
    let account = Account::new().await;
    let long = "ä".repeat(255);
    let inputs = json!([
        {"fields": {"first_name": "A", "external_id": "x"}, "ref": "first"},
        {"fields": {"first_name": "B", "external_id": "x"}, "ref": long},
        {"fields": {}, "ref": ""},
        {"fields": {"first_name": "C"}, "ref": null},
    ]);
    let batch = account.batch("create", json!({"inputs": inputs})).await.expect(207);
    let id = |index: usize| batch.body["results"][index]["contact"]["id"].clone();
    let expected = [
        (json!(0), id(0), json!("first")),
        // The contact that holds the key is another one.
        (json!(1), Value::Null, json!(long)),
        (json!(2), Value::Null, json!("")),
        (json!(3), id(3), Value::Null),
    ];
    assert_eq!(labels(&batch), expected);
    // By a key, the id is the contact's and not the key.
    let by_key = |inputs: Value| json!({"inputs": inputs, "id_property": "external_id"});
    let inputs = json!([
        {"id": "x", "fields": {"last_name": "L"}, "ref": "u"},
        {"id": "x", "fields": {"email": "no"}, "ref": "v"},
        {"id": "x", "fields": {}, "if_match": "\"other.x\"", "ref": "w"},
        {"id": "y", "fields": {}, "ref": "missing"},
    ]);
    let batch = account.batch("update", by_key(inputs)).await.expect(207);
    let expected = [
        (json!(0), id(0), json!("u")),
        (json!(1), Value::Null, json!("v")),
        (json!(2), id(0), json!("w")),
        (json!(3), Value::Null, json!("missing")),
    ];
    assert_eq!(labels(&batch), expected);
    let batch = account.batch("read", by_key(json!([{"id": "x", "ref": "r"}, {"id": "y"}]))).await.expect(207);
    assert_eq!(labels(&batch), [(json!(0), id(0), json!("r")), (json!(1), Value::Null, Value::Null)]);
    let batch = account.batch("archive", by_key(json!([{"id": "x", "ref": "a"}, {"id": "x", "ref": "b"}]))).await;
    assert_eq!(labels(&batch), [(json!(0), id(0), json!("a")), (json!(1), Value::Null, json!("b"))]);
}

#[tokio::test]
async fn dry_runs_and_inputs_that_are_not_applied_have_them_too() {
    let account = Account::new().await;
    let id = json!(account.create(json!({"first_name": "A", "external_id": "x"})).await);
    let upserts = json!({"id_property": "external_id", "inputs": [
        {"id": "x", "fields": {"last_name": "L"}, "ref": "update"},
        {"id": "new", "fields": {"first_name": "N"}, "ref": "create"},
        {"id": "new", "fields": {"last_name": "M"}, "ref": "update of a new contact"},
    ]});
    let expected = [
        (json!(0), id.clone(), json!("update")),
        (json!(1), Value::Null, json!("create")),
        (json!(2), Value::Null, json!("update of a new contact")),
    ];
    assert_eq!(labels(&account.batch("upsert?dry_run=true", upserts.clone()).await.expect(200)), expected);
    let mut atomic = upserts;
    atomic["atomic"] = json!(true);
    atomic["inputs"][2] = json!({"id": "new", "fields": {}, "if_match": "\"other.x\"", "ref": "fails"});
    let batch = account.batch("upsert", atomic).await.expect(207);
    let statuses: Vec<_> = batch.body["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [424, 424, 412]);
    // The contact that the batch would have created does not exist.
    let expected = [
        (json!(0), id, json!("update")),
        (json!(1), Value::Null, json!("create")),
        (json!(2), Value::Null, json!("fails")),
    ];
    assert_eq!(labels(&batch), expected);
}

#[tokio::test]
async fn invalid_ref_fails_its_input_only() {
    let account = Account::new().await;
    for invalid in [json!(1), json!(["r"]), json!("x".repeat(256))] {
        let inputs = json!([{"fields": {"first_name": "A"}, "ref": invalid}, {"fields": {"first_name": "B"}}]);
        let batch = account.batch("create", json!({"inputs": inputs})).await.expect(207);
        assert_eq!(super::error_code(&batch, 0), "invalid_body");
        assert_eq!(batch.body["results"][1]["status"], 201);
    }
}
