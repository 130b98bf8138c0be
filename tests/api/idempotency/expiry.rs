//! Keys that are used again after their expiry.

use serde_json::{Value, json};

use super::{expect_replay, post_with_key, send_with_key};
use crate::support::Account;

/// Makes every stored response of the account older by this number of hours. The expression has no time zone, so that Citus can
/// run it on the node of the account.
async fn age_responses(account: &Account, hours: u32) {
    let age = format!(
        "UPDATE idempotency_keys SET created_at = (created_at AT TIME ZONE 'UTC' - interval '{hours} hours') AT TIME ZONE 'UTC' WHERE account_id = '{}'",
        account.id
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(age)).execute(&mut account.database().await).await.unwrap();
}

#[tokio::test]
async fn response_is_stored_for_24_hours() {
    let account = Account::new().await;
    let body = |name: &str| json!({"fields": {"first_name": name}});
    let first = post_with_key(&account, "/contacts", "k", &body("A")).await.expect(201);
    age_responses(&account, 23).await;
    expect_replay(&first, &post_with_key(&account, "/contacts", "k", &body("A")).await);
    age_responses(&account, 2).await;
    // After 24 hours another request may use the key.
    let second = post_with_key(&account, "/contacts", "k", &body("B")).await.expect(201);
    assert_ne!(second.id(), first.id());
    expect_replay(&second, &post_with_key(&account, "/contacts", "k", &body("B")).await);
}

#[tokio::test]
async fn purge_of_a_contact_in_an_expired_response_leaves_the_new_response_under_the_key() {
    let account = Account::new().await;
    let other = account.create(json!({"first_name": "O"})).await;
    account.define(json!({"label": "Size", "type": "text"})).await;
    let (patch, batch) = (format!("/contacts/{other}"), "/contacts/batch/update");
    for (call, body) in [
        (("POST", "/contacts"), json!({"fields": {"first_name": "B"}})),
        (("PATCH", &*patch), json!({"fields": {"first_name": "B"}})),
        (("PATCH", &*patch), json!({"fields": {"first_name": "B"}})),
        (("POST", batch), json!({"inputs": [{"id": other, "fields": {"last_name": "B"}}]})),
        (("PATCH", "/fields/size"), json!({"label": "Shoe size"})),
        (("POST", "/fields"), json!({"label": "New", "type": "text"})),
    ] {
        let old = post_with_key(&account, "/contacts", "k", &json!({"fields": {"first_name": "A"}})).await.expect(201);
        age_responses(&account, 25).await;
        let new = send_with_key(&account, call, "k", &body).await;
        assert!(new.status < 300, "{}", new.text);
        account.post(&format!("/contacts/{}/purge", old.id()), Value::Null).await.expect(204);
        expect_replay(&new, &send_with_key(&account, call, "k", &body).await);
        age_responses(&account, 25).await;
    }
}

/// The same contact can be in the expired response and in the new one.
#[tokio::test]
async fn purge_of_a_contact_erases_the_new_response_that_contains_it() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let call = ("PATCH", &*format!("/contacts/{id}"));
    let body = |name: &str| json!({"fields": {"first_name": name}});
    send_with_key(&account, call, "k", &body("B")).await.expect(200);
    age_responses(&account, 25).await;
    send_with_key(&account, call, "k", &body("C")).await.expect(200);
    let contacts = "SELECT count(*) FROM idempotency_key_contacts WHERE account_id = $1";
    let contacts = sqlx::query_scalar::<_, i64>(contacts).bind(account.id);
    assert_eq!(contacts.fetch_one(&mut account.database().await).await.unwrap(), 1);
    account.post(&format!("/contacts/{id}/purge"), Value::Null).await.expect(204);
    send_with_key(&account, call, "k", &body("C")).await.expect_error(404, "not_found");
    assert!(account.stored_rows().await.iter().all(|row| !row.contains('C')));
}
