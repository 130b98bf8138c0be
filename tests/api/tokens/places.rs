//! Where a token may stand, and what stands there besides: one `Authorization: Bearer`, and nowhere else.

use super::{Answer, with};
use crate::support::Account;

fn expect(answer: Answer, challenge: &str, name: &str) {
    assert_eq!((answer.status, answer.body["code"].as_str()), (401, Some("unauthorized")), "{name}: {}", answer.text);
    assert_eq!(answer.header("www-authenticate"), challenge, "{name}");
}

#[tokio::test]
async fn what_is_no_bearer_token_is_none() {
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
        expect(with(&account, &value).await, challenge, &value);
    }
    for good in [format!("bEARER {token}"), format!("Bearer   {token}"), format!("Bearer {token}  ")] {
        with(&account, &good).await.expect(200);
    }
}

#[tokio::test]
async fn two_headers_are_no_choice() {
    let account = Account::new().await;
    let bearer = format!("Bearer {}", account.token);
    for second in [&*bearer, "Basic Og==", "Bearer x", ""] {
        for [first, second] in [[&*bearer, second], [second, &*bearer]] {
            let call = account.anonymous("GET", "/contacts").header("authorization", first);
            let answer = call.header("authorization", second).send().await.expect_error(401, "unauthorized");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{first} and {second}");
        }
    }
}

#[tokio::test]
async fn a_token_that_stands_elsewhere_is_not_looked_for() {
    let account = Account::new().await;
    let token = &account.token;
    for path in ["/contacts?access_token=", "/contacts?token=", "/contacts?authorization=Bearer%20", "/contacts?jwt="] {
        let path = format!("{path}{token}");
        expect(account.anonymous("GET", &path).send().await, "Bearer", &path);
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
        expect(account.anonymous("GET", "/contacts").header(name, &value).send().await, "Bearer", name);
    }
    let form = account.anonymous("POST", "/contacts");
    let answer = form.body("application/x-www-form-urlencoded", format!("access_token={token}")).send().await;
    expect(answer, "Bearer", "a form");
}
