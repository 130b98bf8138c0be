//! Attacks on the encoding of a token: a valid token in another encoding is rejected.

use serde_json::json;

use super::{BASE64, expect_invalid_token, get_with_token, sign_raw, valid_claims};
use base64::Engine;

use crate::support::{Account, timestamp_in};

/// Returns a valid token whose signature contains `-` and `_`, the two characters in which base64url differs from
/// standard base64.
fn token_with_base64url_characters(account: &Account) -> String {
    (0..)
        .map(|number| json!({"account_id": account.id, "exp": timestamp_in(60), "jti": number}).to_string())
        .map(|claims| sign_raw(r#"{"alg":"HS256"}"#, claims))
        .find(|token| token.rsplit('.').next().is_some_and(|part| part.contains('-') && part.contains('_')))
        .unwrap()
}

#[tokio::test]
async fn only_the_canonical_encoding_of_a_token_is_accepted() {
    let account = Account::new().await;
    let valid = token_with_base64url_characters(&account);
    get_with_token(&account, &valid).await.expect(200);
    let [head, claims, signature] = valid.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let bytes = BASE64.decode(signature).unwrap();
    // The two lowest bits of the last character are unused.
    let (rest, last) = signature.split_at(signature.len() - 1);
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let variants = (1..4).map(|low| ALPHABET.find(last).unwrap() & !3 | low).map(|index| &ALPHABET[index..=index]);
    for variant in variants {
        expect_invalid_token(&account, &format!("{head}.{claims}.{rest}{variant}"), "another last character").await;
    }
    for (name, token) in [
        ("padded signature", format!("{valid}=")),
        ("padded header", format!("{head}=.{claims}.{signature}")),
        ("padded claims", format!("{head}.{claims}==.{signature}")),
        ("standard alphabet", format!("{head}.{claims}.{}", signature.replace('-', "+").replace('_', "/"))),
        (
            "hexadecimal",
            format!("{head}.{claims}.{}", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        ),
        ("blank in the signature", format!("{head}.{claims}.{} {}", &signature[..9], &signature[9..])),
        ("tab in the signature", format!("{head}.{claims}.{}\t{}", &signature[..9], &signature[9..])),
        ("blank around a dot", format!("{head} .{claims}.{signature}")),
        ("escaped", valid.replace('.', "%2E")),
        ("quoted", format!("\"{valid}\"")),
        ("no signature", format!("{head}.{claims}.")),
        ("one byte less", format!("{head}.{claims}.{}", BASE64.encode(&bytes[..31]))),
        ("one byte more", format!("{head}.{claims}.{}", BASE64.encode([&bytes[..], &[0]].concat()))),
        ("the first half of the signature", format!("{head}.{claims}.{}", BASE64.encode(&bytes[..16]))),
        ("zeros", format!("{head}.{claims}.{}", BASE64.encode([0; 32]))),
        ("two parts", format!("{head}.{claims}")),
        ("one part", head.to_owned()),
        ("dots", "..".to_owned()),
        ("more dots", ".....".to_owned()),
        ("a dot before it", format!(".{valid}")),
        ("a dot after it", format!("{valid}.")),
        ("four parts", format!("{valid}.{signature}")),
        ("five parts, as if encrypted", format!("{head}.{claims}.{signature}.{claims}.{signature}")),
        ("empty parts of an encrypted one", format!("{head}....{signature}")),
        ("the parts in another order", format!("{claims}.{head}.{signature}")),
        ("two tokens", format!("{valid},{valid}")),
        ("two tokens and a blank", format!("{valid} {valid}")),
        ("the scheme twice", format!("Bearer {valid}")),
        ("JSON", json!({"protected": head, "payload": claims, "signature": signature}).to_string()),
        (
            "JSON of several signatures",
            json!({"payload": claims, "signatures": [{"protected": head, "signature": signature}]}).to_string(),
        ),
        ("in lower case", valid.to_lowercase()),
    ] {
        expect_invalid_token(&account, &token, name).await;
    }
    for (index, _) in valid.char_indices().filter(|(index, _)| index % 23 == 0) {
        let replacement = if &valid[index..=index] == "A" { "B" } else { "A" };
        let damaged = format!("{}{replacement}{}", &valid[..index], &valid[index + 1..]);
        expect_invalid_token(&account, &damaged, &format!("another character at {index}")).await;
        expect_invalid_token(&account, &valid[..index.max(1)], &format!("cut at {index}")).await;
    }
    get_with_token(&account, &valid).await.expect(200);
}

#[tokio::test]
async fn tokens_over_8_kib_are_401() {
    let account = Account::new().await;
    let token_of_size = |size: usize| {
        let padded = |padding: usize| {
            let mut claims: serde_json::Value = serde_json::from_str(&valid_claims(&account)).unwrap();
            claims["x"] = json!("x".repeat(padding));
            sign_raw(r#"{"alg":"HS256"}"#, claims.to_string())
        };
        // Base64 encodes three bytes as four characters.
        (size / 2..).map(padded).find(|token| token.len() >= size).unwrap()
    };
    let largest = token_of_size(8_189);
    assert!(largest.len() <= 8_192, "{}", largest.len());
    get_with_token(&account, &largest).await.expect(200);
    for size in [8_193, 16_384, 50_000] {
        expect_invalid_token(&account, &token_of_size(size), &size.to_string()).await;
    }
}
