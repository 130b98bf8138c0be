//! Inputs act as if sent one after another, in order.

use serde_json::json;

use super::{code, contact, expect_summary, statuses};
use crate::support::Account;

#[tokio::test]
async fn several_writes_of_one_contact_build_on_each_other() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let inputs = json!([
        {"id": id, "fields": {"last_name": "1"}},
        {"id": id, "fields": {"last_name": "1"}},
        {"id": id, "fields": {"job_title": "2"}},
        {"id": id, "fields": {"last_name": null}},
    ]);
    let answer = account.batch("update", json!({"inputs": inputs, "properties": ["job_title"]})).await;
    expect_summary(&answer, 4, 0);
    assert_eq!(contact(&answer, 0), contact(&answer, 1));
    assert_eq!((&contact(&answer, 2)["last_name"], &contact(&answer, 2)["job_title"]), (&json!("1"), &json!("2")));
    assert_eq!((&contact(&answer, 3)["last_name"], &contact(&answer, 3)["job_title"]), (&json!(null), &json!("2")));
    assert!(contact(&answer, 0)["updated_at"].as_str() < contact(&answer, 3)["updated_at"].as_str());
    let read = account.get(&format!("/contacts/{id}?properties=job_title")).await;
    assert_eq!(read.body, *contact(&answer, 3));
    // One entry of the feed each, but for the one that changed nothing.
    assert_eq!(account.get("/contacts/changes").await.body["data"].as_array().unwrap().len(), 1 + 3);
}

#[tokio::test]
async fn a_key_is_handed_on_within_a_batch() {
    let account = Account::new().await;
    let a = account.create(json!({"first_name": "A", "external_id": "k"})).await;
    let b = account.create(json!({"first_name": "B"})).await;
    let inputs = json!([
        {"id": b, "fields": {"external_id": "k"}},
        {"id": a, "fields": {"external_id": null}},
        {"id": b, "fields": {"external_id": "k"}},
        {"id": a, "fields": {"external_id": "k"}},
    ]);
    let answer = account.batch("update", json!({"inputs": inputs})).await;
    assert_eq!(statuses(&answer), [409, 200, 200, 409]);
    assert_eq!(answer.body["results"][0]["error"]["details"][0]["existing_id"], json!(a));
    assert_eq!(answer.body["results"][3]["error"]["details"][0]["existing_id"], json!(b));
    assert_eq!(account.get("/contacts/k?id_property=external_id").await.expect(200).id(), b);
    // And back to where it was: as a whole nothing has moved.
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
async fn two_contacts_swap_keys() {
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
async fn an_upsert_finds_what_an_earlier_one_made() {
    let account = Account::new().await;
    let inputs = json!([
        {"id": "x", "fields": {"first_name": "A"}},
        {"id": "x", "fields": {"last_name": "B", "email": "x@example.com"}},
        {"id": "y", "fields": {"email": "X@example.com"}},
        {"id": "x", "fields": {"email": null}},
        {"id": "y", "fields": {"email": "X@example.com"}},
    ]);
    let answer = account.batch("upsert", json!({"inputs": inputs, "id_property": "external_id"})).await;
    assert_eq!(statuses(&answer), [201, 200, 409, 200, 201]);
    assert_eq!(contact(&answer, 0)["id"], contact(&answer, 1)["id"]);
    assert_eq!(contact(&answer, 1)["first_name"], "A");
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 2);
}

#[tokio::test]
async fn a_key_that_changes_names_nothing_any_more() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "old"})).await;
    let inputs = json!([
        {"id": "old", "fields": {"external_id": "new"}},
        {"id": "old", "fields": {"last_name": "B"}},
        {"id": "new", "fields": {"last_name": "C"}},
    ]);
    let answer = account.batch("update", json!({"inputs": inputs, "id_property": "external_id"})).await;
    assert_eq!(statuses(&answer), [200, 404, 200]);
    assert_eq!((&contact(&answer, 2)["id"], &contact(&answer, 2)["last_name"]), (&json!(id), &json!("C")));
}

#[tokio::test]
async fn creations_of_one_key_all_name_the_first() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..5).map(|_| json!({"fields": {"email": "a@example.com"}})).collect();
    let answer = account.batch("create", json!({"inputs": inputs})).await;
    expect_summary(&answer, 5, 4);
    for index in 1..5 {
        assert_eq!(code(&answer, index), "duplicate_contact");
        let detail = &answer.body["results"][index]["error"]["details"][0];
        assert_eq!(detail["existing_id"], contact(&answer, 0)["id"]);
    }
}

/// A thousand inputs are stored as they are answered.
#[tokio::test]
async fn a_full_batch_is_stored_as_answered() {
    let account = Account::new().await;
    let inputs: Vec<_> = (0..1_000)
        .map(|index| {
            let fields = json!({"first_name": "A", "job_title": format!("{index}")});
            json!({"id": format!("k{}", index % 400), "fields": fields})
        })
        .collect();
    let body = json!({"inputs": inputs, "id_property": "external_id", "properties": ["job_title"]});
    let answer = account.batch("upsert", body).await;
    expect_summary(&answer, 1_000, 0);
    assert_eq!(statuses(&answer).iter().filter(|status| **status == 201).count(), 400);
    for index in 600..1_000 {
        assert_eq!(contact(&answer, index)["job_title"], format!("{index}"));
    }
    let inputs: Vec<_> = (600..1_000).map(|index| json!({"id": contact(&answer, index)["id"]})).collect();
    let read = account.batch("read", json!({"inputs": inputs, "properties": ["job_title"]})).await;
    expect_summary(&read, 400, 0);
    for index in 0..400 {
        assert_eq!(contact(&read, index), contact(&answer, 600 + index));
    }
}
