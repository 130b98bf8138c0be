//! `GET /me`

use contacts::config::TokenSettings;
use serde_json::{Value, json};

use crate::support::{Account, Server, sign, timestamp_in, token_for, token_settings};

#[tokio::test]
async fn me_is_the_account_the_actor_and_the_limits_of_the_token() {
    let account = Account::new().await;
    let me = account.get("/me").await.expect(200);
    assert_eq!(me.header("cache-control"), "private, no-cache");
    let expires_at = me.body["expires_at"].as_str().unwrap();
    assert!(expires_at > "2026" && expires_at.ends_with('Z'), "{expires_at}");
    let limits = json!({"requests_per_minute": null, "body_bytes": 1_048_576, "batch_body_bytes": 16_777_216,
        "batch_inputs": 1000, "page_contacts": 1000, "page_changes": 1000, "contact_bytes": 262_144,
        "custom_fields": 500, "unique_fields": 10});
    let expected = json!({"account_id": account.id, "actor": "tester", "client_id": null, "scopes": null,
        "expires_at": expires_at, "limits": limits});
    assert_eq!(me.body, expected);
    let nobody = account.with_token(token_for(account.id, None));
    assert_eq!(nobody.get("/me").await.expect(200).body["actor"], Value::Null);
}

#[tokio::test]
async fn every_good_token_may_read_me() {
    let account = Account::new().await;
    for (scope, expected) in [
        (json!("contacts:read fields:write other"), json!(["contacts:read", "fields:write"])),
        (json!(""), json!([])),
        (json!(7), json!([])),
    ] {
        let claims = json!({"account_id": account.id, "exp": timestamp_in(60), "scope": scope});
        let limited = account.with_token(sign(&claims));
        assert_eq!(limited.get("/me").await.expect(200).body["scopes"], expected);
    }
    let unknown = account.with_token(sign(&json!({"exp": timestamp_in(60)})));
    unknown.get("/me").await.expect_error(401, "missing_account_context");
    account.anonymous("GET", "/me").send().await.expect_error(401, "unauthorized");
    let parameter = account.get("/me?properties=email").await.expect_error(400, "invalid_query");
    parameter.expect_details(&[("properties", "unknown_parameter")]);
    account.call("POST", "/me").send().await.expect_error(405, "method_not_allowed");
}

#[tokio::test]
async fn token_without_a_required_scope_may_read_me_and_has_no_scopes() {
    let settings = TokenSettings { require_scope: true, ..token_settings() };
    let account = Account::on_server(&Server::shared().with_token_settings(&settings));
    assert_eq!(account.get("/me").await.expect(200).body["scopes"], json!([]));
    account.get("/contacts").await.expect_error(403, "insufficient_scope");
}
