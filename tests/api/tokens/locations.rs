//! Attacks on the location of a token: only a single `Authorization: Bearer` header is accepted.

use super::{ApiResponse, get_with_authorization};
use crate::support::Account;

/// Checks that the response is a 401 with this `WWW-Authenticate` challenge, apart from its `error_description`.
fn expect_unauthorized(response: ApiResponse, challenge: &str, name: &str) {
    assert_eq!(
        (response.status, response.body["code"].as_str()),
        (401, Some("unauthorized")),
        "{name}: {}",
        response.text
    );
    let sent = response.header("www-authenticate");
    assert_eq!(sent.split(", error_description=").next(), Some(challenge), "{name}: {sent}");
}

#[tokio::test]
async fn malformed_authorization_header_is_401() {
    let account = Account::new().await;
    let token = &account.token;
    for (value, challenge) in [
        (String::new(), "Bearer"),
        ("Bearer".into(), "Bearer"),
        ("Bearer ".into(), "Bearer"),
        ("Bearer    ".into(), "Bearer"),
        (token.clone(), "Bearer"),
        (format!("Bearer{token}"), "Bearer"),
        (format!("Bearer:{token}"), "Bearer"),
        (format!("Bearer={token}"), "Bearer"),
        (format!("Bearer\t{token}"), "Bearer"),
        (format!("Bearer, {token}"), "Bearer"),
        (format!("Token {token}"), "Bearer"),
        (format!("JWT {token}"), "Bearer"),
        (format!("Basic {token}"), "Bearer"),
        (format!("Basic Og==, Bearer {token}"), "Bearer"),
        (format!("bearerx {token}"), "Bearer"),
        (format!("Bearer {token}, Bearer {token}"), "Bearer error=\"invalid_token\""),
        (format!("Bearer {token}, Basic Og=="), "Bearer error=\"invalid_token\""),
        (format!("Bearer realm=\"x\", token={token}"), "Bearer error=\"invalid_token\""),
        ("Bearer ünreadable".into(), "Bearer error=\"invalid_token\""),
        (format!("Bearer {token}ä"), "Bearer error=\"invalid_token\""),
    ] {
        expect_unauthorized(get_with_authorization(&account, &value).await, challenge, &value);
    }
    for accepted in [format!("bEARER {token}"), format!("Bearer   {token}"), format!("Bearer {token}  ")] {
        get_with_authorization(&account, &accepted).await.expect(200);
    }
}

#[tokio::test]
async fn two_authorization_headers_are_401() {
    let account = Account::new().await;
    let bearer = format!("Bearer {}", account.token);
    for second in [&*bearer, "Basic Og==", "Bearer x", ""] {
        for [first, second] in [[&*bearer, second], [second, &*bearer]] {
            let call = account.anonymous("GET", "/contacts").header("authorization", first);
            let response = call.header("authorization", second).send().await.expect_error(401, "unauthorized");
            assert!(response.header("www-authenticate").starts_with("Bearer"), "{first} and {second}");
        }
    }
}

#[tokio::test]
async fn token_outside_the_authorization_header_is_ignored() {
    let account = Account::new().await;
    let token = &account.token;
    for path in ["/contacts?access_token=", "/contacts?token=", "/contacts?authorization=Bearer%20", "/contacts?jwt="] {
        let path = format!("{path}{token}");
        expect_unauthorized(account.anonymous("GET", &path).send().await, "Bearer", &path);
    }
    for (name, value) in [
        ("cookie", format!("access_token={token}; token={token}; Authorization=Bearer {token}")),
        ("proxy-authorization", format!("Bearer {token}")),
        ("x-authorization", format!("Bearer {token}")),
        ("x-access-token", token.clone()),
        ("x-forwarded-authorization", format!("Bearer {token}")),
        ("authentication", format!("Bearer {token}")),
        ("x-account-id", account.id.to_string()),
    ] {
        expect_unauthorized(account.anonymous("GET", "/contacts").header(name, &value).send().await, "Bearer", name);
    }
    let form = account.anonymous("POST", "/contacts");
    let response = form.body("application/x-www-form-urlencoded", format!("access_token={token}")).send().await;
    expect_unauthorized(response, "Bearer", "a form");
}
