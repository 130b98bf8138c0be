//! Which tokens are good, and what a caller without one is told (contract §3). What an attacker may try stands in
//! tables: by the header, by the claims, by the form, by the signature, by the place.

mod claims;
mod forms;
mod headers;
mod places;
mod signatures;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Account, Answer, SECRET, in_seconds, sign};

async fn with(account: &Account, authorization: &str) -> Answer {
    account.anonymous("GET", "/contacts").header("authorization", authorization).send().await
}

/// What a call with this token is answered.
async fn by(account: &Account, token: &str) -> Answer {
    with(account, &format!("Bearer {token}")).await
}

/// That a token is refused, and its sender told no more than that.
async fn expect_refused(account: &Account, token: &str, name: &str) {
    let answer = by(account, token).await;
    assert_eq!((answer.status, &answer.body["code"]), (401, &json!("unauthorized")), "{name}: {}", answer.text);
    assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{name}");
    assert_eq!(answer.body["message"], "The token is not valid: get a new one", "{name}");
    assert!(answer.body.get("details").is_none(), "{name}");
}

/// A token of exactly this header and these claims, whatever they are, signed by the server's own secret: nothing is
/// wrong with it but what the texts say.
fn signed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    signed_by(SECRET, &format!("{}.{}", BASE64.encode(header), BASE64.encode(claims)))
}

/// A header and claims, signed with HS256 by this key.
fn signed_by(key: impl AsRef<[u8]>, message: &str) -> String {
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature))
}

/// Claims that are good for a minute.
fn good_claims(account: &Account) -> String {
    json!({"account_id": account.id, "sub": "u1", "exp": in_seconds(60)}).to_string()
}

#[tokio::test]
async fn no_token_is_told_to_send_one() {
    let account = Account::new().await;
    let answer = account.anonymous("GET", "/contacts").send().await.expect_error(401, "unauthorized");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    assert_eq!(answer.header("cache-control"), "no-store");
    for scheme in ["Basic YTpi", "Bearer", "Bearer ", &*account.token] {
        let answer = with(&account, scheme).await.expect_error(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer", "{scheme}");
    }
}

#[tokio::test]
async fn a_good_token_is_taken_in_any_case_of_the_scheme() {
    let account = Account::new().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        with(&account, &format!("{scheme} {}", account.token)).await.expect(200);
    }
}

#[tokio::test]
async fn a_bad_token_is_refused_without_a_reason() {
    let account = Account::new().await;
    let claims = json!({"account_id": account.id, "exp": in_seconds(60)});
    let good = sign(&claims);
    let [head, body, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let part = |json: Value| BASE64.encode(json.to_string());
    let other_key =
        encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another secret that is long enough")).unwrap();
    let longer = encode(&Header::new(Algorithm::HS384), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    let tampered = part(json!({"account_id": uuid::Uuid::now_v7(), "exp": in_seconds(60)}));
    let bad = [
        ("unsigned", format!("{head}.{body}.")),
        ("truncated", good[..good.len() - 3].to_owned()),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("alg none", format!("{}.{body}.", part(json!({"alg": "none"})))),
        ("alg None, signed", format!("{}.{body}.{signature}", part(json!({"alg": "None"})))),
        ("another algorithm", longer),
        ("a public-key algorithm", format!("{}.{body}.{signature}", part(json!({"alg": "RS256"})))),
        ("another key", other_key),
        ("other claims", format!("{head}.{tampered}.{signature}")),
        (
            "an embedded key",
            format!("{}.{body}.{signature}", part(json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}))),
        ),
        ("critical extensions", format!("{}.{body}.{signature}", part(json!({"alg": "HS256", "crit": ["exp"]})))),
        ("expired", sign(&json!({"account_id": account.id, "exp": in_seconds(-31)}))),
        ("early", sign(&json!({"account_id": account.id, "exp": in_seconds(60), "nbf": in_seconds(35)}))),
        ("without expiry", sign(&json!({"account_id": account.id}))),
        ("a number as text", sign(&json!({"account_id": account.id, "exp": in_seconds(60).to_string()}))),
        ("no critical extensions", format!("{}.{body}.{signature}", part(json!({"alg": "HS256", "crit": null})))),
        ("a subject that is no text", sign(&json!({"account_id": account.id, "exp": in_seconds(60), "sub": 5}))),
        (
            "a subject that can't be kept",
            sign(&json!({"account_id": account.id, "exp": in_seconds(60), "sub": "a\0b"})),
        ),
        ("too long", sign(&json!({"account_id": account.id, "exp": in_seconds(60), "x": "x".repeat(8_000)}))),
        ("garbage", "a.b.c".into()),
        ("no token", "null".into()),
    ];
    for (name, token) in bad {
        let answer = with(&account, &format!("Bearer {token}")).await.expect_error(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{name}");
        assert_eq!(answer.body["message"], "The token is not valid: get a new one", "{name}");
    }
    with(&account, &format!("Bearer {good}")).await.expect(200);
}

#[tokio::test]
async fn clocks_may_be_off_by_30_seconds() {
    let account = Account::new().await;
    for claims in [json!({"exp": in_seconds(-20)}), json!({"exp": in_seconds(60), "nbf": in_seconds(20)})] {
        let mut claims = claims;
        claims["account_id"] = json!(account.id);
        with(&account, &format!("Bearer {}", sign(&claims))).await.expect(200);
    }
}

#[tokio::test]
async fn a_token_must_name_an_account() {
    let account = Account::new().await;
    for id in [
        json!(null),
        json!(""),
        json!("acme"),
        json!(7),
        json!({"id": account.id}),
        json!(account.id.simple().to_string()),
    ] {
        let token = sign(&json!({"account_id": id, "exp": in_seconds(60)}));
        let answer = with(&account, &format!("Bearer {token}")).await.expect_error(401, "missing_account_context");
        assert_eq!(answer.body["message"], "Unauthorized: missing account context");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    let token = sign(&json!({"exp": in_seconds(60)}));
    with(&account, &format!("Bearer {token}")).await.expect_error(401, "missing_account_context");
}
