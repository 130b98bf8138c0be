//! The search index of an account with many contacts.

use std::time::Duration;

use serde_json::json;

use super::search_names;
use crate::support::{Account, Server, Stopwatch};

/// Waits until an account has a complete index that contains all changes.
pub(super) async fn wait_until_complete(account: &Account) {
    const IS_COMPLETE: &str = "SELECT EXISTS (SELECT FROM search_indexes i WHERE account_id = $1 AND is_complete \
        AND NOT EXISTS (SELECT FROM changes WHERE account_id = $1 AND position > i.position))";
    let mut database = account.database().await;
    let started = Stopwatch::start();
    while !sqlx::query_scalar::<_, bool>(IS_COMPLETE).bind(account.id).fetch_one(&mut database).await.unwrap() {
        assert!(started.elapsed() < Duration::from_secs(60), "the index is not complete");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // For a second, a search does not look for an index that the account did not have.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
}

/// Returns an account with an index, and with a contact for each name.
async fn indexed_account(name: &str, first_names: &[&str]) -> Account {
    let account = Account::on_server(&Server::with_search_index(name, 1));
    for name in first_names {
        account.create(json!({"first_name": name})).await;
    }
    // The first search requests the index.
    search_names(&account, json!({"query": "a"})).await;
    wait_until_complete(&account).await;
    account
}

#[tokio::test]
async fn small_account_has_no_index() {
    let account = Account::on_server(&Server::with_search_index("small_account", 3));
    for name in ["Ada", "Bob"] {
        account.create(json!({"first_name": name})).await;
    }
    assert_eq!(search_names(&account, json!({"query": "a"})).await, ["Ada"]);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let mut database = account.database().await;
    let indexes: i64 =
        sqlx::query_scalar("SELECT count(*) FROM search_indexes").fetch_one(&mut database).await.unwrap();
    assert_eq!(indexes, 0);
    account.create(json!({"first_name": "Ann"})).await;
    let started = Stopwatch::start();
    while sqlx::query_scalar::<_, i64>("SELECT count(*) FROM search_indexes").fetch_one(&mut database).await.unwrap()
        == 0
    {
        assert!(started.elapsed() < Duration::from_secs(60), "the account gets no index");
        assert_eq!(search_names(&account, json!({"query": "an"})).await, ["Ann"]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    wait_until_complete(&account).await;
}

#[tokio::test]
async fn purge_deletes_the_entry_of_the_contact() {
    let account = indexed_account("purged_entries", &["Ada", "Bob"]).await;
    let id = account.post("/contacts/search", json!({"query": "ada"})).await.expect(200).body["data"][0]["id"].clone();
    account.call("POST", &format!("/contacts/{}/purge", id.as_str().unwrap())).send().await.expect(204);
    let mut database = account.database().await;
    let names: Vec<String> =
        sqlx::query_scalar("SELECT first_name FROM search_entries").fetch_all(&mut database).await.unwrap();
    assert_eq!(names, ["Bob"]);
    assert!(search_names(&account, json!({"query": "ada"})).await.is_empty());
}

#[tokio::test]
async fn index_is_built_again_when_changes_were_deleted_before_it_has_seen_them() {
    let account = indexed_account("trimmed_index", &["Ada", "Bob"]).await;
    let mut database = account.database().await;
    // The changes of a long outage have been deleted because of their age.
    for statement in [
        "UPDATE contacts SET first_name = 'Eve', position = 9 WHERE first_name = 'Bob'",
        "UPDATE accounts SET trimmed_position = 9, last_position = 9",
        "DELETE FROM changes",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    account.create(json!({"first_name": "Carl"})).await;
    wait_until_complete(&account).await;
    let names: Vec<String> = sqlx::query_scalar("SELECT first_name FROM search_entries ORDER BY first_name")
        .fetch_all(&mut database)
        .await
        .unwrap();
    assert_eq!(names, ["Ada", "Carl", "Eve"]);
}

#[tokio::test]
async fn contact_that_another_program_inserted_is_indexed_by_the_next_pass() {
    let account = indexed_account("inserted_contact", &["Ada"]).await;
    let mut database = account.database().await;
    for statement in [
        "INSERT INTO contacts (account_id, id, version, first_name, created_at, updated_at) \
         SELECT account_id, gen_random_uuid(), 1, 'Zed', now(), now() FROM accounts",
        "UPDATE search_indexes SET passed_at = now() - interval '11 minutes'",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    let started = Stopwatch::start();
    while sqlx::query_scalar::<_, i64>("SELECT count(*) FROM search_entries").fetch_one(&mut database).await.unwrap()
        < 2
    {
        assert!(started.elapsed() < Duration::from_secs(30), "no pass has added the contact");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(search_names(&account, json!({"sorts": ["-first_name"]})).await, ["Zed", "Ada"]);
}

#[tokio::test]
async fn sorted_page_ignores_the_old_values_of_changed_contacts() {
    let account = indexed_account("outdated_entries", &["Ada", "Bob", "Carl", "Dan"]).await;
    let sorted = json!({"sorts": ["first_name"], "limit": 2});
    assert_eq!(search_names(&account, sorted.clone()).await, ["Ada", "Bob"]);
    for (old, new) in [("Ada", "Zed"), ("Bob", "Zoe")] {
        let found = account.post("/contacts/search", json!({"query": old})).await.expect(200);
        let id = found.body["data"][0]["id"].as_str().unwrap().to_owned();
        account.patch(&id, json!({"first_name": new})).await.expect(200);
    }
    assert_eq!(search_names(&account, sorted).await, ["Carl", "Dan"]);
    assert_eq!(search_names(&account, json!({"sorts": ["-first_name"], "limit": 2})).await, ["Zoe", "Zed"]);
}

#[tokio::test]
async fn search_for_recent_updates_uses_the_feed_and_finds_what_it_lacks() {
    let account = indexed_account("recent_updates", &["Ada", "Bob"]).await;
    let search = async |operator: &str, since: &str| {
        let filter = json!({"property": "updated_at", "operator": operator, "value": since});
        search_names(&account, json!({"filters": [filter], "sorts": ["updated_at"]})).await
    };
    let bob = account.post("/contacts/search", json!({"query": "bob"})).await.expect(200).body["data"][0].clone();
    let since = bob["updated_at"].as_str().unwrap();
    assert_eq!(search("gte", since).await, ["Bob"]);
    assert_eq!(search("gt", since).await, [""; 0]);
    account.create(json!({"first_name": "Carl"})).await;
    assert_eq!(search("gte", since).await, ["Bob", "Carl"]);
    assert_eq!(search("gte", "2020-01-01T00:00:00Z").await, ["Ada", "Bob", "Carl"]);
    // The feed no longer has the older changes.
    let mut database = account.database().await;
    for statement in [
        "DELETE FROM changes WHERE position = 1",
        "UPDATE accounts SET trimmed_position = 1",
        "UPDATE contacts SET updated_at = '2026-01-01T00:00:00Z' WHERE first_name = 'Ada'",
    ] {
        sqlx::query(statement).execute(&mut database).await.unwrap();
    }
    assert_eq!(search("gte", "2020-01-01T00:00:00Z").await, ["Ada", "Bob", "Carl"]);
    assert_eq!(search("gte", since).await, ["Bob", "Carl"]);
}
