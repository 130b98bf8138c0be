//! The database has another history than the one that an instance knows: an older backup was restored under it, or a failover has
//! lost writes. Counters reach the same numbers again, with other contents.

use serde_json::json;
use sqlx::Executor;

use crate::support::{Account, Server};

/// Takes back all changes of the registry, as a restored backup does.
async fn restore_empty_registry(account: &Account) {
    let mut database = account.database().await;
    sqlx::query("DELETE FROM fields WHERE account_id = $1").bind(account.id).execute(&mut database).await.unwrap();
    let restore = "UPDATE accounts SET registry_version = 0 WHERE account_id = $1";
    sqlx::query(restore).bind(account.id).execute(&mut database).await.unwrap();
}

async fn field_id(account: &Account, name: &str) -> i32 {
    let id = "SELECT id FROM fields WHERE account_id = $1 AND internal_name = $2";
    sqlx::query_scalar(id).bind(account.id).bind(name).fetch_one(&mut account.database().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn write_that_was_validated_against_a_lost_registry_is_not_stored() {
    let server = Server::with_own_database("fork_of_registry", |_| {});
    let account = Account::on_server(&server);
    let id = account.create(json!({"first_name": "Ada"})).await;
    account.define(json!({"label": "Size", "type": "text"})).await;
    account.patch(&id, json!({"size": "large"})).await.expect(200);
    let lost_id = field_id(&account, "size").await;

    restore_empty_registry(&account).await;
    // Another instance makes as many changes. The first one does not know of them yet.
    let other = account.on_instance(&server.second_instance());
    other.define(json!({"label": "Size", "type": "number"})).await;
    assert_ne!(field_id(&account, "size").await, lost_id);
    let response = account.patch(&id, json!({"size": "small"})).await;
    response.expect_error(400, "validation_failed");
    account.patch(&format!("{id}?properties=size"), json!({"size": 38})).await.expect(200);
    let found = json!({"filters": [{"property": "size", "operator": "gt", "value": 1}], "properties": ["size"]});
    for instance in [&account, &other] {
        let found = instance.post("/contacts/search", found.clone()).await.expect(200);
        assert_eq!(found.body["data"][0]["size"], 38, "{}", found.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_registry_is_replaced_by_the_one_of_the_database() {
    let server = Server::with_own_database("fork_of_cache", |_| {});
    let account = Account::on_server(&server);
    account.create(json!({"first_name": "Ada"})).await;
    for label in ["One", "Two", "Three"] {
        account.define(json!({"label": label, "type": "text"})).await;
    }
    restore_empty_registry(&account).await;
    account.on_instance(&server.second_instance()).define(json!({"label": "Four", "type": "text"})).await;
    // Fewer changes than the cached registry has.
    for _ in 0..200 {
        if account.get("/contacts?properties=four").await.status == 200 {
            account.get("/contacts?properties=three").await.expect(400);
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the registry of the lost history is still used");
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_value_of_another_type_shows_as_null_and_is_not_found() {
    let account = Account::new().await;
    let definitions = [
        json!({"label": "Size", "type": "number"}),
        json!({"label": "Vip", "type": "checkbox"}),
        json!({"label": "Note", "type": "text"}),
        json!({"label": "Tags", "type": "multi_select", "options": [{"label": "A"}]}),
    ];
    for definition in definitions {
        account.define(definition).await;
    }
    let id = account.create(json!({"first_name": "Ada", "size": 1, "vip": true, "note": "n", "tags": ["a"]})).await;
    let misfits = "UPDATE contacts SET custom = (SELECT jsonb_object_agg(id, CASE internal_name WHEN 'note' THEN '7' ELSE '\"text\"' END::jsonb) \
                   FROM fields WHERE account_id = $1) WHERE account_id = $1";
    sqlx::query(misfits).bind(account.id).execute(&mut account.database().await).await.unwrap();

    let properties = "properties=size,vip,note,tags";
    let read = account.get(&format!("/contacts/{id}?{properties}")).await.expect(200).body;
    let listed = account.get(&format!("/contacts?{properties}")).await.expect(200).body;
    for name in ["size", "vip", "note", "tags"] {
        assert!(read[name].is_null() && listed["data"][0][name].is_null(), "{read}");
        for filter in [
            json!({"filters": [{"property": name, "operator": "has_value"}]}),
            json!({"filters": [{"property": name, "operator": "has_no_value"}]}),
        ] {
            let expects_contact = filter["filters"][0]["operator"] == "has_no_value";
            let found = account.post("/contacts/search", filter).await.expect(200).body;
            assert_eq!(found["data"].as_array().unwrap().len(), usize::from(expects_contact), "{name}: {found}");
        }
        let sorted = account.post("/contacts/search", json!({"sorts": [name]})).await;
        assert!([200, 400].contains(&sorted.status), "{}", sorted.text);
    }
    for (name, operator, value) in [
        ("size", "gt", json!(0)),
        ("size", "eq", json!(7)),
        ("vip", "eq", json!(true)),
        ("note", "eq", json!("7")),
        ("note", "starts_with", json!("7")),
        ("tags", "contains", json!("a")),
    ] {
        let filter = json!({"filters": [{"property": name, "operator": operator, "value": value}]});
        let found = account.post("/contacts/search", filter).await.expect(200).body;
        assert_eq!(found["data"], json!([]), "{name}");
    }
    let without_options = json!({"options": [{"label": "B"}]});
    account.call("PATCH", "/fields/tags").json(&without_options).send().await.expect(200);
    account.patch(&format!("{id}?{properties}"), json!({"size": 3})).await.expect(200);
    assert_eq!(account.get(&format!("/contacts/{id}?{properties}")).await.expect(200).body["size"], 3);
    account.get("/contacts/changes").await.expect(200);
    account.get(&format!("/contacts/{id}/history")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn history_cursor_of_a_lost_history_is_410() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "0"})).await;
    for number in 1..5 {
        account.patch(&id, json!({"first_name": format!("{number}")})).await.expect(200);
    }
    let page = account.get(&format!("/contacts/{id}/history?limit=2")).await.expect(200).body;
    let next = format!("/contacts/{id}/history?after={}", page["next"].as_str().unwrap());
    assert_eq!(account.get(&next).await.expect(200).body["data"].as_array().unwrap().len(), 3);
    // The positions have other changes now.
    let mut database = account.database().await;
    let shift = "UPDATE changes SET at = (at AT TIME ZONE 'UTC' + make_interval(secs => 1)) AT TIME ZONE 'UTC' \
                 WHERE account_id = $1";
    sqlx::query(shift).bind(account.id).execute(&mut database).await.unwrap();
    account.get(&next).await.expect_error(410, "cursor_expired");
    // The position does not exist yet.
    database
        .execute(sqlx::query("DELETE FROM changes WHERE account_id = $1 AND position >= 3").bind(account.id))
        .await
        .unwrap();
    account.get(&next).await.expect_error(410, "cursor_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn entity_tag_of_a_lost_change_does_not_match_a_later_one_with_the_same_version_and_time() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "Ada"})).await;
    let mut database = account.database().await;
    // The last change was made by an instance whose clock is ahead: later changes get its time, until other clocks have reached it.
    let ahead =
        "UPDATE changes SET at = date_trunc('milliseconds', now() + make_interval(secs => 60)) WHERE account_id = $1";
    sqlx::query(ahead).bind(account.id).execute(&mut database).await.unwrap();
    let backup = "SELECT to_jsonb(c) FROM contacts c WHERE account_id = $1";
    let backup: serde_json::Value = sqlx::query_scalar(backup).bind(account.id).fetch_one(&mut database).await.unwrap();

    let lost = account.patch(&id, json!({"last_name": "Lovelace"})).await.expect(200);
    for statement in [
        "DELETE FROM changes WHERE account_id = $1 AND position > ($2 ->> 'position')::bigint",
        "DELETE FROM contacts WHERE account_id = $1 AND $2::jsonb IS NOT NULL",
        "INSERT INTO contacts SELECT (jsonb_populate_record(NULL::contacts, $2)).* WHERE $1::uuid IS NOT NULL",
    ] {
        sqlx::query(statement).bind(account.id).bind(&backup).execute(&mut database).await.unwrap();
    }
    let later = account.patch(&format!("{id}?properties=last_name,version"), json!({"last_name": "Byron"})).await;
    let later = later.expect(200);
    let read = account.get(&format!("/contacts/{id}?properties=updated_at,version")).await.expect(200).body;
    assert_eq!((&read["version"], &read["updated_at"]), (&json!(2), &lost.body["updated_at"]), "{read}");
    assert_ne!(later.version_part(), lost.version_part());
    for (tag, status) in [(lost.etag(), 412), (later.etag(), 200)] {
        let patch = account.call("PATCH", &format!("/contacts/{id}")).header("if-match", &tag);
        patch.json(&json!({"fields": {"job_title": "Countess"}})).send().await.expect(status);
    }
}
