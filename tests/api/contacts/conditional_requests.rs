//! Conditional requests: `ETag`, `If-Match` and `If-None-Match`.

use serde_json::json;

use crate::support::{Account, ApiResponse, run_concurrently};

/// Sends a PATCH of `first_name` with this `If-Match`.
async fn patch_if_match(account: &Account, id: &str, tag: &str, name: &str) -> ApiResponse {
    let call = account.call("PATCH", &format!("/contacts/{id}")).header("if-match", tag);
    call.json(&json!({"fields": {"first_name": name}})).send().await
}

#[tokio::test]
async fn patch_with_a_stale_if_match_is_412() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let stale = account.get(&format!("/contacts/{id}")).await.etag();
    let fresh = patch_if_match(&account, &id, &stale, "B").await.expect(200).etag();
    for rejected in [&*stale, &*format!("W/{fresh}"), fresh.trim_matches('"'), "\"x\"", "", &*format!("{stale}, \"x\"")]
    {
        patch_if_match(&account, &id, rejected, "C").await.expect_error(412, "precondition_failed");
    }
    let fresh = patch_if_match(&account, &id, &format!("\"x\", {fresh}"), "D").await.expect(200).etag();
    // A PATCH to equal values is checked too, and leaves the ETag unchanged.
    patch_if_match(&account, &id, &stale, "D").await.expect_error(412, "precondition_failed");
    assert_eq!(patch_if_match(&account, &id, "*", "D").await.expect(200).etag(), fresh);
}

#[tokio::test]
async fn delete_and_restore_with_a_stale_if_match_are_412() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let path = format!("/contacts/{id}");
    let tag = account.get(&path).await.etag();
    account.call("DELETE", &path).header("if-match", "\"x\"").send().await.expect_error(412, "precondition_failed");
    let archived = account.call("DELETE", &path).header("if-match", &tag).send().await.expect(200).etag();
    account.call("DELETE", &path).header("if-match", "\"x\"").send().await.expect_error(404, "not_found");
    patch_if_match(&account, &id, "\"x\"", "B").await.expect_error(409, "contact_archived");
    let restore = |tag: String| account.call("POST", &format!("{path}/restore")).header("if-match", &tag).send();
    restore(tag).await.expect_error(412, "precondition_failed");
    restore(archived).await.expect(200);
}

#[tokio::test]
async fn get_with_a_matching_if_none_match_is_304_without_a_body() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let path = format!("/contacts/{id}");
    let tag = account.get(&path).await.etag();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
        let response = account.call("GET", &path).header("if-none-match", &known).send().await.expect(304);
        assert_eq!((response.text.as_str(), response.etag()), ("", tag.clone()));
        assert_eq!(response.header("cache-control"), "private, no-cache");
    }
    account.patch(&id, json!({"first_name": "B"})).await.expect(200);
    account.call("GET", &path).header("if-none-match", &tag).send().await.expect(200);
}

#[tokio::test]
async fn etag_does_not_depend_on_properties() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let (default, extended) =
        (account.get(&format!("/contacts/{id}")).await, account.get(&format!("/contacts/{id}?properties=phone")).await);
    assert_eq!(default.etag(), extended.etag());
}

#[tokio::test]
async fn concurrent_patches_with_the_same_if_match_succeed_once() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for round in 0..5 {
        let tag = account.get(&format!("/contacts/{id}")).await.etag();
        let writers = (0..16).map(|writer| {
            let (account, id, tag) = (account.clone(), id.clone(), tag.clone());
            async move { patch_if_match(&account, &id, &tag, &format!("{round}-{writer}")).await.status }
        });
        let statuses = run_concurrently(writers).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
    }
}
