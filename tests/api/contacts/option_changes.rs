//! `{"add": […], "remove": […]}` for fields of the type `multi_select`.

use serde_json::{Value, json};

use crate::support::{Account, run_concurrently};

const OPTIONS: [&str; 16] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];

async fn account_with_tags() -> Account {
    let account = Account::new().await;
    let options: Vec<_> = OPTIONS.iter().map(|name| json!({"label": name, "internal_name": name})).collect();
    account.define(json!({"label": "tags", "type": "multi_select", "options": options})).await;
    account
}

#[tokio::test]
async fn options_are_added_and_removed_by_every_write() {
    let account = account_with_tags().await;
    let fields = json!({"first_name": "A", "external_id": "x", "tags": {"add": ["b", "a"]}});
    let created = account.post("/contacts?properties=tags", json!({"fields": fields})).await.expect(201);
    assert_eq!(created.body["tags"], json!(["a", "b"]));
    let id = created.id();
    let path = format!("{id}?properties=tags");
    let patched = account.patch(&path, json!({"tags": {"add": ["c"], "remove": ["a", "p"]}})).await.expect(200);
    assert_eq!(patched.body["tags"], json!(["b", "c"]));
    let put = account.put("x?id_property=external_id&properties=tags", json!({"tags": {"remove": ["b"]}}));
    assert_eq!(put.await.expect(200).body["tags"], json!(["c"]));
    let inputs =
        json!([{"id": id, "fields": {"tags": {"add": ["d"]}}}, {"id": id, "fields": {"tags": {"remove": ["c", "d"]}}}]);
    let batch = account.batch("update", json!({"inputs": inputs, "properties": ["tags"]})).await.expect(200);
    let tags: Vec<_> = [0, 1].map(|index| batch.body["results"][index]["contact"]["tags"].clone()).into();
    assert_eq!(tags, [json!(["c", "d"]), Value::Null]);
    // Nothing to add or to remove is no change.
    let before = account.get(&format!("/contacts/{id}")).await.etag();
    for nothing in [json!({"add": []}), json!({"remove": ["a"]}), json!({"add": [], "remove": []})] {
        assert_eq!(account.patch(&id, json!({"tags": nothing})).await.expect(200).etag(), before);
    }
}

#[tokio::test]
async fn invalid_changes_of_options_are_400() {
    let account = account_with_tags().await;
    account.define(json!({"label": "other", "type": "text"})).await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (field, value, code) in [
        ("tags", json!({}), "invalid_type"),
        ("tags", json!({"set": ["a"]}), "invalid_type"),
        ("tags", json!({"add": ["a"], "set": ["a"]}), "invalid_type"),
        ("tags", json!({"add": "a"}), "invalid_type"),
        ("tags", json!({"add": null}), "invalid_type"),
        ("tags", json!({"add": [1]}), "invalid_type"),
        ("tags", json!({"add": ["z"]}), "invalid_option"),
        ("tags", json!({"remove": ["z"]}), "invalid_option"),
        ("tags", json!({"add": ["a", "b"], "remove": ["b"]}), "invalid_option"),
        ("other", json!({"add": ["a"]}), "invalid_type"),
    ] {
        let response = account.patch(&id, json!({field: value})).await;
        response.expect_error(400, "validation_failed").expect_details(&[(field, code)]);
    }
    // A search compares whole values.
    let search = json!({"filters": [{"property": "tags", "operator": "eq", "value": {"add": ["a"]}}]});
    account.post("/contacts/search", search).await.expect_error(400, "invalid_query");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_additions_are_all_kept() {
    let account = account_with_tags().await;
    let second = account.on_instance(&account.server.second_instance());
    let id = account.create(json!({"first_name": "A"})).await;
    let instances = [account.clone(), second];
    let calls = OPTIONS.into_iter().enumerate().map(|(index, option)| {
        let (account, id) = (instances[index % 2].clone(), id.clone());
        async move { account.patch(&id, json!({"tags": {"add": [option]}})).await.expect(200) }
    });
    run_concurrently(calls).await;
    let tags = account.get(&format!("/contacts/{id}?properties=tags")).await.body["tags"].clone();
    assert_eq!(tags, json!(OPTIONS));
}
