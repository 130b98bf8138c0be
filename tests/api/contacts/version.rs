//! The system field `version`.

use serde_json::{Value, json};

use crate::support::Account;

#[tokio::test]
async fn version_is_returned_on_request_and_increases_with_every_change() {
    let account = Account::new().await;
    let created =
        account.post("/contacts?properties=version", json!({"fields": {"first_name": "A"}})).await.expect(201);
    let id = created.id();
    let path = format!("/contacts/{id}?properties=version");
    assert_eq!(created.body["version"], 1);
    assert!(account.get(&format!("/contacts/{id}")).await.body.get("version").is_none());
    account.patch(&id, json!({"first_name": "A"})).await.expect(200);
    assert_eq!(account.get(&path).await.body["version"], 1);
    account.patch(&id, json!({"first_name": "B"})).await.expect(200);
    assert_eq!(account.get(&path).await.body["version"], 2);
    assert_eq!(account.delete(&path).await.expect(200).body["version"], 3);
    let restored = account.call("POST", &format!("/contacts/{id}/restore?properties=version")).send().await.expect(200);
    assert_eq!(restored.body["version"], 4);
    let listed = account.get("/contacts?properties=version").await.expect(200);
    assert_eq!(listed.body["data"][0]["version"], 4);
    let batch = account.batch("read", json!({"inputs": [{"id": id}], "properties": ["version"]})).await.expect(200);
    assert_eq!(batch.body["results"][0]["contact"]["version"], 4);
}

#[tokio::test]
async fn write_of_version_is_forbidden() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let fields = || json!({"version": 1});
    let forbidden = [("version", "forbidden_field")];
    account.patch(&id, fields()).await.expect_error(400, "validation_failed").expect_details(&forbidden);
    let put = account.put("x?id_property=external_id", fields()).await;
    put.expect_error(400, "validation_failed").expect_details(&forbidden);
    let created = account.post("/contacts", json!({"fields": {"first_name": "A", "version": null}})).await;
    created.expect_error(400, "validation_failed").expect_details(&forbidden);
}

#[tokio::test]
async fn version_is_searchable_and_sortable() {
    let account = Account::new().await;
    for (name, changes) in [("A", 0), ("B", 2), ("C", 1), ("D", 2)] {
        let id = account.create(json!({"first_name": name})).await;
        for change in 0..changes {
            account.patch(&id, json!({"last_name": change.to_string()})).await.expect(200);
        }
    }
    let search = async |mut body: Value| {
        let (mut names, mut pages) = (String::new(), 0);
        loop {
            let page = account.post("/contacts/search", body.clone()).await.expect(200);
            names.extend(
                page.body["data"].as_array().unwrap().iter().map(|contact| contact["first_name"].as_str().unwrap()),
            );
            pages += 1;
            let next = page.body["pagination"]["next"].clone();
            if next.is_null() {
                assert_eq!(pages, names.len().max(1), "one contact a page");
                return names;
            }
            body["after"] = next;
        }
    };
    let filter = |operator: &str, value: Value| json!({"property": "version", "operator": operator, "value": value});
    for (filter, expected) in [
        (filter("eq", json!(1)), "A"),
        (filter("neq", json!(3)), "AC"),
        (filter("gte", json!(2)), "BCD"),
        (filter("between", json!([2, 2.5])), "C"),
        (filter("in", json!([1, 2, 99])), "AC"),
        (filter("eq", json!(1.5)), ""),
        (filter("lt", json!(18_446_744_073_709_551_615_u64)), "ABCD"),
        (json!({"property": "version", "operator": "has_no_value"}), ""),
    ] {
        assert_eq!(search(json!({"filters": [filter], "limit": 1})).await, expected, "{filter}");
    }
    assert_eq!(search(json!({"sorts": ["version"], "limit": 1})).await, "ACBD");
    assert_eq!(search(json!({"sorts": ["-version", "-first_name"], "limit": 1})).await, "DBCA");
    let invalid = json!({"filters": [filter("eq", json!("1"))]});
    account.post("/contacts/search", invalid).await.expect_error(400, "invalid_query");
}

#[tokio::test]
async fn version_is_a_name_that_no_new_custom_field_can_have() {
    let account = Account::new().await;
    let field = account.get("/fields/version").await.expect(200).body;
    assert_eq!((&field["type"], &field["system"], &field["writable"]), (&json!("number"), &json!(true), &json!(false)));
    for definition in [
        json!({"label": "Version", "type": "text"}),
        json!({"label": "X", "internal_name": "version", "type": "number"}),
    ] {
        account.post("/fields", definition).await.expect_error(409, "duplicate_field");
    }
    account.delete("/fields/version").await.expect_error(400, "validation_failed");
}

#[tokio::test]
async fn older_custom_field_named_version_keeps_its_name_in_its_account() {
    let account = Account::new().await;
    account.define(json!({"label": "Release", "type": "text"})).await;
    let id = account.create(json!({"first_name": "A", "release": "1.0"})).await;
    let rename = "UPDATE fields SET internal_name = 'version' WHERE account_id = $1";
    sqlx::query(rename).bind(account.id).execute(&mut account.database().await).await.unwrap();
    // The next change of the registry loads the renamed field.
    account.define(json!({"label": "Other", "type": "text"})).await;
    let path = format!("/contacts/{id}?properties=version");
    let before = account.get(&path).await.expect(200);
    assert_eq!(before.body["version"], "1.0");
    let patched = account.patch(&format!("{id}?properties=version"), json!({"version": "2.0"})).await.expect(200);
    assert_eq!(patched.body["version"], "2.0");
    assert_ne!(patched.etag(), before.etag());
    let filter =
        json!({"filters": [{"property": "version", "operator": "starts_with", "value": "2"}], "sorts": ["-version"]});
    assert_eq!(account.post("/contacts/search", filter).await.expect(200).body["data"][0]["id"], id);
    let fields = account.get("/fields").await.body;
    let named = fields["data"].as_array().unwrap().iter().filter(|field| field["internal_name"] == "version");
    assert_eq!(named.map(|field| field["system"].clone()).collect::<Vec<_>>(), [json!(false)]);
    account.post("/fields", json!({"label": "Version", "type": "text"})).await.expect_error(409, "duplicate_field");
    // The version in `if_match` is the contact's, whatever the account's fields are.
    let input = |version: i64| json!({"inputs": [{"id": id, "fields": {"version": "3.0"}, "if_match": version}]});
    assert_eq!(account.batch("update", input(1)).await.body["results"][0]["status"], 412);
    account.batch("update", input(2)).await.expect(200);
    // Without the custom field, the account has the system field.
    account.delete("/fields/version").await.expect(204);
    assert_eq!(account.get(&path).await.expect(200).body["version"], 3);
}
