//! `DELETE /contacts/{contactId}`

use serde_json::json;

use crate::support::{Account, sign, timestamp_in};

#[tokio::test]
async fn delete_archives_a_contact_with_time_and_actor() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "phone": "+1 555"})).await;
    let before = account.get(&format!("/contacts/{id}")).await;
    let archived = account.delete(&format!("/contacts/{id}?properties=phone")).await.expect(200);
    assert_eq!(archived.body["archived"], archived.body["updated_at"]);
    assert_eq!(archived.body["archived_by"], "tester");
    assert_eq!(archived.body["phone"], "+1 555");
    assert!(archived.body["updated_at"].as_str() > before.body["updated_at"].as_str());
    assert_ne!(archived.version_part(), before.version_part());
    let read = account.get(&format!("/contacts/{id}")).await.expect(200);
    assert_eq!((&read.body["archived_by"], read.version_part()), (&json!("tester"), archived.version_part()));
    account.delete(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn archived_by_is_null_for_a_token_without_sub() {
    let mut account = Account::new().await;
    account.token = sign(&json!({"account_id": account.id, "exp": timestamp_in(60)}));
    let id = account.create(json!({"first_name": "A"})).await;
    let archived = account.delete(&format!("/contacts/{id}")).await.expect(200);
    assert_eq!(archived.body.get("archived_by"), Some(&json!(null)));
}

#[tokio::test]
async fn archiving_frees_the_unique_keys() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let fields = json!({"email": "a@example.com", "external_id": "a", "badge": "b"});
    let id = account.create(fields.clone()).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let next = account.create(fields).await;
    assert_ne!(next, id);
}
