//! `Prefer: return=minimal`

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

async fn send_minimal(account: &Account, method: &str, path: &str, fields: Value) -> ApiResponse {
    let call = account.call(method, &format!("/contacts{path}")).header("prefer", "return=minimal");
    call.json(&json!({"fields": fields})).send().await
}

/// Checks that a response has no body, and says that the preference was applied.
fn expect_minimal(response: &ApiResponse) {
    assert_eq!((response.text.as_str(), response.header("content-type")), ("", ""));
    assert_eq!(response.header("preference-applied"), "return=minimal");
}

#[tokio::test]
async fn writes_return_no_contact_but_its_tag() {
    let account = Account::new().await;
    let created = send_minimal(&account, "POST", "", json!({"first_name": "A", "external_id": "x"})).await.expect(201);
    let path = created.header("location").strip_prefix("/contacts").unwrap().to_owned();
    for (method, path, fields, status) in [
        ("PATCH", path.clone(), json!({"last_name": "B"}), 204),
        ("PATCH", "/x?id_property=external_id&properties=job_title".to_owned(), json!({}), 204),
        ("PUT", "/x?id_property=external_id".to_owned(), json!({"last_name": "C"}), 204),
        ("PUT", "/y?id_property=external_id".to_owned(), json!({"first_name": "Y"}), 201),
        ("DELETE", path.clone(), json!({}), 204),
        ("POST", format!("{path}/restore"), json!({}), 204),
    ] {
        let response = send_minimal(&account, method, &path, fields).await.expect(status);
        expect_minimal(&response);
        assert_eq!(response.header("location").is_empty(), status == 204, "{method} {path}");
        assert!(!response.etag().is_empty());
    }
    expect_minimal(&created);
    let read = account.get(&format!("/contacts{path}")).await.expect(200);
    assert_eq!((&read.body["last_name"], read.header("preference-applied")), (&json!("C"), ""));
    // The tag of a minimal response is valid for a conditional write.
    let patched = send_minimal(&account, "PATCH", &path, json!({"last_name": "D"})).await.expect(204);
    let body = json!({"fields": {"last_name": "E"}});
    let call = account.call("PATCH", &format!("/contacts{path}")).header("if-match", &patched.etag());
    let full = call.json(&body).send().await.expect(200);
    assert_eq!((&full.body["last_name"], full.header("preference-applied")), (&json!("E"), ""));
}

#[tokio::test]
async fn errors_and_reads_are_not_minimal() {
    let account = Account::new().await;
    let failed = send_minimal(&account, "POST", "", json!({"nope": 1})).await.expect_error(400, "validation_failed");
    assert_eq!(failed.header("preference-applied"), "");
    let list = account.call("GET", "/contacts").header("prefer", "return=minimal").send().await.expect(200);
    assert!(list.body["data"].is_array());
}

#[tokio::test]
async fn dry_run_of_a_creation_has_neither_location_nor_tag() {
    let account = Account::new().await;
    let dry = send_minimal(&account, "POST", "?dry_run=true", json!({"first_name": "A"})).await.expect(201);
    expect_minimal(&dry);
    assert_eq!((dry.header("location"), dry.etag().as_str()), ("", ""));
}

#[tokio::test]
async fn minimal_response_is_stored_under_its_key() {
    let account = Account::new().await;
    let send = async |prefer: &str| {
        let call = account.call("POST", "/contacts").header("idempotency-key", "k").header("prefer", prefer);
        call.json(&json!({"fields": {"first_name": "A"}})).send().await.expect(201)
    };
    let first = send("return=minimal").await;
    // A repeat gets the first response, whatever it prefers.
    for prefer in ["return=minimal", "return=representation"] {
        let repeat = send(prefer).await;
        expect_minimal(&repeat);
        assert_eq!((repeat.header("location"), repeat.etag()), (first.header("location"), first.etag()));
        assert_eq!(repeat.header("idempotency-replayed"), "true");
    }
}

#[tokio::test]
async fn results_of_a_batch_lack_their_contacts() {
    let account = Account::new().await;
    let inputs = json!([{"fields": {"first_name": "A"}, "ref": "r"}, {"fields": {}}]);
    let call = account.call("POST", "/contacts/batch/create").header("prefer", "return=minimal");
    let batch = call.json(&json!({"inputs": inputs})).send().await.expect(207);
    assert_eq!(batch.header("preference-applied"), "return=minimal");
    let [created, failed] = &batch.body["results"].as_array().unwrap()[..] else { panic!("two results") };
    let id = account.get("/contacts").await.body["data"][0]["id"].clone();
    assert_eq!(created, &json!({"index": 0, "id": id, "ref": "r", "status": 201}));
    assert_eq!(failed["error"]["code"], "validation_failed");
}
