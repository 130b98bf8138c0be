//! Concurrent writes: unique keys, lost updates and archived contacts.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{Account, run_concurrently};

const CALLERS: usize = 16;

#[tokio::test]
async fn concurrent_creates_of_one_email_succeed_once() {
    let account = Account::new().await;
    for round in 0..10 {
        let creators = (0..CALLERS).map(|_| {
            let account = account.clone();
            async move { account.post("/contacts", json!({"fields": {"email": format!("r{round}@example.com")}})).await }
        });
        let responses = run_concurrently(creators).await;
        let created: Vec<_> = responses.iter().filter(|response| response.status == 201).collect();
        assert_eq!(created.len(), 1);
        for conflict in responses.iter().filter(|response| response.status != 201) {
            assert_eq!(
                (conflict.status, &conflict.body["details"][0]["existing_id"]),
                (409, &json!(created[0].id())),
                "{}",
                conflict.text
            );
        }
    }
}

#[tokio::test]
async fn concurrent_patches_to_one_unique_key_succeed_once() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "number", "unique": true})).await;
    let mut ids = vec![];
    for index in 0..CALLERS {
        ids.push(account.create(json!({"first_name": format!("{index}")})).await);
    }
    for round in 0..10 {
        let claims = ids.clone().into_iter().map(|id| {
            let account = account.clone();
            async move { account.patch(&id, json!({"external_id": format!("r{round}"), "badge": round})).await.status }
        });
        let mut statuses = run_concurrently(claims).await;
        statuses.sort_unstable();
        assert_eq!((statuses[0], statuses[1], statuses[CALLERS - 1]), (200, 409, 409), "{statuses:?}");
    }
}

#[tokio::test]
async fn concurrent_swap_of_keys_is_409_for_both_contacts() {
    let account = Account::new().await;
    let a = account.create(json!({"email": "a@example.com", "external_id": "a"})).await;
    let b = account.create(json!({"email": "b@example.com", "external_id": "b"})).await;
    for _ in 0..20 {
        let swap = [(a.clone(), "b"), (b.clone(), "a")].map(|(id, name)| {
            let account = account.clone();
            async move {
                account.patch(&id, json!({"email": format!("{name}@example.com"), "external_id": name})).await.status
            }
        });
        assert_eq!(run_concurrently(swap).await, [409, 409]);
    }
    assert_eq!(account.get(&format!("/contacts/{a}")).await.body["email"], "a@example.com");
}

#[tokio::test]
async fn key_that_moves_between_contacts_is_never_held_twice() {
    let account = Account::new().await;
    let a = account.create(json!({"first_name": "A", "external_id": "k"})).await;
    let b = account.create(json!({"first_name": "B"})).await;
    for _ in 0..20 {
        let calls = [(a.clone(), Value::Null), (b.clone(), json!("k"))].map(|(id, value)| {
            let account = account.clone();
            async move { account.patch(&id, json!({"external_id": value})).await.status }
        });
        let statuses = run_concurrently(calls).await;
        assert!(statuses[0] == 200 && [200, 409].contains(&statuses[1]), "{statuses:?}");
        account.patch(&b, json!({"external_id": null})).await.expect(200);
        account.patch(&a, json!({"external_id": "k"})).await.expect(200);
    }
}

#[tokio::test]
async fn concurrent_patches_of_different_fields_all_survive() {
    let account = Account::new().await;
    let fields: Vec<_> = (0..CALLERS).map(|index| format!("f{index}")).collect();
    for field in &fields {
        account.define(json!({"label": field, "type": "number"})).await;
    }
    let id = account.create(json!({"first_name": "A"})).await;
    let patches = fields.clone().into_iter().map(|field| {
        let (account, id) = (account.clone(), id.clone());
        async move {
            for turn in 1..=5 {
                let response =
                    account.patch(&format!("{id}?properties={field}"), json!({&*field: turn})).await.expect(200);
                assert_eq!(response.body[&*field], turn);
            }
        }
    });
    run_concurrently(patches).await;
    let read = account.get(&format!("/contacts/{id}?properties={}", fields.join(","))).await;
    assert!(fields.iter().all(|field| read.body[field] == 5), "{}", read.text);
}

#[tokio::test]
async fn concurrent_patches_each_return_their_own_write() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let patches = (0..CALLERS).map(|writer| {
        let (account, id) = (account.clone(), id.clone());
        async move {
            let response = account.patch(&id, json!({"first_name": format!("w{writer}")})).await.expect(200);
            assert_eq!(response.body["first_name"], format!("w{writer}"));
            response.etag()
        }
    });
    let tags: HashSet<_> = run_concurrently(patches).await.into_iter().collect();
    assert_eq!(tags.len(), CALLERS);
    assert!(tags.contains(&account.get(&format!("/contacts/{id}")).await.etag()));
}

#[tokio::test]
async fn concurrent_patch_never_changes_an_archived_contact() {
    let account = Account::new().await;
    for _ in 0..10 {
        let id = account.create(json!({"first_name": "A"})).await;
        let (patcher, archiver) = (account.clone(), account.clone());
        let (patched, archived) = (id.clone(), format!("/contacts/{id}"));
        let (patch, archive) =
            tokio::join!(async move { patcher.patch(&patched, json!({"first_name": "B"})).await }, async move {
                archiver.delete(&archived).await.expect(200)
            });
        let last = account.get(&format!("/contacts/{id}")).await;
        assert_eq!(last.etag(), archive.etag());
        assert_eq!(last.body["first_name"], if patch.status == 200 { "B" } else { "A" });
        assert!([200, 409].contains(&patch.status));
    }
}
