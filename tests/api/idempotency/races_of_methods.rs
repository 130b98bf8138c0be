//! Concurrent duplicates of PATCH, PUT and DELETE: one is executed, and the others wait for its response.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection;

use super::{expect_replay, replayed_parts, send_with_key};
use crate::support::{Account, run_concurrently};

/// Sends the same request concurrently and checks that it is executed once and that all callers get that response.
async fn expect_one_execution(instances: &[Account], method: &'static str, path: &str, body: Value) {
    let calls = (0..12).map(|caller| {
        let (account, path) = (instances[caller % instances.len()].clone(), path.to_owned());
        let (key, body) = (format!("{method}-{}", path.replace('?', "-")), body.clone());
        async move { send_with_key(&account, (method, &path), &key, &body).await }
    });
    let responses = run_concurrently(calls).await;
    let is_executed = |response: &&_| crate::support::ApiResponse::header(response, "idempotency-replayed").is_empty();
    let executed: Vec<_> = responses.iter().filter(is_executed).collect();
    assert_eq!(executed.len(), 1, "{:?}", responses.iter().map(replayed_parts).collect::<Vec<_>>());
    assert!(executed[0].status < 300, "{}", executed[0].text);
    assert!(responses.iter().all(|response| replayed_parts(response) == replayed_parts(executed[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_of_every_method_are_executed_once_and_get_one_response() {
    let account = Account::new().await;
    let instances = [account.clone(), account.on_instance(&account.server.second_instance())];
    for (count, instances) in [&instances[..1], &instances[..]].into_iter().enumerate() {
        for round in 0..10 {
            let value = format!("{count}-{round}");
            let by_key = format!("/contacts/{value}?id_property=external_id");
            expect_one_execution(instances, "PUT", &by_key, json!({"fields": {"first_name": "A"}})).await;
            let email = json!({"fields": {"email": format!("{value}@example.com")}});
            expect_one_execution(instances, "PATCH", &by_key, email).await;
            let values = json!({"fields": {"last_name": value}});
            expect_one_execution(instances, "PATCH", &format!("{by_key}&properties=phone"), values).await;
            expect_one_execution(instances, "DELETE", &by_key, Value::Null).await;
            let name = format!("f{count}x{round}");
            account.define(json!({"label": name, "type": "text"})).await;
            let field = format!("/fields/{name}");
            expect_one_execution(instances, "PATCH", &field, json!({"label": "New"})).await;
            expect_one_execution(instances, "DELETE", &field, Value::Null).await;
        }
    }
    // One creation, two updates and one archival for each contact.
    let changes = account.get("/contacts/changes?limit=1000").await.expect(200);
    assert_eq!(changes.body["data"].as_array().unwrap().len(), 2 * 10 * 4);
}

/// Another session holds the lock that the requests need, so the duplicate arrives while the first is in flight.
#[tokio::test(flavor = "multi_thread")]
async fn duplicate_of_a_request_in_flight_waits_for_its_response() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "a"})).await;
    account.define(json!({"label": "Size", "type": "text"})).await;
    let contact = format!("/contacts/{id}");
    let lock_contact = "SELECT 1 FROM contacts WHERE account_id = $1 FOR UPDATE";
    let lock_account = "SELECT 1 FROM accounts WHERE account_id = $1 FOR UPDATE";
    let body = json!({"fields": {"first_name": "B"}});
    for (number, (lock, call, body)) in [
        (lock_contact, ("PATCH", &*contact), body.clone()),
        (lock_account, ("PATCH", &*contact), json!({"fields": {"first_name": "C"}})),
        (lock_contact, ("PUT", "/contacts/a?id_property=external_id"), body),
        (lock_contact, ("DELETE", &*contact), Value::Null),
        (lock_account, ("PATCH", "/fields/size"), json!({"label": "New"})),
        (lock_account, ("DELETE", "/fields/size"), Value::Null),
    ]
    .into_iter()
    .enumerate()
    {
        let mut database = account.database().await;
        let mut transaction = database.begin().await.unwrap();
        sqlx::query(lock).bind(account.id).execute(&mut *transaction).await.unwrap();
        let calls = (0..2).map(|_| {
            let (account, key, body) = (account.clone(), format!("k{number}"), body.clone());
            let (method, path) = (call.0, call.1.to_owned());
            async move { send_with_key(&account, (method, &path), &key, &body).await }
        });
        let responses = tokio::spawn(run_concurrently(calls.collect::<Vec<_>>()));
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert!(!responses.is_finished(), "{call:?} does not wait for the lock");
        transaction.commit().await.unwrap();
        let mut responses = responses.await.unwrap();
        responses.sort_by_key(|response| response.header("idempotency-replayed").len());
        assert!(responses[0].status < 300, "{call:?}: {}", responses[0].text);
        expect_replay(&responses[0], &responses[1]);
    }
}
