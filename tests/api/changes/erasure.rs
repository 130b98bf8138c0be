//! A purge removes every value of a contact from the database (`docs/api-reference.md#erasure`).

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Account, FeedReader, Server, run_concurrently};

/// Returns the tables of the database that contain this text in any column.
async fn tables_containing(account: &Account, text: &str) -> Vec<String> {
    let mut database = account.database().await;
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut database).await.unwrap();
    // PostgreSQL prints binary columns as hexadecimal digits.
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut matches = vec![];
    for table in tables {
        let search =
            format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%{text}%' OR t::text LIKE '%{digits}%'");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(search)).fetch_one(&mut database).await.unwrap();
        if count > 0 {
            matches.push(table);
        }
    }
    matches
}

async fn purge_contact(account: &Account, id: &str) {
    account.post(&format!("/contacts/{id}/purge"), json!({})).await.expect(204);
}

#[tokio::test]
async fn purge_removes_the_values_of_the_contact_from_every_table() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let with_key = |method: &str, path: &str, key: &str| account.call(method, path).header("idempotency-key", key);
    let fields = |suffix: &str| {
        json!({"first_name": format!("Marker7f3{suffix}"), "email": format!("Marker7f3{suffix}@example.com"),
               "external_id": format!("Marker7f3{suffix}"), "badge": format!("Marker7f3{suffix}")})
    };
    let create = json!({"fields": fields("a")});
    let id = with_key("POST", "/contacts", "create").json(&create).send().await.expect(201).id();
    account.patch(&id, fields("b")).await.expect(200);
    let batch = json!({"inputs": [{"id": id, "fields": fields("c")}, {"id": id, "fields": {"badge": null}}]});
    with_key("POST", "/contacts/batch/update", "batch").json(&batch).send().await.expect(200);
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    with_key("POST", &format!("/contacts/{id}/restore"), "restore").send().await.expect(200);
    assert_eq!(
        tables_containing(&account, "arker7f3").await,
        ["changes", "contact_keys", "contacts", "idempotency_keys"]
    );

    let path = format!("/contacts/{id}/purge");
    with_key("POST", &path, "purge").send().await.expect(204);
    assert_eq!(tables_containing(&account, "arker7f3").await, Vec::<String>::new());
    let entries = FeedReader::read_entire_feed(&account).await;
    let types: Vec<_> = entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["created", "updated", "updated", "updated", "archived", "restored", "purged"]);
    assert!(entries.iter().all(|entry| entry["changed"] == json!({}) && entry["contact_id"] == *id));

    // A late repeat of the creation neither recreates the contact nor returns it. A repeat of the purge is replayed.
    with_key("POST", "/contacts", "create").json(&create).send().await.expect_error(404, "not_found");
    let repeat = with_key("POST", &path, "purge").send().await.expect(204);
    assert_eq!(repeat.header("idempotency-replayed"), "true");
    account.post(&path, json!({})).await.expect_error(404, "not_found");
    account.get(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
    account.post("/contacts", create).await.expect(201);
}

#[tokio::test]
async fn purge_of_an_archived_contact_keeps_the_values_of_other_contacts() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    account.delete(&format!("/contacts/{id}")).await.expect(200);
    let successor = account.create(json!({"first_name": "B", "external_id": "x"})).await;
    purge_contact(&account, &id).await;
    assert_eq!(account.get("/contacts/x?id_property=external_id").await.expect(200).id(), successor);
    let entries = FeedReader::read_entire_feed(&account).await;
    let successor_entries: Vec<_> = entries.iter().filter(|entry| entry["contact_id"] == *successor).collect();
    assert_eq!(successor_entries[0]["changed"]["external_id"]["new"], "x");
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_removes_values_that_are_written_concurrently() {
    let server = Server::with_own_database("erasure", |_| {});
    let account = Account::on_server(&server);
    let instances = [account.clone(), account.on_instance(&server.second_instance())];
    for round in 0..8 {
        let id = account.create(json!({"first_name": "A"})).await;
        let calls = (0..24).map(|turn| {
            let (account, id) = (instances[turn % 2].clone(), id.clone());
            async move {
                match turn {
                    12 => account.post(&format!("/contacts/{id}/purge"), json!({})).await.status,
                    _ if turn % 3 == 0 => {
                        let inputs: Vec<Value> = (0..3)
                            .map(|index| json!({"id": id, "fields": {"job_title": format!("Secret-{turn}-{index}")}}))
                            .collect();
                        account.post("/contacts/batch/update", json!({"inputs": inputs})).await.status
                    }
                    _ => {
                        let fields =
                            json!({"first_name": format!("Secret-{turn}"), "external_id": format!("Secret-{turn}")});
                        account.patch(&id, fields).await.status
                    }
                }
            }
        });
        let statuses = run_concurrently(calls.collect::<Vec<_>>()).await;
        assert_eq!(statuses[12], 204);
        assert!(statuses.iter().all(|status| [200, 204, 207, 404].contains(status)), "{statuses:?}");
        assert_eq!(tables_containing(&account, "Secret-").await, Vec::<String>::new(), "round {round}");
        let last = FeedReader::read_entire_feed(&account).await.pop().unwrap();
        assert_eq!((&last["type"], &last["contact_id"]), (&json!("purged"), &json!(id)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_waits_for_a_row_lock_on_the_contact() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let mut database = account.lock_contact(&id).await;
    let waiting = tokio::spawn({
        let (account, id) = (account.clone(), id.clone());
        async move { purge_contact(&account, &id).await }
    });
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(!waiting.is_finished());
    // The waiting purge does not block other writes.
    account.create(json!({"first_name": "B"})).await;
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    waiting.await.unwrap();
}

/// Creates a contact with this number of changes, whose values contain the marker. Returns its id.
async fn create_with_history(account: &Account, marker: &str, changes: usize) -> String {
    let id = account.create(json!({"first_name": format!("{marker}-0")})).await;
    for first in (1..=changes).step_by(1_000) {
        let inputs: Vec<_> = (first..=changes.min(first + 999))
            .map(|number| json!({"id": id, "fields": {"first_name": format!("{marker}-{number}")}}))
            .collect();
        account.batch("update", json!({"inputs": inputs})).await.expect(200);
    }
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn purge_of_a_long_history_erases_all_of_it_before_the_204() {
    let account = Account::new().await;
    let id = create_with_history(&account, "Marker1f8", 2_500).await;
    let purged = tokio::spawn({
        let (account, id) = (account.clone(), id.clone());
        async move { purge_contact(&account, &id).await }
    });
    // Writes of the same account go on meanwhile.
    let other = account.create(json!({"first_name": "other"})).await;
    account.patch(&other, json!({"first_name": "changed"})).await.expect(200);
    purged.await.unwrap();
    assert_eq!(tables_containing(&account, "arker1f8").await, Vec::<String>::new());
    account.get(&format!("/contacts/{id}")).await.expect_error(404, "not_found");
    let entries = FeedReader::read_entire_feed(&account).await;
    let of_contact: Vec<_> = entries.iter().filter(|entry| entry["contact_id"] == *id).collect();
    assert_eq!(of_contact.len(), 2_502);
    assert!(of_contact.iter().all(|entry| entry["changed"] == json!({})));
    let of_other: Vec<_> = entries.iter().filter(|entry| entry["contact_id"] == *other).collect();
    assert!(of_other.len() == 2 && of_other.iter().all(|entry| entry["changed"] != json!({})));
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_erasure_is_resumed_in_the_background() {
    let account = Account::on_server(&Server::with_own_database("interrupted_erasure", |_| {}));
    let id = create_with_history(&account, "Marker2c4", 1_500).await;
    let mut database = account.database().await;
    // The state after a crash: the purge is committed, and part of the history is not erased.
    for statement in [
        "INSERT INTO pending_erasures \
         SELECT account_id, id, position, now() - interval '1 hour' FROM contacts WHERE id = $1::uuid",
        "DELETE FROM contacts WHERE id = $1::uuid",
    ] {
        sqlx::query(statement).bind(&id).execute(&mut database).await.unwrap();
    }
    for _ in 0..100 {
        if tables_containing(&account, "arker2c4").await.is_empty() {
            let pending = sqlx::query_scalar("SELECT count(*) FROM pending_erasures").fetch_one(&mut database);
            assert_eq!(pending.await.map(|count: i64| count).unwrap(), 0);
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("the erasure was not resumed");
}
