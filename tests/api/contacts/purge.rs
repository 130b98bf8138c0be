//! `POST /contacts/{contactId}/purge`

use serde_json::json;
use uuid::Uuid;

use crate::support::{Account, Answer, at_once};

async fn purge(account: &Account, id: &str) -> Answer {
    account.call("POST", &format!("/contacts/{id}/purge")).send().await
}

#[tokio::test]
async fn erases_active_and_archived_contacts() {
    let account = Account::new().await;
    for is_archived in [false, true] {
        let id = account.create(json!({"email": "a@example.com", "external_id": "x"})).await;
        if is_archived {
            account.delete(&format!("/contacts/{id}")).await.expect(200);
        }
        let purged = purge(&account, &id).await.expect(204);
        assert_eq!((&*purged.text, purged.header("etag"), purged.header("content-type")), ("", "", ""));
        account.get(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
        account.get(&format!("/contacts/{id}/history")).await.expect_error(404, "not_found");
        account.patch(&id, json!({"first_name": "B"})).await.expect_error(404, "not_found");
        account.delete(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
        account.call("POST", &format!("/contacts/{id}/restore")).send().await.expect_error(404, "not_found");
        purge(&account, &id).await.expect_error(404, "not_found");
        account.get("/contacts/x?id_property=external_id").await.expect_error(404, "not_found");
        assert_eq!(account.get("/contacts?archived=true").await.body["pagination"]["count"], 0);
    }
}

#[tokio::test]
async fn shows_nothing_so_properties_mean_nothing_to_it() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let call = account.call("POST", &format!("/contacts/{id}/purge?properties=nope"));
    call.send().await.expect(204);
    account.get(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
}

/// No row that is left of the account holds a value of the contact.
#[tokio::test]
async fn leaves_no_value_anywhere() {
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
    let holds_a_secret = |rows: &[String]| rows.iter().any(|row| row.to_lowercase().contains("secret"));
    assert!(holds_a_secret(&account.stored().await));
    purge(&account, &id).await.expect(204);
    let rows = account.stored().await;
    // Kept answers are bytes: in hexadecimal here.
    let hex: String = "ecret".bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!holds_a_secret(&rows) && !rows.iter().any(|row| row.contains(&hex)), "{rows:#?}");
}

#[tokio::test]
async fn gives_up_its_keys_at_once() {
    let account = Account::new().await;
    let id = account.create(json!({"email": "a@example.com", "external_id": "x"})).await;
    purge(&account, &id).await.expect(204);
    let new = account.put("x?id_property=external_id", json!({"email": "a@example.com"})).await.expect(201);
    assert_ne!(new.id(), id);
    // One that was archived held none: those of another stay.
    account.delete(&format!("/contacts/{}", new.id())).await.expect(200);
    let holder = account.create(json!({"email": "a@example.com"})).await;
    purge(&account, &new.id()).await.expect(204);
    assert_eq!(account.get("/contacts/a@example.com?id_property=email").await.expect(200).id(), holder);
}

#[tokio::test]
async fn is_quiet_about_what_is_not_there() {
    let account = Account::new().await;
    for id in [Uuid::now_v7().to_string(), Uuid::nil().to_string(), "nope".into(), "x%2Fy".into()] {
        purge(&account, &id).await.expect_error(404, "not_found");
    }
    purge(&account, "%20").await.expect_error(400, "missing_contact_id");
}

#[tokio::test(flavor = "multi_thread")]
async fn writing_at_the_same_time_brings_nothing_back() {
    let account = Account::new().await;
    for round in 0..20 {
        let key = format!("k{round}");
        let id = account.create(json!({"first_name": "A", "external_id": key})).await;
        let calls = (0..8).map(|caller| {
            let (account, id, key) = (account.clone(), id.clone(), key.clone());
            async move {
                match caller % 4 {
                    0 => purge(&account, &id).await.status,
                    1 => account.patch(&id, json!({"last_name": "B"})).await.status,
                    2 => account.delete(&format!("/contacts/{id}")).await.status,
                    _ => {
                        account.put(&format!("{key}?id_property=external_id"), json!({"first_name": "C"})).await.status
                    }
                }
            }
        });
        let statuses = at_once(calls).await;
        assert!(statuses.iter().all(|status| [200, 201, 204, 404, 409].contains(status)), "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
        account.get(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_a_row_that_someone_holds() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let mut database = account.database().await;
    let lock = format!("BEGIN; SELECT 1 FROM contacts WHERE id = '{id}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut database).await.unwrap();
    let waiting = tokio::spawn({
        let (account, id) = (account.clone(), id.clone());
        async move { purge(&account, &id).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    waiting.await.unwrap().expect(204);
}
