//! The count of `GET /contacts`. An instance keeps it, and brings it up to date from the change feed.

use std::time::Duration;

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::{Account, Server};

async fn expect_real_counts(instances: &[Account]) {
    for instance in instances {
        instance.expect_real_counts().await;
    }
}

#[tokio::test]
async fn count_is_right_on_two_instances_after_every_kind_of_write() {
    let account = Account::new().await;
    let instances = [account.clone(), account.on_instance(&account.server.second_instance())];
    expect_real_counts(&instances).await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    let requests = [
        ("PATCH", format!("/contacts/{id}"), json!({"fields": {"first_name": "B"}})),
        ("DELETE", format!("/contacts/{id}"), json!({})),
        ("POST", format!("/contacts/{id}/restore"), json!({})),
        ("PUT", "/contacts/a?id_property=external_id".to_owned(), json!({"fields": {"first_name": "C"}})),
        ("PUT", "/contacts/b?id_property=external_id".to_owned(), json!({"fields": {"first_name": "D"}})),
        (
            "POST",
            "/contacts/batch/create".to_owned(),
            json!({"inputs": vec![json!({"fields": {"first_name": "E"}}); 300]}),
        ),
        ("DELETE", format!("/contacts/{id}"), json!({})),
        // An archived contact, and then an active one.
        ("POST", format!("/contacts/{id}/purge"), json!({})),
        ("DELETE", "/contacts/b?id_property=external_id".to_owned(), json!({})),
    ];
    expect_real_counts(&instances).await;
    for (method, path, body) in requests {
        let response = account.call(method, &path).json(&body).send().await;
        assert!(response.status < 300, "{method} {path}: {}", response.body);
        expect_real_counts(&instances).await;
    }
    let list = account.get("/contacts?limit=100").await.expect(200);
    let ids: Vec<_> = list.body["data"].as_array().unwrap().iter().map(|contact| contact["id"].clone()).collect();
    account.post(&format!("/contacts/{}/purge", ids[0].as_str().unwrap()), json!({})).await.expect(204);
    account
        .batch("archive", json!({"inputs": ids[1..50].iter().map(|id| json!({"id": id})).collect::<Vec<_>>()}))
        .await;
    expect_real_counts(&instances).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn count_is_right_after_entries_were_removed_and_after_a_backup_was_restored() {
    let account = Account::on_server(&Server::with_own_database("list_counts", |_| {}));
    let [first, second] =
        [account.create(json!({"first_name": "A"})).await, account.create(json!({"first_name": "A"})).await];
    account.expect_real_counts().await;
    let mut database = account.database().await;
    let id = account.id;
    let copy = format!(
        "CREATE TABLE contacts_backup AS SELECT * FROM contacts WHERE account_id = '{id}'; \
         CREATE TABLE changes_backup AS SELECT * FROM changes WHERE account_id = '{id}'"
    );
    sqlx::raw_sql(AssertSqlSafe(copy)).execute(&mut database).await.unwrap();
    for contact in [&first, &second] {
        account.delete(&format!("/contacts/{contact}")).await.expect(200);
    }
    account.expect_real_counts().await;
    // After the backup is restored, other changes get the same positions.
    let restore = "DELETE FROM contacts; INSERT INTO contacts TABLE contacts_backup; \
                   DELETE FROM changes; INSERT INTO changes TABLE changes_backup";
    sqlx::raw_sql(restore).execute(&mut database).await.unwrap();
    for _ in 0..2 {
        account.create(json!({"first_name": "A"})).await;
    }
    account.expect_real_counts().await;
    // The entry at which the contacts were counted is removed from the feed.
    for _ in 0..3 {
        account.create(json!({"first_name": "A"})).await;
    }
    account.server.repository_with_retention(Duration::ZERO).delete_expired_records().await.unwrap();
    account.expect_real_counts().await;
}
