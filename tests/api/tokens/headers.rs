//! What the header of a token may try. Each is signed by the server's own secret: were the header believed, it would
//! pass.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{by, expect_refused, good_claims, signed};
use crate::support::Account;

#[tokio::test]
async fn the_algorithm_is_not_the_tokens_to_choose() {
    let account = Account::new().await;
    let claims = good_claims(&account);
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
        expect_refused(&account, &signed(&header, &claims), alg).await;
        // And without any signature.
        let token = signed(&header, &claims);
        expect_refused(&account, &token[..=token.rfind('.').unwrap()], alg).await;
    }
    for alg in [json!(null), json!(5), json!(true), json!(["HS256"]), json!({"HS256": 1}), json!([])] {
        expect_refused(&account, &signed(json!({"alg": alg}).to_string(), &claims), &alg.to_string()).await;
    }
}

#[tokio::test]
async fn a_header_that_can_be_read_in_two_ways_is_none() {
    let account = Account::new().await;
    let claims = good_claims(&account);
    by(&account, &signed(r#"{"alg":"HS256"}"#, &claims)).await.expect(200);
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
        expect_refused(&account, &signed(header, &claims), header).await;
    }
    expect_refused(&account, &signed(b"{\"alg\":\"HS256\",\"x\":\"\xff\"}", &claims), "no UTF-8").await;
    let deep = format!("{{\"alg\":\"HS256\",\"x\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
    expect_refused(&account, &signed(deep, &claims), "nested too deep").await;
}

#[tokio::test]
async fn a_name_of_a_key_is_a_name_and_nothing_else() {
    let account = Account::new().await;
    let claims = good_claims(&account);
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
        let answer = by(&account, &signed(&header, &claims)).await.expect(200);
        assert!(answer.headers.get("x-injected").is_none());
        // What it names signs nothing: neither the empty content of a file, nor what a query would give.
        for key in ["", "known secret", "\n"] {
            let message = signed(&header, &claims);
            let message = &message[..message.rfind('.').unwrap()];
            expect_refused(&account, &super::signed_by(key, message), kid).await;
        }
    }
}

#[tokio::test]
async fn keys_that_a_token_brings_along_are_ignored_and_never_fetched() {
    let account = Account::new().await;
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", elsewhere.local_addr().unwrap());
    let own_key = json!({"kty": "oct", "k": "YXR0YWNrZXI", "alg": "HS256"});
    let headers: [Value; 6] = [
        json!({"alg": "HS256", "jku": url}),
        json!({"alg": "HS256", "x5u": url}),
        json!({"alg": "HS256", "jwk": own_key}),
        json!({"alg": "HS256", "x5c": ["MIIB"], "x5t": "AAAA", "x5t#S256": "AAAA"}),
        json!({"alg": "HS256", "jku": url, "x5u": url, "kid": url, "iss": url}),
        json!({"alg": "HS256", "typ": "at+jwt", "cty": "json", "unknown": {"a": [1]}}),
    ];
    for header in headers {
        let (header, claims) = (header.to_string(), good_claims(&account));
        let token = signed(&header, &claims);
        by(&account, &token).await.expect(200);
        let message = &token[..token.rfind('.').unwrap()];
        expect_refused(&account, &super::signed_by("attacker", message), &header).await;
    }
    let visit = tokio::time::timeout(Duration::from_millis(300), elsewhere.accept()).await;
    assert!(visit.is_err(), "it went where a token sent it");
}
