//! `"atomic": true`: the service applies all inputs or none.

use serde_json::{Value, json};

use super::{error_code, expect_summary, result_statuses};
use crate::support::Account;

#[tokio::test]
async fn atomic_batch_with_a_rejected_write_writes_nothing() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let before = account.stored_rows().await;
    let inputs = json!([
        {"id": id, "fields": {"last_name": "B"}},
        {"id": "nope", "fields": {}},
        {"id": id, "fields": {"email": "taken@example.com"}},
        {"id": id, "fields": {}},
    ]);
    let response = account.batch("update", json!({"inputs": inputs, "atomic": true})).await;
    expect_summary(&response, 4, 4);
    assert_eq!(result_statuses(&response), [424, 404, 409, 424]);
    assert_eq!(
        (error_code(&response, 0), error_code(&response, 2)),
        (&json!("not_applied"), &json!("duplicate_contact"))
    );
    assert_eq!(account.stored_rows().await, before);
}

#[tokio::test]
async fn atomic_batch_with_an_invalid_input_writes_nothing() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let before = account.stored_rows().await;
    let inputs = json!([
        {"fields": {"first_name": "A"}},
        {"fields": {"nope": 1}},
        {"fields": {"email": "taken@example.com"}},
        {},
        {"fields": {}},
    ]);
    let response = account.batch("create", json!({"inputs": inputs, "atomic": true})).await;
    assert_eq!(result_statuses(&response), [424, 400, 409, 400, 400]);
    expect_summary(&response, 5, 5);
    assert_eq!(account.stored_rows().await, before);
    // Without `atomic`, the valid inputs are applied.
    let response = account.batch("create", json!({"inputs": inputs, "atomic": false})).await;
    assert_eq!(result_statuses(&response), [201, 400, 409, 400, 400]);
}

#[tokio::test]
async fn atomic_batch_without_a_failure_applies_every_input() {
    let account = Account::new().await;
    let inputs = json!([{"id": "x", "fields": {"first_name": "A"}}, {"id": "x", "fields": {"last_name": "B"}}]);
    let response =
        account.batch("upsert", json!({"inputs": inputs, "id_property": "external_id", "atomic": true})).await;
    assert_eq!(result_statuses(&response), [201, 200]);
    let read = account.get("/contacts/x?id_property=external_id").await.expect(200);
    assert_eq!((&read.body["first_name"], &read.body["last_name"]), (&json!("A"), &json!("B")));
}

/// A rolled-back batch leaves no trace: its keys are free and later writes do not see it.
#[tokio::test]
async fn rolled_back_atomic_batch_holds_no_unique_key() {
    let account = Account::new().await;
    let batch = |atomic: bool| {
        let inputs = ["A", "B"].map(|name| json!({"fields": {"external_id": "x", "first_name": name}}));
        json!({"inputs": inputs, "atomic": atomic})
    };
    assert_eq!(result_statuses(&account.batch("create", batch(true)).await), [424, 409]);
    account.get("/contacts/x?id_property=external_id").await.expect_error(404, "not_found");
    assert_eq!(account.get("/contacts/changes").await.body["data"], json!([]));
    assert_eq!(result_statuses(&account.batch("create", batch(false)).await), [201, 409]);
}

#[tokio::test]
async fn dry_run_of_a_batch_writes_nothing() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let before = account.stored_rows().await;
    let inputs = ["x", "y", "y"].map(|id| json!({"id": id, "fields": {"last_name": "B"}}));
    for atomic in [json!(true), json!(false)] {
        let body = json!({"inputs": inputs, "id_property": "external_id", "atomic": atomic});
        let response = account.batch("upsert?dry_run=true", body).await;
        assert_eq!(result_statuses(&response), [200, 201, 200]);
        assert_eq!(response.body["results"][0]["contact"]["id"], json!(id));
        assert_eq!(response.body["results"][1]["contact"]["id"], Value::Null);
        assert_eq!(account.stored_rows().await, before);
    }
    for action in ["archive", "read"] {
        let body = json!({"inputs": [{"id": id}]});
        expect_summary(&account.batch(&format!("{action}?dry_run=true"), body).await, 1, 0);
    }
    assert_eq!(account.stored_rows().await, before);
}

#[tokio::test]
async fn atomic_batch_read_with_an_unknown_id_returns_no_contact() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let body = json!({"atomic": true, "inputs": [{"id": id}, {"id": "unknown"}]});
    let response = account.post("/contacts/batch/read", body).await.expect(207);
    let codes = [0, 1].map(|index| response.body["results"][index]["error"]["code"].clone());
    assert_eq!(codes, [json!("not_applied"), json!("not_found")]);
}
