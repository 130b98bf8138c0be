//! `if_match` of the inputs of a batch.

use serde_json::{Value, json};

use super::{error_code, expect_summary, result_contact, result_statuses};
use crate::support::{Account, run_concurrently};

const ACTIONS: [&str; 3] = ["update", "upsert", "archive"];

/// Returns the body of a batch with one input, which identifies the contact by its `external_id`.
fn body(action: &str, external_id: &str, if_match: &Value) -> Value {
    let mut input = json!({"id": external_id, "if_match": if_match});
    if action != "archive" {
        input["fields"] = json!({"last_name": "B"});
    }
    json!({"inputs": [input], "id_property": "external_id", "properties": "version"})
}

#[tokio::test]
async fn input_with_a_matching_if_match_is_applied() {
    let account = Account::new().await;
    for action in ACTIONS {
        for form in ["tag", "weak tag", "list", "star", "integer", "decimal"] {
            let external_id = format!("{action} {form}");
            let id = account.create(json!({"first_name": "A", "external_id": external_id})).await;
            let tag = account.get(&format!("/contacts/{id}")).await.etag();
            let if_match = match form {
                "tag" => json!(tag),
                "weak tag" => json!(format!("W/{tag}")),
                "list" => json!(format!("\"x\", {tag}")),
                "star" => json!("*"),
                "integer" => json!(1),
                _ => json!(1.0),
            };
            let response = account.batch(action, body(action, &external_id, &if_match)).await.expect(200);
            assert_eq!(result_contact(&response, 0)["version"], 2, "{external_id}");
        }
    }
}

#[tokio::test]
async fn input_with_a_stale_if_match_is_412_and_changes_nothing() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let stale = account.get(&format!("/contacts/{id}")).await.etag();
    account.patch(&id, json!({"first_name": "B"})).await.expect(200);
    let before = account.stored_rows().await;
    for action in ACTIONS {
        for if_match in [json!(stale), json!("\"x\""), json!(1), json!(3), json!(i64::MAX)] {
            let response = account.batch(action, body(action, "x", &if_match)).await.expect(207);
            assert_eq!(
                (result_statuses(&response), error_code(&response, 0)),
                (vec![412], &json!("precondition_failed"))
            );
        }
    }
    assert_eq!(account.stored_rows().await, before);
    // An upsert with a condition never creates a contact.
    for if_match in [json!("*"), json!(1), json!(stale)] {
        let response = account.batch("upsert", body("upsert", "new", &if_match)).await.expect(207);
        assert_eq!(result_statuses(&response), [412], "{if_match}");
    }
    assert_eq!(account.stored_rows().await, before);
}

#[tokio::test]
async fn malformed_if_match_makes_its_input_invalid() {
    let account = Account::new().await;
    account.create(json!({"first_name": "A", "external_id": "x"})).await;
    account.create(json!({"first_name": "A", "external_id": "y"})).await;
    for action in ACTIONS {
        for if_match in [
            json!(null),
            json!(true),
            json!([]),
            json!(["\"x\""]),
            json!({}),
            json!(""),
            json!("1"),
            json!("abc"),
            json!("\"x\", y"),
            json!("\"x\", *"),
            json!(0),
            json!(-1),
            json!(1.5),
            json!(u64::MAX),
        ] {
            let mut body = body(action, "x", &if_match);
            let valid = {
                let mut input = body["inputs"][0].clone();
                (input["id"], input["if_match"]) = (json!("y"), json!("\"stale\""));
                input
            };
            body["inputs"].as_array_mut().unwrap().push(valid);
            let response = account.batch(action, body).await.expect(207);
            assert_eq!(result_statuses(&response), [400, 412], "{action} {if_match}");
            assert_eq!(error_code(&response, 0), "invalid_body", "{action} {if_match}");
            expect_summary(&response, 2, 2);
        }
    }
}

#[tokio::test]
async fn batches_that_take_no_if_match_reject_it() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (action, input) in [
        ("create", json!({"fields": {"first_name": "B"}, "if_match": "*"})),
        ("read", json!({"id": id, "if_match": 1})),
    ] {
        let response = account.batch(action, json!({"inputs": [input]})).await.expect(207);
        assert_eq!(error_code(&response, 0), "invalid_body", "{action}");
    }
}

#[tokio::test]
async fn if_match_is_checked_against_the_state_after_earlier_inputs() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let input = |version: i64, name: &str| json!({"id": id, "fields": {"first_name": name}, "if_match": version});
    let inputs = json!({"inputs": [input(1, "B"), input(1, "C"), input(2, "D")], "properties": ["version"]});
    let dry = account.batch("update?dry_run=true", inputs.clone()).await.expect(207);
    assert_eq!(result_statuses(&dry), [200, 412, 200]);
    let mut atomic = inputs.clone();
    atomic["atomic"] = json!(true);
    let response = account.batch("update", atomic).await.expect(207);
    assert_eq!(result_statuses(&response), [424, 412, 424]);
    let response = account.batch("update", inputs).await.expect(207);
    assert_eq!(result_statuses(&response), [200, 412, 200]);
    assert_eq!(
        (&result_contact(&response, 2)["version"], &result_contact(&response, 2)["first_name"]),
        (&json!(3), &json!("D"))
    );
}

#[tokio::test]
async fn concurrent_batches_with_the_same_version_succeed_once() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for version in 1..5 {
        let writers = (0..8).map(|writer| {
            let (account, id) = (account.clone(), id.clone());
            let input = json!({"id": id, "fields": {"first_name": format!("{version}-{writer}")}, "if_match": version});
            async move { account.batch("update", json!({"inputs": [input]})).await.status }
        });
        let mut statuses = run_concurrently(writers).await;
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 207, 207, 207, 207, 207, 207, 207]);
    }
}
