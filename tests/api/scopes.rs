//! Which calls a token allows (`docs/api-reference.md#scopes`).

use contacts::config::TokenSettings;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, ApiResponse, Server, sign, timestamp_in, token_settings};

/// Every documented route that takes a token, with the scope that it requires. Add each new route here.
const ROUTES: [(&str, &str, &str); 24] = [
    ("GET", "/contacts", "contacts:read"),
    ("POST", "/contacts", "contacts:write"),
    ("GET", "/contacts/{contactId}", "contacts:read"),
    ("PATCH", "/contacts/{contactId}", "contacts:write"),
    ("DELETE", "/contacts/{contactId}", "contacts:write"),
    ("PUT", "/contacts/{contactId}", "contacts:write"),
    ("POST", "/contacts/{contactId}/restore", "contacts:write"),
    ("POST", "/contacts/{contactId}/purge", "contacts:purge"),
    ("GET", "/contacts/{contactId}/history", "contacts:read"),
    ("GET", "/contacts/changes", "contacts:read"),
    ("GET", "/contacts/export", "contacts:read"),
    ("POST", "/contacts/search", "contacts:read"),
    ("POST", "/contacts/batch/create", "contacts:write"),
    ("POST", "/contacts/batch/read", "contacts:read"),
    ("POST", "/contacts/batch/update", "contacts:write"),
    ("POST", "/contacts/batch/upsert", "contacts:write"),
    ("POST", "/contacts/batch/archive", "contacts:write"),
    ("GET", "/fields", "contacts:read"),
    ("POST", "/fields", "fields:write"),
    ("GET", "/fields/{internalName}", "contacts:read"),
    ("PATCH", "/fields/{internalName}", "fields:write"),
    ("DELETE", "/fields/{internalName}", "fields:write"),
    // Requires no token, but with one it shows the custom fields of the account.
    ("GET", "/openapi.json", "contacts:read"),
    // Not documented, because it is a client error: a valid token gets 400 for any method.
    ("PUT", "/contacts/", "contacts:write"),
];

const SCOPES: [&str; 4] = ["contacts:read", "contacts:write", "contacts:purge", "fields:write"];

/// Returns the account with a token that has this `scope` claim.
fn with_scope(account: &Account, scope: Value) -> Account {
    let claims = json!({"account_id": account.id, "sub": "limited", "exp": timestamp_in(60), "scope": scope});
    account.with_token(sign(&claims))
}

async fn send(account: &Account, method: &str, path: &str) -> ApiResponse {
    let path = path.replace("{contactId}", &Uuid::now_v7().to_string()).replace("{internalName}", "nothing");
    account.call(method, &path).json(&json!({})).send().await
}

/// Checks that the call is rejected because this scope is missing, or is not rejected for its scope (`None`).
#[track_caller]
fn expect_missing_scope(response: ApiResponse, missing: Option<&str>, call: &str) {
    assert_eq!(response.status == 403, missing.is_some(), "{call}: {}", response.text);
    if let Some(missing) = missing {
        let response = response.expect_error(403, "insufficient_scope");
        assert_eq!(response.header("www-authenticate"), "Bearer error=\"insufficient_scope\"", "{call}");
        assert!(response.body["message"].as_str().unwrap().contains(missing), "{call}");
    }
}

#[tokio::test]
async fn each_route_requires_its_own_scope_and_no_scope_implies_another() {
    let account = Account::new().await;
    for scope in SCOPES {
        let caller = with_scope(&account, json!(scope));
        for (method, path, needed) in ROUTES {
            let missing = Some(needed).filter(|needed| *needed != scope);
            expect_missing_scope(send(&caller, method, path).await, missing, &format!("{method} {path} with {scope}"));
        }
    }
}

#[tokio::test]
async fn token_with_several_scopes_allows_the_calls_of_each() {
    let account = Account::new().await;
    let caller = with_scope(&account, json!("openid  fields:write contacts:read contacts:everything"));
    for (method, path, needed) in ROUTES {
        let missing = Some(needed).filter(|needed| !["fields:write", "contacts:read"].contains(needed));
        expect_missing_scope(send(&caller, method, path).await, missing, &format!("{method} {path}"));
    }
}

#[tokio::test]
async fn token_without_scope_claim_allows_everything_and_with_an_empty_claim_nothing() {
    let account = Account::new().await;
    for (method, path, needed) in ROUTES {
        expect_missing_scope(send(&account, method, path).await, None, &format!("{method} {path}"));
        for claim in
            [json!(""), json!(" "), json!("Contacts:Read"), json!(null), json!([needed, 1]), json!({}), json!(1)]
        {
            let caller = with_scope(&account, claim.clone());
            expect_missing_scope(
                send(&caller, method, path).await,
                Some(needed),
                &format!("{method} {path} with {claim}"),
            );
        }
    }
}

#[tokio::test]
async fn scope_claim_can_be_an_array_of_names() {
    let account = Account::new().await;
    let caller = with_scope(&account, json!(["openid", "fields:write", "contacts:read"]));
    for (method, path, needed) in ROUTES {
        let missing = Some(needed).filter(|needed| !["fields:write", "contacts:read"].contains(needed));
        expect_missing_scope(send(&caller, method, path).await, missing, &format!("{method} {path}"));
    }
    for claim in [json!([]), json!(["contacts:read contacts:write"]), json!([["contacts:read"]])] {
        with_scope(&account, claim).get("/contacts").await.expect_error(403, "insufficient_scope");
    }
}

#[tokio::test]
async fn scope_claim_can_have_another_name() {
    let settings = TokenSettings { scope_claim: "permissions".into(), ..token_settings() };
    let account = Account::on_server(&Server::shared().with_token_settings(&settings));
    let caller = |claims: Value| {
        let mut all = json!({"account_id": account.id, "exp": timestamp_in(60)});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        account.with_token(sign(&all))
    };
    let limited = caller(json!({"permissions": ["contacts:read"], "scope": "contacts:write"}));
    limited.get("/contacts").await.expect(200);
    limited.post("/contacts", json!({})).await.expect_error(403, "insufficient_scope");
    // The claim of the default name has no meaning.
    caller(json!({"scope": ""})).get("/contacts").await.expect(200);
    caller(json!({"permissions": null})).get("/contacts").await.expect_error(403, "insufficient_scope");
}

#[tokio::test]
async fn token_without_a_required_scope_claim_allows_nothing() {
    let settings = TokenSettings { scope_claim: "scp".into(), require_scope: true, ..token_settings() };
    let account = Account::on_server(&Server::shared().with_token_settings(&settings));
    for (method, path, _) in ROUTES {
        let response = send(&account, method, path).await;
        expect_missing_scope(response, Some("no claim scp"), &format!("{method} {path}"));
    }
    let claims = json!({"account_id": account.id, "exp": timestamp_in(60), "scp": "contacts:read"});
    account.with_token(sign(&claims)).get("/contacts").await.expect(200);
    account.anonymous("GET", "/openapi.json").send().await.expect(200);
}

#[tokio::test]
async fn get_and_head_require_the_read_scope_and_other_methods_the_write_scope() {
    let account = Account::new().await;
    let (reader, writer) =
        (with_scope(&account, json!("contacts:read")), with_scope(&account, json!("contacts:write")));
    reader.call("HEAD", "/contacts").send().await.expect(200);
    assert_eq!(writer.call("HEAD", "/contacts").send().await.expect(403).text, "");
    for method in ["GET", "HEAD"] {
        reader.call(method, "/contacts/").send().await.expect(400);
        writer.call(method, "/contacts/").send().await.expect(403);
    }
    for (method, path) in
        [("PATCH", "/contacts"), ("DELETE", "/contacts"), ("POST", "/contacts/"), ("PATCH", "/contacts/%20")]
    {
        expect_missing_scope(reader.call(method, path).send().await, Some("contacts:write"), method);
        writer.call(method, path).send().await.expect_error(400, "missing_contact_id");
    }
}

#[tokio::test]
async fn scope_is_checked_after_the_token_and_before_the_path() {
    let account = Account::new().await;
    let reader = with_scope(&account, json!("contacts:read"));
    let send = |method: &str, path: &str| reader.call(method, path).body("text/plain", "{").send();
    send("POST", "/nope").await.expect_error(404, "route_not_found");
    send("DELETE", "/fields").await.expect_error(405, "method_not_allowed");
    let too_large = "x".repeat(1024 * 1024 + 1);
    reader
        .call("POST", "/contacts")
        .body_without_content_type(too_large)
        .send()
        .await
        .expect_error(413, "payload_too_large");
    for path in ["/contacts?properties=nope", "/contacts?x=%ff"] {
        send("POST", path).await.expect_error(403, "insufficient_scope");
    }
    send("PATCH", "/contacts/%ff").await.expect_error(403, "insufficient_scope");
    let without_account = sign(&json!({"exp": timestamp_in(60), "scope": ""}));
    account.with_token(without_account).get("/contacts").await.expect_error(401, "missing_account_context");
    let expired = sign(&json!({"account_id": account.id, "exp": timestamp_in(-60), "scope": ""}));
    account.with_token(expired).get("/contacts").await.expect_error(401, "unauthorized");
}

#[tokio::test]
async fn openapi_document_states_the_scope_of_every_route() {
    let document = serde_json::to_value(contacts::http::openapi_document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut requirements = operation["security"].as_array().into_iter().flatten();
            let Some(documented) = requirements.find_map(|requirement| requirement.get("bearer")) else { continue };
            if path == "/me" {
                assert_eq!(*documented, json!([]));
                continue;
            }
            let route = (method.to_uppercase(), path);
            let entry = ROUTES.iter().find(|(method, path, _)| (*method, *path) == (&*route.0, &**route.1));
            let (_, _, needed) = entry.unwrap_or_else(|| panic!("{route:?} is missing in ROUTES"));
            assert_eq!(*documented, json!([needed]), "{route:?}");
            assert!(operation["responses"]["403"].is_object(), "{route:?}");
        }
    }
}
