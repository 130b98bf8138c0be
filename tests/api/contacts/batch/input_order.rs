//! The service applies the inputs as if they were sent one after another, in order.

use serde_json::json;

use super::{error_code, expect_summary, result_contact, result_statuses};
use crate::support::Account;

#[tokio::test]
async fn batch_writes_of_one_contact_build_on_each_other() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let inputs = json!([
        {"id": id, "fields": {"last_name": "1"}},
        {"id": id, "fields": {"last_name": "1"}},
        {"id": id, "fields": {"job_title": "2"}},
        {"id": id, "fields": {"last_name": null}},
    ]);
    let response = account.batch("update", json!({"inputs": inputs, "properties": ["job_title"]})).await;
    expect_summary(&response, 4, 0);
    assert_eq!(result_contact(&response, 0), result_contact(&response, 1));
    assert_eq!(
        (&result_contact(&response, 2)["last_name"], &result_contact(&response, 2)["job_title"]),
        (&json!("1"), &json!("2"))
    );
    assert_eq!(
        (&result_contact(&response, 3)["last_name"], &result_contact(&response, 3)["job_title"]),
        (&json!(null), &json!("2"))
    );
    assert!(result_contact(&response, 0)["updated_at"].as_str() <= result_contact(&response, 3)["updated_at"].as_str());
    let read = account.get(&format!("/contacts/{id}?properties=job_title")).await;
    assert_eq!(read.body, *result_contact(&response, 3));
    // Each input adds one entry to the change feed, except the input that changed nothing.
    assert_eq!(account.get("/contacts/changes").await.body["data"].as_array().unwrap().len(), 1 + 3);
}

#[tokio::test]
async fn batch_moves_a_key_between_contacts() {
    let account = Account::new().await;
    let a = account.create(json!({"first_name": "A", "external_id": "k"})).await;
    let b = account.create(json!({"first_name": "B"})).await;
    let inputs = json!([
        {"id": b, "fields": {"external_id": "k"}},
        {"id": a, "fields": {"external_id": null}},
        {"id": b, "fields": {"external_id": "k"}},
        {"id": a, "fields": {"external_id": "k"}},
    ]);
    let response = account.batch("update", json!({"inputs": inputs})).await;
    assert_eq!(result_statuses(&response), [409, 200, 200, 409]);
    assert_eq!(response.body["results"][0]["error"]["details"][0]["existing_id"], json!(a));
    assert_eq!(response.body["results"][3]["error"]["details"][0]["existing_id"], json!(b));
    assert_eq!(account.get("/contacts/k?id_property=external_id").await.expect(200).id(), b);
    // The key moves away and back, so the batch as a whole moves nothing.
    let inputs = json!([
        {"id": b, "fields": {"external_id": null}},
        {"id": a, "fields": {"external_id": "k"}},
        {"id": a, "fields": {"external_id": null}},
        {"id": b, "fields": {"external_id": "k"}},
    ]);
    expect_summary(&account.batch("update", json!({"inputs": inputs})).await, 4, 0);
    assert_eq!(account.get("/contacts/k?id_property=external_id").await.expect(200).id(), b);
}

#[tokio::test]
async fn atomic_batch_swaps_the_keys_of_two_contacts() {
    let account = Account::new().await;
    let a = account.create(json!({"first_name": "A", "email": "a@example.com"})).await;
    let b = account.create(json!({"first_name": "B", "email": "b@example.com"})).await;
    let inputs = json!([
        {"id": a, "fields": {"email": null}},
        {"id": b, "fields": {"email": "a@example.com"}},
        {"id": a, "fields": {"email": "b@example.com"}},
    ]);
    expect_summary(&account.batch("update", json!({"inputs": inputs, "atomic": true})).await, 3, 0);
    assert_eq!(account.get("/contacts/a@example.com?id_property=email").await.expect(200).id(), b);
    assert_eq!(account.get("/contacts/b@example.com?id_property=email").await.expect(200).id(), a);
}

#[tokio::test]
async fn batch_upsert_updates_a_contact_created_by_an_earlier_input() {
    let account = Account::new().await;
    let inputs = json!([
        {"id": "x", "fields": {"first_name": "A"}},
        {"id": "x", "fields": {"last_name": "B", "email": "x@example.com"}},
        {"id": "y", "fields": {"email": "X@example.com"}},
        {"id": "x", "fields": {"email": null}},
        {"id": "y", "fields": {"email": "X@example.com"}},
    ]);
    let response = account.batch("upsert", json!({"inputs": inputs, "id_property": "external_id"})).await;
    assert_eq!(result_statuses(&response), [201, 200, 409, 200, 201]);
    assert_eq!(result_contact(&response, 0)["id"], result_contact(&response, 1)["id"]);
    assert_eq!(result_contact(&response, 1)["first_name"], "A");
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 2);
}

#[tokio::test]
async fn batch_lookup_by_a_replaced_key_is_404() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "old"})).await;
    let inputs = json!([
        {"id": "old", "fields": {"external_id": "new"}},
        {"id": "old", "fields": {"last_name": "B"}},
        {"id": "new", "fields": {"last_name": "C"}},
    ]);
    let response = account.batch("update", json!({"inputs": inputs, "id_property": "external_id"})).await;
    assert_eq!(result_statuses(&response), [200, 404, 200]);
    assert_eq!(
        (&result_contact(&response, 2)["id"], &result_contact(&response, 2)["last_name"]),
        (&json!(id), &json!("C"))
    );
}

#[tokio::test]
async fn batch_creates_of_one_key_conflict_with_the_first_input() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..5).map(|_| json!({"fields": {"email": "a@example.com"}})).collect();
    let response = account.batch("create", json!({"inputs": inputs})).await;
    expect_summary(&response, 5, 4);
    for index in 1..5 {
        assert_eq!(error_code(&response, index), "duplicate_contact");
        let detail = &response.body["results"][index]["error"]["details"][0];
        assert_eq!(detail["existing_id"], result_contact(&response, 0)["id"]);
    }
}

#[tokio::test]
async fn batch_of_1000_inputs_is_stored_as_returned() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..1_000)
        .map(|index| {
            let fields = json!({"first_name": "A", "job_title": format!("{index}")});
            json!({"id": format!("k{}", index % 400), "fields": fields})
        })
        .collect();
    let body = json!({"inputs": inputs, "id_property": "external_id", "properties": ["job_title"]});
    let response = account.batch("upsert", body).await;
    expect_summary(&response, 1_000, 0);
    assert_eq!(result_statuses(&response).iter().filter(|status| **status == 201).count(), 400);
    for index in 600..1_000 {
        assert_eq!(result_contact(&response, index)["job_title"], format!("{index}"));
    }
    let inputs: Vec<_> = (600..1_000).map(|index| json!({"id": result_contact(&response, index)["id"]})).collect();
    let read = account.batch("read", json!({"inputs": inputs, "properties": ["job_title"]})).await;
    expect_summary(&read, 400, 0);
    for index in 0..400 {
        assert_eq!(result_contact(&read, index), result_contact(&response, 600 + index));
    }
}
