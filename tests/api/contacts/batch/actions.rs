//! The effect of each action of `POST /contacts/batch/{action}`.

use serde_json::{Value, json};
use uuid::Uuid;

use super::{error_code, expect_summary, result_contact, result_statuses};
use crate::support::Account;

#[tokio::test]
async fn batch_create_creates_contacts_in_input_order() {
    let account = Account::new().await;
    let inputs = json!([{"fields": {"first_name": "A", "phone": "+1 555"}}, {"fields": {"email": "B@example.com"}}]);
    let response = account.batch("create", json!({"inputs": inputs, "properties": ["phone"]})).await;
    expect_summary(&response, 2, 0);
    assert_eq!(result_statuses(&response), [201, 201]);
    assert_eq!(response.header("cache-control"), "private, no-cache");
    for index in 0..2 {
        let created = result_contact(&response, index);
        let read = account.get(&format!("/contacts/{}?properties=phone", created["id"].as_str().unwrap())).await;
        assert_eq!(*created, read.expect(200).body);
    }
    assert!(result_contact(&response, 0)["id"].as_str() < result_contact(&response, 1)["id"].as_str());
}

#[tokio::test]
async fn batch_read_finds_contacts_by_id_and_by_key() {
    let account = Account::new().await;
    let a = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let b = account.create(json!({"first_name": "B", "external_id": "b"})).await;
    account.delete(&format!("/contacts/{b}")).await.expect(200);
    let inputs = json!([{"id": b}, {"id": a.to_uppercase()}, {"id": Uuid::now_v7()}, {"id": "nope"}, {"id": b}]);
    let response = account.batch("read", json!({"inputs": inputs, "properties": "phone, job_title"})).await;
    expect_summary(&response, 5, 2);
    assert_eq!(result_statuses(&response), [200, 200, 404, 404, 200]);
    assert_eq!(
        (&result_contact(&response, 0)["archived_by"], &result_contact(&response, 1)["id"]),
        (&json!("tester"), &json!(a))
    );
    assert_eq!((&result_contact(&response, 1)["phone"], error_code(&response, 3)), (&json!(null), &json!("not_found")));
    // A lookup by key finds active contacts only.
    let inputs = json!([{"id": "b"}, {"id": "a"}, {"id": "A"}]);
    let response = account.batch("read", json!({"inputs": inputs, "id_property": "external_id"})).await;
    assert_eq!(result_statuses(&response), [404, 200, 404]);
}

#[tokio::test]
async fn batch_update_changes_contacts_by_id_and_by_key() {
    let account = Account::new().await;
    account.define(json!({"label": "rank", "type": "number", "unique": true})).await;
    let a = account.create(json!({"first_name": "A", "rank": 1})).await;
    let b = account.create(json!({"first_name": "B", "rank": 2})).await;
    let inputs = json!([{"id": b, "fields": {"last_name": "X"}}, {"id": a, "fields": {}}]);
    let response = account.batch("update", json!({"inputs": inputs})).await;
    expect_summary(&response, 2, 0);
    assert_eq!(
        (&result_contact(&response, 0)["last_name"], &result_contact(&response, 1)["id"]),
        (&json!("X"), &json!(a))
    );
    // A key may have the type of the field, or be a string as in a path.
    let input = |id: Value| json!({"id": id, "fields": {"last_name": "Y"}});
    let inputs = [input(json!(2)), input(json!("1.0")), input(json!(2.5))];
    let response = account.batch("update", json!({"inputs": inputs, "id_property": "rank"})).await;
    expect_summary(&response, 3, 1);
    assert_eq!((&result_contact(&response, 0)["id"], &result_contact(&response, 1)["id"]), (&json!(b), &json!(a)));
    assert_eq!(error_code(&response, 2), "not_found");
}

#[tokio::test]
async fn batch_upsert_creates_and_updates_contacts() {
    let account = Account::new().await;
    let a = account.create(json!({"first_name": "A", "email": "A@example.com"})).await;
    let inputs = json!([
        {"id": "b@example.com", "fields": {}},
        {"id": "a@EXAMPLE.com", "fields": {"last_name": "X"}},
        {"id": "c@example.com", "fields": {"email": "C@example.com"}},
        {"id": "d@example.com", "fields": {"email": "e@example.com"}},
        {"id": "nope", "fields": {}},
    ]);
    let response = account.batch("upsert", json!({"inputs": inputs, "id_property": "email"})).await;
    expect_summary(&response, 5, 2);
    assert_eq!(result_statuses(&response), [201, 200, 201, 400, 400]);
    assert_eq!(
        (&result_contact(&response, 1)["id"], &result_contact(&response, 1)["email"]),
        (&json!(a), &json!("A@example.com"))
    );
    assert_eq!(result_contact(&response, 2)["email"], "C@example.com");
    let details = |index: usize| &response.body["results"][index]["error"]["details"][0]["code"];
    assert_eq!((details(3), details(4)), (&json!("forbidden_field"), &json!("invalid_format")));
}

#[tokio::test]
async fn batch_archive_archives_contacts_by_id_and_by_key() {
    let account = Account::new().await;
    let a = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let b = account.create(json!({"first_name": "B", "external_id": "b"})).await;
    let response = account.batch("archive", json!({"inputs": [{"id": a}, {"id": a}]})).await;
    expect_summary(&response, 2, 1);
    assert_eq!(
        (&result_contact(&response, 0)["archived_by"], error_code(&response, 1)),
        (&json!("tester"), &json!("not_found"))
    );
    assert!(result_contact(&response, 0)["archived"].is_string());
    let inputs = json!([{"id": "b"}, {"id": "a"}]);
    let response = account.batch("archive", json!({"inputs": inputs, "id_property": "external_id"})).await;
    assert_eq!((result_statuses(&response), &result_contact(&response, 0)["id"]), (vec![200, 404], &json!(b)));
}

#[tokio::test]
async fn batch_id_property_of_id_or_null_looks_up_ids() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for property in [json!("id"), json!(null)] {
        let inputs = json!([{"id": id}]);
        expect_summary(&account.batch("read", json!({"inputs": inputs, "id_property": property})).await, 1, 0);
    }
}

/// A new account has no row in the database yet.
#[tokio::test]
async fn batches_work_on_a_new_account() {
    let unknown = |count: usize| -> Vec<_> { (0..count).map(|_| json!({"id": Uuid::now_v7()})).collect() };
    let changes =
        |count: usize| -> Vec<_> { (0..count).map(|_| json!({"id": Uuid::now_v7(), "fields": {}})).collect() };
    for count in [1, 2, 50] {
        expect_summary(&Account::new().await.batch("read", json!({"inputs": unknown(count)})).await, count, count);
        expect_summary(&Account::new().await.batch("archive", json!({"inputs": unknown(count)})).await, count, count);
        expect_summary(&Account::new().await.batch("update", json!({"inputs": changes(count)})).await, count, count);
        let new: Vec<_> =
            (0..count).map(|index| json!({"id": format!("{index}"), "fields": {"first_name": "A"}})).collect();
        let response = Account::new().await.batch("upsert", json!({"inputs": new, "id_property": "external_id"})).await;
        expect_summary(&response, count, 0);
    }
}
