//! How long entries are retained, and the cursors of entries that were removed.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Account, FeedReader, Server, Stopwatch};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Creates an account in its own database, with one contact that has this many changes.
async fn create_with_changes(database: &str, count: usize) -> (Account, String) {
    let account = Account::on_server(&Server::with_own_database(database, |_| {}));
    let id = account.create(json!({"first_name": "0"})).await;
    change_first_name(&account, &id, 1..count).await;
    (account, id)
}

/// Updates the first name of the contact once for each number.
async fn change_first_name(account: &Account, id: &str, turns: std::ops::Range<usize>) {
    let inputs: Vec<_> = turns.map(|turn| json!({"id": id, "fields": {"first_name": format!("{turn}")}})).collect();
    for inputs in inputs.chunks(1_000) {
        account.post("/contacts/batch/update", json!({"inputs": inputs})).await.expect(200);
    }
}

/// Makes all entries older by this many days, except the newest `except_newest`. Their earlier cursors become invalid.
async fn age_entries(account: &Account, except_newest: i64, days: i32) {
    // Without a time zone, so that Citus can run the expression on the node of the entries.
    let age = "UPDATE changes SET at = (at AT TIME ZONE 'UTC' - make_interval(days => $3)) AT TIME ZONE 'UTC' \
               WHERE account_id = $1 AND position <= (SELECT max(position) - $2 FROM changes WHERE account_id = $1)";
    sqlx::query(age)
        .bind(account.id)
        .bind(except_newest)
        .bind(days)
        .execute(&mut account.database().await)
        .await
        .unwrap();
}

/// Removes the entries that are older than this.
async fn remove_old_entries(account: &Account, retention: Duration) {
    account.server.repository_with_retention(retention).delete_expired_records().await.unwrap();
}

fn entry_cursor(entry: &Value) -> &str {
    entry["cursor"].as_str().unwrap()
}

async fn expect_expired(account: &Account, cursor: &str) {
    for parameters in ["", "&wait=20", "&exclude_actor=me", "&limit=1"] {
        let response = account.get(&format!("/contacts/changes?after={cursor}{parameters}")).await;
        response.expect_error(410, "cursor_expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_past_the_retention_is_removed_and_its_cursor_is_410() {
    let (account, _) = create_with_changes("retention", 10).await;
    let empty_reader = FeedReader { next: None, entries: vec![] };
    age_entries(&account, 4, 31).await;
    let before = FeedReader::read_entire_feed(&account).await;
    remove_old_entries(&account, 32 * DAY).await;
    assert_eq!(FeedReader::read_entire_feed(&account).await, before);
    remove_old_entries(&account, 30 * DAY).await;
    // The newest of the expired entries stays, so that the cursor of a reader that has read up to it remains valid.
    let after = FeedReader::read_entire_feed(&account).await;
    assert_eq!(after, before[5..]);
    for removed in &before[..5] {
        expect_expired(&account, entry_cursor(removed)).await;
    }
    for index in 5..10 {
        let mut reader = FeedReader { next: Some(entry_cursor(&before[index]).to_owned()), ..empty_reader.clone() };
        assert_eq!(reader.read_all(&account).await, &before[index + 1..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_a_caught_up_reader_never_expires() {
    let (account, id) = create_with_changes("up_to_date", 2_345).await;
    let stranger = Account::on_server(&account.server);
    let mut reader_of_empty_feed = FeedReader::default();
    reader_of_empty_feed.read(&stranger, "").await;
    age_entries(&account, 0, 400).await;
    let mut reader = FeedReader::default();
    reader.read_all(&account).await;
    remove_old_entries(&account, 30 * DAY).await;
    assert_eq!(FeedReader::read_entire_feed(&account).await.len(), 1);
    assert_eq!(reader.read(&account, "").await, Some(0));
    change_first_name(&account, &id, 5_000..5_003).await;
    assert_eq!(reader.read(&account, "").await, Some(3));
    // The same holds for an account whose feed was empty when it was first read.
    stranger.create(json!({"first_name": "A"})).await;
    assert_eq!(reader_of_empty_feed.clone().read(&stranger, "").await, Some(1));
    stranger.create(json!({"first_name": "B"})).await;
    remove_old_entries(&stranger, Duration::ZERO).await;
    expect_expired(&stranger, reader_of_empty_feed.next.as_ref().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_newer_than_a_restored_backup_is_410() {
    let (account, id) = create_with_changes("backup", 5).await;
    let backup = FeedReader::read_entire_feed(&account).await;
    let mut database = account.database().await;
    let copy = "CREATE TABLE backup AS TABLE contacts; CREATE TABLE changes_backup AS TABLE changes";
    sqlx::raw_sql(copy).execute(&mut database).await.unwrap();
    change_first_name(&account, &id, 5..9).await;
    let lost = FeedReader::read_entire_feed(&account).await.split_off(5);
    let restore = "DELETE FROM contacts; INSERT INTO contacts TABLE backup; \
                   DELETE FROM changes; INSERT INTO changes TABLE changes_backup";
    sqlx::raw_sql(restore).execute(&mut database).await.unwrap();
    for round in 0..2 {
        for entry in &lost {
            expect_expired(&account, entry_cursor(entry)).await;
        }
        let mut reader = FeedReader { next: Some(entry_cursor(&backup[3]).to_owned()), entries: vec![] };
        assert_eq!(reader.read_all(&account).await.len(), 1 + round * 6);
        // Other changes now get the same positions.
        change_first_name(&account, &id, 100 * (round + 1)..100 * (round + 1) + 6).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_old_entries_blocks_neither_writers_nor_other_accounts() {
    const OTHER: &str = "00000000-0000-0000-0000-000000000001";
    let (account, id) = create_with_changes("trimming", 8_000).await;
    age_entries(&account, 0, 2).await;
    // The other account has a lower id, so its entries are removed first. Another transaction locks its row.
    let mut blocker = account.database().await;
    let insert = format!(
        "INSERT INTO accounts (account_id) VALUES ('{OTHER}'); \
         INSERT INTO changes SELECT '{OTHER}', n, gen_random_uuid(), 0, 'updated', NULL, '2000-01-01', '{{}}' \
         FROM generate_series(1, 3) AS n"
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut blocker).await.unwrap();
    let lock = format!("BEGIN; SELECT 1 FROM accounts WHERE account_id = '{OTHER}' FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut blocker).await.unwrap();
    let removal = tokio::spawn({
        let account = account.clone();
        async move { remove_old_entries(&account, DAY).await }
    });
    let mut turn = 0;
    while !removal.is_finished() || turn == 0 {
        let started = Stopwatch::start();
        account.patch(&id, json!({"first_name": format!("x{turn}")})).await.expect(200);
        assert!(started.elapsed() < Duration::from_secs(1), "a write took {:?}", started.elapsed());
        turn += 1;
    }
    removal.await.unwrap();
    // At most the entries written meanwhile and the newest expired entry remain.
    assert!(FeedReader::read_entire_feed(&account).await.len() <= turn + 1);
}
