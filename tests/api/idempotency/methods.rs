//! `Idempotency-Key` on PATCH, PUT and DELETE, of contacts and of fields.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{expect_replay, post_with_key, send_with_key};
use crate::support::{Account, ApiResponse};

/// Defines the fields `size` and `gone`.
async fn define_fields(account: &Account) {
    for field in ["size", "gone"] {
        account.define(json!({"label": field, "type": "text"})).await;
    }
}

#[tokio::test]
async fn repeated_request_replays_the_first_response_on_every_method() {
    let account = Account::new().await;
    define_fields(&account).await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let by_id = format!("/contacts/{id}?properties=phone");
    let by_key = "/contacts/a?id_property=external_id";
    for (number, (call, body, status)) in [
        (("PATCH", &*by_id), json!({"fields": {"phone": "+1 555"}}), 200),
        (("PATCH", by_key), json!({"fields": {"first_name": "B"}}), 200),
        (("PATCH", by_key), json!({"fields": {}}), 200),
        (("PUT", by_key), json!({"fields": {"first_name": "C"}}), 200),
        (("PUT", "/contacts/n?id_property=external_id"), json!({"fields": {"first_name": "N"}}), 201),
        (("DELETE", by_key), Value::Null, 200),
        (("PATCH", "/fields/size"), json!({"label": "Size"}), 200),
        (("PATCH", "/fields/size"), json!({"label": "Size"}), 200),
        (("DELETE", "/fields/gone"), Value::Null, 204),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k{number}");
        let first = send_with_key(&account, call, &key, &body).await.expect(status);
        let (stored, fields) = (account.stored_rows().await, account.get("/fields").await.text);
        let other_instance = account.on_instance(&account.server.second_instance());
        for caller in [&account, &other_instance] {
            expect_replay(&first, &send_with_key(caller, call, &key, &body).await);
        }
        assert_eq!((account.stored_rows().await, account.get("/fields").await.text), (stored, fields), "{call:?}");
    }
}

/// This is what the key is for: a repeat after a timeout must not undo what others have written meanwhile.
#[tokio::test]
async fn repeated_request_does_not_overwrite_a_newer_write() {
    let account = Account::new().await;
    define_fields(&account).await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let contact = format!("/contacts/{id}");
    let upsert = "/contacts/a?id_property=external_id";
    let name = || async { account.get(&contact).await.expect(200).body["first_name"].clone() };

    let body = json!({"fields": {"first_name": "B"}});
    for (number, call) in [("PATCH", &*contact), ("PUT", upsert)].into_iter().enumerate() {
        let key = format!("write-{number}");
        let first = send_with_key(&account, call, &key, &body).await.expect(200);
        account.patch(&id, json!({"first_name": "C"})).await.expect(200);
        expect_replay(&first, &send_with_key(&account, call, &key, &body).await);
        assert_eq!(name().await, "C");
    }

    let first = send_with_key(&account, ("DELETE", &contact), "archive", &Value::Null).await.expect(200);
    account.post(&format!("{contact}/restore"), Value::Null).await.expect(200);
    expect_replay(&first, &send_with_key(&account, ("DELETE", &contact), "archive", &Value::Null).await);
    assert_eq!(account.get(&contact).await.body["archived"], false);

    let call = ("PATCH", "/fields/size");
    let first = send_with_key(&account, call, "label", &json!({"label": "Size"})).await.expect(200);
    account.call("PATCH", "/fields/size").json(&json!({"label": "Newer"})).send().await.expect(200);
    expect_replay(&first, &send_with_key(&account, call, "label", &json!({"label": "Size"})).await);
    assert_eq!(account.get("/fields/size").await.body["label"], "Newer");

    let call = ("DELETE", "/fields/gone");
    let first = send_with_key(&account, call, "delete", &Value::Null).await.expect(204);
    account.define(json!({"label": "gone", "type": "number"})).await;
    expect_replay(&first, &send_with_key(&account, call, "delete", &Value::Null).await);
    assert_eq!(account.get("/fields/gone").await.expect(200).body["type"], "number");
}

#[tokio::test]
async fn key_used_with_another_method_path_query_or_body_is_422() {
    let account = Account::new().await;
    define_fields(&account).await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let by_key = "/contacts/a?id_property=external_id";
    let by_id = format!("/contacts/{id}");
    let body = json!({"fields": {"first_name": "B"}});
    send_with_key(&account, ("PATCH", by_key), "patch", &body).await.expect(200);
    send_with_key(&account, ("PUT", by_key), "put", &body).await.expect(200);
    send_with_key(&account, ("PATCH", "/fields/size"), "field", &json!({"label": "Size"})).await.expect(200);
    send_with_key(&account, ("DELETE", "/fields/gone"), "deletion", &Value::Null).await.expect(204);
    let stored = account.stored_rows().await;
    for (call, key, body) in [
        (("PUT", by_key), "patch", &body),
        (("PATCH", by_key), "put", &body),
        (("DELETE", by_key), "patch", &body),
        (("PATCH", &*by_id), "patch", &body),
        (("PATCH", "/contacts/a?id_property=external_id&properties=phone"), "patch", &body),
        (("PATCH", by_key), "patch", &json!({"fields": {"first_name": "C"}})),
        (("PATCH", "/fields/size"), "field", &json!({"label": "Other"})),
        (("DELETE", "/fields/size"), "field", &Value::Null),
        (("DELETE", "/fields/size"), "deletion", &Value::Null),
        (("PATCH", "/fields/gone"), "deletion", &json!({"label": "x"})),
        (("POST", "/contacts"), "patch", &body),
    ] {
        let response = send_with_key(&account, call, key, body).await;
        response.expect_error(422, "idempotency_key_reused");
    }
    assert_eq!(account.stored_rows().await, stored);
}

#[tokio::test]
async fn headers_are_not_part_of_the_request_that_a_key_is_bound_to() {
    let account = Account::new().await;
    let created = account.post("/contacts", json!({"fields": {"first_name": "A"}})).await.expect(201);
    let path = format!("/contacts/{}", created.id());
    let patch = |name: &str, value: &str| {
        let call = account.call("PATCH", &path).header("idempotency-key", "k").header(name, value);
        call.body("application/json", r#"{"fields": {"first_name": "B"}}"#).send()
    };
    let first = patch("if-match", &created.etag()).await.expect(200);
    // The tag is outdated by now. The first attempt matched it.
    expect_replay(&first, &patch("if-match", &created.etag()).await);
    expect_replay(&first, &patch("if-match", "\"another\"").await);
    expect_replay(&first, &patch("accept-language", "de").await);
}

#[tokio::test]
async fn quoted_key_is_the_same_key_as_without_quotes() {
    let account = Account::new().await;
    let body = json!({"fields": {"first_name": "A"}});
    let long = "k".repeat(255);
    for (sent, again) in [("\"k\"", "k"), ("l", "\"l\""), (&*format!("\"{long}\""), &*long), ("\"", "\"\"\"")] {
        let first = post_with_key(&account, "/contacts", sent, &body).await.expect(201);
        expect_replay(&first, &post_with_key(&account, "/contacts", again, &body).await);
        expect_replay(&first, &post_with_key(&account, "/contacts", sent, &body).await);
    }
    for malformed in ["\"\"", "\"a b\"", "\"é\"", &format!("\"{}\"", "k".repeat(256)), &format!("\"{long}")] {
        let response = post_with_key(&account, "/contacts", malformed, &body).await;
        response.expect_error(400, "validation_failed").expect_details(&[("Idempotency-Key", "invalid_format")]);
    }
}

#[tokio::test]
async fn key_is_checked_after_the_body_and_before_the_object_on_every_method() {
    let account = Account::new().await;
    define_fields(&account).await;
    let fields = json!({"fields": {"first_name": "A"}});
    post_with_key(&account, "/contacts", "used", &fields).await.expect(201);
    let missing = format!("/contacts/{}", Uuid::now_v7());
    let by_email = "/contacts/nope?id_property=email";
    let contact_paths = ["/contacts/nope", &*missing, by_email];
    let on_contacts = contact_paths.into_iter().flat_map(|path| [("PATCH", path), ("DELETE", path)]);
    for call in on_contacts.chain([("PATCH", "/fields/nope"), ("DELETE", "/fields/nope")]) {
        let body = if call.1.starts_with("/fields") { json!({"label": "x"}) } else { fields.clone() };
        send_with_key(&account, call, "used", &body).await.expect_error(422, "idempotency_key_reused");
        let malformed = send_with_key(&account, call, "", &body).await;
        malformed.expect_error(400, "validation_failed").expect_details(&[("Idempotency-Key", "invalid_format")]);
        for _ in 0..2 {
            send_with_key(&account, call, "free", &body).await.expect_error(404, "not_found");
        }
    }
    let invalid = json!({"fields": {"nope": 1}});
    for call in [("PATCH", &*missing), ("PUT", "/contacts/a?id_property=external_id")] {
        let response = send_with_key(&account, call, "used", &invalid).await;
        response.expect_error(400, "validation_failed").expect_details(&[("nope", "unknown_field")]);
    }
    send_with_key(&account, ("PATCH", "/fields/nope"), "used", &json!({"label": ""}))
        .await
        .expect_error(400, "validation_failed")
        .expect_details(&[("label", "required")]);
    send_with_key(&account, ("DELETE", "/fields/email"), "used", &Value::Null)
        .await
        .expect_error(400, "validation_failed")
        .expect_details(&[("email", "forbidden_field")]);
    // The preconditions come after the key.
    let call = account.call("PATCH", &missing).header("idempotency-key", "used").header("if-match", "\"stale\"");
    call.json(&fields).send().await.expect_error(422, "idempotency_key_reused");
}

#[tokio::test]
async fn only_2xx_responses_are_stored_on_every_method() {
    let account = Account::new().await;
    let options = json!([{"label": "a"}, {"label": "b"}]);
    account.define(json!({"label": "one", "type": "dropdown", "options": options})).await;
    let holder = account.create(json!({"email": "a@example.com", "one": "a"})).await;
    let id = account.create(json!({"first_name": "A"})).await;
    let path = format!("/contacts/{id}");
    let take_email = json!({"fields": {"email": "a@example.com"}});
    send_with_key(&account, ("PATCH", &path), "p", &take_email).await.expect_error(409, "duplicate_contact");
    let put = ("PUT", "/contacts/x?id_property=external_id");
    send_with_key(&account, put, "u", &take_email).await.expect_error(409, "duplicate_contact");
    let remove = json!({"options": [{"label": "b"}]});
    send_with_key(&account, ("PATCH", "/fields/one"), "f", &remove).await.expect_error(409, "option_in_use");
    send_with_key(&account, ("DELETE", "/fields/two"), "d", &Value::Null).await.expect_error(404, "not_found");
    account.patch(&holder, json!({"email": null, "one": null})).await.expect(200);
    account.define(json!({"label": "two", "type": "text"})).await;
    let is_fresh = |response: ApiResponse| assert_eq!(response.header("idempotency-replayed"), "");
    is_fresh(send_with_key(&account, ("PATCH", &path), "p", &take_email).await.expect(200));
    account.patch(&id, json!({"email": null})).await.expect(200);
    is_fresh(send_with_key(&account, put, "u", &take_email).await.expect(201));
    is_fresh(send_with_key(&account, ("PATCH", "/fields/one"), "f", &remove).await.expect(200));
    is_fresh(send_with_key(&account, ("DELETE", "/fields/two"), "d", &Value::Null).await.expect(204));
    // A failed precondition leaves the key free, and a dry run stores nothing under it.
    let body = json!({"fields": {"first_name": "B"}});
    let stale = account.call("DELETE", &path).header("idempotency-key", "a").header("if-match", "\"stale\"");
    stale.send().await.expect_error(412, "precondition_failed");
    let dry_run = format!("{path}?dry_run=true");
    is_fresh(send_with_key(&account, ("PATCH", &dry_run), "a", &body).await.expect(200));
    is_fresh(send_with_key(&account, ("DELETE", &path), "a", &Value::Null).await.expect(200));
    send_with_key(&account, ("DELETE", &dry_run), "a", &Value::Null).await.expect_error(422, "idempotency_key_reused");
}

#[tokio::test]
async fn purge_erases_the_stored_responses_of_every_method() {
    let account = Account::new().await;
    let path = "/contacts/a?id_property=external_id";
    let body = json!({"fields": {"first_name": "Secret"}});
    let id = send_with_key(&account, ("PUT", path), "put", &body).await.expect(201).id();
    send_with_key(&account, ("PATCH", path), "patch", &body).await.expect(200);
    send_with_key(&account, ("DELETE", path), "delete", &Value::Null).await.expect(200);
    account.post(&format!("/contacts/{id}/purge"), Value::Null).await.expect(204);
    for (method, body) in [("PUT", &body), ("PATCH", &body), ("DELETE", &Value::Null)] {
        let key = method.to_ascii_lowercase();
        send_with_key(&account, (method, path), &key, body).await.expect_error(404, "not_found");
    }
    assert!(account.stored_rows().await.iter().all(|row| !row.contains("Secret")));
}

/// Builds that accepted keys on POST only did not hash the method. They run beside this build during an upgrade.
#[tokio::test]
async fn fingerprint_of_a_post_does_not_contain_the_method() {
    let account = Account::new().await;
    let body = json!({"fields": {"first_name": "A"}});
    post_with_key(&account, "/contacts", "k", &body).await.expect(201);
    let mut hasher = Sha256::new();
    hasher.update([1]);
    for part in ["tester", "/contacts", &body.to_string()] {
        hasher.update(part.len().to_be_bytes());
        hasher.update(part);
    }
    let stored = sqlx::query_scalar("SELECT fingerprint FROM idempotency_keys WHERE account_id = $1").bind(account.id);
    let stored: Vec<u8> = stored.fetch_one(&mut account.database().await).await.unwrap();
    assert_eq!(stored, hasher.finalize().to_vec());
}
