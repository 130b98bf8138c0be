//! `on_archived`: upserts of a key that only an archived contact has.

use serde_json::{Value, json};

use crate::support::{Account, run_concurrently};

fn path(on_archived: &str) -> String {
    format!("x?id_property=external_id&properties=job_title&on_archived={on_archived}")
}

/// Creates contacts with the same key, and archives one after another. Returns the ids in the order of archiving.
async fn archive_holders(account: &Account, count: usize) -> Vec<String> {
    let mut ids = vec![];
    for number in 0..count {
        let fields = json!({"first_name": "A", "email": format!("a{number}@example.com"), "job_title": "Analyst"});
        let id = account.put("x?id_property=external_id", fields).await.expect(201).id();
        account.delete(&format!("/contacts/{id}")).await.expect(200);
        ids.push(id);
    }
    ids
}

async fn entry_types(account: &Account) -> Vec<Value> {
    let feed = account.get("/contacts/changes?limit=1000").await.expect(200);
    feed.body["data"].as_array().unwrap().iter().map(|entry| entry["type"].clone()).collect()
}

#[tokio::test]
async fn creation_names_the_contact_that_was_archived_last() {
    let account = Account::new().await;
    let first = account.put(&path("create"), json!({"first_name": "A"})).await.expect(201);
    assert_eq!(first.header("created-beside-archived"), "");
    account.delete(&format!("/contacts/{}", first.id())).await.expect(200);
    let ids = archive_holders(&account, 2).await;
    // The default is to create.
    let beside = account.put("x?id_property=external_id", json!({"first_name": "B"})).await.expect(201);
    assert_eq!(beside.header("created-beside-archived"), ids[1]);
    let updated = account.put(&path("create"), json!({"first_name": "C"})).await.expect(200);
    assert_eq!((updated.id(), updated.header("created-beside-archived")), (beside.id(), ""));
    // A purged contact does not count.
    account.delete(&format!("/contacts/{}", beside.id())).await.expect(200);
    for id in [&beside.id(), &ids[1]] {
        account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
    }
    let dry = account.put(&format!("{}&dry_run=true", path("create")), json!({"first_name": "B"})).await.expect(201);
    assert_eq!(dry.header("created-beside-archived"), ids[0]);
}

#[tokio::test]
async fn restoring_upsert_restores_and_updates_in_one_step() {
    let account = Account::new().await;
    let ids = archive_holders(&account, 2).await;
    let restored = account.put(&path("restore"), json!({"job_title": "Countess"})).await.expect(200);
    assert_eq!((restored.id(), restored.header("location")), (ids[1].clone(), ""));
    assert_eq!((&restored.body["archived"], &restored.body["job_title"]), (&json!(false), &json!("Countess")));
    let types = entry_types(&account).await;
    assert_eq!(types[types.len() - 2..], [json!("restored"), json!("updated")]);
    // Values that change nothing add no second entry.
    account.delete(&format!("/contacts/{}", ids[1])).await.expect(200);
    account.put(&path("restore"), json!({"job_title": "Countess"})).await.expect(200);
    let types = entry_types(&account).await;
    assert_eq!(types[types.len() - 2..], [json!("archived"), json!("restored")]);
    // The other keys of the contact must be free, unless the body replaces them.
    account.delete(&format!("/contacts/{}", ids[1])).await.expect(200);
    let holder = account.create(json!({"email": "a1@example.com"})).await;
    let taken = account.put(&path("restore"), json!({})).await.expect_error(409, "duplicate_contact");
    assert_eq!(taken.body["details"][0]["existing_id"], holder);
    let replaced = account.put(&path("restore"), json!({"email": "b@example.com"})).await.expect(200);
    assert_eq!(replaced.body["email"], "b@example.com");
    // Without an archived contact, it creates.
    let other = account.put("y?id_property=external_id&on_archived=restore", json!({"first_name": "A"})).await;
    other.expect(201);
}

#[tokio::test]
async fn refusing_upsert_names_the_archived_contact() {
    let account = Account::new().await;
    let ids = archive_holders(&account, 2).await;
    let refused = account.put(&path("refuse"), json!({"first_name": "B"})).await;
    let refused = refused.expect_error(409, "contact_archived").expect_details(&[("external_id", "archived")]);
    assert_eq!(refused.body["details"][0]["existing_id"], ids[1]);
    account.post(&format!("/contacts/{}/restore", ids[0]), json!({})).await.expect(200);
    account.put(&path("refuse"), json!({"first_name": "B"})).await.expect(200);
    let invalid = account.put(&path("ignore"), json!({})).await.expect_error(400, "invalid_query");
    invalid.expect_details(&[("on_archived", "invalid_option")]);
    let patch = account.patch(&path("restore"), json!({})).await.expect_error(400, "invalid_query");
    patch.expect_details(&[("on_archived", "unknown_parameter")]);
}

#[tokio::test]
async fn preconditions_of_a_restoring_upsert_apply_to_the_archived_contact() {
    let account = Account::new().await;
    let ids = archive_holders(&account, 1).await;
    let etag = account.get(&format!("/contacts/{}", ids[0])).await.etag();
    let put = async |name: &str, value: &str| {
        let call = account.call("PUT", &format!("/contacts/{}", path("restore"))).header(name, value);
        call.json(&json!({"fields": {}})).send().await
    };
    put("if-none-match", "*").await.expect_error(412, "precondition_failed");
    put("if-match", "\"other.x\"").await.expect_error(412, "precondition_failed");
    put("if-match", &etag).await.expect(200);
}

#[tokio::test]
async fn batch_has_one_action_for_all_inputs() {
    let account = Account::new().await;
    let ids = archive_holders(&account, 1).await;
    let body = |on_archived: Value| {
        let inputs = json!([{"id": "x", "fields": {"first_name": "B"}}, {"id": "z", "fields": {"first_name": "Z"}}]);
        json!({"inputs": inputs, "id_property": "external_id", "on_archived": on_archived})
    };
    let refused = account.batch("upsert", body(json!("refuse"))).await.expect(207);
    let error = &refused.body["results"][0]["error"];
    assert_eq!((&error["code"], &error["details"][0]["existing_id"]), (&json!("contact_archived"), &json!(ids[0])));
    let restored = account.batch("upsert", body(json!("restore"))).await.expect(200);
    assert_eq!(
        (&restored.body["results"][0]["id"], &restored.body["results"][0]["status"]),
        (&json!(ids[0]), &json!(200))
    );
    account.delete(&format!("/contacts/{}", ids[0])).await.expect(200);
    let created = account.batch("upsert", body(Value::Null)).await.expect(200);
    assert_eq!(created.body["results"][0]["created_beside_archived"], ids[0]);
    assert!(created.body["results"][1].get("created_beside_archived").is_none());
    for invalid in [json!("ignore"), json!(true)] {
        account.batch("upsert", body(invalid)).await.expect_error(400, "invalid_body");
    }
    let update = json!({"inputs": [{"id": ids[0], "fields": {}}], "on_archived": "create"});
    account.batch("update", update).await.expect_error(400, "invalid_body");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_restoring_upserts_restore_the_contact_once() {
    let account = Account::new().await;
    let second = account.on_instance(&account.server.second_instance());
    let instances = [account.clone(), second];
    for _ in 0..10 {
        let before = account.get("/contacts?limit=1").await.body["pagination"]["count"].clone();
        assert_eq!(before, 0);
        let id = account.put(&path("restore"), json!({"first_name": "A"})).await.id();
        account.delete(&format!("/contacts/{id}")).await.expect(200);
        let calls = (0..8).map(|caller| {
            let account = instances[caller % 2].clone();
            async move { account.put(&path("restore"), json!({"job_title": caller.to_string()})).await.expect(200).id() }
        });
        assert!(run_concurrently(calls).await.iter().all(|restored| *restored == id));
        account.delete(&format!("/contacts/{id}")).await.expect(200);
    }
}
