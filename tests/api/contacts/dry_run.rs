//! `?dry_run=true`: every check, and the answer that would be given; nothing is written.

use serde_json::{Value, json};

use crate::support::{Account, Answer};

/// A call that is only tried.
async fn try_out(account: &Account, method: &str, path: &str, body: Value) -> Answer {
    let separator = if path.contains('?') { '&' } else { '?' };
    let call = account.call(method, &format!("{path}{separator}dry_run=true"));
    let call = if method == "POST" { call.header("idempotency-key", "tried") } else { call };
    call.json(&body).send().await
}

#[tokio::test]
async fn answers_as_the_call_itself_would() {
    let account = Account::new().await;
    account.create(json!({"email": "taken@example.com"})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x"})).await;
    let gone = account.create(json!({"first_name": "G", "external_id": "g"})).await;
    account.delete(&format!("/contacts/{gone}")).await.expect(200);
    let fields = |fields: Value| json!({"fields": fields});
    let by_id = format!("/contacts/{id}?properties=phone");
    let calls = [
        ("POST", "/contacts?properties=phone".to_owned(), fields(json!({"first_name": "N", "phone": "+1 555"})), 201),
        ("POST", "/contacts".into(), fields(json!({"email": "Taken@example.com"})), 409),
        ("POST", "/contacts".into(), fields(json!({})), 400),
        ("PATCH", by_id.clone(), fields(json!({"phone": "+1 556"})), 200),
        ("PATCH", by_id.clone(), fields(json!({"email": "taken@example.com"})), 409),
        ("PATCH", format!("/contacts/{gone}"), fields(json!({})), 409),
        ("PATCH", "/contacts/x?id_property=external_id".into(), fields(json!({"external_id": "y"})), 200),
        ("PUT", "/contacts/x?id_property=external_id".into(), fields(json!({"last_name": "B"})), 200),
        ("PUT", "/contacts/g?id_property=external_id".into(), fields(json!({"last_name": "B"})), 201),
        ("PUT", "/contacts/n?id_property=external_id".into(), fields(json!({})), 400),
        ("DELETE", by_id.clone(), json!({}), 200),
        ("DELETE", format!("/contacts/{gone}"), json!({}), 404),
        ("DELETE", "/contacts/g?id_property=external_id".into(), json!({}), 404),
        ("POST", format!("/contacts/{gone}/restore"), json!({}), 200),
        ("POST", format!("/contacts/{id}/restore"), json!({}), 200),
        ("POST", format!("/contacts/{id}/purge"), json!({}), 204),
        ("POST", format!("/contacts/{}/purge", uuid::Uuid::now_v7()), json!({}), 404),
    ];
    let before = account.stored().await;
    for (method, path, body, status) in calls {
        let tried = try_out(&account, method, &path, body.clone()).await.expect(status);
        assert_eq!(account.stored().await, before, "{method} {path}");
        if status == 201 {
            assert_eq!((&tried.body["id"], tried.header("location"), tried.header("etag")), (&json!(null), "", ""));
        }
        // On a copy of the account's contacts, the call itself says the same.
        let copy = copy_of(&account, &id, &gone).await;
        let path = path.replace(&id, &copy.1).replace(&gone, &copy.2);
        let done = copy.0.call(method, &path).json(&body).send().await.expect(status);
        assert_eq!(comparable(&tried), comparable(&done), "{method} {path}");
    }
}

/// Another account with the same contacts.
async fn copy_of(account: &Account, id: &str, gone: &str) -> (Account, String, String) {
    let copy = Account::on(&account.server);
    copy.create(json!({"email": "taken@example.com"})).await;
    let other = copy.create(json!({"first_name": "A", "external_id": "x"})).await;
    let other_gone = copy.create(json!({"first_name": "G", "external_id": "g"})).await;
    copy.delete(&format!("/contacts/{other_gone}")).await.expect(200);
    assert_ne!((id, gone), (&*other, &*other_gone));
    (copy, other, other_gone)
}

/// An answer without ids and times.
fn comparable(answer: &Answer) -> Value {
    let mut body = answer.body.clone();
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
async fn takes_no_key_and_keeps_no_answer() {
    let account = Account::new().await;
    let body = json!({"fields": {"email": "a@example.com"}});
    for _ in 0..2 {
        let tried = try_out(&account, "POST", "/contacts", body.clone()).await.expect(201);
        assert_eq!(tried.header("idempotency-replayed"), "");
    }
    let call = account.call("POST", "/contacts").header("idempotency-key", "tried").json(&body);
    call.send().await.expect(201);
    assert_eq!(account.get("/contacts/changes").await.body["data"].as_array().unwrap().len(), 1);
    // The key is known from now on.
    try_out(&account, "POST", "/contacts", body).await.expect_error(422, "idempotency_key_reused");
}

#[tokio::test]
async fn on_an_account_that_has_nothing_yet() {
    let account = Account::new().await;
    try_out(&account, "PUT", "/contacts/x?id_property=external_id", json!({"fields": {"first_name": "A"}}))
        .await
        .expect(201);
    let inputs = json!({"inputs": [{"fields": {"first_name": "A"}}]});
    try_out(&account, "POST", "/contacts/batch/create", inputs).await.expect(200);
    assert_eq!(account.stored().await, Vec::<String>::new());
}

#[tokio::test]
async fn is_true_or_false_and_sent_once() {
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
    let before = account.stored().await;
    for (method, path) in routes {
        let separator = if path.contains('?') { '&' } else { '?' };
        for value in ["", "1", "yes", "TRUE", "%20true", "null", "true&dry_run=true", "true&dry_run=false"] {
            let call = account.call(method, &format!("{path}{separator}dry_run={value}")).body("text/plain", "{");
            let answer = call.send().await.expect_error(400, "invalid_query");
            answer.expect_details(&[("dry_run", "invalid_format")]);
        }
    }
    assert_eq!(account.stored().await, before);
    account.patch(&format!("{id}?dry_run=false"), json!({"first_name": "B"})).await.expect(200);
    assert_eq!(account.get(&format!("/contacts/{id}")).await.body["first_name"], "B");
}

#[tokio::test]
async fn is_refused_where_no_contact_is_written() {
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
            let answer = call.send().await.expect_error(400, "invalid_query");
            assert_eq!(answer.details()[0].0, "dry_run", "{method} {path}");
        }
    }
}

#[tokio::test]
async fn its_tag_is_that_of_the_contact_as_it_is() {
    let account = Account::new().await;
    let created = account.post("/contacts", json!({"fields": {"first_name": "A"}})).await.expect(201);
    let tried = account.patch(&format!("{}?dry_run=true", created.id()), json!({"first_name": "B"})).await.expect(200);
    assert_eq!((tried.etag(), &tried.body["first_name"]), (created.etag(), &json!("B")));
}

#[tokio::test]
async fn a_contact_that_will_never_be_has_no_id_anywhere() {
    let account = Account::new().await;
    let input = json!({"id": "x", "fields": {"first_name": "A", "email": "a@example.com"}});
    let body = json!({"id_property": "external_id", "inputs": [input, input]});
    let tried = account.post("/contacts/batch/upsert?dry_run=true", body).await.expect(200);
    assert_eq!((&tried.body["results"][0]["status"], &tried.body["results"][1]["status"]), (&json!(201), &json!(200)));
    for result in tried.body["results"].as_array().unwrap() {
        assert_eq!(result["contact"]["id"], json!(null));
    }
    let input = json!({"fields": {"email": "b@example.com"}});
    for (query, atomic) in [("?dry_run=true", false), ("", true)] {
        let body = json!({"atomic": atomic, "inputs": [input, input]});
        let answer = account.post(&format!("/contacts/batch/create{query}"), body).await.expect(207);
        let detail = &answer.body["results"][1]["error"]["details"][0];
        assert_eq!((&detail["field"], detail.get("existing_id")), (&json!("email"), None));
    }
}
