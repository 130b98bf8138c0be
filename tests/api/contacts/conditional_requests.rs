//! Conditional requests: `If-Match` and `If-None-Match`. `etags.rs` has the tests of the tags.

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
    for rejected in [&*stale, &*format!("W/{stale}"), fresh.trim_matches('"'), "\"x\"", "", &*format!("{stale}, \"x\"")]
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

/// Sends every write that names a contact by its id, with this conditional header.
async fn send_writes(account: &Account, id: &str, header: (&str, &str)) -> [ApiResponse; 4] {
    let call = |method: &str, suffix: &str| {
        account.call(method, &format!("/contacts/{id}{suffix}")).header(header.0, header.1)
    };
    [
        call("PATCH", "").json(&json!({"fields": {"first_name": "B"}})).send().await,
        call("DELETE", "").send().await,
        call("POST", "/restore").send().await,
        call("POST", "/purge").send().await,
    ]
}

#[tokio::test]
async fn every_write_with_a_stale_if_match_is_412_and_changes_nothing() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let stale = account.get(&format!("/contacts/{id}")).await.etag();
    account.patch(&id, json!({"last_name": "B"})).await.expect(200);
    let before = account.stored_rows().await;
    for tag in [&*stale, "\"x\"", "x", ""] {
        for response in send_writes(&account, &id, ("if-match", tag)).await {
            let message = response.expect_error(412, "precondition_failed").body["message"].clone();
            assert!(message.as_str().unwrap().contains("has changed"), "{message}");
        }
    }
    assert_eq!(account.stored_rows().await, before);
}

#[tokio::test]
async fn every_write_with_a_matching_if_none_match_is_412_and_changes_nothing() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let tag = account.get(&format!("/contacts/{id}?properties=phone")).await.etag();
    let before = account.stored_rows().await;
    for (known, reason) in
        [(&*tag, "has the ETag"), (&*format!("\"x\", W/{tag}"), "has the ETag"), ("*", "already exists")]
    {
        for response in send_writes(&account, &id, ("if-none-match", known)).await {
            let message = response.expect_error(412, "precondition_failed").body["message"].clone();
            assert!(message.as_str().unwrap().contains(reason), "{message}");
        }
    }
    assert_eq!(account.stored_rows().await, before);
    // Both headers must hold.
    let patch =
        account.call("PATCH", &format!("/contacts/{id}")).header("if-match", &tag).header("if-none-match", &tag);
    patch.json(&json!({"fields": {}})).send().await.expect_error(412, "precondition_failed");
    let [patched, archived, restored, purged] = send_writes(&account, &id, ("if-none-match", "\"x\"")).await;
    assert_eq!([patched.status, archived.status, restored.status, purged.status], [200, 200, 200, 204]);
}

#[tokio::test]
async fn purge_with_the_current_tag_erases_active_and_archived_contacts() {
    let account = Account::new().await;
    for is_archived in [false, true] {
        let id = account.create(json!({"first_name": "A"})).await;
        if is_archived {
            account.delete(&format!("/contacts/{id}")).await.expect(200);
        }
        let tag = account.get(&format!("/contacts/{id}")).await.etag();
        let purge = |query: &str, tag: &str| {
            account.call("POST", &format!("/contacts/{id}/purge{query}")).header("if-match", tag).send()
        };
        purge("", "\"stale\"").await.expect_error(412, "precondition_failed");
        purge("?dry_run=true", "\"stale\"").await.expect_error(412, "precondition_failed");
        purge("?dry_run=true", &tag).await.expect(204);
        purge("", &tag).await.expect(204);
        // A contact that does not exist is 404 whatever the precondition.
        purge("", "*").await.expect_error(404, "not_found");
    }
}

/// Of several purges and updates with the same tag, exactly one succeeds: a purge never erases an acknowledged update.
#[tokio::test]
async fn concurrent_purge_and_patch_with_the_same_if_match_succeed_once() {
    let account = Account::new().await;
    for _ in 0..5 {
        let id = account.create(json!({"first_name": "A"})).await;
        let tag = account.get(&format!("/contacts/{id}")).await.etag();
        let writers = (0..8).map(|writer| {
            let (account, id, tag) = (account.clone(), id.clone(), tag.clone());
            async move {
                if writer % 2 == 0 {
                    return patch_if_match(&account, &id, &tag, "B").await.status;
                }
                account.call("POST", &format!("/contacts/{id}/purge")).header("if-match", &tag).send().await.status
            }
        });
        let statuses = run_concurrently(writers).await;
        assert_eq!(statuses.iter().filter(|status| **status < 300).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 204, 404, 412].contains(status)), "{statuses:?}");
    }
}

/// A repeat under an `Idempotency-Key` returns the tag of the first response, which is valid as long as the contact has
/// not changed.
#[tokio::test]
async fn etag_of_a_stored_response_matches_until_the_contact_changes() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let restore = async || {
        let call = account.call("POST", &format!("/contacts/{id}/restore")).header("idempotency-key", "k");
        call.send().await.expect(200).etag()
    };
    let tag = restore().await;
    assert_eq!(restore().await, tag);
    patch_if_match(&account, &id, &tag, "B").await.expect(200);
    assert_eq!(restore().await, tag);
    patch_if_match(&account, &id, &tag, "C").await.expect_error(412, "precondition_failed");
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
