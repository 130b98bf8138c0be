//! `Idempotency-Key`

mod races;

use serde_json::{Value, json};

use crate::support::{Account, Answer, token_for};

/// A POST with a key.
async fn post(account: &Account, path: &str, key: &str, body: &Value) -> Answer {
    account.call("POST", path).header("idempotency-key", key).json(body).send().await
}

/// What a repeat has in common with the first answer.
fn same(answer: &Answer) -> (u16, &str, &str, &str, &str, &str) {
    let [tag, location, kind, cache] =
        ["etag", "location", "content-type", "cache-control"].map(|name| answer.header(name));
    (answer.status, &answer.text, tag, location, kind, cache)
}

#[track_caller]
fn expect_replay(first: &Answer, again: &Answer) {
    assert_eq!(same(first), same(again));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_ne!(first.header("x-request-id"), again.header("x-request-id"));
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_on_every_writing_post() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let gone = account.create(json!({"first_name": "G"})).await;
    account.delete(&format!("/contacts/{gone}")).await.expect(200);
    let batch = |inputs: Value| json!({"inputs": inputs});
    for (path, body, status) in [
        (
            "/contacts?properties=phone".to_owned(),
            json!({"fields": {"email": "n@example.com", "phone": "+1 555"}}),
            201,
        ),
        ("/fields".into(), json!({"label": "Size", "type": "number"}), 201),
        (format!("/contacts/{gone}/restore?properties=phone"), json!({}), 200),
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
        ("/contacts/batch/archive".into(), batch(json!([{"id": gone}])), 200),
        (format!("/contacts/{gone}/purge"), json!({}), 204),
    ] {
        let key = format!("key of {path}").replace(' ', "-");
        let first = post(&account, &path, &key, &body).await.expect(status);
        let stored = account.stored().await;
        for _ in 0..2 {
            expect_replay(&first, &post(&account, &path, &key, &body).await);
        }
        assert_eq!(account.stored().await, stored, "{path}");
    }
}

#[tokio::test]
async fn a_repeat_does_not_look_at_what_has_changed_since() {
    let account = Account::new().await;
    let body = json!({"fields": {"email": "a@example.com"}});
    let first = post(&account, "/contacts", "k", &body).await.expect(201);
    account.patch(&first.id(), json!({"first_name": "B"})).await.expect(200);
    account.delete(&format!("/contacts/{}", first.id())).await.expect(200);
    expect_replay(&first, &post(&account, "/contacts", "k", &body).await);
    let twin = account.at(&account.server.twin());
    expect_replay(&first, &post(&twin, "/contacts", "k", &body).await);
}

#[tokio::test]
async fn the_values_of_a_deleted_field_do_not_come_back_under_a_new_one_of_its_name() {
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
        assert!(post(&account, path, &path.replace('/', "-"), body).await.text.contains(r#""size":"old""#));
    }
    account.delete("/fields/size").await.expect(204);
    for is_back in [false, true] {
        if is_back {
            account.define(json!({"label": "size", "type": "text"})).await;
        }
        for (path, body) in &requests {
            let again = post(&account, path, &path.replace('/', "-"), body).await;
            let expected = if is_back { (422, "idempotency_key_reused") } else { (400, "invalid_properties") };
            assert!(!again.text.contains("old"), "{}", again.text);
            assert_eq!((again.status, again.body["code"].as_str().unwrap()), expected, "{path}");
        }
    }
}

#[tokio::test]
async fn anything_else_with_the_key_is_refused() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let body = json!({"fields": {"first_name": "A"}});
    post(&account, "/contacts", "k", &body).await.expect(201);
    let refused = |answer: Answer| answer.expect_error(422, "idempotency_key_reused");
    refused(post(&account, "/contacts", "k", &json!({"fields": {"first_name": "B"}})).await);
    let spaced = account.call("POST", "/contacts").header("idempotency-key", "k");
    refused(spaced.body("application/json", "{\"fields\": {\"first_name\": \"A\"}}").send().await);
    for query in ["?properties=phone", "?", "?x=1", "?dry_run=true", "?dry_run=false"] {
        refused(post(&account, &format!("/contacts{query}"), "k", &body).await);
    }
    refused(post(&account, &format!("/contacts/{id}/restore"), "k", &body).await);
    refused(post(&account, &format!("/contacts/{id}/purge"), "k", &body).await);
    refused(post(&account, "/contacts/batch/create", "k", &json!({"inputs": [body]})).await);
    refused(post(&account, "/fields", "k", &json!({"label": "x", "type": "text"})).await);
    for actor in [None, Some("another"), Some("")] {
        refused(post(&account.with_token(token_for(account.id, actor)), "/contacts", "k", &body).await);
    }
    // A new token of the same actor is the same actor; a key in another case is another key.
    let renewed = account.with_token(token_for(account.id, Some("tester")));
    assert_eq!(post(&renewed, "/contacts", "k", &body).await.expect(201).header("idempotency-replayed"), "true");
    assert_eq!(post(&account, "/contacts", "K", &body).await.expect(201).header("idempotency-replayed"), "");
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 3);
}

#[tokio::test]
async fn another_tenants_key_is_nothing_to_us() {
    let (account, other) = (Account::new().await, Account::new().await);
    let body = json!({"fields": {"first_name": "A"}});
    let first = post(&account, "/contacts", "k", &body).await.expect(201);
    let second = post(&other, "/contacts", "k", &body).await.expect(201);
    assert_eq!((second.header("idempotency-replayed"), first.id() == second.id()), ("", false));
}

#[tokio::test]
async fn only_successes_are_kept() {
    let account = Account::new().await;
    let holder = account.create(json!({"email": "a@example.com"})).await;
    let body = json!({"fields": {"email": "a@example.com"}});
    for _ in 0..2 {
        post(&account, "/contacts", "k", &body).await.expect_error(409, "duplicate_contact");
    }
    post(&account, "/contacts", "k", &json!({"fields": {"email": "nope"}}))
        .await
        .expect_error(400, "validation_failed");
    account.delete(&format!("/contacts/{holder}")).await.expect(200);
    assert_eq!(post(&account, "/contacts", "k", &body).await.expect(201).header("idempotency-replayed"), "");
    let field = json!({"label": "email", "type": "text"});
    post(&account, "/fields", "f", &field).await.expect_error(409, "duplicate_field");
    post(&account, "/fields", "f", &json!({"label": "mail", "type": "text"})).await.expect(201);
    let missing = format!("/contacts/{}/purge", uuid::Uuid::now_v7());
    post(&account, &missing, "p", &json!({})).await.expect_error(404, "not_found");
    post(&account, &format!("/contacts/{holder}/purge"), "p", &json!({})).await.expect(204);
    // A batch that was answered is a success, whatever became of its inputs.
    let inputs = json!({"inputs": [{"fields": {"email": "a@example.com"}}, {}], "atomic": true});
    let first = post(&account, "/contacts/batch/create", "b", &inputs).await.expect(207);
    expect_replay(&first, &post(&account, "/contacts/batch/create", "b", &inputs).await);
    post(&account, "/contacts/batch/create", "c", &json!({"inputs": []})).await.expect_error(400, "invalid_body");
    post(&account, "/contacts/batch/create", "c", &inputs).await.expect(207);
}

#[tokio::test]
async fn a_key_is_255_visible_characters_and_sent_once() {
    let account = Account::new().await;
    let body = json!({"fields": {"first_name": "A"}});
    for key in ["", " ", "a b", "é", &"k".repeat(256)] {
        let answer = post(&account, "/contacts", key, &body).await.expect_error(400, "validation_failed");
        answer.expect_details(&[("Idempotency-Key", "invalid_format")]);
        post(&account, "/fields", key, &json!({"label": "x", "type": "text"}))
            .await
            .expect_error(400, "validation_failed");
        post(&account, "/contacts/nope/purge", key, &json!({})).await.expect_error(400, "validation_failed");
        let inputs = json!({"inputs": [{"fields": {"first_name": "A"}}]});
        post(&account, "/contacts/batch/create", key, &inputs).await.expect_error(400, "validation_failed");
    }
    let twice = account.call("POST", "/contacts").header("idempotency-key", "a").header("idempotency-key", "a");
    twice.json(&body).send().await.expect_error(400, "validation_failed");
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 0);
    for key in ["k", "!~\"{},;=", &"k".repeat(255)] {
        let first = post(&account, "/contacts", key, &body).await.expect(201);
        expect_replay(&first, &post(&account, "/contacts", key, &body).await);
    }
}

/// Where a repeat is harmless anyway, the header means nothing.
#[tokio::test]
async fn is_for_posts_that_write() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for method in ["PATCH", "GET", "DELETE"] {
        let call = account.call(method, &format!("/contacts/{id}")).header("idempotency-key", "not a key");
        call.json(&json!({"fields": {"first_name": "B"}})).send().await.expect(200);
    }
    let read = json!({"inputs": [{"id": id}]});
    for _ in 0..2 {
        assert_eq!(
            post(&account, "/contacts/batch/read", "k", &read).await.expect(200).header("idempotency-replayed"),
            ""
        );
    }
}

#[tokio::test]
async fn comes_after_the_body_and_before_the_object() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"first_name": "A"})).await;
    post(&account, "/contacts", "used", &json!({"fields": {"first_name": "A"}})).await.expect(201);
    let used = |path: &str, body: Value| {
        let (account, path) = (account.clone(), path.to_owned());
        async move { post(&account, &path, "used", &body).await }
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
async fn a_purge_forgets_the_answers_that_show_the_contact() {
    let account = Account::new().await;
    let create = json!({"fields": {"email": "a@example.com"}});
    let id = post(&account, "/contacts", "create", &create).await.expect(201).id();
    let batch = json!({"inputs": [{"id": id, "fields": {"first_name": "B"}}, {"id": "nope", "fields": {}}]});
    post(&account, "/contacts/batch/update", "batch", &batch).await.expect(207);
    let other = post(&account, "/contacts", "other", &json!({"fields": {"first_name": "O"}})).await.expect(201);
    let purge = format!("/contacts/{id}/purge");
    let purged = post(&account, &purge, "purge", &json!({})).await.expect(204);
    let stored = account.stored().await;
    post(&account, "/contacts", "create", &create).await.expect_error(404, "not_found");
    post(&account, "/contacts/batch/update", "batch", &batch).await.expect_error(404, "not_found");
    // The keys stay taken, the other answers stay kept: also that to the purge, which shows nothing.
    post(&account, "/contacts", "create", &json!({"fields": {}})).await.expect_error(400, "validation_failed");
    post(&account, "/contacts", "create", &json!({"fields": {"last_name": "C"}}))
        .await
        .expect_error(422, "idempotency_key_reused");
    expect_replay(&purged, &post(&account, &purge, "purge", &json!({})).await);
    let again = post(&account, "/contacts", "other", &json!({"fields": {"first_name": "O"}})).await;
    expect_replay(&other, &again);
    assert_eq!(account.stored().await, stored);
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let account = Account::new().await;
    let send = |name: &'static str| {
        let account = account.clone();
        async move { post(&account, "/contacts", "k", &json!({"fields": {"first_name": name}})).await }
    };
    let age = |hours: u32| {
        let account = account.clone();
        async move {
            let age = format!(
                "UPDATE kept_answers SET created_at = created_at - interval '{hours} hours' WHERE account_id = '{}'",
                account.id
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(age)).execute(&mut account.database().await).await.unwrap();
        }
    };
    let first = send("A").await.expect(201);
    age(23).await;
    expect_replay(&first, &send("A").await);
    age(2).await;
    // The key is free for anything.
    let second = send("B").await.expect(201);
    assert_ne!(second.id(), first.id());
    expect_replay(&second, &send("B").await);
}
