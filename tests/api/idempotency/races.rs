//! Requests with one key at the same time, and requests that are cut off.

use serde_json::{Value, json};
use sqlx::Connection;

use super::{post, same};
use crate::support::{Account, Server, at_once};

/// Twins in flight: one effect, one answer for all of them.
async fn twins(instances: &[Account], path: &str, bodies: impl Fn(usize) -> Value) {
    for round in 0..25 {
        let (key, body) = (format!("{path}-{}-{round}", instances.len()), bodies(round));
        let calls = (0..12).map(|caller| {
            let (account, path) = (instances[caller % instances.len()].clone(), path.to_owned());
            let (key, body) = (key.clone(), body.clone());
            async move { post(&account, &path, &key, &body).await }
        });
        let answers = at_once(calls).await;
        let fresh: Vec<_> = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).collect();
        assert_eq!(fresh.len(), 1, "{:?}", answers.iter().map(same).collect::<Vec<_>>());
        assert!(fresh[0].status < 300, "{}", fresh[0].text);
        assert!(answers.iter().all(|answer| same(answer) == same(fresh[0])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_in_flight_get_one_effect_and_one_answer() {
    let account = Account::new().await;
    let instances = [account.clone(), account.at(&account.server.twin())];
    for instances in [&instances[..1], &instances[..]] {
        let count = instances.len();
        let name = |round: usize| format!("{count}-{round}");
        twins(instances, "/contacts", |round| json!({"fields": {"email": format!("{}@example.com", name(round))}}))
            .await;
        twins(instances, "/fields", |round| json!({"label": format!("f {}", name(round)), "type": "text"})).await;
        twins(instances, "/contacts/batch/create", |round| {
            let input = |first_name: &str| json!({"fields": {"external_id": name(round), "first_name": first_name}});
            json!({"inputs": [input("A"), input("B")]})
        })
        .await;
        let made = 2 * 25;
        assert_eq!(account.get("/contacts").await.body["pagination"]["count"], count * made);
    }
}

/// The first of an account are twins too: there is no row of it to lock yet.
#[tokio::test(flavor = "multi_thread")]
async fn also_as_the_first_writes_of_an_account() {
    let twin = Server::shared().twin();
    for path in ["/contacts", "/contacts/batch/create"] {
        for _ in 0..20 {
            let account = Account::new().await;
            let instances = [account.clone(), account.at(&twin)];
            let fields = json!({"fields": {"email": "a@example.com"}});
            let body = if path == "/contacts" { fields } else { json!({"inputs": [fields]}) };
            let calls = (0..6).map(|caller| {
                let (account, body) = (instances[caller % 2].clone(), body.clone());
                async move { post(&account, path, "k", &body).await }
            });
            let answers = at_once(calls).await;
            assert!(answers.iter().all(|answer| same(answer) == same(&answers[0])), "{answers:#?}");
            assert!(answers[0].status < 300);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_different_requests_with_one_key_at_once_one_is_done() {
    let account = Account::new().await;
    let instances = [account.clone(), account.at(&account.server.twin())];
    for round in 0..20 {
        let calls = (0..8).map(|caller| {
            let account = instances[caller % 2].clone();
            let body = json!({"fields": {"first_name": format!("{round}-{caller}")}});
            async move { post(&account, "/contacts", &format!("k{round}"), &body).await.status }
        });
        let mut statuses = at_once(calls).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422, 422, 422, 422, 422, 422, 422]);
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 20);
}

/// A 503 means unknown: repeated with its key, a request is done once, whenever the database was cut off.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_is_done_once_when_repeated() {
    const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let account = Account::on(&Server::on_own_database("cut_off", |_| {}));
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
                    let answer = post(&account, path, &key, &body).await;
                    if answer.status != 503 {
                        return assert!([200, 201].contains(&answer.status), "{}", answer.text);
                    }
                    assert_eq!(answer.header("retry-after"), "1");
                }
            }
        });
        let callers = tokio::spawn(at_once(callers.collect::<Vec<_>>()));
        for _ in 0..3 {
            tokio::time::sleep(std::time::Duration::from_millis(1 + round)).await;
            sqlx::query(CUT).execute(&mut database).await.unwrap();
        }
        callers.await.unwrap();
    }
    database.close().await.unwrap();
    // The last cut may have left connections behind that no one has tried since.
    let list = loop {
        let answer = account.get("/contacts").await;
        if answer.status != 503 {
            break answer.expect(200);
        }
    };
    assert_eq!(list.body["pagination"]["count"], 1 + 15 * (4 + 2 * 4));
}
