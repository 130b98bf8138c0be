//! What a body may be, and what it may not.

use rstest::rstest;
use serde_json::json;

use crate::support::Account;

async fn patch(content_type: Option<&str>, body: impl Into<reqwest::Body>) -> crate::support::Answer {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let call = account.call("PATCH", &format!("/contacts/{id}"));
    match content_type {
        Some(content_type) => call.body(content_type, body).send().await,
        None => call.bare(body).send().await,
    }
}

#[rstest]
#[case::empty("")]
#[case::blank("  \n")]
#[case::cut_off(r#"{"fields": {"first_name": "B""#)]
#[case::trailing_comma(r#"{"fields": {"first_name": "B",}}"#)]
#[case::two_values(r#"{"fields": {}} {"fields": {}}"#)]
#[case::byte_order_mark("\u{feff}{\"fields\": {}}")]
#[case::lone_surrogate(r#"{"fields": {"first_name": "\ud83d"}}"#)]
#[case::lone_surrogate_in_a_key(r#"{"fields": {"\udc00": 1}}"#)]
#[case::control_character("{\"fields\": {\"first_name\": \"a\u{1}\"}}")]
#[case::duplicate_field(r#"{"fields": {"first_name": "B", "first_name": "C"}}"#)]
#[case::duplicate_by_escape(r#"{"fields": {"first_name": "B", "first\u005fname": "C"}}"#)]
#[case::duplicate_at_the_top(r#"{"fields": {}, "fields": {}}"#)]
#[case::duplicate_within(r#"{"fields": {"first_name": {"a": 1, "a": 1}}}"#)]
#[case::leading_zero(r#"{"fields": {"first_name": 01}}"#)]
#[case::not_a_number(r#"{"fields": {"first_name": NaN}}"#)]
#[tokio::test]
async fn refuses_what_is_not_json(#[case] body: &'static str) {
    patch(Some("application/json"), body).await.expect_error(400, "invalid_json");
}

#[tokio::test]
async fn refuses_bad_utf8_and_deep_nesting() {
    patch(Some("application/json"), b"{\"fields\": {\"first_name\": \"\xff\"}}".to_vec())
        .await
        .expect_error(400, "invalid_json");
    for depth in [200, 100_000] {
        let body = format!(r#"{{"fields": {{"first_name": {}{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
        patch(Some("application/json"), body).await.expect_error(400, "invalid_json");
    }
    let shallow = format!(r#"{{"fields": {{"first_name": {}{}}}}}"#, "[".repeat(10), "]".repeat(10));
    patch(Some("application/json"), shallow)
        .await
        .expect_error(400, "validation_failed")
        .expect_details(&[("first_name", "invalid_type")]);
}

#[rstest]
#[case("null")]
#[case("[]")]
#[case("\"fields\"")]
#[case("{}")]
#[case(r#"{"fields": null}"#)]
#[case(r#"{"fields": []}"#)]
#[case(r#"{"fields": {}, "other": 1}"#)]
#[case(r#"{"Fields": {}}"#)]
#[tokio::test]
async fn refuses_any_other_shape(#[case] body: &'static str) {
    patch(Some("application/json"), body).await.expect_error(400, "invalid_body");
}

#[tokio::test]
async fn takes_json_under_its_names_or_none() {
    for content_type in
        ["application/json", "APPLICATION/JSON;charset=utf-8", "application/merge-patch+json", "application/vnd.x+json"]
    {
        patch(Some(content_type), r#"{"fields": {}}"#).await.expect(200);
    }
    patch(None, r#"{"fields": {}}"#).await.expect(200);
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "text/json", "application/jsonx", "x"] {
        patch(Some(content_type), r#"{"fields": {}}"#).await.expect_error(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn refuses_a_body_that_is_too_large() {
    let limit = 1024 * 1024;
    let body = |size: usize| format!(r#"{{"fields": {{"first_name": "{}"}}}}"#, "x".repeat(size - 30));
    assert_eq!(body(limit).len(), limit);
    patch(Some("application/json"), body(limit)).await.expect_error(400, "validation_failed");
    patch(Some("application/json"), body(limit + 1)).await.expect_error(413, "payload_too_large");
}
