//! `?dry_run=true`: the service runs every check and returns the response of the real call, but writes nothing.

use serde_json::{Value, json};

use crate::support::{Account, ApiResponse};

/// Sends a call with `dry_run=true`.
async fn send_dry_run(account: &Account, method: &str, path: &str, body: Value) -> ApiResponse {
    let separator = if path.contains('?') { '&' } else { '?' };
    let call = account.call(method, &format!("{path}{separator}dry_run=true"));
    let call = if method == "POST" { call.header("idempotency-key", "tried") } else { call };
    call.json(&body).send().await
}

#[tokio::test]
async fn dry_run_returns_the_response_of_the_real_call_and_writes_nothing() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let archived = account.create(json!({"first_name": "G", "external_id": "g"})).await;
    account.delete(&format!("/contacts/{archived}")).await.expect(200);
    let fields = |fields: Value| json!({"fields": fields});
    let by_id = format!("/contacts/{id}?properties=phone");
    let calls = [
        ("POST", "/contacts?properties=phone".to_owned(), fields(json!({"first_name": "N", "phone": "+1 555"})), 201),
        ("POST", "/contacts".into(), fields(json!({"email": "Taken@example.com"})), 409),
        ("POST", "/contacts".into(), fields(json!({})), 400),
        ("PATCH", by_id.clone(), fields(json!({"phone": "+1 556"})), 200),
        ("PATCH", by_id.clone(), fields(json!({"email": "taken@example.com"})), 409),
        ("PATCH", format!("/contacts/{archived}"), fields(json!({})), 409),
        ("PATCH", "/contacts/x?id_property=external_id".into(), fields(json!({"external_id": "y"})), 200),
        ("PUT", "/contacts/x?id_property=external_id".into(), fields(json!({"last_name": "B"})), 200),
        ("PUT", "/contacts/g?id_property=external_id".into(), fields(json!({"last_name": "B"})), 201),
        ("PUT", "/contacts/n?id_property=external_id".into(), fields(json!({})), 400),
        ("DELETE", by_id.clone(), json!({}), 200),
        ("DELETE", format!("/contacts/{archived}"), json!({}), 404),
        ("DELETE", "/contacts/g?id_property=external_id".into(), json!({}), 404),
        ("POST", format!("/contacts/{archived}/restore"), json!({}), 200),
        ("POST", format!("/contacts/{id}/restore"), json!({}), 200),
        ("POST", format!("/contacts/{id}/purge"), json!({}), 204),
        ("POST", format!("/contacts/{}/purge", uuid::Uuid::now_v7()), json!({}), 404),
    ];
    let before = account.stored_rows().await;
    for (method, path, body, status) in calls {
        let dry = send_dry_run(&account, method, &path, body.clone()).await.expect(status);
        assert_eq!(account.stored_rows().await, before, "{method} {path}");
        if status == 201 {
            assert_eq!((&dry.body["id"], dry.header("location"), dry.header("etag")), (&json!(null), "", ""));
        }
        // The real call gets the same response from a copy of the account's contacts.
        let (copy, copied_id, copied_archived) = copy_account(&account, &id, &archived).await;
        let path = path.replace(&id, &copied_id).replace(&archived, &copied_archived);
        let real = copy.call(method, &path).json(&body).send().await.expect(status);
        assert_eq!(body_without_ids_and_times(&dry), body_without_ids_and_times(&real), "{method} {path}");
    }
}

/// Creates another account with the same contacts. Returns it with its ids of the two given contacts.
async fn copy_account(account: &Account, id: &str, archived: &str) -> (Account, String, String) {
    let copy = Account::on_server(&account.server);
    copy.create(json!({"email": "taken@example.com"})).await;
    let copied_id = copy.create(json!({"first_name": "A", "external_id": "x"})).await;
    let copied_archived = copy.create(json!({"first_name": "G", "external_id": "g"})).await;
    copy.delete(&format!("/contacts/{copied_archived}")).await.expect(200);
    assert_ne!((id, archived), (&*copied_id, &*copied_archived));
    (copy, copied_id, copied_archived)
}

/// Returns the body of a response without ids and times.
fn body_without_ids_and_times(response: &ApiResponse) -> Value {
    let mut body = response.body.clone();
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !["id", "created_at", "updated_at", "request_id"].contains(&&**name));
        if members.get("archived").is_some_and(Value::is_string) {
            members.insert("archived".into(), json!(true));
        }
    }
    for detail in body["details"].as_array_mut().into_iter().flatten() {
        detail.as_object_mut().unwrap().remove("existing_id");
    }
    body
}

#[tokio::test]
async fn dry_run_stores_no_unique_key_and_no_idempotency_key() {
    let account = Account::new().await;
    let body = json!({"fields": {"email": "a@example.com"}});
    for _ in 0..2 {
        let dry = send_dry_run(&account, "POST", "/contacts", body.clone()).await.expect(201);
        assert_eq!(dry.header("idempotency-replayed"), "");
    }
    let call = account.call("POST", "/contacts").header("idempotency-key", "tried").json(&body);
    call.send().await.expect(201);
    assert_eq!(account.get("/contacts/changes").await.body["data"].as_array().unwrap().len(), 1);
    // The real call stored the idempotency key. A request with another query now conflicts with it.
    send_dry_run(&account, "POST", "/contacts", body).await.expect_error(422, "idempotency_key_reused");
}

#[tokio::test]
async fn dry_run_on_a_new_account_writes_nothing() {
    let account = Account::new().await;
    send_dry_run(&account, "PUT", "/contacts/x?id_property=external_id", json!({"fields": {"first_name": "A"}}))
        .await
        .expect(201);
    let inputs = json!({"inputs": [{"fields": {"first_name": "A"}}]});
    send_dry_run(&account, "POST", "/contacts/batch/create", inputs).await.expect(200);
    assert_eq!(account.stored_rows().await, Vec::<String>::new());
}

#[tokio::test]
async fn invalid_or_repeated_dry_run_is_400() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    let routes = [
        ("POST", "/contacts".to_owned()),
        ("PATCH", format!("/contacts/{id}")),
        ("PUT", "/contacts/x?id_property=external_id".into()),
        ("DELETE", format!("/contacts/{id}")),
        ("POST", format!("/contacts/{id}/restore")),
        ("POST", format!("/contacts/{id}/purge")),
        ("POST", "/contacts/batch/create".into()),
        ("POST", "/contacts/batch/read".into()),
        ("POST", "/contacts/batch/update".into()),
        ("POST", "/contacts/batch/upsert".into()),
        ("POST", "/contacts/batch/archive".into()),
    ];
    let before = account.stored_rows().await;
    for (method, path) in routes {
        let separator = if path.contains('?') { '&' } else { '?' };
        for value in ["", "1", "yes", "TRUE", "%20true", "null", "true&dry_run=true", "true&dry_run=false"] {
            let call = account.call(method, &format!("{path}{separator}dry_run={value}")).body("text/plain", "{");
            let response = call.send().await.expect_error(400, "invalid_query");
            response.expect_details(&[("dry_run", "invalid_format")]);
        }
    }
    assert_eq!(account.stored_rows().await, before);
    account.patch(&format!("{id}?dry_run=false"), json!({"first_name": "B"})).await.expect(200);
    assert_eq!(account.get(&format!("/contacts/{id}")).await.body["first_name"], "B");
}

#[tokio::test]
async fn dry_run_on_a_route_that_writes_no_contact_is_400() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (method, path) in [
        ("GET", "/contacts".to_owned()),
        ("GET", format!("/contacts/{id}")),
        ("GET", format!("/contacts/{id}/history")),
        ("GET", "/contacts/changes".into()),
        ("GET", "/fields".into()),
        ("POST", "/fields".into()),
        ("GET", "/fields/email".into()),
        ("PATCH", "/fields/email".into()),
        ("DELETE", "/fields/email".into()),
    ] {
        for value in ["true", "false", ""] {
            let call =
                account.call(method, &format!("{path}?dry_run={value}")).json(&json!({"label": "x", "type": "text"}));
            let response = call.send().await.expect_error(400, "invalid_query");
            assert_eq!(response.details(), [("dry_run".to_owned(), "unknown_parameter".to_owned())], "{method} {path}");
        }
    }
}

#[tokio::test]
async fn dry_run_of_a_patch_returns_the_current_etag() {
    let account = Account::new().await;
    let created = account.post("/contacts", json!({"fields": {"first_name": "A"}})).await.expect(201);
    let dry = account.patch(&format!("{}?dry_run=true", created.id()), json!({"first_name": "B"})).await.expect(200);
    assert_eq!((dry.etag(), &dry.body["first_name"]), (created.etag(), &json!("B")));
}

#[tokio::test]
async fn dry_run_and_rolled_back_batch_return_no_id_of_an_uncreated_contact() {
    let account = Account::new().await;
    let input = json!({"id": "x", "fields": {"first_name": "A", "email": "a@example.com"}});
    let body = json!({"id_property": "external_id", "inputs": [input, input]});
    let dry = account.post("/contacts/batch/upsert?dry_run=true", body).await.expect(200);
    assert_eq!((&dry.body["results"][0]["status"], &dry.body["results"][1]["status"]), (&json!(201), &json!(200)));
    for result in dry.body["results"].as_array().unwrap() {
        assert_eq!(result["contact"]["id"], json!(null));
    }
    let input = json!({"fields": {"email": "b@example.com"}});
    for (query, atomic) in [("?dry_run=true", false), ("", true)] {
        let body = json!({"atomic": atomic, "inputs": [input, input]});
        let response = account.post(&format!("/contacts/batch/create{query}"), body).await.expect(207);
        let detail = &response.body["results"][1]["error"]["details"][0];
        assert_eq!((&detail["field"], detail.get("existing_id")), (&json!("email"), None));
    }
}
