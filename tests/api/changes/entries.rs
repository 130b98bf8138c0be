//! What an entry says.

use serde_json::{Value, json};

use crate::support::{Account, Reader, Server, sign, token_for};

/// The newest entry, without its cursor.
async fn newest(account: &Account) -> Value {
    let mut entry = Reader::all_of(account).await.pop().unwrap();
    entry.as_object_mut().unwrap().remove("cursor").unwrap();
    entry
}

#[tokio::test]
async fn an_acknowledged_change_is_told_of_at_once_and_in_full() {
    let account = Account::new().await;
    account.define(json!({"label": "size", "type": "number"})).await;
    let created =
        account.post("/contacts", json!({"fields": {"first_name": "Ada", "phone": "555", "size": 38.0, "email": ""}}));
    let created = created.await.expect(201);
    let (id, at) = (created.id(), &created.body["created_at"]);
    let set = |value: Value| json!({"old": null, "new": value});
    let changed = json!({"first_name": set(json!("Ada")), "phone": set(json!("555")), "size": set(json!(38))});
    let expected = json!({"type": "created", "contact_id": id, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest(&account).await, expected);

    let patched = account.patch(&id, json!({"size": null, "first_name": "Ada", "phone": "556"})).await.expect(200);
    let changed = json!({"phone": {"old": "555", "new": "556"}, "size": {"old": 38, "new": null}});
    let at = &patched.body["updated_at"];
    let expected = json!({"type": "updated", "contact_id": id, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest(&account).await, expected);

    let archived = account.delete(&format!("/contacts/{id}")).await.expect(200);
    let at = &archived.body["archived"];
    let changed = json!({"archived": {"old": false, "new": at}, "archived_by": {"old": null, "new": "tester"}});
    let expected = json!({"type": "archived", "contact_id": id, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest(&account).await, expected);

    let restored = account.post(&format!("/contacts/{id}/restore"), json!({})).await.expect(200);
    let changed = json!({"archived": {"old": at, "new": false}, "archived_by": {"old": "tester", "new": null}});
    let at = &restored.body["updated_at"];
    let expected = json!({"type": "restored", "contact_id": id, "actor": "tester", "at": at, "changed": changed});
    assert_eq!(newest(&account).await, expected);

    account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
    let purged = newest(&account).await;
    assert_eq!(
        (&purged["type"], &purged["contact_id"], &purged["changed"]),
        (&json!("purged"), &json!(id), &json!({}))
    );
    assert!(purged["at"].as_str() >= restored.body["updated_at"].as_str());
}

#[tokio::test]
async fn an_upsert_and_each_input_of_a_batch_make_an_entry_of_their_own() {
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
    let told = Reader::all_of(&account).await;
    let told: Vec<_> =
        told.iter().map(|entry| (entry["type"].as_str().unwrap(), &entry["changed"]["first_name"]["new"])).collect();
    let (a, b, c, d, e) = (json!("A"), json!("B"), json!("C"), json!("D"), json!("E"));
    assert_eq!(told, [("created", &a), ("updated", &b), ("updated", &c), ("created", &d), ("updated", &e)]);
}

#[tokio::test]
async fn what_changes_nothing_is_not_told_of() {
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
    assert_eq!(Reader::all_of(&account).await.len(), 1);
}

#[tokio::test]
async fn deleted_fields_vanish_from_old_entries_and_do_not_come_back() {
    let account = Account::new().await;
    account.define(json!({"label": "Size", "type": "number"})).await;
    let id = account.create(json!({"first_name": "A", "size": 38})).await;
    account.patch(&id, json!({"size": 39})).await.expect(200);
    account.call("PATCH", "/fields/size").json(&json!({"label": "Shoe size"})).send().await.expect(200);
    let of_size = |entries: &[Value]| entries.iter().map(|entry| entry["changed"]["size"].clone()).collect::<Vec<_>>();
    let told = of_size(&Reader::all_of(&account).await);
    assert_eq!(told, [json!({"old": null, "new": 38}), json!({"old": 38, "new": 39})]);
    account.call("DELETE", "/fields/size").send().await.expect(204);
    let is_gone = |entries: &[Value]| entries.iter().all(|entry| entry["changed"].get("size").is_none());
    assert!(is_gone(&Reader::all_of(&account).await));
    account.define(json!({"label": "Size", "type": "text"})).await;
    assert!(is_gone(&Reader::all_of(&account).await));
    let history = account.get(&format!("/contacts/{id}/history")).await.expect(200);
    assert!(is_gone(history.body["data"].as_array().unwrap()));
    // What is left of it goes with the next change, without a word.
    account.patch(&id, json!({"first_name": "B"})).await.expect(200);
    assert_eq!(newest(&account).await["changed"], json!({"first_name": {"old": "A", "new": "B"}}));
}

#[tokio::test]
async fn options_stand_in_their_order_of_today() {
    let account = Account::new().await;
    let options = json!([{"label": "red"}, {"label": "green"}, {"label": "blue"}]);
    account.define(json!({"label": "tags", "type": "multi_select", "options": options})).await;
    account.create(json!({"first_name": "A", "tags": ["blue", "red"]})).await;
    assert_eq!(newest(&account).await["changed"]["tags"], json!({"old": null, "new": ["red", "blue"]}));
    let options = json!([{"internal_name": "blue", "label": "Blue!"}, {"internal_name": "red", "label": "red"}]);
    account.call("PATCH", "/fields/tags").json(&json!({"options": options})).send().await.expect(200);
    assert_eq!(newest(&account).await["changed"]["tags"], json!({"old": null, "new": ["blue", "red"]}));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_has_not_heard_of_a_field_tells_of_its_values_all_the_same() {
    let account = Account::new().await;
    let other = account.at(&Server::shared().twin());
    for turn in 0..3 {
        // The other one knows the account as it was.
        other.get("/fields").await.expect(200);
        let name = format!("field_{turn}");
        account.define(json!({"label": name, "type": "text"})).await;
        let id = account.create(json!({"first_name": "A", (&name): "x"})).await;
        assert_eq!(newest(&other).await["changed"][&name], json!({"old": null, "new": "x"}));
        account.define(json!({"label": format!("other_{turn}"), "type": "text"})).await;
        account.patch(&id, json!({(format!("other_{turn}")): "y"})).await.expect(200);
        let history = other.get(&format!("/contacts/{id}/history?limit=1")).await.expect(200);
        let told = &history.body["data"][0]["changed"];
        assert_eq!(told, &json!({(format!("other_{turn}")): {"old": null, "new": "y"}}));
    }
}

#[tokio::test]
async fn the_actor_is_the_tokens_subject_or_nobody() {
    let account = Account::new().await;
    let id = account.with_token(token_for(account.id, None)).create(json!({"first_name": "A"})).await;
    assert_eq!(newest(&account).await["actor"], json!(null));
    let claims = json!({"account_id": account.id, "sub": "crm-sync", "exp": crate::support::in_seconds(60)});
    let other = account.with_token(sign(&claims));
    other.patch(&id, json!({"first_name": "B"})).await.expect(200);
    assert_eq!(newest(&account).await["actor"], "crm-sync");
    // Archived by nobody: there is nothing to say of by whom.
    account.with_token(token_for(account.id, None)).delete(&format!("/contacts/{id}")).await.expect(200);
    let archived = newest(&account).await;
    assert_eq!(archived["changed"].as_object().unwrap().keys().collect::<Vec<_>>(), ["archived"]);
}
