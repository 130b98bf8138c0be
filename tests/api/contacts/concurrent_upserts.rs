//! Concurrent upserts: they never create a duplicate, and no upsert fails because of another upsert.

use std::collections::HashSet;

use serde_json::json;

use crate::support::{Account, ApiResponse, Server, run_concurrently};

const CALLERS: usize = 16;
const ROUNDS: usize = 100;

/// In each round, sends concurrent upserts of one new key from all callers, spread over these instances.
///
/// Checks that exactly one upsert creates the contact and that all others update it.
async fn run_concurrent_upserts(instances: &[Account], rounds: usize) {
    for round in 0..rounds {
        let path = format!("r{round}?id_property=external_id&properties=job_title");
        let calls = (0..CALLERS).map(|caller| {
            let (account, path) = (instances[caller % instances.len()].clone(), path.clone());
            async move { account.put(&path, json!({"first_name": "A", "job_title": format!("{caller}")})).await }
        });
        let responses = run_concurrently(calls).await;
        let mut statuses: Vec<_> = responses.iter().map(|response| response.status).collect();
        statuses.sort_unstable();
        let mut expected = [200; CALLERS];
        expected[CALLERS - 1] = 201;
        assert_eq!(statuses, expected);
        let ids: HashSet<_> = responses.iter().map(ApiResponse::id).collect();
        assert_eq!(ids.len(), 1);
        for (caller, response) in responses.iter().enumerate() {
            assert_eq!(response.body["job_title"], format!("{caller}"));
        }
    }
    assert_eq!(instances[0].get("/contacts").await.body["pagination"]["count"], rounds);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_upserts_of_a_new_key_create_one_contact() {
    run_concurrent_upserts(&[Account::new().await], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_upserts_on_two_instances_create_one_contact() {
    let account = Account::new().await;
    let second = account.on_instance(&account.server.second_instance());
    run_concurrent_upserts(&[account, second], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_upserts_as_the_first_writes_of_an_account_create_one_contact() {
    let second_instance = Server::shared().second_instance();
    for _ in 0..20 {
        let account = Account::new().await;
        let second = account.on_instance(&second_instance);
        run_concurrent_upserts(&[account, second], 1).await;
    }
}

/// An upsert succeeds whether or not another caller archives the contact at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_archiving_never_fails_an_upsert() {
    let account = Account::new().await;
    let second = account.on_instance(&account.server.second_instance());
    let path = "x?id_property=external_id";
    let archivers = [account.clone(), second.clone()].map(|account| async move {
        for _ in 0..60 {
            let archived = account.delete(&format!("/contacts/{path}")).await;
            assert!([200, 404].contains(&archived.status), "{}", archived.text);
        }
    });
    let upserters = [account.clone(), second.clone(), account.clone(), second].map(|account| async move {
        for turn in 0..60 {
            let response = account.put(path, json!({"first_name": format!("{turn}")})).await;
            assert!([200, 201].contains(&response.status), "{}", response.text);
            assert_eq!((&response.body["archived"], &response.body["external_id"]), (&json!(false), &json!("x")));
            let patched = account.patch(path, json!({"last_name": format!("{turn}")})).await;
            assert!([200, 404].contains(&patched.status), "{}", patched.text);
        }
    });
    let archiving = tokio::spawn(run_concurrently(archivers));
    run_concurrently(upserters).await;
    archiving.await.unwrap();
}

/// While a key moves between two contacts, a PATCH by that key always finds the contact that holds it.
#[tokio::test(flavor = "multi_thread")]
async fn patch_by_a_moving_key_changes_only_its_holder() {
    let account = Account::new().await;
    let ids = [
        account.create(json!({"first_name": "A", "external_id": "k"})).await,
        account.create(json!({"first_name": "B"})).await,
    ];
    let mover = account.on_instance(&account.server.second_instance());
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
        let response = account.patch("k?id_property=external_id", fields).await.expect(200);
        assert_eq!(response.body["external_id"], "k");
    }
    moving.await.unwrap();
}
