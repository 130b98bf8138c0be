//! The `Idempotency-Key` header (`docs/api-reference.md#idempotency`).

mod expiry;
mod methods;
mod races;
mod races_of_methods;

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse, token_for};

/// Sends a POST with an idempotency key.
async fn post_with_key(account: &Account, path: &str, key: &str, body: &Value) -> ApiResponse {
    send_with_key(account, ("POST", path), key, body).await
}

/// Sends a request to a method and path with an idempotency key.
async fn send_with_key(account: &Account, (method, path): (&str, &str), key: &str, body: &Value) -> ApiResponse {
    account.call(method, path).header("idempotency-key", key).json(body).send().await
}

/// Returns the parts of a response that a replay repeats: status, body and headers.
fn replayed_parts(response: &ApiResponse) -> (u16, &str, &str, &str, &str, &str) {
    let [etag, location, content_type, cache_control] =
        ["etag", "location", "content-type", "cache-control"].map(|name| response.header(name));
    (response.status, &response.text, etag, location, content_type, cache_control)
}

/// Checks that the second response is a replay of the first.
#[track_caller]
fn expect_replay(first: &ApiResponse, again: &ApiResponse) {
    assert_eq!(replayed_parts(first), replayed_parts(again));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
}

#[tokio::test]
async fn repeated_request_replays_the_first_response_on_every_writing_post() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let archived = account.create(json!({"first_name": "G"})).await;
    account.delete(&format!("/contacts/{archived}")).await.expect(200);
    let batch = |inputs: Value| json!({"inputs": inputs});
    for (path, body, status) in [
        (
            "/contacts?properties=phone".to_owned(),
            json!({"fields": {"email": "n@example.com", "phone": "+1 555"}}),
            201,
        ),
        ("/fields".into(), json!({"label": "Size", "type": "number"}), 201),
        (format!("/contacts/{archived}/restore?properties=phone"), json!({}), 200),
        ("/contacts/batch/create".into(), batch(json!([{"fields": {"email": "b@example.com"}}])), 200),
        (
            "/contacts/batch/update".into(),
            batch(json!([{"id": id, "fields": {"last_name": "U"}}, {"id": "nope", "fields": {}}])),
            207,
        ),
        (
            "/contacts/batch/upsert".into(),
            json!({"inputs": [{"id": "x", "fields": {"first_name": "X"}}], "id_property": "external_id"}),
            200,
        ),
        ("/contacts/batch/archive".into(), batch(json!([{"id": archived}])), 200),
        (format!("/contacts/{archived}/purge"), json!({}), 204),
    ] {
        let key = format!("key of {path}").replace(' ', "-");
        let first = post_with_key(&account, &path, &key, &body).await.expect(status);
        let stored = account.stored_rows().await;
        for _ in 0..2 {
            expect_replay(&first, &post_with_key(&account, &path, &key, &body).await);
        }
        assert_eq!(account.stored_rows().await, stored, "{path}");
    }
}

#[tokio::test]
async fn replay_ignores_later_changes_and_works_on_another_instance() {
    let account = Account::new().await;
    let body = json!({"fields": {"email": "a@example.com"}});
    let first = post_with_key(&account, "/contacts", "k", &body).await.expect(201);
    account.patch(&first.id(), json!({"first_name": "B"})).await.expect(200);
    account.delete(&format!("/contacts/{}", first.id())).await.expect(200);
    expect_replay(&first, &post_with_key(&account, "/contacts", "k", &body).await);
    let other_instance = account.on_instance(&account.server.second_instance());
    expect_replay(&first, &post_with_key(&other_instance, "/contacts", "k", &body).await);
}

#[tokio::test]
async fn replay_does_not_return_values_of_a_deleted_field() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    account.define(json!({"label": "size", "type": "text"})).await;
    account.patch(&id, json!({"size": "old"})).await.expect(200);
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let requests = [
        ("/contacts?properties=size".to_owned(), json!({"fields": {"first_name": "A", "size": "old"}})),
        (format!("/contacts/{id}/restore?properties=size"), json!({})),
        (
            "/contacts/batch/create".to_owned(),
            json!({"inputs": [{"fields": {"first_name": "A", "size": "old"}}], "properties": ["size"]}),
        ),
    ];
    for (path, body) in &requests {
        assert!(post_with_key(&account, path, &path.replace('/', "-"), body).await.text.contains(r#""size":"old""#));
    }
    account.delete("/fields/size").await.expect(204);
    for field_is_recreated in [false, true] {
        if field_is_recreated {
            account.define(json!({"label": "size", "type": "text"})).await;
        }
        for (path, body) in &requests {
            let again = post_with_key(&account, path, &path.replace('/', "-"), body).await;
            let expected =
                if field_is_recreated { (422, "idempotency_key_reused") } else { (400, "invalid_properties") };
            assert!(!again.text.contains("old"), "{}", again.text);
            assert_eq!((again.status, again.body["code"].as_str().unwrap()), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn different_request_with_a_used_key_is_422() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let body = json!({"fields": {"first_name": "A"}});
    post_with_key(&account, "/contacts", "k", &body).await.expect(201);
    let expect_reused = |response: ApiResponse| response.expect_error(422, "idempotency_key_reused");
    expect_reused(post_with_key(&account, "/contacts", "k", &json!({"fields": {"first_name": "B"}})).await);
    let spaced = account.call("POST", "/contacts").header("idempotency-key", "k");
    expect_reused(spaced.body("application/json", "{\"fields\": {\"first_name\": \"A\"}}").send().await);
    for query in ["?properties=phone", "?", "?properties=email", "?dry_run=true", "?dry_run=false"] {
        expect_reused(post_with_key(&account, &format!("/contacts{query}"), "k", &body).await);
    }
    expect_reused(post_with_key(&account, &format!("/contacts/{id}/restore"), "k", &body).await);
    expect_reused(post_with_key(&account, &format!("/contacts/{id}/purge"), "k", &body).await);
    expect_reused(post_with_key(&account, "/contacts/batch/create", "k", &json!({"inputs": [body]})).await);
    expect_reused(post_with_key(&account, "/fields", "k", &json!({"label": "x", "type": "text"})).await);
    for actor in [None, Some("another"), Some("")] {
        expect_reused(post_with_key(&account.with_token(token_for(account.id, actor)), "/contacts", "k", &body).await);
    }
    // A new token of the same actor may repeat the request. Keys are case-sensitive.
    let renewed = account.with_token(token_for(account.id, Some("tester")));
    assert_eq!(
        post_with_key(&renewed, "/contacts", "k", &body).await.expect(201).header("idempotency-replayed"),
        "true"
    );
    assert_eq!(post_with_key(&account, "/contacts", "K", &body).await.expect(201).header("idempotency-replayed"), "");
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 3);
}

#[tokio::test]
async fn same_key_in_another_account_is_independent() {
    let (account, other) = (Account::new().await, Account::new().await);
    let body = json!({"fields": {"first_name": "A"}});
    let first = post_with_key(&account, "/contacts", "k", &body).await.expect(201);
    let second = post_with_key(&other, "/contacts", "k", &body).await.expect(201);
    assert_eq!((second.header("idempotency-replayed"), first.id() == second.id()), ("", false));
}

#[tokio::test]
async fn only_2xx_responses_are_stored() {
    let account = Account::new().await;
    let holder = account.create(json!({"email": "a@example.com"})).await;
    let body = json!({"fields": {"email": "a@example.com"}});
    for _ in 0..2 {
        post_with_key(&account, "/contacts", "k", &body).await.expect_error(409, "duplicate_contact");
    }
    post_with_key(&account, "/contacts", "k", &json!({"fields": {"email": "nope"}}))
        .await
        .expect_error(400, "validation_failed");
    account.delete(&format!("/contacts/{holder}")).await.expect(200);
    assert_eq!(post_with_key(&account, "/contacts", "k", &body).await.expect(201).header("idempotency-replayed"), "");
    let field = json!({"label": "email", "type": "text"});
    post_with_key(&account, "/fields", "f", &field).await.expect_error(409, "duplicate_field");
    post_with_key(&account, "/fields", "f", &json!({"label": "mail", "type": "text"})).await.expect(201);
    let missing = format!("/contacts/{}/purge", uuid::Uuid::now_v7());
    post_with_key(&account, &missing, "p", &json!({})).await.expect_error(404, "not_found");
    post_with_key(&account, &format!("/contacts/{holder}/purge"), "p", &json!({})).await.expect(204);
    // A 207 is stored like any other 2xx, even when inputs of the batch failed.
    let inputs = json!({"inputs": [{"fields": {"email": "a@example.com"}}, {}], "atomic": true});
    let first = post_with_key(&account, "/contacts/batch/create", "b", &inputs).await.expect(207);
    expect_replay(&first, &post_with_key(&account, "/contacts/batch/create", "b", &inputs).await);
    post_with_key(&account, "/contacts/batch/create", "c", &json!({"inputs": []}))
        .await
        .expect_error(400, "invalid_body");
    post_with_key(&account, "/contacts/batch/create", "c", &inputs).await.expect(207);
}

#[tokio::test]
async fn key_longer_than_255_or_not_visible_ascii_or_sent_twice_is_400() {
    let account = Account::new().await;
    let body = json!({"fields": {"first_name": "A"}});
    for key in ["", " ", "a b", "é", &"k".repeat(256)] {
        let response = post_with_key(&account, "/contacts", key, &body).await.expect_error(400, "validation_failed");
        response.expect_details(&[("Idempotency-Key", "invalid_format")]);
        post_with_key(&account, "/fields", key, &json!({"label": "x", "type": "text"}))
            .await
            .expect_error(400, "validation_failed");
        post_with_key(&account, "/contacts/nope/purge", key, &json!({})).await.expect_error(400, "validation_failed");
        let inputs = json!({"inputs": [{"fields": {"first_name": "A"}}]});
        post_with_key(&account, "/contacts/batch/create", key, &inputs).await.expect_error(400, "validation_failed");
    }
    let twice = account.call("POST", "/contacts").header("idempotency-key", "a").header("idempotency-key", "a");
    twice.json(&body).send().await.expect_error(400, "validation_failed");
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 0);
    for key in ["k", "!~\"{},;=", &"k".repeat(255)] {
        let first = post_with_key(&account, "/contacts", key, &body).await.expect(201);
        expect_replay(&first, &post_with_key(&account, "/contacts", key, &body).await);
    }
}

/// Reads are safe to repeat, so the header is ignored and its value is not checked.
#[tokio::test]
async fn key_is_ignored_on_reads() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for key in ["k", "not a key"] {
        for _ in 0..2 {
            for (call, body) in [
                (("GET", &*format!("/contacts/{id}")), json!(null)),
                (("POST", "/contacts/batch/read"), json!({"inputs": [{"id": id}]})),
                (("POST", "/contacts/search"), json!({})),
            ] {
                let response = send_with_key(&account, call, key, &body).await.expect(200);
                assert_eq!(response.header("idempotency-replayed"), "", "{call:?}");
            }
        }
    }
    post_with_key(&account, "/contacts", "k", &json!({"fields": {"first_name": "B"}})).await.expect(201);
}

#[tokio::test]
async fn key_is_checked_after_the_body_and_before_the_object() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"first_name": "A"})).await;
    post_with_key(&account, "/contacts", "used", &json!({"fields": {"first_name": "A"}})).await.expect(201);
    let used = |path: &str, body: Value| {
        let (account, path) = (account.clone(), path.to_owned());
        async move { post_with_key(&account, &path, "used", &body).await }
    };
    used("/contacts?properties=nope", json!({})).await.expect_error(400, "invalid_properties");
    used("/contacts", json!({"fields": {"nope": 1}})).await.expect_error(400, "validation_failed");
    used("/contacts", json!([])).await.expect_error(400, "invalid_body");
    let typed = account.call("POST", "/contacts").header("idempotency-key", "used").body("text/plain", "{}");
    typed.send().await.expect_error(415, "unsupported_media_type");
    used("/fields", json!({"label": "x", "type": "nope"})).await.expect_error(400, "validation_failed");
    used("/contacts", json!({"fields": {"email": "taken@example.com"}}))
        .await
        .expect_error(422, "idempotency_key_reused");
    used("/fields", json!({"label": "email", "type": "text"})).await.expect_error(422, "idempotency_key_reused");
    for id in ["nope", &*uuid::Uuid::now_v7().to_string()] {
        for action in ["restore", "purge"] {
            used(&format!("/contacts/{id}/{action}"), json!({})).await.expect_error(422, "idempotency_key_reused");
        }
    }
    let restore = account.call("POST", &format!("/contacts/{id}/restore")).header("idempotency-key", "used");
    restore.header("if-match", "\"stale\"").send().await.expect_error(422, "idempotency_key_reused");
    let inputs = json!({"inputs": [{"fields": {"nope": 1}}]});
    used("/contacts/batch/create", inputs).await.expect_error(422, "idempotency_key_reused");
}

#[tokio::test]
async fn purge_deletes_stored_responses_that_contain_the_contact() {
    let account = Account::new().await;
    let create = json!({"fields": {"email": "a@example.com"}});
    let id = post_with_key(&account, "/contacts", "create", &create).await.expect(201).id();
    let batch = json!({"inputs": [{"id": id, "fields": {"first_name": "B"}}, {"id": "nope", "fields": {}}]});
    post_with_key(&account, "/contacts/batch/update", "batch", &batch).await.expect(207);
    let other =
        post_with_key(&account, "/contacts", "other", &json!({"fields": {"first_name": "O"}})).await.expect(201);
    let purge = format!("/contacts/{id}/purge");
    let purged = post_with_key(&account, &purge, "purge", &json!({})).await.expect(204);
    let stored = account.stored_rows().await;
    post_with_key(&account, "/contacts", "create", &create).await.expect_error(404, "not_found");
    post_with_key(&account, "/contacts/batch/update", "batch", &batch).await.expect_error(404, "not_found");
    // The keys stay in use and the other responses stay stored, including the empty response to the purge.
    post_with_key(&account, "/contacts", "create", &json!({"fields": {}})).await.expect_error(400, "validation_failed");
    post_with_key(&account, "/contacts", "create", &json!({"fields": {"last_name": "C"}}))
        .await
        .expect_error(422, "idempotency_key_reused");
    expect_replay(&purged, &post_with_key(&account, &purge, "purge", &json!({})).await);
    let again = post_with_key(&account, "/contacts", "other", &json!({"fields": {"first_name": "O"}})).await;
    expect_replay(&other, &again);
    assert_eq!(account.stored_rows().await, stored);
}
