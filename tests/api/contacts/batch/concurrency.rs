//! Batches that run concurrently with other writes.

use serde_json::{Value, json};

use super::{expect_summary, result_statuses};
use crate::support::{Account, run_concurrently};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_atomic_batch_creates_of_the_same_keys_succeed_once() {
    let account = Account::new().await;
    let second = account.on_instance(&account.server.second_instance());
    for round in 0..20 {
        let calls = (0..6).map(|caller| {
            let account = if caller % 2 == 0 { account.clone() } else { second.clone() };
            async move {
                // A third of the callers send the keys in reverse order.
                let mut keys: Vec<_> = (0..10).collect();
                if caller % 3 == 0 {
                    keys.reverse();
                }
                let input = |key: usize| {
                    let (name, key) = (format!("{caller}"), format!("{round}-{key}"));
                    json!({"fields": {"first_name": name, "external_id": key}})
                };
                let inputs: Vec<_> = keys.into_iter().map(input).collect();
                account.batch("create", json!({"inputs": inputs, "atomic": true})).await
            }
        });
        let responses = run_concurrently(calls).await;
        let applied: Vec<_> = responses.iter().filter(|response| response.status == 200).collect();
        assert_eq!(applied.len(), 1, "{:?}", responses.iter().map(|response| response.status).collect::<Vec<_>>());
        assert!(
            responses
                .iter()
                .filter(|response| response.status == 207)
                .all(|response| result_statuses(response) == [409; 10])
        );
        assert_eq!(responses.iter().filter(|response| response.status == 207).count(), 5);
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_atomic_upserts_of_the_same_keys_all_succeed() {
    let account = Account::new().await;
    let second = account.on_instance(&account.server.second_instance());
    for round in 0..10 {
        let calls = (0..6).map(|caller| {
            let account = if caller % 2 == 0 { account.clone() } else { second.clone() };
            async move {
                let input =
                    |key: usize| json!({"id": format!("{round}-{key}"), "fields": {"first_name": format!("{caller}")}});
                let inputs: Vec<_> = (0..20).map(input).collect();
                account
                    .batch("upsert", json!({"inputs": inputs, "id_property": "external_id", "atomic": true}))
                    .await
                    .expect(200)
            }
        });
        let responses = run_concurrently(calls).await;
        let creators = responses.iter().filter(|response| result_statuses(response) == [201; 20]).count();
        let updaters = responses.iter().filter(|response| result_statuses(response) == [200; 20]).count();
        assert_eq!((creators, updaters), (1, 5));
    }
}

/// Single writes of an account run concurrently with its batches, and no write is lost.
#[tokio::test(flavor = "multi_thread")]
async fn single_writes_and_concurrent_batches_all_survive() {
    let account = Account::new().await;
    let mut ids = vec![];
    for index in 0..20 {
        ids.push(account.create(json!({"first_name": format!("{index}")})).await);
    }
    let batches = (0..4).map(|_| {
        let (account, ids) = (account.clone(), ids.clone());
        async move {
            for turn in 0..10 {
                let inputs: Vec<_> =
                    ids.iter().map(|id| json!({"id": id, "fields": {"job_title": format!("{turn}")}})).collect();
                let response = account.batch("update", json!({"inputs": inputs, "properties": ["job_title"]})).await;
                expect_summary(&response, 20, 0);
            }
        }
    });
    let singles = ids.clone().into_iter().map(|id| {
        let account = account.clone();
        async move {
            for turn in 0..20 {
                let response = account.patch(&id, json!({"last_name": format!("{turn}")})).await.expect(200);
                assert_eq!(response.body["last_name"], format!("{turn}"));
            }
        }
    });
    let batches = tokio::spawn(run_concurrently(batches.collect::<Vec<_>>()));
    run_concurrently(singles).await;
    batches.await.unwrap();
    for id in ids {
        let read = account.get(&format!("/contacts/{id}?properties=job_title")).await.expect(200);
        assert_eq!((&read.body["last_name"], &read.body["job_title"]), (&json!("19"), &json!("9")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_waits_for_a_row_lock_without_delaying_other_writes() {
    let (account, other) = (Account::new().await, Account::new().await);
    let locked = account.create(json!({"first_name": "locked"})).await;
    let unlocked = account.create(json!({"first_name": "unlocked"})).await;
    let other_contact = other.create(json!({"first_name": "other"})).await;
    let mut database = account.lock_contact(&locked).await;
    let waiting = tokio::spawn({
        let (account, locked, unlocked) = (account.clone(), locked.clone(), unlocked.clone());
        async move {
            let inputs =
                json!([{"id": unlocked, "fields": {"last_name": "B"}}, {"id": locked, "fields": {"last_name": "B"}}]);
            account.batch("update", json!({"inputs": inputs})).await
        }
    });
    for turn in 0..10 {
        let fields = json!({"first_name": format!("{turn}")});
        account.patch(&unlocked, fields.clone()).await.expect(200);
        other.patch(&other_contact, fields.clone()).await.expect(200);
        let inputs: Value =
            json!([{"id": other_contact, "fields": fields}, {"id": other_contact, "fields": {"last_name": "C"}}]);
        other.batch("update", json!({"inputs": inputs})).await.expect(200);
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    expect_summary(&waiting.await.unwrap(), 2, 0);
    let read = account.get(&format!("/contacts/{unlocked}")).await;
    assert_eq!((&read.body["first_name"], &read.body["last_name"]), (&json!("9"), &json!("B")));
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_account_does_not_delay_other_accounts() {
    let (blocked, other) = (Account::new().await, Account::new().await);
    blocked.create(json!({"first_name": "A"})).await;
    let mut database = blocked.lock().await;
    let body = json!({"inputs": [{"fields": {"first_name": "B"}}, {"fields": {"first_name": "C"}}]});
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let (blocked, body) = (blocked.clone(), body.clone());
            tokio::spawn(async move { blocked.post("/contacts/batch/create", body).await.status })
        })
        .collect();
    for _ in 0..5 {
        other.post("/contacts/batch/create", body.clone()).await.expect(200);
    }
    assert!(waiting.iter().all(|call| !call.is_finished()));
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    for call in waiting {
        assert_eq!(call.await.unwrap(), 200);
    }
}
