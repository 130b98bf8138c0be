//! `GET /contacts/{contactId}`

use serde_json::json;
use uuid::Uuid;

use crate::support::Account;

#[tokio::test]
async fn get_accepts_an_id_in_any_case_but_only_in_hyphenated_form() {
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
async fn get_of_an_unknown_contact_is_404() {
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
                // The client resolves this segment before it sends the request.
                ".." => "route_not_found",
                _ => "not_found",
            },
        );
    }
}

#[tokio::test]
async fn path_segment_is_decoded_once_as_utf8() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02x}")).collect();
    account.get(&format!("/contacts/{encoded}")).await.expect(200);
    account.get(&format!("/contacts/{}", encoded.replace('%', "%25"))).await.expect_error(404, "not_found");
    account.get("/contacts/%ff%fe").await.expect_error(404, "not_found");
}

#[tokio::test]
async fn archived_by_of_an_active_contact_is_null_on_request() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    assert!(account.get(&format!("/contacts/{id}")).await.body.get("archived_by").is_none());
    assert_eq!(
        account.get(&format!("/contacts/{id}?properties=archived_by")).await.body.get("archived_by"),
        Some(&json!(null))
    );
}

#[tokio::test]
async fn head_returns_the_headers_of_get_without_a_body() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let get = account.get(&format!("/contacts/{id}")).await;
    let head = account.call("HEAD", &format!("/contacts/{id}")).send().await.expect(200);
    assert_eq!((head.text.as_str(), head.etag()), ("", get.etag()));
    assert_eq!(head.header("content-length"), get.text.len().to_string());
    let missing = account.call("HEAD", &format!("/contacts/{}", Uuid::now_v7())).send().await.expect(404);
    assert_eq!(missing.text, "");
}
