//! How long entries are kept, and cursors that have outlived them.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{Account, Reader, Server, Stopwatch};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An account with as many changes of one contact, in a database of its own.
async fn with_changes(database: &str, count: usize) -> (Account, String) {
    let account = Account::on(&Server::on_own_database(database, |_| {}));
    let id = account.create(json!({"first_name": "0"})).await;
    change(&account, &id, 1..count).await;
    (account, id)
}

async fn change(account: &Account, id: &str, turns: std::ops::Range<usize>) {
    let inputs: Vec<_> = turns.map(|turn| json!({"id": id, "fields": {"first_name": format!("{turn}")}})).collect();
    for inputs in inputs.chunks(1_000) {
        account.post("/contacts/batch/update", json!({"inputs": inputs})).await.expect(200);
    }
}

/// Lets the entries up to the newest so many be older by this many days. Cursors from before do not know them again.
async fn age(account: &Account, but: i64, days: i32) {
    let age = "UPDATE changes SET at = at - make_interval(days => $3) WHERE account_id = $1 \
               AND position <= (SELECT last_position - $2 FROM accounts WHERE account_id = $1)";
    sqlx::query(age).bind(account.id).bind(but).bind(days).execute(&mut account.database().await).await.unwrap();
}

async fn trim(account: &Account, retention: Duration) {
    account.server.repository_keeping(retention).remove_old().await.unwrap();
}

fn cursor(entry: &Value) -> &str {
    entry["cursor"].as_str().unwrap()
}

async fn expect_expired(account: &Account, cursor: &str) {
    for parameters in ["", "&wait=20", "&exclude_actor=me", "&limit=1"] {
        let answer = account.get(&format!("/contacts/changes?after={cursor}{parameters}")).await;
        answer.expect_error(410, "cursor_expired");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_and_its_cursors_have_expired() {
    let (account, _) = with_changes("retention", 10).await;
    let nothing = Reader { next: None, entries: vec![] };
    age(&account, 4, 31).await;
    let before = Reader::all_of(&account).await;
    trim(&account, 32 * DAY).await;
    assert_eq!(Reader::all_of(&account).await, before);
    trim(&account, 30 * DAY).await;
    // The newest that is too old stays, for those who have read up to there.
    let after = Reader::all_of(&account).await;
    assert_eq!(after, before[5..]);
    for gone in &before[..5] {
        expect_expired(&account, cursor(gone)).await;
    }
    for kept in 5..10 {
        let mut reader = Reader { next: Some(cursor(&before[kept]).to_owned()), ..nothing.clone() };
        assert_eq!(reader.read_all(&account).await, &before[kept + 1..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_up_to_date_never_misses_anything_however_old_all_is() {
    let (account, id) = with_changes("up_to_date", 2_345).await;
    let stranger = Account::on(&account.server);
    let mut from_the_start = Reader::default();
    from_the_start.read(&stranger, "").await;
    age(&account, 0, 400).await;
    let mut reader = Reader::default();
    reader.read_all(&account).await;
    trim(&account, 30 * DAY).await;
    assert_eq!(Reader::all_of(&account).await.len(), 1);
    assert_eq!(reader.read(&account, "").await, Some(0));
    change(&account, &id, 5_000..5_003).await;
    assert_eq!(reader.read(&account, "").await, Some(3));
    // Another account, whose feed was empty when it was first read.
    stranger.create(json!({"first_name": "A"})).await;
    assert_eq!(from_the_start.clone().read(&stranger, "").await, Some(1));
    stranger.create(json!({"first_name": "B"})).await;
    trim(&stranger, Duration::ZERO).await;
    expect_expired(&stranger, from_the_start.next.as_ref().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cursors_from_after_a_backup_that_was_restored_have_expired() {
    let (account, id) = with_changes("backup", 5).await;
    let backup = Reader::all_of(&account).await;
    let mut database = account.database().await;
    let copy = "CREATE TABLE backup AS TABLE contacts; CREATE TABLE accounts_backup AS TABLE accounts";
    sqlx::raw_sql(copy).execute(&mut database).await.unwrap();
    change(&account, &id, 5..9).await;
    let lost = Reader::all_of(&account).await.split_off(5);
    let restore = "DELETE FROM contacts; INSERT INTO contacts TABLE backup; \
                   UPDATE accounts a SET last_position = b.last_position FROM accounts_backup b WHERE a.account_id = b.account_id; \
                   DELETE FROM changes h USING accounts a WHERE a.account_id = h.account_id AND h.position > a.last_position";
    sqlx::raw_sql(restore).execute(&mut database).await.unwrap();
    for round in 0..2 {
        for entry in &lost {
            expect_expired(&account, cursor(entry)).await;
        }
        let mut reader = Reader { next: Some(cursor(&backup[3]).to_owned()), entries: vec![] };
        assert_eq!(reader.read_all(&account).await.len(), 1 + round * 6);
        // The same places are taken again, by other changes.
        change(&account, &id, 100 * (round + 1)..100 * (round + 1) + 6).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trimming_holds_up_neither_writers_nor_other_accounts() {
    const OTHER: &str = "00000000-0000-0000-0000-000000000001";
    let (account, id) = with_changes("trimming", 8_000).await;
    age(&account, 0, 2).await;
    // Its turn comes before the other's, for its id is lower; but someone holds it.
    let mut held = account.database().await;
    let hold = format!(
        "INSERT INTO accounts (account_id) VALUES ('{OTHER}'); \
         INSERT INTO changes SELECT '{OTHER}', n, gen_random_uuid(), 0, 'updated', NULL, '2000-01-01', '{{}}' FROM generate_series(1, 3) AS n"
    );
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut held).await.unwrap();
    let hold = format!("BEGIN; SELECT 1 FROM accounts WHERE account_id = '{OTHER}' FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(hold)).execute(&mut held).await.unwrap();
    let trimming = tokio::spawn({
        let account = account.clone();
        async move { trim(&account, DAY).await }
    });
    let mut turn = 0;
    while !trimming.is_finished() || turn == 0 {
        let started = Stopwatch::start();
        account.patch(&id, json!({"first_name": format!("x{turn}")})).await.expect(200);
        assert!(started.elapsed() < Duration::from_secs(1), "a write took {:?}", started.elapsed());
        turn += 1;
    }
    trimming.await.unwrap();
    // What was written meanwhile, and the newest that was too old.
    assert!(Reader::all_of(&account).await.len() <= turn + 1);
}
