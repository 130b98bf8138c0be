//! The content of change feed entries.

use serde_json::{Value, json};

use crate::support::{Account, FeedReader, Server, sign, token_for};

/// Returns the newest entry, without its cursor.
async fn newest_entry(account: &Account) -> Value {
    let mut entry = FeedReader::read_entire_feed(account).await.pop().unwrap();
    entry.as_object_mut().unwrap().remove("cursor").unwrap();
    entry
}

#[tokio::test]
async fn acknowledged_change_is_in_the_feed_at_once_with_old_and_new_values() {
    let account = Account::new().await;
    account.define(json!({"label": "size", "type": "number"})).await;
    let created =
        account.post("/contacts", json!({"fields": {"first_name": "Ada", "phone": "555", "size": 38.0, "email": ""}}));
    let created = created.await.expect(201);
    let (id, at) = (created.id(), &created.body["created_at"]);
    let set = |value: Value| json!({"old": null, "new": value});
    let changed = json!({"first_name": set(json!("Ada")), "phone": set(json!("555")), "size": set(json!(38))});
    let expected = json!({"type": "created", "contact_id": id, "external_id": null, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest_entry(&account).await, expected);

    let patched = account.patch(&id, json!({"size": null, "first_name": "Ada", "phone": "556"})).await.expect(200);
    let changed = json!({"phone": {"old": "555", "new": "556"}, "size": {"old": 38, "new": null}});
    let at = &patched.body["updated_at"];
    let expected = json!({"type": "updated", "contact_id": id, "external_id": null, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest_entry(&account).await, expected);

    let archived = account.delete(&format!("/contacts/{id}")).await.expect(200);
    let at = &archived.body["archived"];
    let changed = json!({"archived": {"old": false, "new": at}, "archived_by": {"old": null, "new": "tester"}});
    let expected = json!({"type": "archived", "contact_id": id, "external_id": null, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest_entry(&account).await, expected);

    let restored = account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200);
    let changed = json!({"archived": {"old": at, "new": false}, "archived_by": {"old": "tester", "new": null}});
    let at = &restored.body["updated_at"];
    let expected = json!({"type": "restored", "contact_id": id, "external_id": null, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest_entry(&account).await, expected);

    account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
    let purged = newest_entry(&account).await;
    assert_eq!(
        (&purged["type"], &purged["contact_id"], &purged["changed"]),
        (&json!("purged"), &json!(id), &json!({}))
    );
    assert!(purged["at"].as_str() >= restored.body["updated_at"].as_str());
}

#[tokio::test]
async fn each_upsert_and_each_batch_input_adds_one_entry() {
    let account = Account::new().await;
    let upsert = |fields: Value| {
        let body = json!({"fields": fields});
        account.call("PUT", "/contacts/x?id_property=external_id").json(&body).send()
    };
    upsert(json!({"first_name": "A"})).await.expect(201);
    upsert(json!({"first_name": "B"})).await.expect(200);
    let inputs = json!([{"id": "x", "fields": {"first_name": "C"}}, {"id": "y", "fields": {"first_name": "D"}},
                        {"id": "x", "fields": {"first_name": "E"}}, {"id": "z", "fields": {"first_name": 1}}]);
    let body = json!({"inputs": inputs, "id_property": "external_id"});
    account.post("/contacts/batch/upsert", body).await.expect(207);
    let entries = FeedReader::read_entire_feed(&account).await;
    let summary: Vec<_> =
        entries.iter().map(|entry| (entry["type"].as_str().unwrap(), &entry["changed"]["first_name"]["new"])).collect();
    let (a, b, c, d, e) = (json!("A"), json!("B"), json!("C"), json!("D"), json!("E"));
    assert_eq!(summary, [("created", &a), ("updated", &b), ("updated", &c), ("created", &d), ("updated", &e)]);
}

#[tokio::test]
async fn write_without_a_change_adds_no_entry() {
    let account = Account::new().await;
    account.define(json!({"label": "size", "type": "number"})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x", "size": 1})).await;
    account.patch(&id, json!({})).await.expect(200);
    account.patch(&id, json!({"first_name": "A", "size": 1.0, "phone": ""})).await.expect(200);
    account.patch(&id, json!({"size": "1"})).await.expect(400);
    account.patch(&format!("{id}?dry_run=true"), json!({"first_name": "B"})).await.expect(200);
    account.call("DELETE", &format!("/contacts/{id}?dry_run=true")).send().await.expect(200);
    account.call("POST", &format!("/contacts/{id}/purge?dry_run=true")).send().await.expect(204);
    account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200);
    account.post("/contacts", json!({"fields": {"first_name": "B", "external_id": "x"}})).await.expect(409);
    let inputs = json!([{"fields": {"first_name": "C"}}, {"fields": {"external_id": "x", "first_name": "D"}}]);
    account.post("/contacts/batch/create", json!({"inputs": inputs, "atomic": true})).await.expect(207);
    account.call("DELETE", "/fields/size").send().await.expect(204);
    assert_eq!(FeedReader::read_entire_feed(&account).await.len(), 1);
}

#[tokio::test]
async fn deleted_field_disappears_from_old_entries_and_does_not_return_with_its_name() {
    let account = Account::new().await;
    account.define(json!({"label": "Size", "type": "number"})).await;
    let id = account.create(json!({"first_name": "A", "size": 38})).await;
    account.patch(&id, json!({"size": 39})).await.expect(200);
    account.call("PATCH", "/fields/size").json(&json!({"label": "Shoe size"})).send().await.expect(200);
    let size_changes =
        |entries: &[Value]| entries.iter().map(|entry| entry["changed"]["size"].clone()).collect::<Vec<_>>();
    let changes = size_changes(&FeedReader::read_entire_feed(&account).await);
    assert_eq!(changes, [json!({"old": null, "new": 38}), json!({"old": 38, "new": 39})]);
    account.call("DELETE", "/fields/size").send().await.expect(204);
    let lack_size = |entries: &[Value]| entries.iter().all(|entry| entry["changed"].get("size").is_none());
    assert!(lack_size(&FeedReader::read_entire_feed(&account).await));
    account.define(json!({"label": "Size", "type": "text"})).await;
    assert!(lack_size(&FeedReader::read_entire_feed(&account).await));
    let history = account.get(&format!("/contacts/{id}/history")).await.expect(200);
    assert!(lack_size(history.body["data"].as_array().unwrap()));
    // The next write removes the stored value of the deleted field without a feed entry for it.
    account.patch(&id, json!({"first_name": "B"})).await.expect(200);
    assert_eq!(newest_entry(&account).await["changed"], json!({"first_name": {"old": "A", "new": "B"}}));
}

#[tokio::test]
async fn multi_select_values_of_an_entry_follow_the_current_option_order() {
    let account = Account::new().await;
    let options = json!([{"label": "red"}, {"label": "green"}, {"label": "blue"}]);
    account.define(json!({"label": "tags", "type": "multi_select", "options": options})).await;
    account.create(json!({"first_name": "A", "tags": ["blue", "red"]})).await;
    assert_eq!(newest_entry(&account).await["changed"]["tags"], json!({"old": null, "new": ["red", "blue"]}));
    let options = json!([{"internal_name": "blue", "label": "Blue!"}, {"internal_name": "red", "label": "red"}]);
    account.call("PATCH", "/fields/tags").json(&json!({"options": options})).send().await.expect(200);
    assert_eq!(newest_entry(&account).await["changed"]["tags"], json!({"old": null, "new": ["blue", "red"]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn instance_with_outdated_fields_returns_the_values_of_new_fields() {
    let account = Account::new().await;
    let other = account.on_instance(&Server::shared().second_instance());
    for turn in 0..3 {
        // Makes the other instance cache the fields as they are now.
        other.get("/fields").await.expect(200);
        let name = format!("field_{turn}");
        account.define(json!({"label": name, "type": "text"})).await;
        let id = account.create(json!({"first_name": "A", (&name): "x"})).await;
        assert_eq!(newest_entry(&other).await["changed"][&name], json!({"old": null, "new": "x"}));
        account.define(json!({"label": format!("other_{turn}"), "type": "text"})).await;
        account.patch(&id, json!({(format!("other_{turn}")): "y"})).await.expect(200);
        let history = other.get(&format!("/contacts/{id}/history?limit=1")).await.expect(200);
        let changed = &history.body["data"][0]["changed"];
        assert_eq!(changed, &json!({(format!("other_{turn}")): {"old": null, "new": "y"}}));
    }
}

#[tokio::test]
async fn actor_is_the_token_subject_or_null() {
    let account = Account::new().await;
    let id = account.with_token(token_for(account.id, None)).create(json!({"first_name": "A"})).await;
    assert_eq!(newest_entry(&account).await["actor"], json!(null));
    let claims = json!({"account_id": account.id, "sub": "crm-sync", "exp": crate::support::timestamp_in(60)});
    let other = account.with_token(sign(&claims));
    other.patch(&id, json!({"first_name": "B"})).await.expect(200);
    assert_eq!(newest_entry(&account).await["actor"], "crm-sync");
    // Archived by a token without an actor: `archived_by` stays null and is not in the entry.
    account.with_token(token_for(account.id, None)).delete(&format!("/contacts/{id}")).await.expect(200);
    let archived = newest_entry(&account).await;
    assert_eq!(archived["changed"].as_object().unwrap().keys().collect::<Vec<_>>(), ["archived"]);
}
