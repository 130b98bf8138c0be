//! Concurrent requests with the same key, and requests whose database connection is cut.

use serde_json::{Value, json};
use sqlx::Connection;

use super::{post_with_key, replayed_parts};
use crate::support::{Account, Server, run_concurrently};

/// Sends the same request concurrently and checks that it is executed once and that all callers get that response.
async fn expect_one_execution(instances: &[Account], path: &str, body_of_round: impl Fn(usize) -> Value) {
    for round in 0..25 {
        let (key, body) = (format!("{path}-{}-{round}", instances.len()), body_of_round(round));
        let calls = (0..12).map(|caller| {
            let (account, path) = (instances[caller % instances.len()].clone(), path.to_owned());
            let (key, body) = (key.clone(), body.clone());
            async move { post_with_key(&account, &path, &key, &body).await }
        });
        let responses = run_concurrently(calls).await;
        let executed: Vec<_> =
            responses.iter().filter(|response| response.header("idempotency-replayed").is_empty()).collect();
        assert_eq!(executed.len(), 1, "{:?}", responses.iter().map(replayed_parts).collect::<Vec<_>>());
        assert!(executed[0].status < 300, "{}", executed[0].text);
        assert!(responses.iter().all(|response| replayed_parts(response) == replayed_parts(executed[0])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_are_executed_once_and_get_one_response() {
    let account = Account::new().await;
    let instances = [account.clone(), account.on_instance(&account.server.second_instance())];
    for instances in [&instances[..1], &instances[..]] {
        let count = instances.len();
        let name = |round: usize| format!("{count}-{round}");
        expect_one_execution(
            instances,
            "/contacts",
            |round| json!({"fields": {"email": format!("{}@example.com", name(round))}}),
        )
        .await;
        expect_one_execution(
            instances,
            "/fields",
            |round| json!({"label": format!("f {}", name(round)), "type": "text"}),
        )
        .await;
        expect_one_execution(instances, "/contacts/batch/create", |round| {
            let input = |first_name: &str| json!({"fields": {"external_id": name(round), "first_name": first_name}});
            json!({"inputs": [input("A"), input("B")]})
        })
        .await;
        let created = 2 * 25;
        assert_eq!(account.get("/contacts").await.body["pagination"]["count"], count * created);
    }
}

/// An account without writes has no row yet that the requests could lock.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_as_first_writes_of_an_account_get_one_response() {
    let second_instance = Server::shared().second_instance();
    for path in ["/contacts", "/contacts/batch/create"] {
        for _ in 0..20 {
            let account = Account::new().await;
            let instances = [account.clone(), account.on_instance(&second_instance)];
            let fields = json!({"fields": {"email": "a@example.com"}});
            let body = if path == "/contacts" { fields } else { json!({"inputs": [fields]}) };
            let calls = (0..6).map(|caller| {
                let (account, body) = (instances[caller % 2].clone(), body.clone());
                async move { post_with_key(&account, path, "k", &body).await }
            });
            let responses = run_concurrently(calls).await;
            assert!(
                responses.iter().all(|response| replayed_parts(response) == replayed_parts(&responses[0])),
                "{responses:#?}"
            );
            assert!(responses[0].status < 300);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn different_concurrent_requests_with_one_key_get_one_201_and_otherwise_422() {
    let account = Account::new().await;
    let instances = [account.clone(), account.on_instance(&account.server.second_instance())];
    for round in 0..20 {
        let calls = (0..8).map(|caller| {
            let account = instances[caller % 2].clone();
            let body = json!({"fields": {"first_name": format!("{round}-{caller}")}});
            async move { post_with_key(&account, "/contacts", &format!("k{round}"), &body).await.status }
        });
        let mut statuses = run_concurrently(calls).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422, 422, 422, 422, 422, 422, 422]);
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 20);
}

/// A 503 leaves it open whether the request was executed. Repeated with its key, the request is executed exactly once,
/// no matter when the database connection was cut.
#[tokio::test(flavor = "multi_thread")]
async fn request_repeated_after_a_cut_connection_is_executed_once() {
    const TERMINATE_CONNECTIONS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let account = Account::on_server(&Server::with_own_database("cut_off", |_| {}));
    account.create(json!({"first_name": "A"})).await;
    let mut database = account.database().await;
    for round in 0..15_u64 {
        let callers = (0..8).map(|caller| {
            let account = account.clone();
            async move {
                let key = format!("{round}-{caller}");
                let fields = json!({"first_name": "B", "external_id": key});
                let (path, body) = match caller % 2 {
                    0 => ("/contacts", json!({"fields": fields})),
                    _ => {
                        let inputs = [json!({"fields": fields}), json!({"fields": {"first_name": "C"}})];
                        ("/contacts/batch/create", json!({"inputs": inputs}))
                    }
                };
                loop {
                    let response = post_with_key(&account, path, &key, &body).await;
                    if response.status != 503 {
                        return assert!([200, 201].contains(&response.status), "{}", response.text);
                    }
                    assert_eq!(response.header("retry-after"), "1");
                }
            }
        });
        let callers = tokio::spawn(run_concurrently(callers.collect::<Vec<_>>()));
        for _ in 0..3 {
            tokio::time::sleep(std::time::Duration::from_millis(1 + round)).await;
            sqlx::query(TERMINATE_CONNECTIONS).execute(&mut database).await.unwrap();
        }
        callers.await.unwrap();
    }
    database.close().await.unwrap();
    // The pool may still hold connections that the last cut has closed.
    let list = loop {
        let response = account.get("/contacts").await;
        if response.status != 503 {
            break response.expect(200);
        }
    };
    assert_eq!(list.body["pagination"]["count"], 1 + 15 * (4 + 2 * 4));
}
