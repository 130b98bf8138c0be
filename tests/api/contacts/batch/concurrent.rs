//! Batches beside other writers.

use serde_json::{Value, json};

use super::{expect_summary, statuses};
use crate::support::{Account, at_once};

#[tokio::test(flavor = "multi_thread")]
async fn of_atomic_batches_over_the_same_keys_each_is_whole() {
    let account = Account::new().await;
    let twin = account.at(&account.server.twin());
    for round in 0..20 {
        let calls = (0..6).map(|caller| {
            let account = if caller % 2 == 0 { account.clone() } else { twin.clone() };
            async move {
                // Half of them claim the keys in the other order.
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
        let answers = at_once(calls).await;
        let done: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(done.len(), 1, "{:?}", answers.iter().map(|answer| answer.status).collect::<Vec<_>>());
        assert!(answers.iter().filter(|answer| answer.status == 207).all(|answer| statuses(answer) == [409; 10]));
        assert_eq!(answers.iter().filter(|answer| answer.status == 207).count(), 5);
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn atomic_upserts_of_the_same_keys_all_succeed() {
    let account = Account::new().await;
    let twin = account.at(&account.server.twin());
    for round in 0..10 {
        let calls = (0..6).map(|caller| {
            let account = if caller % 2 == 0 { account.clone() } else { twin.clone() };
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
        let answers = at_once(calls).await;
        let creators = answers.iter().filter(|answer| statuses(answer) == [201; 20]).count();
        let updaters = answers.iter().filter(|answer| statuses(answer) == [200; 20]).count();
        assert_eq!((creators, updaters), (1, 5));
    }
}

/// Single writes of an account go on beside its batches, and none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn single_writes_beside_batches_all_survive() {
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
                let answer = account.batch("update", json!({"inputs": inputs, "properties": ["job_title"]})).await;
                expect_summary(&answer, 20, 0);
            }
        }
    });
    let singles = ids.clone().into_iter().map(|id| {
        let account = account.clone();
        async move {
            for turn in 0..20 {
                let answer = account.patch(&id, json!({"last_name": format!("{turn}")})).await.expect(200);
                assert_eq!(answer.body["last_name"], format!("{turn}"));
            }
        }
    });
    let batches = tokio::spawn(at_once(batches.collect::<Vec<_>>()));
    at_once(singles).await;
    batches.await.unwrap();
    for id in ids {
        let read = account.get(&format!("/contacts/{id}?properties=job_title")).await.expect(200);
        assert_eq!((&read.body["last_name"], &read.body["job_title"]), (&json!("19"), &json!("9")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_someone_holds_is_waited_for_and_holds_up_no_one_else() {
    let (account, other) = (Account::new().await, Account::new().await);
    let held = account.create(json!({"first_name": "held"})).await;
    let free = account.create(json!({"first_name": "free"})).await;
    let others = other.create(json!({"first_name": "other"})).await;
    let mut database = account.database().await;
    let lock = format!("BEGIN; SELECT 1 FROM contacts WHERE id = '{held}' FOR UPDATE");
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut database).await.unwrap();
    let waiting = tokio::spawn({
        let (account, held, free) = (account.clone(), held.clone(), free.clone());
        async move {
            let inputs =
                json!([{"id": free, "fields": {"last_name": "B"}}, {"id": held, "fields": {"last_name": "B"}}]);
            account.batch("update", json!({"inputs": inputs})).await
        }
    });
    for turn in 0..10 {
        let fields = json!({"first_name": format!("{turn}")});
        account.patch(&free, fields.clone()).await.expect(200);
        other.patch(&others, fields.clone()).await.expect(200);
        let inputs: Value = json!([{"id": others, "fields": fields}, {"id": others, "fields": {"last_name": "C"}}]);
        other.batch("update", json!({"inputs": inputs})).await.expect(200);
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
    assert!(!waiting.is_finished());
    sqlx::raw_sql("COMMIT").execute(&mut database).await.unwrap();
    expect_summary(&waiting.await.unwrap(), 2, 0);
    let read = account.get(&format!("/contacts/{free}")).await;
    assert_eq!((&read.body["first_name"], &read.body["last_name"]), (&json!("9"), &json!("B")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_waits_for_itself_holds_up_no_other() {
    let (busy, other) = (Account::new().await, Account::new().await);
    busy.create(json!({"first_name": "A"})).await;
    let mut database = busy.database().await;
    let hold = format!("BEGIN; SELECT 1 FROM accounts WHERE account_id = '{}' FOR UPDATE", busy.id);
    sqlx::raw_sql(sqlx::AssertSqlSafe(hold)).execute(&mut database).await.unwrap();
    let body = json!({"inputs": [{"fields": {"first_name": "B"}}, {"fields": {"first_name": "C"}}]});
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let (busy, body) = (busy.clone(), body.clone());
            tokio::spawn(async move { busy.post("/contacts/batch/create", body).await.status })
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
