//! `POST /contacts/{contactId}/purge`

use serde_json::json;
use uuid::Uuid;

use crate::support::{Account, ApiResponse, run_concurrently};

/// Sends the purge of a contact.
async fn send_purge(account: &Account, id: &str) -> ApiResponse {
    account.call("POST", &format!("/contacts/{id}/purge")).send().await
}

#[tokio::test]
async fn purge_erases_active_and_archived_contacts() {
    let account = Account::new().await;
    for is_archived in [false, true] {
        let id = account.create(json!({"email": "a@example.com", "external_id": "x"})).await;
        if is_archived {
            account.delete(&format!("/contacts/{id}")).await.expect(200);
        }
        let purged = send_purge(&account, &id).await.expect(204);
        assert_eq!((&*purged.text, purged.header("etag"), purged.header("content-type")), ("", "", ""));
        account.get(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
        account.get(&format!("/contacts/{id}/history")).await.expect_error(404, "not_found");
        account.patch(&id, json!({"first_name": "B"})).await.expect_error(404, "not_found");
        account.delete(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
        account.call("POST", &format!("/contacts/{id}/restore")).send().await.expect_error(404, "not_found");
        send_purge(&account, &id).await.expect_error(404, "not_found");
        account.get("/contacts/x?id_property=external_id").await.expect_error(404, "not_found");
        assert_eq!(account.get("/contacts?archived=true").await.body["pagination"]["count"], 0);
    }
}

#[tokio::test]
async fn purge_with_properties_is_400() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let call = account.call("POST", &format!("/contacts/{id}/purge?properties=nope"));
    call.send().await.expect_error(400, "invalid_query").expect_details(&[("properties", "unknown_parameter")]);
    account.get(&format!("/contacts/{id}")).await.expect(200);
}

/// After the purge, no row of the account contains a value of the contact.
#[tokio::test]
async fn purge_leaves_no_value_in_any_table() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    account.create(json!({"first_name": "Someone else"})).await;
    let created = account.call("POST", "/contacts?properties=badge").header("idempotency-key", "create");
    let fields = json!({"fields": {"email": "Secret@example.com", "external_id": "secret-1", "badge": "secret-2"}});
    let id = created.json(&fields).send().await.expect(201).id();
    account.patch(&id, json!({"first_name": "secret-3", "badge": null})).await.expect(200);
    account.patch(&id, json!({"first_name": "secret-4"})).await.expect(200);
    let inputs = json!({"inputs": [{"id": id, "fields": {"job_title": "secret-5"}}], "properties": "job_title"});
    account
        .call("POST", "/contacts/batch/update")
        .header("idempotency-key", "update")
        .json(&inputs)
        .send()
        .await
        .expect(200);
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let restored = account.call("POST", &format!("/contacts/{id}/restore")).header("idempotency-key", "restore");
    restored.send().await.expect(200);
    let contains_secret = |rows: &[String]| rows.iter().any(|row| row.to_lowercase().contains("secret"));
    assert!(contains_secret(&account.stored_rows().await));
    send_purge(&account, &id).await.expect(204);
    let rows = account.stored_rows().await;
    // Stored responses are bytea columns, which are printed in hexadecimal.
    let hex: String = "ecret".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!contains_secret(&rows) && !rows.iter().any(|row| row.contains(&hex)), "{rows:#?}");
}

#[tokio::test]
async fn purge_frees_the_unique_keys() {
    let account = Account::new().await;
    let id = account.create(json!({"email": "a@example.com", "external_id": "x"})).await;
    send_purge(&account, &id).await.expect(204);
    let new = account.put("x?id_property=external_id", json!({"email": "a@example.com"})).await.expect(201);
    assert_ne!(new.id(), id);
    // An archived contact holds no keys, so its purge leaves the same keys of another contact untouched.
    account.delete(&format!("/contacts/{}", new.id())).await.expect(200);
    let holder = account.create(json!({"email": "a@example.com"})).await;
    send_purge(&account, &new.id()).await.expect(204);
    assert_eq!(account.get("/contacts/a@example.com?id_property=email").await.expect(200).id(), holder);
}

#[tokio::test]
async fn purge_of_an_unknown_contact_is_404() {
    let account = Account::new().await;
    for id in [Uuid::now_v7().to_string(), Uuid::nil().to_string(), "nope".into(), "x%2Fy".into()] {
        send_purge(&account, &id).await.expect_error(404, "not_found");
    }
    send_purge(&account, "%20").await.expect_error(400, "missing_contact_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_writes_do_not_recreate_a_purged_contact() {
    let account = Account::new().await;
    for round in 0..20 {
        let key = format!("k{round}");
        let id = account.create(json!({"first_name": "A", "external_id": key})).await;
        let calls = (0..8).map(|caller| {
            let (account, id, key) = (account.clone(), id.clone(), key.clone());
            async move {
                match caller % 4 {
                    0 => send_purge(&account, &id).await.status,
                    1 => account.patch(&id, json!({"last_name": "B"})).await.status,
                    2 => account.delete(&format!("/contacts/{id}")).await.status,
                    _ => {
                        account.put(&format!("{key}?id_property=external_id"), json!({"first_name": "C"})).await.status
                    }
                }
            }
        });
        let statuses = run_concurrently(calls).await;
        assert!(statuses.iter().all(|status| [200, 201, 204, 404, 409].contains(status)), "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
        account.get(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_waits_for_a_row_lock() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let mut database = account.lock_contact(&id).await;
    let waiting = tokio::spawn({
        let (account, id) = (account.clone(), id.clone());
        async move { send_purge(&account, &id).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    waiting.await.unwrap().expect(204);
}
