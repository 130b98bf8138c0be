//! `PUT /contacts/{value}?id_property=…`

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

/// Sends an upsert with a precondition header, given as name and value.
async fn put_with_precondition(
    account: &Account,
    path: &str,
    precondition: (&str, &str),
    fields: Value,
) -> ApiResponse {
    let call = account.call("PUT", &format!("/contacts/{path}")).header(precondition.0, precondition.1);
    call.json(&json!({"fields": fields})).send().await
}

#[tokio::test]
async fn put_creates_then_updates() {
    let account = Account::new().await;
    let path = "crm-1?id_property=external_id&properties=phone";
    let created = account.put(path, json!({"first_name": "A", "phone": "+1 555"})).await.expect(201);
    assert_eq!(created.header("location"), format!("/contacts/{}", created.id()));
    assert_eq!(
        (&created.body["external_id"], &created.body["phone"], &created.body["archived"]),
        (&json!("crm-1"), &json!("+1 555"), &json!(false))
    );
    let read = account.get(&format!("/contacts/{}?properties=phone", created.id())).await;
    assert_eq!((read.etag(), &read.body), (created.etag(), &created.body));
    let updated = account.put(path, json!({"last_name": "B"})).await.expect(200);
    assert_eq!((updated.id(), updated.header("location")), (created.id(), ""));
    assert_eq!((&updated.body["first_name"], &updated.body["last_name"]), (&json!("A"), &json!("B")));
    let same = account.put(path, json!({"last_name": "B", "external_id": "crm-1"})).await.expect(200);
    assert_eq!((same.etag(), &same.body), (updated.etag(), &updated.body));
    let nothing = account.put(path, json!({})).await.expect(200);
    assert_eq!(nothing.etag(), updated.etag());
}

#[tokio::test]
async fn put_compares_keys_by_the_rule_of_their_type_and_keeps_the_stored_spelling() {
    let account = Account::new().await;
    for (name, kind) in [("badge", "text"), ("line", "phone"), ("site", "url"), ("rank", "number")] {
        account.define(json!({"label": name, "type": kind, "unique": true})).await;
    }
    for (property, first, stored, second, is_same) in [
        ("email", "Ada@Example.com", json!("Ada@Example.com"), "ada@example.COM", true),
        ("email", "%20bob@example.com", json!("bob@example.com"), "bob@example.com%20", true),
        ("external_id", "K", json!("K"), "k", false),
        ("external_id", "%20x", json!(" x"), "%20%20x", false),
        ("badge", "a%2Fb", json!("a/b"), "a%2Fb", true),
        ("line", "+1 555%20", json!("+1 555"), "%20+1 555", true),
        ("site", "https:%2F%2Fa.bc", json!("https://a.bc"), "https:%2F%2FA.bc", false),
        ("rank", "42", json!(42), "42.0", true),
        ("rank", "1e3", json!(1000), "1000", true),
        ("rank", "0.10", json!(0.1), "1e-1", true),
    ] {
        let put = |value: &str| {
            let path = format!("{}?id_property={property}&properties={property}", value.replace(' ', "%20"));
            let account = account.clone();
            async move { account.put(&path, json!({"first_name": "A"})).await }
        };
        let created = put(first).await.expect(201);
        assert_eq!(created.body[property], stored, "{first}");
        let again = put(second).await;
        assert_eq!(again.status, if is_same { 200 } else { 201 }, "{property} {second}: {}", again.text);
        assert!(!is_same || (again.id() == created.id() && again.body[property] == stored), "{}", again.text);
    }
}

#[tokio::test]
async fn put_changes_the_spelling_of_a_key_only_when_fields_contain_it() {
    let account = Account::new().await;
    let id = account.create(json!({"email": "Ada@Example.com"})).await;
    let path = "ADA@example.com?id_property=email";
    assert_eq!(account.put(path, json!({})).await.expect(200).body["email"], "Ada@Example.com");
    let sent = account.put(path, json!({"email": "ada@example.COM"})).await.expect(200);
    assert_eq!((sent.id(), &sent.body["email"]), (id, &json!("ada@example.COM")));
    // A new contact also gets the spelling of `fields`, not the spelling of the path.
    let new = account.put("NEW@example.com?id_property=email", json!({"email": "new@example.com"})).await.expect(201);
    assert_eq!(new.body["email"], "new@example.com");
}

#[tokio::test]
async fn put_with_a_key_that_contradicts_the_path_is_400() {
    let account = Account::new().await;
    account.define(json!({"label": "rank", "type": "number", "unique": true})).await;
    for exists in [false, true] {
        for (path, fields, field) in [
            ("x?id_property=external_id", json!({"first_name": "A", "external_id": "X"}), "external_id"),
            ("x?id_property=external_id", json!({"first_name": "A", "external_id": null}), "external_id"),
            ("x?id_property=external_id", json!({"first_name": "A", "external_id": ""}), "external_id"),
            ("7?id_property=rank", json!({"first_name": "A", "rank": 7.5}), "rank"),
            ("a@b.cd?id_property=email", json!({"email": "a@b.ce"}), "email"),
        ] {
            let response = account.put(path, fields).await.expect_error(400, "validation_failed");
            response.expect_details(&[(field, "forbidden_field")]);
        }
        if !exists {
            account.create(json!({"email": "a@b.cd", "external_id": "x", "rank": 7})).await;
        }
    }
    account.put("7.0?id_property=rank", json!({"rank": 7})).await.expect(200);
}

#[tokio::test]
async fn put_validates_the_path_value_like_the_field() {
    let account = Account::new().await;
    account.define(json!({"label": "rank", "type": "number", "unique": true})).await;
    let too_long = format!("{}?id_property=external_id", "x".repeat(256));
    for (path, field, code) in [
        ("nope?id_property=email", "email", "invalid_format"),
        ("%20?id_property=email", "email", "required"),
        ("x?id_property=rank", "rank", "invalid_type"),
        ("true?id_property=rank", "rank", "invalid_type"),
        ("null?id_property=rank", "rank", "required"),
        ("1e999?id_property=rank", "rank", "out_of_range"),
        ("a%00b?id_property=external_id", "external_id", "invalid_format"),
        (&*too_long, "external_id", "too_long"),
    ] {
        let response = account.put(path, json!({"first_name": "A"})).await.expect_error(400, "validation_failed");
        response.expect_details(&[(field, code)]);
    }
    // One response lists the problem of the path and all problems of the body.
    let response = account.put("nope?id_property=email", json!({"size": 1, "first_name": 1})).await;
    response.expect_error(400, "validation_failed").expect_details(&[
        ("size", "unknown_field"),
        ("first_name", "invalid_type"),
        ("email", "invalid_format"),
    ]);
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 0);
    account.put(&format!("{}?id_property=external_id", "x".repeat(255)), json!({"first_name": "A"})).await.expect(201);
}

#[tokio::test]
async fn put_of_a_new_contact_without_email_and_name_is_400() {
    let account = Account::new().await;
    let required = [("email", "required"), ("first_name", "required"), ("last_name", "required")];
    let path = "x?id_property=external_id";
    for fields in [json!({}), json!({"phone": "+1 555"}), json!({"first_name": "", "email": null})] {
        account.put(path, fields).await.expect_error(400, "validation_failed").expect_details(&required);
    }
    account.put("a@example.com?id_property=email", json!({})).await.expect(201);
    account.put(path, json!({"last_name": "B"})).await.expect(201);
    // The rule applies to creation only.
    account.put(path, json!({"last_name": null})).await.expect(200);
}

#[tokio::test]
async fn put_with_if_match_star_only_updates_and_with_if_none_match_star_only_creates() {
    let account = Account::new().await;
    let path = "x?id_property=external_id";
    let fields = || json!({"first_name": "A"});
    put_with_precondition(&account, path, ("if-match", "*"), fields()).await.expect_error(412, "precondition_failed");
    put_with_precondition(&account, path, ("if-match", "\"x\""), fields())
        .await
        .expect_error(412, "precondition_failed");
    let tag = put_with_precondition(&account, path, ("if-none-match", "*"), fields()).await.expect(201).etag();
    put_with_precondition(&account, path, ("if-none-match", "*"), fields())
        .await
        .expect_error(412, "precondition_failed");
    put_with_precondition(&account, path, ("if-none-match", &tag), fields())
        .await
        .expect_error(412, "precondition_failed");
    assert_eq!(put_with_precondition(&account, path, ("if-match", "*"), fields()).await.expect(200).etag(), tag);
    let fresh =
        put_with_precondition(&account, path, ("if-match", &tag), json!({"first_name": "B"})).await.expect(200).etag();
    put_with_precondition(&account, path, ("if-match", &tag), fields()).await.expect_error(412, "precondition_failed");
    let weakened = format!("W/{fresh}");
    let put = put_with_precondition(&account, path, ("if-none-match", &weakened), json!({"first_name": "B"})).await;
    put.expect_error(412, "precondition_failed");
    let put =
        put_with_precondition(&account, path, ("if-match", &weakened), json!({"first_name": "B"})).await.expect(200);
    assert_eq!(put.etag(), fresh);
    put_with_precondition(&account, path, ("if-none-match", &tag), fields()).await.expect(200);
    // An archived contact does not count as existing.
    account.delete("/contacts/x?id_property=external_id").await.expect(200);
    put_with_precondition(&account, path, ("if-match", "*"), fields()).await.expect_error(412, "precondition_failed");
    put_with_precondition(&account, path, ("if-none-match", "*"), fields()).await.expect(201);
}

#[tokio::test]
async fn put_with_taken_keys_is_409_and_lists_every_key() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let first = account.create(json!({"email": "a@example.com"})).await;
    let second = account.create(json!({"first_name": "B", "badge": "b"})).await;
    let holders = |response: &ApiResponse| {
        let details = response.body["details"].as_array().unwrap().clone();
        details.iter().map(|detail| (detail["field"].clone(), detail["existing_id"].clone())).collect::<Vec<_>>()
    };
    let conflicting_fields = || json!({"first_name": "C", "email": "A@example.com", "badge": "b"});
    let expected = [(json!("email"), json!(first)), (json!("badge"), json!(second))];
    for round in ["as a creation", "as an update"] {
        let response =
            account.put("x?id_property=external_id", conflicting_fields()).await.expect_error(409, "duplicate_contact");
        assert_eq!(holders(&response), expected, "{round}");
        if round == "as a creation" {
            account.put("x?id_property=external_id", json!({"first_name": "C"})).await.expect(201);
        }
    }
    // The rejected writes stored nothing.
    let read = account.get("/contacts/x?id_property=external_id&properties=badge").await.expect(200);
    assert_eq!((&read.body["email"], &read.body["badge"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn put_with_the_key_of_an_archived_contact_creates_a_new_contact() {
    let account = Account::new().await;
    let path = "x?id_property=external_id";
    let old = account.put(path, json!({"first_name": "A"})).await.expect(201).id();
    account.delete(&format!("/contacts/{old}")).await.expect(200);
    let new = account.put(path, json!({"first_name": "B"})).await.expect(201).id();
    assert_ne!(old, new);
    let restore = account.call("POST", &format!("/contacts/{old}/restore")).send().await;
    restore.expect_error(409, "duplicate_contact").expect_details(&[("external_id", "duplicate")]);
}

#[tokio::test]
async fn put_without_id_property_is_400() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (path, code) in [(id.clone(), "required"), (format!("{id}?id_property=id"), "invalid_format")] {
        let response = account.put(&path, json!({"first_name": "B"})).await.expect_error(400, "invalid_query");
        response.expect_details(&[("id_property", code)]);
    }
    account.put("%20", json!({})).await.expect_error(400, "missing_contact_id");
    account.put("", json!({})).await.expect_error(400, "missing_contact_id");
}
