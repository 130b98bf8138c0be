//! Writes that are gathered stand each for itself: none suffers for its neighbour's conflict, or for a row that someone
//! else holds. (That their answers are those of one write at a time is shown in `model.rs`.)

use serde_json::json;

use crate::support::{Account, at_once};

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_never_fails_its_neighbours() {
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
        for (index, answer) in at_once(calls).await {
            if index % 4 == 0 {
                answer.expect_error(409, "duplicate_contact");
            } else {
                assert_eq!(answer.expect(200).body["job_title"], format!("{round}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_someone_holds_delays_no_other() {
    let account = Account::new().await;
    let held = account.create(json!({"first_name": "held"})).await;
    let free = account.create(json!({"first_name": "free"})).await;
    let mut database = account.database().await;
    let lock = format!("BEGIN; SELECT 1 FROM contacts WHERE id = '{held}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut database).await.unwrap();
    let waiting = tokio::spawn({
        let (account, held) = (account.clone(), held.clone());
        async move { account.patch(&held, json!({"first_name": "B"})).await }
    });
    for turn in 0..20 {
        account.patch(&free, json!({"first_name": format!("{turn}")})).await.expect(200);
    }
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    assert_eq!(waiting.await.unwrap().expect(200).body["first_name"], "B");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_taken_in_between_never_loses_a_change() {
    // Someone else changes the row while the write waits for it: the write must build on what it then finds.
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
        let answer = waiting.await.unwrap().expect(200);
        assert_eq!(
            (&answer.body["first_name"], &answer.body["last_name"]),
            (&json!(format!("B{turn}")), &json!(format!("L{turn}")))
        );
    }
}
