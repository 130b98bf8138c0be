//! Accepted and rejected request bodies: JSON syntax, shape, content type and size.

use rstest::rstest;
use serde_json::json;

use crate::support::{Account, ApiResponse};

/// Sends a PATCH of a new contact with this body and, if given, this content type.
async fn patch_with_body(content_type: Option<&str>, body: impl Into<reqwest::Body>) -> ApiResponse {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let call = account.call("PATCH", &format!("/contacts/{id}"));
    match content_type {
        Some(content_type) => call.body(content_type, body).send().await,
        None => call.body_without_content_type(body).send().await,
    }
}

#[rstest]
#[case::empty("")]
#[case::blank("  \n")]
#[case::truncated(r#"{"fields": {"first_name": "B""#)]
#[case::trailing_comma(r#"{"fields": {"first_name": "B",}}"#)]
#[case::two_values(r#"{"fields": {}} {"fields": {}}"#)]
#[case::byte_order_mark("\u{feff}{\"fields\": {}}")]
#[case::lone_surrogate(r#"{"fields": {"first_name": "\ud83d"}}"#)]
#[case::lone_surrogate_in_a_key(r#"{"fields": {"\udc00": 1}}"#)]
#[case::control_character("{\"fields\": {\"first_name\": \"a\u{1}\"}}")]
#[case::duplicate_field(r#"{"fields": {"first_name": "B", "first_name": "C"}}"#)]
#[case::duplicate_field_spelled_with_an_escape(r#"{"fields": {"first_name": "B", "first\u005fname": "C"}}"#)]
#[case::duplicate_top_level_key(r#"{"fields": {}, "fields": {}}"#)]
#[case::duplicate_nested_key(r#"{"fields": {"first_name": {"a": 1, "a": 1}}}"#)]
#[case::leading_zero(r#"{"fields": {"first_name": 01}}"#)]
#[case::not_a_number(r#"{"fields": {"first_name": NaN}}"#)]
#[tokio::test]
async fn body_that_is_not_json_is_400_invalid_json(#[case] body: &'static str) {
    patch_with_body(Some("application/json"), body).await.expect_error(400, "invalid_json");
}

#[tokio::test]
async fn bad_utf8_and_deep_nesting_are_400_invalid_json() {
    patch_with_body(Some("application/json"), b"{\"fields\": {\"first_name\": \"\xff\"}}".to_vec())
        .await
        .expect_error(400, "invalid_json");
    for depth in [200, 100_000] {
        let body = format!(r#"{{"fields": {{"first_name": {}{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
        patch_with_body(Some("application/json"), body).await.expect_error(400, "invalid_json");
    }
    let shallow = format!(r#"{{"fields": {{"first_name": {}{}}}}}"#, "[".repeat(10), "]".repeat(10));
    patch_with_body(Some("application/json"), shallow)
        .await
        .expect_error(400, "validation_failed")
        .expect_details(&[("first_name", "invalid_type")]);
}

#[rstest]
#[case::null("null")]
#[case::array("[]")]
#[case::string("\"fields\"")]
#[case::empty_object("{}")]
#[case::null_fields(r#"{"fields": null}"#)]
#[case::array_fields(r#"{"fields": []}"#)]
#[case::unknown_key(r#"{"fields": {}, "other": 1}"#)]
#[case::other_case(r#"{"Fields": {}}"#)]
#[tokio::test]
async fn body_without_exactly_a_fields_object_is_400_invalid_body(#[case] body: &'static str) {
    patch_with_body(Some("application/json"), body).await.expect_error(400, "invalid_body");
}

#[tokio::test]
async fn json_content_types_and_none_are_accepted_and_others_are_415() {
    for content_type in
        ["application/json", "APPLICATION/JSON;charset=utf-8", "application/merge-patch+json", "application/vnd.x+json"]
    {
        patch_with_body(Some(content_type), r#"{"fields": {}}"#).await.expect(200);
    }
    patch_with_body(None, r#"{"fields": {}}"#).await.expect(200);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonx", "x"] {
        patch_with_body(Some(content_type), r#"{"fields": {}}"#).await.expect_error(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn body_over_1_mib_is_413() {
    let limit = 1024 * 1024;
    let body = |size: usize| format!(r#"{{"fields": {{"first_name": "{}"}}}}"#, "x".repeat(size - 30));
    assert_eq!(body(limit).len(), limit);
    patch_with_body(Some("application/json"), body(limit)).await.expect_error(400, "validation_failed");
    patch_with_body(Some("application/json"), body(limit + 1)).await.expect_error(413, "payload_too_large");
}

#[tokio::test]
async fn json_patch_is_415_with_accept_patch_and_other_json_types_are_accepted() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (method, path) in
        [("PATCH", format!("/contacts/{id}")), ("PATCH", "/fields/email".into()), ("POST", "/contacts".into())]
    {
        for content_type in ["application/json-patch+json", "Application/JSON-Patch+JSON; charset=utf-8"] {
            let operations = r#"[{"op": "replace", "path": "/first_name", "value": "B"}]"#;
            let call = account.call(method, &path).body(content_type, operations);
            let refused = call.send().await.expect_error(415, "unsupported_media_type");
            assert_eq!(refused.header("accept-patch"), "application/json", "{method} {path}");
        }
    }
    let body = r#"{"fields": {"first_name": "B"}}"#;
    for content_type in ["application/merge-patch+json", "application/vnd.api+json"] {
        account.call("PATCH", &format!("/contacts/{id}")).body(content_type, body).send().await.expect(200);
    }
}
