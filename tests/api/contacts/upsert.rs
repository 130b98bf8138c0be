//! `PUT /contacts/{value}?id_property=…`

use serde_json::{Value, json};

use crate::support::{Account, Answer};

/// An upsert with a precondition.
async fn put_if(account: &Account, path: &str, condition: (&str, &str), fields: Value) -> Answer {
    let call = account.call("PUT", &format!("/contacts/{path}")).header(condition.0, condition.1);
    call.json(&json!({"fields": fields})).send().await
}

#[tokio::test]
async fn creates_then_updates() {
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
async fn knows_a_contact_by_the_rule_of_its_key_and_keeps_its_spelling() {
    let account = Account::new().await;
    for (name, kind) in [("badge", "text"), ("line", "phone"), ("site", "url"), ("rank", "number")] {
        account.define(json!({"label": name, "type": kind, "unique": true})).await;
    }
    for (property, first, stored, second, is_same) in [
        ("email", "Ada@Example.com", json!("Ada@Example.com"), "ada@example.COM", true),
        ("email", "%20bob@example.com", json!("bob@example.com"), "bob@example.com%20", true),
        ("external_id", "K", json!("K"), "k", false),
        ("external_id", "%20", json!(" "), "%20%20", false),
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
async fn the_spelling_of_a_key_changes_when_fields_send_it() {
    let account = Account::new().await;
    let id = account.create(json!({"email": "Ada@Example.com"})).await;
    let path = "ADA@example.com?id_property=email";
    assert_eq!(account.put(path, json!({})).await.expect(200).body["email"], "Ada@Example.com");
    let sent = account.put(path, json!({"email": "ada@example.COM"})).await.expect(200);
    assert_eq!((sent.id(), &sent.body["email"]), (id, &json!("ada@example.COM")));
    // A new contact too has it as the fields spell it.
    let new = account.put("NEW@example.com?id_property=email", json!({"email": "new@example.com"})).await.expect(201);
    assert_eq!(new.body["email"], "new@example.com");
}

#[tokio::test]
async fn fields_must_not_contradict_the_path() {
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
            let answer = account.put(path, fields).await.expect_error(400, "validation_failed");
            answer.expect_details(&[(field, "forbidden_field")]);
        }
        if !exists {
            account.create(json!({"email": "a@b.cd", "external_id": "x", "rank": 7})).await;
        }
    }
    account.put("7.0?id_property=rank", json!({"rank": 7})).await.expect(200);
}

#[tokio::test]
async fn the_value_in_the_path_is_validated_as_the_fields() {
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
        let answer = account.put(path, json!({"first_name": "A"})).await.expect_error(400, "validation_failed");
        answer.expect_details(&[(field, code)]);
    }
    // Together with all that is wrong with the body.
    let answer = account.put("nope?id_property=email", json!({"size": 1, "first_name": 1})).await;
    answer.expect_error(400, "validation_failed").expect_details(&[
        ("size", "unknown_field"),
        ("first_name", "invalid_type"),
        ("email", "invalid_format"),
    ]);
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 0);
    account.put(&format!("{}?id_property=external_id", "x".repeat(255)), json!({"first_name": "A"})).await.expect(201);
}

#[tokio::test]
async fn a_new_contact_needs_an_email_or_a_name() {
    let account = Account::new().await;
    let required = [("email", "required"), ("first_name", "required"), ("last_name", "required")];
    let path = "x?id_property=external_id";
    for fields in [json!({}), json!({"phone": "+1 555"}), json!({"first_name": "", "email": null})] {
        account.put(path, fields).await.expect_error(400, "validation_failed").expect_details(&required);
    }
    account.put("a@example.com?id_property=email", json!({})).await.expect(201);
    account.put(path, json!({"last_name": "B"})).await.expect(201);
    // A rule of creation only.
    account.put(path, json!({"last_name": null})).await.expect(200);
}

#[tokio::test]
async fn stars_choose_between_creating_and_updating() {
    let account = Account::new().await;
    let path = "x?id_property=external_id";
    let fields = || json!({"first_name": "A"});
    put_if(&account, path, ("if-match", "*"), fields()).await.expect_error(412, "precondition_failed");
    put_if(&account, path, ("if-match", "\"x\""), fields()).await.expect_error(412, "precondition_failed");
    let tag = put_if(&account, path, ("if-none-match", "*"), fields()).await.expect(201).etag();
    put_if(&account, path, ("if-none-match", "*"), fields()).await.expect_error(412, "precondition_failed");
    put_if(&account, path, ("if-none-match", &tag), fields()).await.expect_error(412, "precondition_failed");
    assert_eq!(put_if(&account, path, ("if-match", "*"), fields()).await.expect(200).etag(), tag);
    let fresh = put_if(&account, path, ("if-match", &tag), json!({"first_name": "B"})).await.expect(200).etag();
    put_if(&account, path, ("if-match", &tag), fields()).await.expect_error(412, "precondition_failed");
    put_if(&account, path, ("if-match", &format!("W/{fresh}")), fields())
        .await
        .expect_error(412, "precondition_failed");
    put_if(&account, path, ("if-none-match", &tag), fields()).await.expect(200);
    // What is archived is not there.
    account.delete("/contacts/x?id_property=external_id").await.expect(200);
    put_if(&account, path, ("if-match", "*"), fields()).await.expect_error(412, "precondition_failed");
    put_if(&account, path, ("if-none-match", "*"), fields()).await.expect(201);
}

#[tokio::test]
async fn a_clash_of_other_keys_names_them_all() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let first = account.create(json!({"email": "a@example.com"})).await;
    let second = account.create(json!({"first_name": "B", "badge": "b"})).await;
    let holders = |answer: &Answer| {
        let details = answer.body["details"].as_array().unwrap().clone();
        details.iter().map(|detail| (detail["field"].clone(), detail["existing_id"].clone())).collect::<Vec<_>>()
    };
    let clash = || json!({"first_name": "C", "email": "A@example.com", "badge": "b"});
    let expected = [(json!("email"), json!(first)), (json!("badge"), json!(second))];
    for round in ["as a creation", "as an update"] {
        let answer = account.put("x?id_property=external_id", clash()).await.expect_error(409, "duplicate_contact");
        assert_eq!(holders(&answer), expected, "{round}");
        if round == "as a creation" {
            account.put("x?id_property=external_id", json!({"first_name": "C"})).await.expect(201);
        }
    }
    // Nothing of the refused writes was kept.
    let read = account.get("/contacts/x?id_property=external_id&properties=badge").await.expect(200);
    assert_eq!((&read.body["email"], &read.body["badge"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn a_key_of_an_archived_contact_makes_a_new_one() {
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
async fn needs_a_property() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (path, code) in [(id.clone(), "required"), (format!("{id}?id_property=id"), "invalid_format")] {
        let answer = account.put(&path, json!({"first_name": "B"})).await.expect_error(400, "invalid_query");
        answer.expect_details(&[("id_property", code)]);
    }
    account.put("%20", json!({})).await.expect_error(400, "missing_contact_id");
    account.put("", json!({})).await.expect_error(400, "missing_contact_id");
}
