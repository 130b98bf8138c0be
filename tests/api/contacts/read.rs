//! `GET /contacts/{contactId}`

use serde_json::json;
use uuid::Uuid;

use crate::support::Account;

#[tokio::test]
async fn takes_an_id_in_any_case_but_one_form_only() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let upper = account.get(&format!("/contacts/{}", id.to_uppercase())).await.expect(200);
    assert_eq!(upper.id(), id);
    let uuid: Uuid = id.parse().unwrap();
    for other in [
        uuid.simple().to_string(),
        format!("%7B{uuid}%7D"),
        format!("urn:uuid:{uuid}"),
        format!("{id}0"),
        format!("{id}%20"),
    ] {
        account.get(&format!("/contacts/{other}")).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn does_not_find_what_is_not_there() {
    let account = Account::new().await;
    for id in [
        Uuid::now_v7().to_string(),
        "nope".into(),
        "..".into(),
        "%00".into(),
        "a%2Fb".into(),
        "%F0%9F%98%80".into(),
        "+".into(),
    ] {
        account.get(&format!("/contacts/{id}")).await.expect_error(
            404,
            match id.as_str() {
                // Resolved by the client before it is sent.
                ".." => "route_not_found",
                _ => "not_found",
            },
        );
    }
}

#[tokio::test]
async fn decodes_a_path_once_and_only_as_utf8() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    account.get(&format!("/contacts/{encoded}")).await.expect(200);
    account.get(&format!("/contacts/{}", encoded.replace('%', "%25"))).await.expect_error(404, "not_found");
    account.get("/contacts/%ff%fe").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn shows_archived_by_as_null_while_active() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    assert!(account.get(&format!("/contacts/{id}")).await.body.get("archived_by").is_none());
    assert_eq!(
        account.get(&format!("/contacts/{id}?properties=archived_by")).await.body.get("archived_by"),
        Some(&json!(null))
    );
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let get = account.get(&format!("/contacts/{id}")).await;
    let head = account.call("HEAD", &format!("/contacts/{id}")).send().await.expect(200);
    assert_eq!((head.text.as_str(), head.etag()), ("", get.etag()));
    assert_eq!(head.header("content-length"), get.text.len().to_string());
    let missing = account.call("HEAD", &format!("/contacts/{}", Uuid::now_v7())).send().await.expect(404);
    assert_eq!(missing.text, "");
}
