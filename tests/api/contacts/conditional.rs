//! `ETag`, `If-Match` and `If-None-Match`

use serde_json::json;

use crate::support::{Account, Answer, at_once};

async fn patch_if(account: &Account, id: &str, tag: &str, name: &str) -> Answer {
    let call = account.call("PATCH", &format!("/contacts/{id}")).header("if-match", tag);
    call.json(&json!({"fields": {"first_name": name}})).send().await
}

#[tokio::test]
async fn if_match_lets_only_the_present_tag_write() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let stale = account.get(&format!("/contacts/{id}")).await.etag();
    let fresh = patch_if(&account, &id, &stale, "B").await.expect(200).etag();
    for refused in [&*stale, &*format!("W/{fresh}"), fresh.trim_matches('"'), "\"x\"", "", &*format!("{stale}, \"x\"")]
    {
        patch_if(&account, &id, refused, "C").await.expect_error(412, "precondition_failed");
    }
    let fresh = patch_if(&account, &id, &format!("\"x\", {fresh}"), "D").await.expect(200).etag();
    // A change to equal values too is subject to it, and leaves the tag as it was.
    patch_if(&account, &id, &stale, "D").await.expect_error(412, "precondition_failed");
    assert_eq!(patch_if(&account, &id, "*", "D").await.expect(200).etag(), fresh);
}

#[tokio::test]
async fn if_match_holds_for_archiving_and_restoring() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let path = format!("/contacts/{id}");
    let tag = account.get(&path).await.etag();
    account.call("DELETE", &path).header("if-match", "\"x\"").send().await.expect_error(412, "precondition_failed");
    let archived = account.call("DELETE", &path).header("if-match", &tag).send().await.expect(200).etag();
    account.call("DELETE", &path).header("if-match", "\"x\"").send().await.expect_error(404, "not_found");
    patch_if(&account, &id, "\"x\"", "B").await.expect_error(409, "contact_archived");
    let restore = |tag: String| account.call("POST", &format!("{path}/restore")).header("if-match", &tag).send();
    restore(tag).await.expect_error(412, "precondition_failed");
    restore(archived).await.expect(200);
}

#[tokio::test]
async fn if_none_match_spares_a_body() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let path = format!("/contacts/{id}");
    let tag = account.get(&path).await.etag();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
        let answer = account.call("GET", &path).header("if-none-match", &known).send().await.expect(304);
        assert_eq!((answer.text.as_str(), answer.etag()), ("", tag.clone()));
        assert_eq!(answer.header("cache-control"), "private, no-cache");
    }
    account.patch(&id, json!({"first_name": "B"})).await.expect(200);
    account.call("GET", &path).header("if-none-match", &tag).send().await.expect(200);
}

#[tokio::test]
async fn the_tag_does_not_depend_on_what_is_shown() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let (plain, more) =
        (account.get(&format!("/contacts/{id}")).await, account.get(&format!("/contacts/{id}?properties=phone")).await);
    assert_eq!(plain.etag(), more.etag());
}

#[tokio::test]
async fn of_many_writers_with_one_tag_exactly_one_wins() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for round in 0..5 {
        let tag = account.get(&format!("/contacts/{id}")).await.etag();
        let writers = (0..16).map(|writer| {
            let (account, id, tag) = (account.clone(), id.clone(), tag.clone());
            async move { patch_if(&account, &id, &tag, &format!("{round}-{writer}")).await.status }
        });
        let statuses = at_once(writers).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [200, 412].contains(status)), "{statuses:?}");
    }
}
