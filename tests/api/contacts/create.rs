//! `POST /contacts`

use serde_json::json;

use crate::support::Account;

#[tokio::test]
async fn post_returns_201_with_every_default_field() {
    let account = Account::new().await;
    let response = account.post("/contacts", json!({"fields": {"email": " Ada@Example.com "}})).await.expect(201);
    let id = response.id();
    assert_eq!(response.header("location"), format!("/contacts/{id}"));
    assert_eq!(response.header("cache-control"), "private, no-cache");
    assert!(response.etag().starts_with('"'));
    let times = &response.body["created_at"];
    assert_eq!(
        response.body,
        json!({
            "id": id, "first_name": null, "last_name": null, "email": "Ada@Example.com", "contact_owner": null,
            "external_id": null, "archived": false, "created_at": times, "updated_at": times,
        })
    );
    assert_eq!(times.as_str().unwrap().len(), "2026-05-01T10:00:00.000Z".len());
    assert_eq!(account.get(&format!("/contacts/{id}")).await.expect(200).body, response.body);
}

#[tokio::test]
async fn post_returns_the_requested_properties() {
    let account = Account::new().await;
    account.define(json!({"label": "Shoe size", "type": "number"})).await;
    let body = json!({"fields": {"first_name": "Ada", "phone": "+1 555 0100", "shoe_size": 37.5}});
    let response =
        account.post("/contacts?properties=phone,%20shoe_size,,phone&properties=email,website", body).await.expect(201);
    assert_eq!(response.body["phone"], "+1 555 0100");
    assert_eq!(response.body["shoe_size"], 37.5);
    let keys: Vec<_> = response.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 9 + 3, "{keys:?}");
    assert_eq!(response.body["website"], json!(null));
}

#[tokio::test]
async fn post_without_email_and_name_is_400() {
    let account = Account::new().await;
    let required = [("email", "required"), ("first_name", "required"), ("last_name", "required")];
    for fields in [json!({}), json!({"phone": "+1 555 0100"}), json!({"email": null, "first_name": ""})] {
        let response = account.post("/contacts", json!({"fields": fields})).await;
        response.expect_error(400, "validation_failed").expect_details(&required);
    }
    for fields in [json!({"email": "a@example.com"}), json!({"first_name": "A"}), json!({"last_name": "B"})] {
        account.create(fields).await;
    }
}

#[tokio::test]
async fn post_lists_every_invalid_field() {
    let account = Account::new().await;
    let fields = json!({"email": "nope", "nope": 1, "id": "x", "archived": false, "archived_by": "x", "created_at": null,
                        "updated_at": null, "account_id": account.id, "first_name": 1, "last_name": "x".repeat(256)});
    let response = account.post("/contacts", json!({"fields": fields})).await.expect_error(400, "validation_failed");
    let mut details = response.details();
    details.sort();
    let expected = [
        ("account_id", "forbidden_field"),
        ("archived", "forbidden_field"),
        ("archived_by", "forbidden_field"),
        ("created_at", "forbidden_field"),
        ("email", "invalid_format"),
        ("first_name", "invalid_type"),
        ("id", "forbidden_field"),
        ("last_name", "too_long"),
        ("nope", "unknown_field"),
        ("updated_at", "forbidden_field"),
    ];
    assert_eq!(details, expected.map(|(field, code)| (field.to_owned(), code.to_owned())));
    assert!(response.body["message"].as_str().unwrap().starts_with("10 fields are invalid: "));
}

#[tokio::test]
async fn post_with_taken_unique_keys_is_409_and_lists_every_key() {
    let account = Account::new().await;
    account.define(json!({"label": "Badge", "type": "number", "unique": true})).await;
    let first = account.create(json!({"email": "ada@example.com", "badge": 7})).await;
    let second = account.create(json!({"first_name": "B", "external_id": "X-1"})).await;
    let fields = json!({"email": "ADA@example.COM", "external_id": "X-1", "badge": 7.0});
    let response = account.post("/contacts", json!({"fields": fields})).await.expect_error(409, "duplicate_contact");
    let details = response.body["details"].as_array().unwrap();
    let holder = |field: &str| {
        let detail = details.iter().find(|detail| detail["field"] == field).unwrap();
        assert_eq!(detail["code"], "duplicate");
        detail["existing_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(details.len(), 3);
    assert_eq!((holder("email"), holder("external_id"), holder("badge")), (first.clone(), second, first));
}

#[tokio::test]
async fn post_compares_unique_keys_by_the_rule_of_their_type() {
    let account = Account::new().await;
    for (name, kind) in [("badge", "text"), ("mail", "email"), ("line", "phone"), ("site", "url"), ("rank", "number")] {
        account.define(json!({"label": name, "type": kind, "unique": true})).await;
    }
    let existing = json!({"first_name": "A", "external_id": "x", "badge": "k", "mail": "a@b.cd", "line": "+1 555", "site": "http://a.bc", "rank": 10});
    account.create(existing).await;
    for (field, value, is_taken) in [
        ("external_id", json!("X"), false),
        ("external_id", json!("x"), true),
        ("badge", json!("K"), false),
        ("badge", json!("k"), true),
        ("mail", json!("A@B.cd"), true),
        ("line", json!("+1-555"), false),
        ("line", json!(" +1 555 "), true),
        ("site", json!("http://A.bc"), false),
        ("site", json!("http://a.bc"), true),
        ("rank", json!(1e1), true),
        ("rank", json!(10.5), false),
    ] {
        let response = account.post("/contacts", json!({"fields": {"first_name": "B", field: value}})).await;
        assert_eq!(response.status == 409, is_taken, "{field} {value}: {}", response.text);
    }
}

#[tokio::test]
async fn post_with_unknown_properties_writes_nothing() {
    let account = Account::new().await;
    let response =
        account.post("/contacts?properties=phone,nope,neither", json!({"fields": {"first_name": "A"}})).await;
    response
        .expect_error(400, "invalid_properties")
        .expect_details(&[("nope", "unknown_field"), ("neither", "unknown_field")]);
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 0);
}

#[tokio::test]
async fn ids_are_uuidv7_in_order_of_creation() {
    let account = Account::new().await;
    let mut ids = vec![];
    for name in ["A", "B", "C", "D"] {
        ids.push(account.create(json!({"first_name": name})).await);
    }
    assert!(ids.is_sorted());
    assert!(ids.iter().all(|id| id.as_bytes()[14] == b'7' && *id == id.to_lowercase()), "{ids:?}");
}
