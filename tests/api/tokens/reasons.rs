//! The reason of a 401, in the message and in the challenge. A claim is named only if the signature is valid.

use contacts::config::TokenSettings;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::get_with_token;
use crate::support::{Account, Server, sign, timestamp_in, token_settings};

/// Returns an account on a server that requires an issuer and an audience.
fn strict_account() -> Account {
    let settings =
        TokenSettings { issuer: Some("https://us".into()), audience: Some("crm".into()), ..token_settings() };
    Account::on_server(&Server::shared().with_token_settings(&settings))
}

/// Returns valid claims with these changes. A null removes the claim.
fn claims_with(account: &Account, changes: &Value) -> Value {
    let mut claims = json!({"account_id": account.id, "exp": 4_102_444_800_i64, "iss": "https://us", "aud": "crm"});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// Claims that are rejected, with the reason.
fn rejected_claims() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"exp": 1_700_000_000}), "the token expired at 2023-11-14T22:13:20Z (`exp`)"),
        // The time of the expiry is named, whatever else is wrong.
        (json!({"exp": 1_700_000_000.75, "aud": "erp"}), "the token expired at 2023-11-14T22:13:20Z (`exp`)"),
        (json!({"exp": null}), "the claim `exp` is missing"),
        (json!({"nbf": 4_000_000_000_i64}), "the token is not valid before 2096-10-02T07:06:40Z (`nbf`)"),
        (json!({"iss": "https://them"}), "`iss` is not the value of JWT_ISSUER"),
        (json!({"iss": null}), "the claim `iss` is missing"),
        (json!({"aud": ["erp"]}), "`aud` does not contain the value of JWT_AUDIENCE"),
        (json!({"aud": null}), "the claim `aud` is missing"),
    ]
}

#[tokio::test]
async fn rejected_token_gets_its_reason_in_the_message_and_the_challenge() {
    let account = strict_account();
    get_with_token(&account, &sign(&claims_with(&account, &json!({})))).await.expect(200);
    for (changes, reason) in rejected_claims() {
        let response = get_with_token(&account, &sign(&claims_with(&account, &changes))).await;
        let response = response.expect_error(401, "unauthorized");
        assert_eq!(response.body["message"], format!("Invalid token: {reason}"), "{changes}");
        let challenge = format!("Bearer error=\"invalid_token\", error_description=\"{reason}\"");
        assert_eq!(response.header("www-authenticate"), challenge, "{changes}");
    }
}

#[tokio::test]
async fn forged_token_gets_no_reason_about_its_claims() {
    let account = strict_account();
    for (changes, _) in rejected_claims().into_iter().chain([(json!({}), ""), (json!({"sub": 7, "exp": "soon"}), "")]) {
        let claims = claims_with(&account, &changes);
        let forged = encode(&Header::default(), &claims, &EncodingKey::from_secret(b"another secret")).unwrap();
        let response = get_with_token(&account, &forged).await.expect_error(401, "unauthorized");
        assert_eq!(response.body["message"], "Invalid token: the signature does not match", "{changes}");
        assert_eq!(
            response.header("www-authenticate"),
            "Bearer error=\"invalid_token\", error_description=\"the signature does not match\""
        );
    }
    // Claims that are not JSON are not read either.
    let valid = sign(&claims_with(&account, &json!({"exp": timestamp_in(60)})));
    let [header, _, signature] = valid.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    for claims in ["bm90IEpTT04", "e30", "!", ""] {
        let response = get_with_token(&account, &format!("{header}.{claims}.{signature}")).await;
        let response = response.expect_error(401, "unauthorized");
        assert_eq!(response.body["message"], "Invalid token: the signature does not match", "{claims}");
    }
}
