//! An error outside the inputs, such as an unknown property or a malformed body, rejects the whole batch.

use serde_json::{Value, json};

use super::expect_summary;
use crate::support::Account;

const ACTIONS: [&str; 5] = ["create", "read", "update", "upsert", "archive"];

#[tokio::test]
async fn batch_body_of_another_shape_is_400_invalid_body() {
    let account = Account::new().await;
    let valid = json!({"fields": {"first_name": "A"}});
    let inputs = |count: usize| json!(vec![valid.clone(); count]);
    for body in [
        json!({}),
        json!([]),
        json!(null),
        json!("inputs"),
        json!({"inputs": []}),
        json!({"inputs": inputs(1_001)}),
        json!({"inputs": {}}),
        json!({"inputs": null}),
        json!({"inputs": "x"}),
        json!({"inputs": [valid, 1]}),
        json!({"inputs": [valid, null]}),
        json!({"inputs": [[valid]]}),
        json!({"inputs": [valid], "atomic": "true"}),
        json!({"inputs": [valid], "atomic": 1}),
        json!({"inputs": [valid], "atomic": null}),
        json!({"inputs": [valid], "dry_run": true}),
        json!({"inputs": [valid], "fields": {}}),
        json!({"input": [valid]}),
        json!({"inputs": [valid], "id_property": 1}),
        json!({"inputs": [valid], "id_property": ["email"]}),
        json!({"inputs": [valid], "properties": 1}),
        json!({"inputs": [valid], "properties": {"phone": true}}),
        json!({"inputs": [valid], "properties": ["phone", 1]}),
    ] {
        for action in ACTIONS {
            account.batch(action, body.clone()).await.expect_error(400, "invalid_body");
        }
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 0);
    expect_summary(&account.batch("create", json!({"inputs": inputs(1_000)})).await, 1_000, 0);
}

#[tokio::test]
async fn batch_with_an_invalid_id_property_or_invalid_properties_is_400() {
    let account = Account::new().await;
    account.define(json!({"label": "size", "type": "number"})).await;
    let inputs = json!([{"id": "x"}]);
    for action in ["read", "update", "upsert", "archive"] {
        for property in ["phone", "size", "nope", "", "Email"] {
            let response = account.batch(action, json!({"inputs": inputs, "id_property": property})).await;
            response.expect_error(400, "invalid_query").expect_details(&[("id_property", "invalid_format")]);
        }
    }
    account.batch("create", json!({"inputs": inputs, "id_property": "email"})).await.expect_error(400, "invalid_body");
    for property in [json!(null), json!("id")] {
        let body = json!({"inputs": inputs, "id_property": property});
        account.batch("upsert", body).await.expect_error(400, "invalid_body");
    }
    account.batch("upsert", json!({"inputs": inputs})).await.expect_error(400, "invalid_body");
    for action in ACTIONS {
        let property = if action == "upsert" { json!("email") } else { Value::Null };
        let body = json!({"inputs": inputs, "id_property": property, "properties": ["phone", "nope", "account_id"]});
        let response = account.batch(action, body).await.expect_error(400, "invalid_properties");
        response.expect_details(&[("nope", "unknown_field"), ("account_id", "unknown_field")]);
    }
}

#[tokio::test]
async fn batch_body_that_is_not_json_is_rejected() {
    let account = Account::new().await;
    for action in ACTIONS {
        let send = |content_type: &str, body: &str| {
            account.call("POST", &format!("/contacts/batch/{action}")).body(content_type, body.to_owned()).send()
        };
        send("text/plain", "{").await.expect_error(415, "unsupported_media_type");
        send("application/json", "{").await.expect_error(400, "invalid_json");
        send("application/json", "").await.expect_error(400, "invalid_json");
        send("application/json", r#"{"inputs": [], "inputs": []}"#).await.expect_error(400, "invalid_json");
        send("application/json", r#"{"inputs": [{"id": "a", "id": "b"}]}"#).await.expect_error(400, "invalid_json");
        let response = account.call("GET", &format!("/contacts/batch/{action}")).send().await;
        assert_eq!(response.expect_error(405, "method_not_allowed").header("allow"), "POST");
    }
    for path in [
        "/contacts/batch",
        "/contacts/batch/",
        "/contacts/batch/delete",
        "/contacts/batch/create/",
        "/contacts/batch/create/x",
    ] {
        account.post(path, json!({"inputs": []})).await.expect_error(404, "route_not_found");
    }
}

/// A batch body may hold a thousand full contacts, so its limit is larger than the limit of a single call.
#[tokio::test]
async fn batch_body_up_to_16_mib_is_accepted_and_larger_is_413() {
    let account = Account::new().await;
    let padding = " ".repeat(15 * 1024 * 1024);
    let body = format!(r#"{{"inputs": [{{"fields": {{"first_name": "A"}}}}]{padding}}}"#);
    let send = |path: &str, body: String| account.call("POST", path).body("application/json", body).send();
    expect_summary(&send("/contacts/batch/create", body).await, 1, 0);
    let too_large = || " ".repeat(16 * 1024 * 1024 + 1);
    send("/contacts/batch/create", too_large()).await.expect_error(413, "payload_too_large");
    send("/contacts/batch/read", too_large()).await.expect_error(413, "payload_too_large");
    send("/contacts", " ".repeat(1024 * 1024 + 1)).await.expect_error(413, "payload_too_large");
}
