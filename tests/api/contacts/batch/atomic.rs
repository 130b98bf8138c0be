//! `"atomic": true`: all or nothing.

use serde_json::{Value, json};

use super::{code, expect_summary, statuses};
use crate::support::Account;

#[tokio::test]
async fn a_refused_write_leaves_all_undone() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let before = account.stored().await;
    let inputs = json!([
        {"id": id, "fields": {"last_name": "B"}},
        {"id": "nope", "fields": {}},
        {"id": id, "fields": {"email": "taken@example.com"}},
        {"id": id, "fields": {}},
    ]);
    let answer = account.batch("update", json!({"inputs": inputs, "atomic": true})).await;
    expect_summary(&answer, 4, 4);
    assert_eq!(statuses(&answer), [424, 404, 409, 424]);
    assert_eq!((code(&answer, 0), code(&answer, 2)), (&json!("not_applied"), &json!("duplicate_contact")));
    assert_eq!(account.stored().await, before);
}

#[tokio::test]
async fn an_invalid_input_leaves_all_undone() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let before = account.stored().await;
    let inputs = json!([
        {"fields": {"first_name": "A"}},
        {"fields": {"nope": 1}},
        {"fields": {"email": "taken@example.com"}},
        {},
        {"fields": {}},
    ]);
    let answer = account.batch("create", json!({"inputs": inputs, "atomic": true})).await;
    assert_eq!(statuses(&answer), [424, 400, 409, 400, 400]);
    expect_summary(&answer, 5, 5);
    assert_eq!(account.stored().await, before);
    // Each for itself they are done.
    let answer = account.batch("create", json!({"inputs": inputs, "atomic": false})).await;
    assert_eq!(statuses(&answer), [201, 400, 409, 400, 400]);
}

#[tokio::test]
async fn without_a_failure_all_is_done() {
    let account = Account::new().await;
    let inputs = json!([{"id": "x", "fields": {"first_name": "A"}}, {"id": "x", "fields": {"last_name": "B"}}]);
    let answer = account.batch("upsert", json!({"inputs": inputs, "id_property": "external_id", "atomic": true})).await;
    assert_eq!(statuses(&answer), [201, 200]);
    let read = account.get("/contacts/x?id_property=external_id").await.expect(200);
    assert_eq!((&read.body["first_name"], &read.body["last_name"]), (&json!("A"), &json!("B")));
}

/// What was undone is as if it had never been: its keys are free, later writes see nothing of it.
#[tokio::test]
async fn what_is_undone_takes_no_key() {
    let account = Account::new().await;
    let batch = |atomic: bool| {
        let inputs = ["A", "B"].map(|name| json!({"fields": {"external_id": "x", "first_name": name}}));
        json!({"inputs": inputs, "atomic": atomic})
    };
    assert_eq!(statuses(&account.batch("create", batch(true)).await), [424, 409]);
    account.get("/contacts/x?id_property=external_id").await.expect_error(404, "not_found");
    assert_eq!(account.get("/contacts/changes").await.body["data"], json!([]));
    assert_eq!(statuses(&account.batch("create", batch(false)).await), [201, 409]);
}

#[tokio::test]
async fn tried_only_it_writes_nothing_either() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let before = account.stored().await;
    let inputs = ["x", "y", "y"].map(|id| json!({"id": id, "fields": {"last_name": "B"}}));
    for atomic in [json!(true), json!(false)] {
        let body = json!({"inputs": inputs, "id_property": "external_id", "atomic": atomic});
        let answer = account.batch("upsert?dry_run=true", body).await;
        assert_eq!(statuses(&answer), [200, 201, 200]);
        assert_eq!(answer.body["results"][0]["contact"]["id"], json!(id));
        assert_eq!(answer.body["results"][1]["contact"]["id"], Value::Null);
        assert_eq!(account.stored().await, before);
    }
    for action in ["archive", "read"] {
        let body = json!({"inputs": [{"id": id}]});
        expect_summary(&account.batch(&format!("{action}?dry_run=true"), body).await, 1, 0);
    }
    assert_eq!(account.stored().await, before);
}

#[tokio::test]
async fn a_read_is_all_or_nothing_too() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let body = json!({"atomic": true, "inputs": [{"id": id}, {"id": "unknown"}]});
    let answer = account.post("/contacts/batch/read", body).await.expect(207);
    let codes = [0, 1].map(|index| answer.body["results"][index]["error"]["code"].clone());
    assert_eq!(codes, [json!("not_applied"), json!("not_found")]);
}
