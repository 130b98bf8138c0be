//! `since`: the feed from a time on.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Account, Server};

/// Returns the types and times of the entries from a time on, and `next`.
async fn entries_since(account: &Account, since: &str) -> (Vec<Value>, String) {
    let since = since.replace('+', "%2B");
    let page = account.get(&format!("/contacts/changes?limit=1000&since={since}")).await.expect(200);
    (page.body["data"].as_array().unwrap().clone(), page.body["next"].as_str().unwrap().to_owned())
}

/// Sets the time of each entry to the given second, in order.
async fn set_times(account: &Account, seconds: &[i64]) {
    let update = "UPDATE changes SET at = to_timestamp($3) WHERE account_id = $1 AND position = \
                  (SELECT position FROM changes WHERE account_id = $1 ORDER BY position OFFSET $2 LIMIT 1)";
    for (index, second) in seconds.iter().enumerate() {
        let update = sqlx::query(update).bind(account.id).bind(index as i64).bind(*second as f64);
        update.execute(&mut account.database().await).await.unwrap();
    }
}

async fn account_with_changes(account: Account, count: usize) -> Account {
    let id = account.create(json!({"first_name": "0"})).await;
    let input = |turn| json!({"id": id, "fields": {"first_name": format!("{turn}")}});
    let inputs: Vec<_> = (1..count).map(input).collect();
    account.batch("update", json!({"inputs": inputs})).await.expect(200);
    account
}

#[tokio::test]
async fn feed_starts_at_the_first_entry_of_the_time_or_later() {
    let account = account_with_changes(Account::new().await, 9).await;
    let seconds = [100, 100, 200, 200, 200, 300, 400, 400, 500];
    set_times(&account, &seconds).await;
    for (since, first) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:01:40Z", 0),
        ("1970-01-01T00:01:40.001Z", 2),
        ("1970-01-01T00:03:20Z", 2),
        ("1970-01-01T02:03:20+02:00", 2),
        ("1970-01-01T00:03:21Z", 5),
        ("1970-01-01T00:06:40Z", 6),
        ("1970-01-01T00:08:20Z", 8),
    ] {
        let (entries, _) = entries_since(&account, since).await;
        let all = account.get("/contacts/changes?limit=1000").await.body["data"].as_array().unwrap().clone();
        assert_eq!(entries, all[first..], "{since}");
    }
    let (entries, next) = entries_since(&account, "2999-01-01T00:00:00Z").await;
    assert!(entries.is_empty());
    account.create(json!({"first_name": "later"})).await;
    let later = account.get(&format!("/contacts/changes?after={next}")).await.expect(200);
    assert_eq!(later.body["data"].as_array().unwrap().len(), 1);
    // With excluded entries, the page still begins there.
    let excluded = account.get("/contacts/changes?since=1970-01-01T00:06:40Z&exclude_actor=me").await.expect(200);
    assert_eq!(excluded.body["data"], json!([]));
    let (_, newest) = entries_since(&account, "2999-01-01T00:00:00Z").await;
    assert_eq!(excluded.body["next"], newest);
}

#[tokio::test]
async fn time_before_the_oldest_entry_is_410_once_entries_were_removed() {
    let server = Server::with_own_database("feed_since", |_| {});
    let account = account_with_changes(Account::on_server(&server), 6).await;
    assert_eq!(entries_since(&account, "2000-01-01T00:00:00Z").await.0.len(), 6);
    let age = "UPDATE changes SET at = now() - interval '40 days' + position * interval '1 second' WHERE account_id = $1 \
               AND position <= (SELECT max(position) - 2 FROM changes WHERE account_id = $1)";
    sqlx::query(age).bind(account.id).execute(&mut account.database().await).await.unwrap();
    let month = Duration::from_secs(30 * 24 * 60 * 60);
    account.server.repository_with_retention(month).delete_expired_records().await.unwrap();
    account.get("/contacts/changes?since=2000-01-01T00:00:00Z").await.expect_error(410, "cursor_expired");
    account.get("/contacts/changes?since=2000-01-01T00:00:00Z&wait=5").await.expect_error(410, "cursor_expired");
    let day = "SELECT to_char(now() AT TIME ZONE 'UTC' - interval '1 day', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let yesterday: String = sqlx::query_scalar(day).fetch_one(&mut account.database().await).await.unwrap();
    assert_eq!(entries_since(&account, &yesterday).await.0.len(), 2);
}

#[tokio::test]
async fn feed_of_an_empty_account_has_a_next() {
    let account = Account::new().await;
    let (entries, next) = entries_since(&account, "2020-01-01T00:00:00Z").await;
    assert!(entries.is_empty());
    account.create(json!({"first_name": "A"})).await;
    let page = account.get(&format!("/contacts/changes?after={next}")).await.expect(200);
    assert_eq!(page.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn invalid_since_is_400() {
    let account = Account::new().await;
    for since in ["2026-05-01", "now", "", "2026-05-01T10:00:00", "2026-05-01T10:00:00+02:00"] {
        let response =
            account.get(&format!("/contacts/changes?since={since}")).await.expect_error(400, "invalid_query");
        response.expect_details(&[("since", "invalid_format")]);
    }
    let both = account.get("/contacts/changes?since=2026-05-01T10:00:00Z&after=now").await;
    both.expect_error(400, "invalid_query").expect_details(&[("since", "invalid_format")]);
}
