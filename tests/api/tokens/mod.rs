//! Which tokens are accepted, and the response to a request without a valid token
//! (`docs/api-reference.md#authentication`). The submodules hold tables of known attacks: on the header of a token, its
//! claims, its encoding, its signature and its location in the request.

mod claims;
mod encodings;
mod jose_headers;
mod locations;
mod reasons;
mod signatures;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::{Account, ApiResponse, SECRET, sign, timestamp_in};

/// Sends `GET /contacts` with this `Authorization` header.
async fn get_with_authorization(account: &Account, authorization: &str) -> ApiResponse {
    account.anonymous("GET", "/contacts").header("authorization", authorization).send().await
}

/// Sends `GET /contacts` with this bearer token.
async fn get_with_token(account: &Account, token: &str) -> ApiResponse {
    get_with_authorization(account, &format!("Bearer {token}")).await
}

/// Checks that the token is rejected, with a message that names the reason.
async fn expect_invalid_token(account: &Account, token: &str, name: &str) {
    let response = get_with_token(account, token).await;
    assert_eq!((response.status, &response.body["code"]), (401, &json!("unauthorized")), "{name}: {}", response.text);
    expect_reason(&response, name);
    assert!(response.body.get("details").is_none(), "{name}");
}

/// Checks that the message and the challenge of a 401 name the same reason.
fn expect_reason(response: &ApiResponse, name: &str) {
    let reason = response.body["message"].as_str().unwrap().strip_prefix("Invalid token: ");
    let reason = reason.unwrap_or_else(|| panic!("{name}: {}", response.text));
    let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"");
    assert_eq!(response.header("www-authenticate"), challenge, "{name}");
}

/// Returns a token of exactly these header and claims bytes, signed with the secret of the server. If the token is
/// rejected, the header or the claims are the reason.
fn sign_raw(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    sign_message(SECRET, &format!("{}.{}", BASE64.encode(header), BASE64.encode(claims)))
}

/// Returns the message (the encoded header and claims) with an HS256 signature by this key.
fn sign_message(key: impl AsRef<[u8]>, message: &str) -> String {
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()), message.as_bytes());
    format!("{message}.{}", BASE64.encode(signature))
}

/// Returns valid claims that expire in a minute.
fn valid_claims(account: &Account) -> String {
    json!({"account_id": account.id, "sub": "u1", "exp": timestamp_in(60)}).to_string()
}

#[tokio::test]
async fn request_without_a_bearer_token_is_401_with_a_bearer_challenge() {
    let account = Account::new().await;
    let response = account.anonymous("GET", "/contacts").send().await.expect_error(401, "unauthorized");
    assert_eq!(response.header("www-authenticate"), "Bearer");
    assert_eq!(response.header("cache-control"), "no-store");
    for scheme in ["Basic YTpi", "Bearer", "Bearer ", &*account.token] {
        let response = get_with_authorization(&account, scheme).await.expect_error(401, "unauthorized");
        assert_eq!(response.header("www-authenticate"), "Bearer", "{scheme}");
    }
}

#[tokio::test]
async fn bearer_scheme_is_case_insensitive() {
    let account = Account::new().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        get_with_authorization(&account, &format!("{scheme} {}", account.token)).await.expect(200);
    }
}

#[tokio::test]
async fn invalid_tokens_all_get_the_same_401() {
    let account = Account::new().await;
    let claims = json!({"account_id": account.id, "exp": timestamp_in(60)});
    let valid = sign(&claims);
    let [head, body, signature] = valid.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let part = |json: Value| BASE64.encode(json.to_string());
    let wrong_key =
        encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another secret that is long enough")).unwrap();
    let hs384 = encode(&Header::new(Algorithm::HS384), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    let tampered = part(json!({"account_id": uuid::Uuid::now_v7(), "exp": timestamp_in(60)}));
    let invalid = [
        ("unsigned", format!("{head}.{body}.")),
        ("truncated", valid[..valid.len() - 3].to_owned()),
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{valid}.{signature}")),
        ("alg none", format!("{}.{body}.", part(json!({"alg": "none"})))),
        ("alg None, signed", format!("{}.{body}.{signature}", part(json!({"alg": "None"})))),
        ("another algorithm", hs384),
        ("a public-key algorithm", format!("{}.{body}.{signature}", part(json!({"alg": "RS256"})))),
        ("another key", wrong_key),
        ("other claims", format!("{head}.{tampered}.{signature}")),
        (
            "an embedded key",
            format!("{}.{body}.{signature}", part(json!({"alg": "HS256", "jwk": {"kty": "oct", "k": "AA"}}))),
        ),
        ("critical extensions", format!("{}.{body}.{signature}", part(json!({"alg": "HS256", "crit": ["exp"]})))),
        ("expired", sign(&json!({"account_id": account.id, "exp": timestamp_in(-31)}))),
        ("not yet valid", sign(&json!({"account_id": account.id, "exp": timestamp_in(60), "nbf": timestamp_in(35)}))),
        ("without expiry", sign(&json!({"account_id": account.id}))),
        ("an expiry in a string", sign(&json!({"account_id": account.id, "exp": timestamp_in(60).to_string()}))),
        ("no critical extensions", format!("{}.{body}.{signature}", part(json!({"alg": "HS256", "crit": null})))),
        ("a subject that is not a string", sign(&json!({"account_id": account.id, "exp": timestamp_in(60), "sub": 5}))),
        (
            "a subject that can't be stored",
            sign(&json!({"account_id": account.id, "exp": timestamp_in(60), "sub": "a\0b"})),
        ),
        ("too long", sign(&json!({"account_id": account.id, "exp": timestamp_in(60), "x": "x".repeat(8_000)}))),
        ("garbage", "a.b.c".into()),
        ("no token", "null".into()),
    ];
    for (name, token) in invalid {
        let response =
            get_with_authorization(&account, &format!("Bearer {token}")).await.expect_error(401, "unauthorized");
        expect_reason(&response, name);
    }
    get_with_authorization(&account, &format!("Bearer {valid}")).await.expect(200);
}

#[tokio::test]
async fn exp_and_nbf_have_a_leeway_of_30_seconds() {
    let account = Account::new().await;
    for claims in [json!({"exp": timestamp_in(-20)}), json!({"exp": timestamp_in(60), "nbf": timestamp_in(20)})] {
        let mut claims = claims;
        claims["account_id"] = json!(account.id);
        get_with_authorization(&account, &format!("Bearer {}", sign(&claims))).await.expect(200);
    }
}

#[tokio::test]
async fn token_without_an_account_id_is_401_missing_account_context() {
    let account = Account::new().await;
    for id in [
        json!(null),
        json!(""),
        json!("acme"),
        json!(7),
        json!({"id": account.id}),
        json!(account.id.simple().to_string()),
    ] {
        let token = sign(&json!({"account_id": id, "exp": timestamp_in(60)}));
        let response = get_with_authorization(&account, &format!("Bearer {token}"))
            .await
            .expect_error(401, "missing_account_context");
        assert_eq!(response.body["message"], "Unauthorized: missing account context");
        let challenge = "Bearer error=\"invalid_token\", error_description=\"missing account context\"";
        assert_eq!(response.header("www-authenticate"), challenge);
    }
    let token = sign(&json!({"exp": timestamp_in(60)}));
    get_with_authorization(&account, &format!("Bearer {token}")).await.expect_error(401, "missing_account_context");
}
