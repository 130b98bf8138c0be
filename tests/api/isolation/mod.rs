//! On every route, objects of another account behave exactly like objects that do not exist.

mod fixtures;
mod routes;

use contacts::clients::{SecretHash, generate_secret};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Account, ApiRequest, ApiResponse};
use fixtures::{Identifiers, Tenant};
use routes::{Body, Case, IntruderRequest, cases};

/// The kind of token with which an intruder, who has its own account, authenticates.
#[derive(Clone, Copy, Debug)]
enum TokenKind {
    /// A token of a user.
    User,
    /// A token that `POST /oauth2/token` has issued to an API client.
    Client,
}

impl TokenKind {
    /// Creates an empty account with a token of this kind.
    async fn new_account(self) -> Account {
        let account = Account::new().await;
        match self {
            Self::User => account,
            Self::Client => {
                let repository = account.server.repository();
                let (name, secret) = ("Intruder".parse().unwrap(), generate_secret().unwrap());
                let hash = SecretHash::from_secret(&secret);
                let client = repository.create_client(account.id, &name, None, &hash).await.unwrap();
                repository.close().await;
                let form =
                    format!("grant_type=client_credentials&client_id={client}&client_secret={}", secret.expose());
                let call = account.anonymous("POST", "/oauth2/token");
                let response = call.body("application/x-www-form-urlencoded", form).send().await.expect(200);
                account.with_token(response.body["access_token"].as_str().unwrap())
            }
        }
    }
}

async fn send(account: &Account, method: &str, request: &IntruderRequest) -> ApiResponse {
    let call = match request.body {
        // The token route takes no bearer token.
        Body::Form(_) => account.anonymous(method, &request.path),
        _ => account.call(method, &request.path),
    };
    let call = request
        .headers
        .iter()
        .fold(call.header("x-request-id", "same"), |call, (name, value)| call.header(name, value));
    match &request.body {
        Body::None => call,
        Body::Json(body) => call.json(body),
        Body::Form(form) => call.body("application/x-www-form-urlencoded", form.clone()),
    }
    .send()
    .await
}

/// Returns the response as text, without the parts that differ between two requests with the same outcome: the
/// identifiers in the request, and new ids, times and cursors.
fn comparable_text(response: &ApiResponse, sent: &Identifiers) -> String {
    let mut body = response.body.clone();
    mask_generated_values(&mut body);
    let header_lines = |headers: &HeaderMap| {
        // Cursors belong to the account of the request.
        let differs = |name: &str| ["date", "link", "changes-cursor"].contains(&name);
        let named = headers.iter().filter(|(name, _)| !differs(name.as_str()));
        let mut lines: Vec<_> = named.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines.join("\n")
    };
    let mut text = format!("{}\n{}\n{body}", response.status, header_lines(&response.headers));
    if let Some(id) = response.body["id"].as_str() {
        text = text.replace(id, "<id>").replace(&response.etag(), "<tag>");
    }
    let mut values = sent.values().map(|value| (value, value.len()));
    values.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
    values
        .into_iter()
        .fold(text, |text, (value, _)| text.replace(value, "<sent>").replace(&value.to_uppercase(), "<sent>"))
}

/// Replaces ids, times and cursors at any depth.
fn mask_generated_values(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask_generated_values),
        Value::Object(members) => {
            for (name, value) in members {
                match &*value {
                    Value::String(_) if ["id", "contact_id", "next", "cursor"].contains(&&**name) => {
                        *value = json!("<id>");
                    }
                    Value::String(_) if name == "at" || name.ends_with("_at") => *value = json!("<time>"),
                    _ => mask_generated_values(value),
                }
            }
        }
        _ => {}
    }
}

/// Returns the values of the tenant that are in the response but were not in the request.
fn leaked_values(tenant: &Tenant, request: &IntruderRequest, response: &ApiResponse) -> Vec<String> {
    let raw = format!("{:?}\n{}", response.headers, response.text).to_lowercase();
    let sent = request.text().to_lowercase();
    let account = tenant.owner.id.to_string();
    let owned = tenant.identifiers.values().into_iter().chain([&*tenant.secret_word, &*account]).map(str::to_lowercase);
    owned.filter(|value| raw.contains(value) && !sent.contains(value)).collect()
}

/// Sends each case twice: with the identifiers of a tenant, and with unused ones. Checks that the responses are the
/// same, contain no value of the tenant, and that no data of the tenant changes.
async fn expect_isolation(token_kind: TokenKind) {
    let (tenant, unused) = (Tenant::new().await, Identifiers::new_unused());
    let before = tenant.snapshot().await;
    for (method, route, request) in cases() {
        let (with_foreign, with_unused) = (request(&tenant.identifiers), request(&unused));
        let context = format!("{method} {} with a {token_kind:?} token", with_foreign.text());
        let response = send(&token_kind.new_account().await, method, &with_foreign).await;
        assert_eq!(
            leaked_values(&tenant, &with_foreign, &response),
            Vec::<String>::new(),
            "{context}: {}",
            response.text
        );
        assert!((200..500).contains(&response.status), "{context}: {}", response.text);
        // Metrics cover the whole service and change between two requests. `/me` describes the token of the request.
        if !["/metrics", "/me"].contains(&route) {
            let expected = send(&token_kind.new_account().await, method, &with_unused).await;
            assert_eq!(
                comparable_text(&response, &tenant.identifiers),
                comparable_text(&expected, &unused),
                "{context}"
            );
        }
        let stored = tenant.owner.stored_rows().await;
        assert_eq!(stored, before[..stored.len()], "{context}");
    }
    assert_eq!(tenant.snapshot().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn user_token_gets_the_same_response_for_foreign_and_nonexistent_objects() {
    expect_isolation(TokenKind::User).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_token_gets_the_same_response_for_foreign_and_nonexistent_objects() {
    expect_isolation(TokenKind::Client).await;
}

#[tokio::test]
async fn every_documented_route_has_an_isolation_case() {
    let document = serde_json::to_value(contacts::http::openapi_document()).unwrap();
    let routes = document["paths"].as_object().unwrap().iter();
    let routes = routes.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method, path)));
    let has_case = |method: &str, path: &str| cases().any(|(known, route, _): Case| known == method && route == path);
    let missing: Vec<_> = routes.filter(|(method, path)| !has_case(&method.to_uppercase(), path)).collect();
    assert!(missing.is_empty(), "no isolation case for {missing:?}");
}

#[tokio::test]
async fn idempotency_key_of_another_account_replays_no_response() {
    let (tenant, intruder) = (Tenant::new().await, Account::new().await);
    let create = |account: &Account| {
        let call = account.call("POST", "/contacts").header("idempotency-key", &tenant.identifiers.idempotency_key);
        call.json(&Tenant::idempotent_body()).send()
    };
    let (replayed, own) = (create(&tenant.owner).await.expect(201), create(&intruder).await.expect(201));
    assert_eq!((replayed.header("idempotency-replayed"), own.header("idempotency-replayed")), ("true", ""));
    assert_ne!(replayed.id(), own.id());
    // The key now exists in both accounts, independently.
    assert_eq!(create(&intruder).await.expect(201).id(), own.id());
    assert_eq!(create(&tenant.owner).await.expect(201).id(), replayed.id());
}

#[tokio::test]
async fn only_the_account_id_claim_selects_the_account() {
    let (tenant, intruder) = (Tenant::new().await, Account::new().await);
    let (own, foreign) = (intruder.id, tenant.owner.id);
    let claims = json!({
        "account_id": own, "sub": tenant.identifiers.actor, "client_id": tenant.identifiers.client_id,
        "account": foreign, "accountId": foreign, "tenant": foreign, "exp": crate::support::timestamp_in(60),
    });
    let intruder = intruder.with_token(crate::support::sign(&claims));
    let path = format!("/contacts/{}", tenant.identifiers.active);
    let calls: [fn(ApiRequest, &Account) -> ApiRequest; 4] = [
        |call, _| call,
        |call, owner| call.header("x-account-id", &owner.id.to_string()),
        |call, owner| call.header("x-forwarded-user", &owner.id.to_string()),
        |call, owner| call.header("cookie", &format!("account_id={}", owner.id)),
    ];
    for call in calls {
        call(intruder.call("GET", &path), &tenant.owner).send().await.expect_error(404, "not_found");
        let path = format!("{path}?account_id={}", tenant.owner.id);
        call(intruder.call("GET", &path), &tenant.owner).send().await.expect_error(400, "invalid_query");
    }
    // The intruder's token has the owner's `sub`, but its writes stay in its own account: the owner's feed without the
    // owner's writes is empty.
    intruder.create(json!({"first_name": "Mine"})).await;
    assert_eq!(tenant.owner.get("/contacts/changes?exclude_actor=me").await.expect(200).body["data"], json!([]));
}

#[tokio::test]
async fn contact_lists_fields_and_unique_keys_are_separate_per_account() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    owner.define(json!({"label": "Secret", "type": "text"})).await;
    owner.create(json!({"email": "a@example.com", "external_id": "1"})).await;
    assert_eq!(stranger.get("/contacts?archived=true").await.body["pagination"]["count"], 0);
    assert_eq!(stranger.get("/contacts?email=a@example.com").await.body["pagination"]["count"], 0);
    stranger.get("/contacts?properties=secret").await.expect_error(400, "invalid_properties");
    stranger.create(json!({"email": "a@example.com", "external_id": "1"})).await;
    stranger.define(json!({"label": "Secret", "type": "number"})).await;
    assert_eq!(owner.get("/fields/secret").await.body["type"], "text");
}

#[tokio::test]
async fn upsert_neither_finds_nor_changes_a_contact_of_another_account() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    let id = owner.create(json!({"first_name": "A", "external_id": "shared"})).await;
    let upsert = |headers: &[(&str, &str)]| {
        let call = stranger.call("PUT", "/contacts/shared?id_property=external_id");
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        call.json(&json!({"fields": {"first_name": "B"}})).send()
    };
    upsert(&[("if-match", "*")]).await.expect_error(412, "precondition_failed");
    let created = upsert(&[]).await.expect(201);
    assert_ne!(created.id(), id);
    assert_eq!(owner.get(&format!("/contacts/{id}")).await.body["first_name"], "A");
    assert_eq!(owner.get("/contacts/shared?id_property=external_id").await.expect(200).id(), id);
    assert_eq!(stranger.get("/contacts/shared?id_property=external_id").await.expect(200).id(), created.id());
}

#[tokio::test]
async fn change_feed_and_batches_exclude_contacts_of_another_account() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    let id = owner.create(json!({"first_name": "A", "external_id": "x"})).await;
    let cursor = owner.get("/contacts/changes").await.expect(200).body["next"].as_str().unwrap().to_owned();
    stranger.get(&format!("/contacts/changes?after={cursor}")).await.expect_error(400, "invalid_query");
    assert_eq!(stranger.get("/contacts/changes").await.body["data"], json!([]));
    for (action, input) in
        [("read", json!({"id": id})), ("archive", json!({"id": id})), ("update", json!({"id": id, "fields": {}}))]
    {
        let response =
            stranger.post(&format!("/contacts/batch/{action}"), json!({"inputs": [input]})).await.expect(207);
        assert_eq!(response.body["results"][0]["error"]["code"], "not_found");
    }
}

#[tokio::test]
async fn openapi_document_excludes_fields_of_another_account() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    owner.define(json!({"label": "Secret", "type": "text"})).await;
    let foreign = owner.get("/openapi.json").await.expect(200);
    assert!(foreign.text.contains("\"secret\""));
    let public = owner.anonymous("GET", "/openapi.json").send().await.expect(200);
    let own = stranger.get("/openapi.json").await.expect(200);
    for other in [&public, &own] {
        assert!(!other.text.contains("\"secret\"") && other.etag() != foreign.etag());
    }
    // The ETag of another account's document does not match the caller's document.
    let known = stranger.call("GET", "/openapi.json").header("if-none-match", &foreign.etag()).send().await.expect(200);
    assert_eq!(known.body, own.body);
}
