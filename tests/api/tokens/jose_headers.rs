//! Attacks on the header of a token. Each token is signed with the secret of the server, so a server that
//! trusts the header would accept it.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{expect_invalid_token, get_with_token, sign_message, sign_raw, valid_claims};
use crate::support::Account;

#[tokio::test]
async fn token_with_another_algorithm_in_its_header_is_401() {
    let account = Account::new().await;
    let claims = valid_claims(&account);
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        "\u{0}none",
        "",
        "HS",
        "hs256",
        "Hs256",
        "HS256 ",
        " HS256",
        "HS256\u{0}",
        "HS384",
        "HS512",
        "RS256",
        "RS512",
        "PS256",
        "ES256",
        "ES384",
        "ES256K",
        "EdDSA",
        "Ed25519",
        "RSA-OAEP",
        "dir",
        "A128KW",
    ] {
        let header = json!({"alg": alg, "typ": "JWT"}).to_string();
        expect_invalid_token(&account, &sign_raw(&header, &claims), alg).await;
        // The same token without its signature.
        let token = sign_raw(&header, &claims);
        expect_invalid_token(&account, &token[..=token.rfind('.').unwrap()], alg).await;
    }
    for alg in [json!(null), json!(5), json!(true), json!(["HS256"]), json!({"HS256": 1}), json!([])] {
        expect_invalid_token(&account, &sign_raw(json!({"alg": alg}).to_string(), &claims), &alg.to_string()).await;
    }
}

#[tokio::test]
async fn ambiguous_or_malformed_header_is_401() {
    let account = Account::new().await;
    let claims = valid_claims(&account);
    get_with_token(&account, &sign_raw(r#"{"alg":"HS256"}"#, &claims)).await.expect(200);
    for header in [
        r#"{}"#,
        r#"{"typ":"JWT"}"#,
        r#"{"ALG":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","kid":"a","kid":"b"}"#,
        r#"{"alg":"HS256","unknown":1,"unknown":2}"#,
        r#"{"alg":"HS256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":"exp"}"#,
        r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","kid":5}"#,
        r#"{"alg":"HS256","jwk":"no key"}"#,
        r#"{"alg":"HS256"} {"alg":"none"}"#,
        r#"{"alg":"HS256"}x"#,
        r#"{"alg":"HS256",}"#,
        r#"{alg:"HS256"}"#,
        r#"{'alg':'HS256'}"#,
        r#"["HS256"]"#,
        r#""HS256""#,
        "null",
        "HS256",
        "",
        "\u{feff}{\"alg\":\"HS256\"}",
    ] {
        expect_invalid_token(&account, &sign_raw(header, &claims), header).await;
    }
    expect_invalid_token(&account, &sign_raw(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", &claims), "invalid UTF-8").await;
    let deep = format!("{{\"alg\":\"HS256\",\"x\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    expect_invalid_token(&account, &sign_raw(deep, &claims), "nested too deep").await;
}

#[tokio::test]
async fn kid_is_never_used_as_a_path_url_query_or_command() {
    let account = Account::new().await;
    let claims = valid_claims(&account);
    for kid in [
        "",
        "/dev/null",
        "../../../../../../dev/null",
        "../../proc/sys/kernel/randomize_va_space",
        "file:///etc/passwd",
        "http://127.0.0.1:1/keys",
        "' UNION SELECT 'known secret' -- ",
        "1; DROP TABLE clients",
        "$(sleep 10)",
        "|/bin/sh -c 'sleep 10'",
        "a\u{0}b",
        "\r\nx-injected: 1",
        "{{7*7}}",
        "%2e%2e%2f",
        "💥",
        &"k".repeat(5_000),
    ] {
        let header = json!({"alg": "HS256", "kid": kid}).to_string();
        let response = get_with_token(&account, &sign_raw(&header, &claims)).await.expect(200);
        assert!(response.headers.get("x-injected").is_none());
        // A kid never selects a key that the attacker knows: the content of an empty file or the result of a query.
        for key in ["", "known secret", "\n"] {
            let message = sign_raw(&header, &claims);
            let message = &message[..message.rfind('.').unwrap()];
            expect_invalid_token(&account, &sign_message(key, message), kid).await;
        }
    }
}

#[tokio::test]
async fn embedded_and_linked_keys_are_ignored_and_never_fetched() {
    let account = Account::new().await;
    let key_server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", key_server.local_addr().unwrap());
    let embedded_key = json!({"kty": "oct", "k": "YXR0YWNrZXI", "alg": "HS256"});
    let headers: [Value; 6] = [
        json!({"alg": "HS256", "jku": url}),
        json!({"alg": "HS256", "x5u": url}),
        json!({"alg": "HS256", "jwk": embedded_key}),
        json!({"alg": "HS256", "x5c": ["MIIB"], "x5t": "AAAA", "x5t#S256": "AAAA"}),
        json!({"alg": "HS256", "jku": url, "x5u": url, "kid": url, "iss": url}),
        json!({"alg": "HS256", "typ": "at+jwt", "cty": "json", "unknown": {"a": [1]}}),
    ];
    for header in headers {
        let (header, claims) = (header.to_string(), valid_claims(&account));
        let token = sign_raw(&header, &claims);
        get_with_token(&account, &token).await.expect(200);
        let message = &token[..token.rfind('.').unwrap()];
        expect_invalid_token(&account, &sign_message("attacker", message), &header).await;
    }
    let connection = tokio::time::timeout(Duration::from_millis(300), key_server.accept()).await;
    assert!(connection.is_err(), "the service connected to a URL from a token");
}
