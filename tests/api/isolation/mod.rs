//! Another tenant's things are, on every route, things that don't exist.

mod estate;
mod routes;

use contacts::clients::{SecretHash, new_secret};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Call};
use estate::{Estate, Things};
use routes::{Ask, Body, Case, cases};

/// How an intruder, of an account of its own, shows who it is.
#[derive(Clone, Copy, Debug)]
enum Pass {
    Token,
    /// The token of an API client.
    ClientToken,
}

impl Pass {
    /// Someone who has nothing yet.
    async fn new_account(self) -> Account {
        let account = Account::new().await;
        match self {
            Self::Token => account,
            Self::ClientToken => {
                let repository = account.server.repository();
                let (name, secret) = ("Intruder".parse().unwrap(), new_secret().unwrap());
                let hash = SecretHash::of(&secret);
                let client = repository.create_client(account.id, &name, None, &hash).await.unwrap();
                repository.close().await;
                let form =
                    format!("grant_type=client_credentials&client_id={client}&client_secret={}", secret.expose());
                let call = account.anonymous("POST", "/oauth2/token");
                let answer = call.body("application/x-www-form-urlencoded", form).send().await.expect(200);
                account.with_token(answer.body["access_token"].as_str().unwrap())
            }
        }
    }
}

async fn send(account: &Account, method: &str, ask: &Ask) -> Answer {
    let call = match ask.body {
        // It has no place for a token.
        Body::Form(_) => account.anonymous(method, &ask.path),
        _ => account.call(method, &ask.path),
    };
    let call =
        ask.headers.iter().fold(call.header("x-request-id", "same"), |call, (name, value)| call.header(name, value));
    match &ask.body {
        Body::None => call,
        Body::Json(body) => call.json(body),
        Body::Form(form) => call.body("application/x-www-form-urlencoded", form.clone()),
    }
    .send()
    .await
}

/// An answer, without what differs between two askers who see the same: what they sent, and what was just made.
fn comparable(answer: &Answer, sent: &Things) -> String {
    let mut body = answer.body.clone();
    mask(&mut body);
    let shown = |headers: &HeaderMap| {
        let named = headers.iter().filter(|(name, _)| *name != "date");
        let mut lines: Vec<_> = named.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines.join("\n")
    };
    let mut text = format!("{}\n{}\n{body}", answer.status, shown(&answer.headers));
    if let Some(id) = answer.body["id"].as_str() {
        text = text.replace(id, "<id>").replace(&answer.etag(), "<tag>");
    }
    let mut sent = sent.all().map(|thing| (thing, thing.len()));
    sent.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
    sent.into_iter()
        .fold(text, |text, (thing, _)| text.replace(thing, "<sent>").replace(&thing.to_uppercase(), "<sent>"))
}

/// Hides ids, times and cursors, wherever they are.
fn mask(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (name, value) in members {
                match &*value {
                    Value::String(_) if ["id", "contact_id", "next", "cursor"].contains(&&**name) => {
                        *value = json!("<id>");
                    }
                    Value::String(_) if name == "at" || name.ends_with("_at") => *value = json!("<time>"),
                    _ => mask(value),
                }
            }
        }
        _ => {}
    }
}

/// What of the owner's is in an answer, and was not in the request.
fn leaked(estate: &Estate, ask: &Ask, answer: &Answer) -> Vec<String> {
    let raw = format!("{:?}\n{}", answer.headers, answer.text).to_lowercase();
    let sent = ask.text().to_lowercase();
    let account = estate.owner.id.to_string();
    let owned = estate.things.all().into_iter().chain([&*estate.untold, &*account]).map(str::to_lowercase);
    // The tag of a contact tells its version, and many have the same.
    owned.filter(|thing| *thing != estate.things.contact_tag && raw.contains(thing) && !sent.contains(thing)).collect()
}

async fn try_all(pass: Pass) {
    let (estate, nothing) = (Estate::new().await, Things::of_nobody());
    let before = estate.seen().await;
    for (method, route, ask) in cases() {
        let (with_theirs, with_nothing) = (ask(&estate.things), ask(&nothing));
        let place = format!("{method} {} by {pass:?}", with_theirs.text());
        let answer = send(&pass.new_account().await, method, &with_theirs).await;
        assert_eq!(leaked(&estate, &with_theirs, &answer), Vec::<String>::new(), "{place}: {}", answer.text);
        assert!((200..500).contains(&answer.status), "{place}: {}", answer.text);
        // The numbers of the whole service go on.
        if route != "/metrics" {
            let same = send(&pass.new_account().await, method, &with_nothing).await;
            assert_eq!(comparable(&answer, &estate.things), comparable(&same, &nothing), "{place}");
        }
        let stored = estate.owner.stored().await;
        assert_eq!(stored, before[..stored.len()], "{place}");
    }
    assert_eq!(estate.seen().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_another_is_seen_changed_or_told_from_what_does_not_exist() {
    try_all(Pass::Token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_is_it_with_the_token_of_a_client() {
    try_all(Pass::ClientToken).await;
}

#[tokio::test]
async fn no_route_is_left_out() {
    let document = serde_json::to_value(contacts::http::openapi::complete()).unwrap();
    let routes = document["paths"].as_object().unwrap().iter();
    let routes = routes.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (method, path)));
    let has_case = |method: &str, path: &str| cases().any(|(known, route, _): Case| known == method && route == path);
    let missing: Vec<_> = routes.filter(|(method, path)| !has_case(&method.to_uppercase(), path)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[tokio::test]
async fn a_key_of_another_replays_nothing() {
    let (estate, intruder) = (Estate::new().await, Account::new().await);
    let create = |account: &Account| {
        let call = account.call("POST", "/contacts").header("idempotency-key", &estate.things.idempotency_key);
        call.json(&Estate::kept_request()).send()
    };
    let (replayed, own) = (create(&estate.owner).await.expect(201), create(&intruder).await.expect(201));
    assert_eq!((replayed.header("idempotency-replayed"), own.header("idempotency-replayed")), ("true", ""));
    assert_ne!(replayed.id(), own.id());
    // From here on it is the key of both, each for itself.
    assert_eq!(create(&intruder).await.expect(201).id(), own.id());
    assert_eq!(create(&estate.owner).await.expect(201).id(), replayed.id());
}

#[tokio::test]
async fn a_token_speaks_for_the_account_that_it_names_whatever_else_it_names() {
    let (estate, intruder) = (Estate::new().await, Account::new().await);
    let (own, theirs) = (intruder.id, estate.owner.id);
    let claims = json!({
        "account_id": own, "sub": estate.things.actor, "client_id": estate.things.client_id,
        "account": theirs, "accountId": theirs, "tenant": theirs, "exp": crate::support::in_seconds(60),
    });
    let intruder = intruder.with_token(crate::support::sign(&claims));
    let path = format!("/contacts/{}", estate.things.active);
    let calls: [fn(Call, &Account) -> Call; 4] = [
        |call, _| call,
        |call, owner| call.header("x-account-id", &owner.id.to_string()),
        |call, owner| call.header("x-forwarded-user", &owner.id.to_string()),
        |call, owner| call.header("cookie", &format!("account_id={}", owner.id)),
    ];
    for call in calls {
        for path in [path.clone(), format!("{path}?account_id={}", estate.owner.id)] {
            call(intruder.call("GET", &path), &estate.owner).send().await.expect_error(404, "not_found");
        }
    }
    // Who only calls himself by another's name is not that one to the feed of his own.
    intruder.create(json!({"first_name": "Mine"})).await;
    assert_eq!(estate.owner.get("/contacts/changes?exclude_actor=me").await.expect(200).body["data"], json!([]));
}

#[tokio::test]
async fn tenants_share_neither_lists_nor_fields_nor_keys() {
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
async fn an_upsert_neither_sees_nor_changes_another_tenants_contact() {
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
async fn feeds_and_batches_hold_nothing_of_another_tenant() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    let id = owner.create(json!({"first_name": "A", "external_id": "x"})).await;
    let cursor = owner.get("/contacts/changes").await.expect(200).body["next"].as_str().unwrap().to_owned();
    stranger.get(&format!("/contacts/changes?after={cursor}")).await.expect_error(400, "invalid_query");
    assert_eq!(stranger.get("/contacts/changes").await.body["data"], json!([]));
    for (action, input) in
        [("read", json!({"id": id})), ("archive", json!({"id": id})), ("update", json!({"id": id, "fields": {}}))]
    {
        let answer = stranger.post(&format!("/contacts/batch/{action}"), json!({"inputs": [input]})).await.expect(207);
        assert_eq!(answer.body["results"][0]["error"]["code"], "not_found");
    }
}

#[tokio::test]
async fn a_document_holds_nothing_of_another_tenant() {
    let (owner, stranger) = (Account::new().await, Account::new().await);
    owner.define(json!({"label": "Secret", "type": "text"})).await;
    let theirs = owner.get("/openapi.json").await.expect(200);
    assert!(theirs.text.contains("\"secret\""));
    let public = owner.anonymous("GET", "/openapi.json").send().await.expect(200);
    let own = stranger.get("/openapi.json").await.expect(200);
    for other in [&public, &own] {
        assert!(!other.text.contains("\"secret\"") && other.etag() != theirs.etag());
    }
    // Who knows the tag of another's document learns nothing by it.
    let known = stranger.call("GET", "/openapi.json").header("if-none-match", &theirs.etag()).send().await.expect(200);
    assert_eq!(known.body, own.body);
}
