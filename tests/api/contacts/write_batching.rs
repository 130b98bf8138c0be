//! Write batching: single writes that the service commits in one transaction stay independent.
//!
//! A conflict or a locked row affects only the write that meets it. `write_batching_equivalence.rs` checks that the
//! responses equal the responses to one write at a time.

use serde_json::json;

use crate::support::{Account, run_concurrently};

#[tokio::test(flavor = "multi_thread")]
async fn conflict_fails_only_its_own_write() {
    let account = Account::new().await;
    account.create(json!({"external_id": "taken", "first_name": "T"})).await;
    let mut ids = vec![];
    for index in 0..40 {
        ids.push(account.create(json!({"first_name": format!("{index}")})).await);
    }
    for round in 0..5 {
        let calls = ids.clone().into_iter().enumerate().map(|(index, id)| {
            let account = account.clone();
            async move {
                let fields = if index % 4 == 0 {
                    json!({"external_id": "taken"})
                } else {
                    json!({"job_title": format!("{round}")})
                };
                (index, account.patch(&format!("{id}?properties=job_title"), fields).await)
            }
        });
        for (index, response) in run_concurrently(calls).await {
            if index % 4 == 0 {
                response.expect_error(409, "duplicate_contact");
            } else {
                assert_eq!(response.expect(200).body["job_title"], format!("{round}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_row_delays_only_its_own_write() {
    let account = Account::new().await;
    let locked = account.create(json!({"first_name": "locked"})).await;
    let unlocked = account.create(json!({"first_name": "unlocked"})).await;
    let mut database = account.database().await;
    let lock = format!("BEGIN; SELECT 1 FROM contacts WHERE id = '{locked}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut database).await.unwrap();
    let waiting = tokio::spawn({
        let (account, locked) = (account.clone(), locked.clone());
        async move { account.patch(&locked, json!({"first_name": "B"})).await }
    });
    for turn in 0..20 {
        account.patch(&unlocked, json!({"first_name": format!("{turn}")})).await.expect(200);
    }
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    assert_eq!(waiting.await.unwrap().expect(200).body["first_name"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn update_that_waits_for_a_row_lock_keeps_the_other_change() {
    // Another transaction changes the row while the write waits for its lock. The write must apply to the changed row.
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for turn in 0..5 {
        let mut database = account.database().await;
        let change =
            format!("BEGIN; UPDATE contacts SET last_name = 'L{turn}', version = version + 1 WHERE id = '{id}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(change)).execute(&mut database).await.unwrap();
        let waiting = tokio::spawn({
            let (account, id) = (account.clone(), id.clone());
            async move { account.patch(&id, json!({"first_name": format!("B{turn}")})).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
        let response = waiting.await.unwrap().expect(200);
        assert_eq!(
            (&response.body["first_name"], &response.body["last_name"]),
            (&json!(format!("B{turn}")), &json!(format!("L{turn}")))
        );
    }
}
