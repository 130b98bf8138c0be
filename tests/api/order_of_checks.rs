//! The order of checks (`docs/api-reference.md#conventions`): a request with several problems gets the error of the
//! earliest check that fails.

use serde_json::json;
use uuid::Uuid;

use crate::support::Account;

/// A body that is not JSON.
const NOT_JSON: &str = "{";
/// A body with an unknown field.
const UNKNOWN_FIELD: &str = r#"{"fields": {"nope": 1}}"#;
/// A valid body.
const VALID: &str = r#"{"fields": {"first_name": "B"}}"#;

#[tokio::test]
async fn route_method_body_size_and_token_are_checked_in_this_order() {
    let account = Account::new().await;
    let too_large = "x".repeat(1024 * 1024 + 1);
    for path in ["/nope", "/contacts/x/y", "/contacts/x/restore/", "/fields/", "/healthz/", "/Contacts", "//contacts"] {
        account
            .anonymous("PUT", path)
            .body_without_content_type(too_large.clone())
            .send()
            .await
            .expect_error(404, "route_not_found");
    }
    for (method, path, allow) in [
        ("PUT", "/contacts", "GET,HEAD,POST"),
        ("DELETE", "/fields", "GET,HEAD,POST"),
        ("POST", "/contacts/x", "GET,HEAD,PATCH,PUT,DELETE"),
        ("GET", "/contacts/x/restore", "POST"),
        ("POST", "/healthz", "GET,HEAD"),
        ("BREW", "/fields/x", "GET,HEAD,PATCH,DELETE"),
    ] {
        let response = account
            .anonymous(method, path)
            .body_without_content_type(too_large.clone())
            .send()
            .await
            .expect_error(405, "method_not_allowed");
        let mut allowed: Vec<_> = response.header("allow").split(',').collect();
        let mut expected: Vec<_> = allow.split(',').collect();
        allowed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(allowed, expected, "{path}");
    }
    account
        .anonymous("PATCH", "/contacts/x")
        .body_without_content_type(too_large)
        .send()
        .await
        .expect_error(413, "payload_too_large");
    account
        .anonymous("PATCH", "/contacts/%20?properties=nope")
        .body_without_content_type(NOT_JSON)
        .send()
        .await
        .expect_error(401, "unauthorized");
}

#[tokio::test]
async fn path_query_content_type_body_and_object_are_checked_in_this_order() {
    let account = Account::new().await;
    let missing = Uuid::now_v7();
    let patch = |path: &str, content_type: &str, body: &'static str| {
        account.call("PATCH", path).body(content_type, body).send()
    };
    patch("/contacts/%20?properties=nope", "text/plain", NOT_JSON).await.expect_error(400, "missing_contact_id");
    patch("/contacts/%ff?properties=nope", "text/plain", NOT_JSON).await.expect_error(404, "not_found");
    patch("/contacts/x?properties=nope", "text/plain", NOT_JSON).await.expect_error(400, "invalid_properties");
    patch("/contacts/x?a=%ff", "text/plain", NOT_JSON).await.expect_error(400, "invalid_query");
    patch("/contacts/x", "text/plain", NOT_JSON).await.expect_error(415, "unsupported_media_type");
    patch("/contacts/x", "application/json", NOT_JSON).await.expect_error(400, "invalid_json");
    for id in ["x", &*missing.to_string()] {
        patch(&format!("/contacts/{id}"), "application/json", UNKNOWN_FIELD)
            .await
            .expect_error(400, "validation_failed");
        patch(&format!("/contacts/{id}"), "application/json", VALID).await.expect_error(404, "not_found");
    }
}

#[tokio::test]
async fn archived_state_precondition_and_unique_keys_are_checked_in_this_order() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"email": "a@example.com"})).await;
    let clash = json!({"fields": {"email": "taken@example.com"}});
    let path = format!("/contacts/{id}");
    account
        .call("PATCH", &path)
        .header("if-match", "\"x\"")
        .json(&clash)
        .send()
        .await
        .expect_error(412, "precondition_failed");
    account.call("PATCH", &path).json(&clash).send().await.expect_error(409, "duplicate_contact");
    account.delete(&path).await.expect(200);
    account
        .call("PATCH", &path)
        .header("if-match", "\"x\"")
        .json(&clash)
        .send()
        .await
        .expect_error(409, "contact_archived");
    account
        .call("PATCH", &path)
        .body("application/json", UNKNOWN_FIELD)
        .send()
        .await
        .expect_error(400, "validation_failed");
}
