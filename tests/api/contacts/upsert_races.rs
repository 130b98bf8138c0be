//! Upserts by many callers at once: never a duplicate, never a caller refused for what its neighbour did.

use std::collections::HashSet;

use serde_json::json;

use crate::support::{Account, Answer, Server, at_once};

const CALLERS: usize = 16;
const ROUNDS: usize = 100;

/// Upserts of one new key by all callers at once, each at one of these instances.
async fn race(instances: &[Account], rounds: usize) {
    for round in 0..rounds {
        let path = format!("r{round}?id_property=external_id&properties=job_title");
        let calls = (0..CALLERS).map(|caller| {
            let (account, path) = (instances[caller % instances.len()].clone(), path.clone());
            async move { account.put(&path, json!({"first_name": "A", "job_title": format!("{caller}")})).await }
        });
        let answers = at_once(calls).await;
        let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        let mut expected = [200; CALLERS];
        expected[CALLERS - 1] = 201;
        assert_eq!(statuses, expected);
        let ids: HashSet<_> = answers.iter().map(Answer::id).collect();
        assert_eq!(ids.len(), 1);
        for (caller, answer) in answers.iter().enumerate() {
            assert_eq!(answer.body["job_title"], format!("{caller}"));
        }
    }
    assert_eq!(instances[0].get("/contacts").await.body["pagination"]["count"], rounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_upserts_of_one_new_key_exactly_one_creates() {
    race(&[Account::new().await], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_on_two_instances() {
    let account = Account::new().await;
    let twin = account.at(&account.server.twin());
    race(&[account, twin], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn also_as_the_first_writes_of_an_account() {
    let twin = Server::shared().twin();
    for _ in 0..20 {
        let account = Account::new().await;
        let other = account.at(&twin);
        race(&[account, other], 1).await;
    }
}

/// An upsert meets a contact or none, whatever is archived meanwhile: it is never refused.
#[tokio::test(flavor = "multi_thread")]
async fn archiving_at_the_same_time_refuses_no_upsert() {
    let account = Account::new().await;
    let twin = account.at(&account.server.twin());
    let path = "x?id_property=external_id";
    let archivers = [account.clone(), twin.clone()].map(|account| async move {
        for _ in 0..60 {
            let archived = account.delete(&format!("/contacts/{path}")).await;
            assert!([200, 404].contains(&archived.status), "{}", archived.text);
        }
    });
    let upserters = [account.clone(), twin.clone(), account.clone(), twin].map(|account| async move {
        for turn in 0..60 {
            let answer = account.put(path, json!({"first_name": format!("{turn}")})).await;
            assert!([200, 201].contains(&answer.status), "{}", answer.text);
            assert_eq!((&answer.body["archived"], &answer.body["external_id"]), (&json!(false), &json!("x")));
            let patched = account.patch(path, json!({"last_name": format!("{turn}")})).await;
            assert!([200, 404].contains(&patched.status), "{}", patched.text);
        }
    });
    let archiving = tokio::spawn(at_once(archivers));
    at_once(upserters).await;
    archiving.await.unwrap();
}

/// A key that moves from contact to contact names one that has it, at each moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_on_the_move_never_changes_the_wrong_contact() {
    let account = Account::new().await;
    let ids = [
        account.create(json!({"first_name": "A", "external_id": "k"})).await,
        account.create(json!({"first_name": "B"})).await,
    ];
    let mover = account.at(&account.server.twin());
    let moving = tokio::spawn(async move {
        for turn in 0..60 {
            let (from, to) = (&ids[turn % 2], &ids[(turn + 1) % 2]);
            let inputs = [
                json!({"id": from, "fields": {"external_id": null}}),
                json!({"id": to, "fields": {"external_id": "k"}}),
            ];
            mover.batch("update", json!({"inputs": inputs, "atomic": true})).await.expect(200);
        }
    });
    for turn in 0..100 {
        let fields = json!({"last_name": format!("{}", turn / 3)});
        let answer = account.patch("k?id_property=external_id", fields).await.expect(200);
        assert_eq!(answer.body["external_id"], "k");
    }
    moving.await.unwrap();
}
