//! `PATCH /contacts/{contactId}`

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Account;

#[tokio::test]
async fn patch_changes_only_the_sent_fields() {
    let account = Account::new().await;
    account.define(json!({"label": "Shoe size", "type": "number"})).await;
    let id = account.create(json!({"first_name": "Ada", "last_name": "L", "phone": "+1 555", "shoe_size": 37})).await;
    let before = account.get(&format!("/contacts/{id}?properties=phone,shoe_size")).await;
    let after = account
        .patch(&format!("{id}?properties=phone,shoe_size"), json!({"last_name": "Lovelace", "phone": null}))
        .await
        .expect(200);
    let mut expected = before.body.clone();
    expected["last_name"] = json!("Lovelace");
    expected["phone"] = json!(null);
    expected["updated_at"] = after.body["updated_at"].clone();
    assert_eq!(after.body, expected);
    assert!(after.body["updated_at"].as_str() > before.body["updated_at"].as_str());
    assert_ne!(after.etag(), before.etag());
    assert_eq!(account.get(&format!("/contacts/{id}?properties=phone,shoe_size")).await.body, after.body);
}

#[tokio::test]
async fn patch_increases_updated_at_with_every_change() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let mut last = String::new();
    for turn in 0..20 {
        let response = account.patch(&id, json!({"first_name": format!("A{turn}")})).await.expect(200);
        let updated_at = response.body["updated_at"].as_str().unwrap().to_owned();
        assert!(updated_at > last, "{updated_at} is not after {last}");
        last = updated_at;
    }
}

#[tokio::test]
async fn patch_with_equal_values_changes_nothing() {
    let account = Account::new().await;
    account.define(json!({"label": "size", "type": "number"})).await;
    account.define(json!({"label": "seen", "type": "datetime"})).await;
    account
        .define(json!({"label": "tags", "type": "multi_select", "options": [{"label": "red"}, {"label": "blue"}]}))
        .await;
    let id = account
        .create(json!({"first_name": "Ada", "size": 38, "seen": "2026-05-01T10:00:00Z", "tags": ["red", "blue"]}))
        .await;
    let before = account.get(&format!("/contacts/{id}")).await;
    for same in [
        json!({}),
        json!({"first_name": "Ada", "last_name": null, "phone": ""}),
        json!({"seen": "2026-05-01T12:00:00.0004+02:00"}),
        json!({"tags": ["blue", "red", "blue"]}),
    ] {
        let after = account.patch(&id, same).await.expect(200);
        assert_eq!((after.etag(), &after.body), (before.etag(), &before.body));
    }
    let same =
        account.call("PATCH", &format!("/contacts/{id}")).body("application/json", r#"{"fields": {"size": 3.80e1}}"#);
    assert_eq!(same.send().await.expect(200).etag(), before.etag());
    assert_ne!(account.patch(&id, json!({"first_name": "ada"})).await.expect(200).etag(), before.etag());
}

#[tokio::test]
async fn null_and_empty_values_clear_a_field() {
    let account = Account::new().await;
    account.define(json!({"label": "tags", "type": "multi_select", "options": [{"label": "red"}]})).await;
    account.define(json!({"label": "flag", "type": "checkbox"})).await;
    let fields = json!({"first_name": "A", "email": "a@example.com", "phone": "+1 555", "website": "http://a.bc", "tags": ["red"], "flag": true});
    let id = account.create(fields).await;
    let cleared = json!({"first_name": "", "email": " \t", "phone": null, "website": "  ", "tags": [], "flag": null});
    let response =
        account.patch(&format!("{id}?properties=phone,website,tags,flag"), cleared.clone()).await.expect(200);
    for field in cleared.as_object().unwrap().keys() {
        assert_eq!(response.body[field], Value::Null, "{field}");
    }
    account.patch(&id, json!({"flag": ""})).await.expect_error(400, "validation_failed");
    account.patch(&id, json!({"tags": ""})).await.expect_error(400, "validation_failed");
    account.create(json!({"email": "a@example.com"})).await;
}

#[tokio::test]
async fn patch_is_applied_as_a_whole_or_not_at_all() {
    let account = Account::new().await;
    let taken = account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"email": "a@example.com", "external_id": "a"})).await;
    let before = account.get(&format!("/contacts/{id}")).await;
    account.patch(&id, json!({"first_name": "New", "email": "nope"})).await.expect_error(400, "validation_failed");
    let response =
        account.patch(&id, json!({"first_name": "New", "external_id": "b", "email": "Taken@example.com"})).await;
    let response = response.expect_error(409, "duplicate_contact").expect_details(&[("email", "duplicate")]);
    assert_eq!(response.body["details"][0]["existing_id"], taken);
    account
        .patch(&format!("{id}?properties=nope"), json!({"first_name": "New"}))
        .await
        .expect_error(400, "invalid_properties");
    let after = account.get(&format!("/contacts/{id}")).await;
    assert_eq!((after.etag(), after.body), (before.etag(), before.body));
    // The failed PATCH does not hold the other key that it sent.
    account.create(json!({"first_name": "B", "external_id": "b"})).await;
}

#[tokio::test]
async fn patch_keeps_its_own_keys_and_frees_replaced_keys() {
    let account = Account::new().await;
    let id = account.create(json!({"email": "a@example.com"})).await;
    let spelled = account.patch(&id, json!({"email": "A@Example.com"})).await.expect(200);
    assert_eq!(spelled.body["email"], "A@Example.com");
    account.patch(&id, json!({"email": "b@example.com"})).await.expect(200);
    let next = account.create(json!({"email": "a@example.com"})).await;
    account.patch(&id, json!({"email": "a@example.com"})).await.expect_error(409, "duplicate_contact");
    account.patch(&next, json!({"email": null, "first_name": "N"})).await.expect(200);
    account.patch(&id, json!({"email": "a@example.com"})).await.expect(200);
}

#[tokio::test]
async fn patch_of_an_archived_contact_is_409_and_of_an_unknown_contact_is_404() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let response = account.patch(&id, json!({"first_name": "B"})).await.expect_error(409, "contact_archived");
    assert_eq!(response.body["message"], "Object is archived — cannot update");
    assert!(response.body.get("details").is_none());
    account.patch(&Uuid::now_v7().to_string(), json!({})).await.expect_error(404, "not_found");
    account.patch("nope", json!({})).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn path_without_an_id_is_400_missing_contact_id() {
    let account = Account::new().await;
    for (method, path) in [
        ("PATCH", "/contacts/"),
        ("GET", "/contacts/"),
        ("PUT", "/contacts/"),
        ("POST", "/contacts/"),
        ("OPTIONS", "/contacts/"),
        ("PATCH", "/contacts/%20"),
        ("PUT", "/contacts/%20%09"),
        ("POST", "/contacts/%20/restore"),
        ("PATCH", "/contacts"),
        ("DELETE", "/contacts"),
    ] {
        let response = account.call(method, path).send().await.expect_error(400, "missing_contact_id");
        assert_eq!(response.body["message"], "Missing contactId", "{method} {path}");
        account.anonymous(method, path).send().await.expect_error(401, "unauthorized");
    }
}
