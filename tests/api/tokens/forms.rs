//! What the form of a token may try: another writing of one that is good is not that token.

use serde_json::json;

use super::{BASE64, by, expect_refused, good_claims, signed};
use base64::Engine;

use crate::support::{Account, in_seconds};

/// A good token of whose signature the base64 holds both characters that the two alphabets write differently.
fn telling(account: &Account) -> String {
    (0..)
        .map(|number| json!({"account_id": account.id, "exp": in_seconds(60), "jti": number}).to_string())
        .map(|claims| signed(r#"{"alg":"HS256"}"#, claims))
        .find(|token| token.rsplit('.').next().is_some_and(|part| part.contains('-') && part.contains('_')))
        .unwrap()
}

#[tokio::test]
async fn each_part_has_one_writing_only() {
    let account = Account::new().await;
    let good = telling(&account);
    by(&account, &good).await.expect(200);
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let bytes = BASE64.decode(signature).unwrap();
    // The last character has two bits that say nothing.
    let (rest, last) = signature.split_at(signature.len() - 1);
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let twins = (1..4).map(|low| ALPHABET.find(last).unwrap() & !3 | low).map(|index| &ALPHABET[index..=index]);
    for twin in twins {
        expect_refused(&account, &format!("{head}.{claims}.{rest}{twin}"), "another last character").await;
    }
    for (name, token) in [
        ("padded signature", format!("{good}=")),
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
        ("escaped", good.replace('.', "%2E")),
        ("quoted", format!("\"{good}\"")),
        ("no signature", format!("{head}.{claims}.")),
        ("one byte less", format!("{head}.{claims}.{}", BASE64.encode(&bytes[..31]))),
        ("one byte more", format!("{head}.{claims}.{}", BASE64.encode([&bytes[..], &[0]].concat()))),
        ("the first half of the signature", format!("{head}.{claims}.{}", BASE64.encode(&bytes[..16]))),
        ("zeros", format!("{head}.{claims}.{}", BASE64.encode([0; 32]))),
        ("two parts", format!("{head}.{claims}")),
        ("one part", head.to_owned()),
        ("dots", "..".to_owned()),
        ("more dots", ".....".to_owned()),
        ("a dot before it", format!(".{good}")),
        ("a dot after it", format!("{good}.")),
        ("four parts", format!("{good}.{signature}")),
        ("five parts, as if encrypted", format!("{head}.{claims}.{signature}.{claims}.{signature}")),
        ("empty parts of an encrypted one", format!("{head}....{signature}")),
        ("the parts in another order", format!("{claims}.{head}.{signature}")),
        ("two tokens", format!("{good},{good}")),
        ("two tokens and a blank", format!("{good} {good}")),
        ("the scheme twice", format!("Bearer {good}")),
        ("JSON", json!({"protected": head, "payload": claims, "signature": signature}).to_string()),
        (
            "JSON of several signatures",
            json!({"payload": claims, "signatures": [{"protected": head, "signature": signature}]}).to_string(),
        ),
        ("in lower case", good.to_lowercase()),
    ] {
        expect_refused(&account, &token, name).await;
    }
    for (index, _) in good.char_indices().filter(|(index, _)| index % 23 == 0) {
        let replacement = if &good[index..=index] == "A" { "B" } else { "A" };
        let damaged = format!("{}{replacement}{}", &good[..index], &good[index + 1..]);
        expect_refused(&account, &damaged, &format!("another character at {index}")).await;
        expect_refused(&account, &good[..index.max(1)], &format!("cut at {index}")).await;
    }
    by(&account, &good).await.expect(200);
}

#[tokio::test]
async fn a_token_has_8_kilobytes_and_no_more() {
    let account = Account::new().await;
    let of = |size: usize| {
        let filled = |filling: usize| {
            let mut claims: serde_json::Value = serde_json::from_str(&good_claims(&account)).unwrap();
            claims["x"] = json!("x".repeat(filling));
            signed(r#"{"alg":"HS256"}"#, claims.to_string())
        };
        // Three bytes are four characters.
        (size / 2..).map(filled).find(|token| token.len() >= size).unwrap()
    };
    let largest = of(8_189);
    assert!(largest.len() <= 8_192, "{}", largest.len());
    by(&account, &largest).await.expect(200);
    for size in [8_193, 16_384, 50_000] {
        expect_refused(&account, &of(size), &size.to_string()).await;
    }
}
