//! `POST /contacts/{contactId}/restore`

use serde_json::json;
use uuid::Uuid;

use crate::support::{Account, ApiResponse};

/// Sends the restore of a contact.
async fn send_restore(account: &Account, id: &str) -> ApiResponse {
    account.call("POST", &format!("/contacts/{id}/restore?properties=phone")).send().await
}

#[tokio::test]
async fn restore_makes_a_contact_active_again() {
    let account = Account::new().await;
    let id = account.create(json!({"email": "a@example.com", "phone": "+1 555"})).await;
    let archived = account.delete(&format!("/contacts/{id}")).await.expect(200);
    let restored = send_restore(&account, &id).await.expect(200);
    assert_eq!((&restored.body["archived"], &restored.body["phone"]), (&json!(false), &json!("+1 555")));
    assert!(restored.body.get("archived_by").is_none());
    assert!(restored.body["updated_at"].as_str() > archived.body["updated_at"].as_str());
    account
        .post("/contacts", json!({"fields": {"email": "a@example.com"}}))
        .await
        .expect_error(409, "duplicate_contact");
    let again = send_restore(&account, &id).await.expect(200);
    assert_eq!((again.etag(), again.body), (restored.etag(), restored.body));
}

#[tokio::test]
async fn restore_with_taken_keys_is_409_and_lists_every_key() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let id = account.create(json!({"email": "a@example.com", "external_id": "a", "badge": "b"})).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let first = account.create(json!({"email": "A@example.com", "badge": "b"})).await;
    let second = account.create(json!({"first_name": "B", "external_id": "a"})).await;
    let response = send_restore(&account, &id).await.expect_error(409, "duplicate_contact");
    let holders: Vec<_> = response.body["details"]
        .as_array()
        .unwrap()
        .iter()
        .map(|detail| (&detail["field"], &detail["existing_id"]))
        .collect();
    assert_eq!(
        holders,
        [(&json!("email"), &json!(first)), (&json!("external_id"), &json!(second)), (&json!("badge"), &json!(first))]
    );
    for holder in [first, second] {
        account.delete(&format!("/contacts/{holder}")).await.expect(200);
    }
    send_restore(&account, &id).await.expect(200);
}

#[tokio::test]
async fn restore_ignores_keys_of_deleted_fields() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let id = account.create(json!({"first_name": "A", "badge": "b"})).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    account.create(json!({"first_name": "B", "badge": "b"})).await;
    account.delete("/fields/badge").await.expect(204);
    send_restore(&account, &id).await.expect(200);
}

#[tokio::test]
async fn restore_of_an_unknown_contact_is_404() {
    let account = Account::new().await;
    send_restore(&account, &Uuid::now_v7().to_string()).await.expect_error(404, "not_found");
    send_restore(&account, "nope").await.expect_error(404, "not_found");
}
