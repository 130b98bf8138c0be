//! What tokens may do (contract §6, "Scopes").

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Account, Answer, in_seconds, sign};

/// Every documented route that takes a token, with the one scope that it needs. A new route needs a line here.
const ROUTES: [(&str, &str, &str); 23] = [
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
    // Needs no token, but shows what one covers.
    ("GET", "/openapi.json", "contacts:read"),
    // Not documented, as it is a mistake: any method is answered, once the token is.
    ("PUT", "/contacts/", "contacts:write"),
];

const SCOPES: [&str; 4] = ["contacts:read", "contacts:write", "contacts:purge", "fields:write"];

/// The account with a token that has this claim.
fn limited(account: &Account, scope: Value) -> Account {
    let claims = json!({"account_id": account.id, "sub": "limited", "exp": in_seconds(60), "scope": scope});
    account.with_token(sign(&claims))
}

async fn send(account: &Account, method: &str, path: &str) -> Answer {
    let path = path.replace("{contactId}", &Uuid::now_v7().to_string()).replace("{internalName}", "nothing");
    account.call(method, &path).json(&json!({})).send().await
}

/// That the call is refused for want of this scope, or (`None`) is not.
#[track_caller]
fn expect(answer: Answer, missing: Option<&str>, call: &str) {
    assert_eq!(answer.status == 403, missing.is_some(), "{call}: {}", answer.text);
    if let Some(missing) = missing {
        let answer = answer.expect_error(403, "insufficient_scope");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"insufficient_scope\"", "{call}");
        assert!(answer.body["message"].as_str().unwrap().contains(missing), "{call}");
    }
}

#[tokio::test]
async fn each_route_needs_its_own_and_none_implies_another() {
    let account = Account::new().await;
    for scope in SCOPES {
        let caller = limited(&account, json!(scope));
        for (method, path, needed) in ROUTES {
            let missing = Some(needed).filter(|needed| *needed != scope);
            expect(send(&caller, method, path).await, missing, &format!("{method} {path} with {scope}"));
        }
    }
}

#[tokio::test]
async fn a_token_has_all_that_it_names() {
    let account = Account::new().await;
    let caller = limited(&account, json!("openid  fields:write contacts:read contacts:everything"));
    for (method, path, needed) in ROUTES {
        let missing = Some(needed).filter(|needed| !["fields:write", "contacts:read"].contains(needed));
        expect(send(&caller, method, path).await, missing, &format!("{method} {path}"));
    }
}

#[tokio::test]
async fn a_token_without_the_claim_may_do_everything_and_an_empty_one_nothing() {
    let account = Account::new().await;
    for (method, path, needed) in ROUTES {
        expect(send(&account, method, path).await, None, &format!("{method} {path}"));
        for claim in [json!(""), json!(" "), json!("Contacts:Read"), json!(null), json!([needed]), json!({}), json!(1)]
        {
            let caller = limited(&account, claim.clone());
            expect(send(&caller, method, path).await, Some(needed), &format!("{method} {path} with {claim}"));
        }
    }
}

#[tokio::test]
async fn a_method_counts_as_what_it_does() {
    let account = Account::new().await;
    let (reader, writer) = (limited(&account, json!("contacts:read")), limited(&account, json!("contacts:write")));
    reader.call("HEAD", "/contacts").send().await.expect(200);
    assert_eq!(writer.call("HEAD", "/contacts").send().await.expect(403).text, "");
    for method in ["GET", "HEAD"] {
        reader.call(method, "/contacts/").send().await.expect(400);
        writer.call(method, "/contacts/").send().await.expect(403);
    }
    for (method, path) in
        [("PATCH", "/contacts"), ("DELETE", "/contacts"), ("POST", "/contacts/"), ("PATCH", "/contacts/%20")]
    {
        expect(reader.call(method, path).send().await, Some("contacts:write"), method);
        writer.call(method, path).send().await.expect_error(400, "missing_contact_id");
    }
}

#[tokio::test]
async fn is_checked_after_the_token_and_before_the_path() {
    let account = Account::new().await;
    let reader = limited(&account, json!("contacts:read"));
    let send = |method: &str, path: &str| reader.call(method, path).body("text/plain", "{").send();
    send("POST", "/nope").await.expect_error(404, "route_not_found");
    send("DELETE", "/fields").await.expect_error(405, "method_not_allowed");
    let huge = "x".repeat(1024 * 1024 + 1);
    reader.call("POST", "/contacts").bare(huge).send().await.expect_error(413, "payload_too_large");
    for path in ["/contacts?properties=nope", "/contacts?x=%ff"] {
        send("POST", path).await.expect_error(403, "insufficient_scope");
    }
    send("PATCH", "/contacts/%ff").await.expect_error(403, "insufficient_scope");
    let nobody = sign(&json!({"exp": in_seconds(60), "scope": ""}));
    account.with_token(nobody).get("/contacts").await.expect_error(401, "missing_account_context");
    let late = sign(&json!({"account_id": account.id, "exp": in_seconds(-60), "scope": ""}));
    account.with_token(late).get("/contacts").await.expect_error(401, "unauthorized");
}

/// The document says what the service does.
#[tokio::test]
async fn no_route_is_left_out() {
    let document = serde_json::to_value(contacts::http::openapi::complete()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let mut ways = operation["security"].as_array().into_iter().flatten();
            let Some(documented) = ways.find_map(|way| way.get("bearer")) else { continue };
            let route = (method.to_uppercase(), path);
            let case = ROUTES.iter().find(|(method, path, _)| (*method, *path) == (&*route.0, &**route.1));
            let (_, _, needed) = case.unwrap_or_else(|| panic!("{route:?} has no case here"));
            assert_eq!(*documented, json!([needed]), "{route:?}");
            assert!(operation["responses"]["403"].is_object(), "{route:?}");
        }
    }
}
