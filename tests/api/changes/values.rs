//! The current values of contacts in entries of the feed and of histories.

use serde_json::{Value, json};

use crate::support::Account;

async fn entries(account: &Account, path: &str) -> Vec<Value> {
    account.get(path).await.expect(200).body["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn entries_have_the_current_values_of_the_requested_properties() {
    let account = Account::new().await;
    account.define(json!({"label": "score", "type": "number"})).await;
    let fields = json!({"first_name": "A", "external_id": "x", "score": 1});
    let id = account.post("/contacts", json!({"fields": fields})).await.expect(201).id();
    let other = account.create(json!({"first_name": "B"})).await;
    account.patch(&id, json!({"score": 2, "email": "a@b.cd"})).await.expect(200);
    account.delete(&format!("/contacts/{other}")).await.expect(200);
    let query = "properties=email,score,archived";
    let a = json!({"email": "a@b.cd", "score": 2, "archived": false});
    let feed = entries(&account, &format!("/contacts/changes?{query}")).await;
    assert_eq!(feed.len(), 4);
    for entry in &feed {
        let is_first = entry["contact_id"] == id;
        assert_eq!(entry["external_id"], if is_first { json!("x") } else { Value::Null });
        if is_first {
            assert_eq!(entry["properties"], a);
        } else {
            assert!(entry["properties"]["archived"].is_string());
        }
    }
    let excluded = entries(&account, &format!("/contacts/changes?{query}&exclude_actor=nobody")).await;
    assert_eq!(excluded, feed);
    let history = entries(&account, &format!("/contacts/{id}/history?{query}")).await;
    assert_eq!(history.iter().map(|entry| &entry["properties"]).collect::<Vec<_>>(), [&a; 2]);
    let all = entries(&account, &format!("/contacts/{id}/history?properties=*&limit=1")).await;
    let contact = account.get(&format!("/contacts/{id}?properties=*")).await.body;
    assert_eq!(all[0]["properties"], contact);
    // Without the parameter, there are no values.
    let plain = entries(&account, "/contacts/changes").await;
    assert!(plain.iter().all(|entry| entry.get("properties").is_none() && entry.get("external_id").is_some()));
    account.get("/contacts/changes?properties=nope").await.expect_error(400, "invalid_properties");
    account.get(&format!("/contacts/{id}/history?properties=nope")).await.expect_error(400, "invalid_properties");
}

#[tokio::test]
async fn entries_of_a_purged_contact_have_no_values() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
    let feed = entries(&account, "/contacts/changes?properties=first_name").await;
    for entry in &feed {
        let members = entry.as_object().unwrap();
        assert_eq!((&members["external_id"], &members["properties"]), (&Value::Null, &Value::Null));
    }
    assert_eq!(feed.len(), 2);
}
