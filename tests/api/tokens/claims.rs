//! Attacks on the claims of a token. Every token has a valid signature.

use contacts::config::TokenSettings;
use serde_json::{Value, json};

use super::{expect_invalid_token, get_with_token, sign_raw, valid_claims};
use crate::support::{Account, Server, timestamp_in, token_settings};

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// Returns valid claims with this text as the value of `exp`.
fn claims_with_exp(account: &Account, exp: &str) -> String {
    format!(r#"{{"account_id":"{}","exp":{exp}}}"#, account.id)
}

#[tokio::test]
async fn exp_must_be_a_number_in_the_future() {
    let account = Account::new().await;
    let (soon, expired) = (timestamp_in(60), timestamp_in(-31));
    for exp in [
        "null",
        "true",
        "\"\"",
        "\"tomorrow\"",
        &format!("\"{soon}\""),
        "[]",
        &format!("[{soon}]"),
        "{}",
        "-1",
        "-0.5",
        "0",
        "1",
        &format!("-{soon}"),
        &format!("{expired}"),
        &format!("{expired}.4"),
        "1e400",
        "-1e400",
        "1e20",
        "NaN",
        "Infinity",
        "0x7fffffff",
        &format!("0{soon}"),
        &format!("+{soon}"),
        &format!("{soon},\"exp\":{expired}"),
        &format!("{expired},\"exp\":{soon}"),
        &format!("{soon},\"exp\":{soon}"),
    ] {
        expect_invalid_token(&account, &sign_raw(HEADER, claims_with_exp(&account, exp)), exp).await;
    }
    expect_invalid_token(&account, &sign_raw(HEADER, json!({"account_id": account.id}).to_string()), "no exp").await;
    for exp in
        [format!("{soon}"), format!("{soon}.75"), "4e9".to_owned(), "99999999999".to_owned(), u64::MAX.to_string()]
    {
        get_with_token(&account, &sign_raw(HEADER, claims_with_exp(&account, &exp))).await.expect(200);
    }
}

#[tokio::test]
async fn nbf_must_be_a_number_in_the_past_and_iat_is_ignored() {
    let account = Account::new().await;
    let token_with_claim = |name: &str, value: Value| {
        let mut claims = json!({"account_id": account.id, "exp": timestamp_in(60)});
        claims[name] = value;
        sign_raw(HEADER, claims.to_string())
    };
    for nbf in [
        json!(timestamp_in(35)),
        json!(1e18),
        json!("now"),
        json!(timestamp_in(-60).to_string()),
        json!([0]),
        json!({}),
    ] {
        expect_invalid_token(&account, &token_with_claim("nbf", nbf.clone()), &format!("nbf {nbf}")).await;
    }
    for nbf in [json!(0), json!(timestamp_in(25)), json!(0.5)] {
        get_with_token(&account, &token_with_claim("nbf", nbf)).await.expect(200);
    }
    // `iat` has no effect on the validity (RFC 7519 §4.1.6).
    for iat in [json!(timestamp_in(600)), json!(-1), json!("yesterday"), json!(null)] {
        get_with_token(&account, &token_with_claim("iat", iat)).await.expect(200);
    }
}

#[tokio::test]
async fn tokens_beyond_the_leeway_are_401_even_if_accepted_before() {
    let account = Account::new().await;
    // Two seconds of tolerance for a slow test machine.
    for (claim, accepted_offset, rejected_offset) in [("exp", -28, -31), ("nbf", 28, 33)] {
        let token = |seconds| {
            let mut claims = json!({"account_id": account.id, "exp": timestamp_in(60)});
            claims[claim] = json!(timestamp_in(seconds));
            sign_raw(HEADER, claims.to_string())
        };
        get_with_token(&account, &token(accepted_offset)).await.expect(200);
        expect_invalid_token(&account, &token(rejected_offset), claim).await;
    }
    // A token that was valid a moment ago, and is still in the token cache, is also rejected.
    let token = sign_raw(HEADER, claims_with_exp(&account, &timestamp_in(-28).to_string()));
    get_with_token(&account, &token).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    expect_invalid_token(&account, &token, "cached").await;
}

#[tokio::test]
async fn ambiguous_or_malformed_claims_are_401() {
    let account = Account::new().await;
    let (own, other, exp) = (account.id, uuid::Uuid::now_v7(), timestamp_in(60));
    for claims in [
        format!(r#"{{"exp":{exp},"account_id":"{own}","account_id":"{other}"}}"#),
        format!(r#"{{"exp":{exp},"account_id":"{own}","account_id":"{own}"}}"#),
        format!(r#"{{"exp":{exp},"account_id":"{own}","account\u005fid":"{other}"}}"#),
        format!(r#"{{"exp":{exp},"account_id":"{own}","sub":"a","sub":"b"}}"#),
        format!(r#"{{"exp":{exp},"account_id":"{own}","scope":"","scope":"contacts:read"}}"#),
        format!(r#"{{"exp":{exp},"account_id":"{own}","client_id":"a","client_id":"b"}}"#),
        format!(r#"[{{"exp":{exp},"account_id":"{own}"}}]"#),
        format!(r#"{{"exp":{exp},"account_id":"{own}"}} {{}}"#),
        format!(r#"{{"exp":{exp},"account_id":"{own}","x":{}{}}}"#, "[".repeat(1_000), "]".repeat(1_000)),
        "[]".into(),
        "\"claims\"".into(),
        "null".into(),
        "5".into(),
        String::new(),
        // A token nested in a token (RFC 7519 §5.2).
        sign_raw(HEADER, valid_claims(&account)),
    ] {
        expect_invalid_token(&account, &sign_raw(HEADER, &claims), &claims).await;
    }
    let nested = sign_raw(r#"{"alg":"HS256","cty":"JWT"}"#, sign_raw(HEADER, valid_claims(&account)));
    expect_invalid_token(&account, &nested, "nested").await;
    expect_invalid_token(&account, &sign_raw(HEADER, b"{\"exp\":1,\"x\":\"\xff\"}"), "invalid UTF-8").await;
}

#[tokio::test]
async fn account_claim_must_be_a_hyphenated_uuid() {
    let account = Account::new().await;
    let id = account.id.to_string();
    let token_for_account =
        |account_id: Value| sign_raw(HEADER, json!({"account_id": account_id, "exp": timestamp_in(60)}).to_string());
    for value in [
        json!(format!("{{{id}}}")),
        json!(format!("urn:uuid:{id}")),
        json!(format!(" {id}")),
        json!(format!("{id} ")),
        json!(format!("{id}\n")),
        json!(format!("{id}\u{0}")),
        json!(id.replace('-', "")),
        json!(id.replace('-', "_")),
        json!(&id[..35]),
        json!(format!("{id}0")),
        json!(format!("{id},{id}")),
        json!("ﬀffffff-ffff-ffff-ffff-ffffffffff"),
        json!(id.replacen(|character: char| character.is_ascii_digit(), "٣", 1)),
        json!("' OR '1'='1"),
        json!("%"),
        json!("*"),
        json!(" "),
        json!([id]),
        json!([]),
        json!({"id": id}),
        json!({}),
        json!(0),
        json!(1.5),
        json!(true),
    ] {
        let response = get_with_token(&account, &token_for_account(value.clone())).await;
        assert_eq!((response.status, &response.body["code"]), (401, &json!("missing_account_context")), "{value}");
        let challenge = "Bearer error=\"invalid_token\", error_description=\"missing account context\"";
        assert_eq!(response.header("www-authenticate"), challenge, "{value}");
        assert!(response.body.get("details").is_none() && !response.text.contains(&id), "{value}: {}", response.text);
    }
    let contact = account.create(json!({"first_name": "A"})).await;
    let upper = account.with_token(token_for_account(json!(id.to_uppercase())));
    assert_eq!(upper.get(&format!("/contacts/{contact}")).await.expect(200).id(), contact);
    // The nil UUID is an ordinary account: it is valid and has no contacts.
    let nil = account.with_token(token_for_account(json!(uuid::Uuid::nil())));
    nil.get(&format!("/contacts/{contact}")).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn sub_is_stored_unchanged_or_401() {
    let account = Account::new().await;
    let token_for_subject = |sub: Value| {
        sign_raw(HEADER, json!({"account_id": account.id, "sub": sub, "exp": timestamp_in(60)}).to_string())
    };
    for sub in [json!(5), json!(0.5), json!(true), json!(["u1"]), json!({"id": "u1"}), json!("\0"), json!("a\0b")] {
        expect_invalid_token(&account, &token_for_subject(sub.clone()), &sub.to_string()).await;
    }
    let long = "s".repeat(5_500);
    let strange =
        ["u1", " ", "a\nb\r\n\tc", "\u{1b}[31m", "\u{7f}\u{80}", "ä💥\u{202e}", "' OR 1=1 --", "null", "me", &long];
    for (index, sub) in strange.into_iter().enumerate() {
        let caller = account.with_token(token_for_subject(json!(sub)));
        let id = caller.create(json!({"first_name": "A"})).await;
        assert_eq!(caller.delete(&format!("/contacts/{id}")).await.expect(200).body["archived_by"], sub);
        let history = caller.get(&format!("/contacts/{id}/history")).await.expect(200);
        assert!(history.body["data"].as_array().unwrap().iter().all(|entry| entry["actor"] == sub), "{sub:?}");
        // A stored response is replayed only to the same actor.
        let create = |caller: &Account| {
            let call = caller.call("POST", "/contacts").header("idempotency-key", &format!("key-{index}"));
            call.json(&json!({"fields": {"first_name": "B"}})).send()
        };
        assert_eq!(create(&caller).await.expect(201).id(), create(&caller).await.expect(201).id(), "{sub:?}");
        create(&account.with_token(token_for_subject(json!(format!("{sub}x")))))
            .await
            .expect_error(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn iss_must_equal_the_issuer_and_aud_must_contain_the_audience() {
    let settings =
        TokenSettings { issuer: Some("https://us.example".into()), audience: Some("crm".into()), ..token_settings() };
    let account = Account::on_server(&Server::shared().with_token_settings(&settings));
    let token_for_issuer_and_audience = |iss: Value, aud: Value| {
        let claims = json!({"account_id": account.id, "exp": timestamp_in(60), "iss": iss, "aud": aud});
        sign_raw(HEADER, claims.to_string())
    };
    let issuer = || json!("https://us.example");
    for iss in [
        json!(null),
        json!(""),
        json!("https://us.example/"),
        json!("HTTPS://us.example"),
        json!("https://us.example.attacker.example"),
        json!(["https://us.example"]),
        json!(["https://us.example", "https://them.example"]),
        json!({"https://us.example": 1}),
        json!(5),
    ] {
        expect_invalid_token(
            &account,
            &token_for_issuer_and_audience(iss.clone(), json!("crm")),
            &format!("iss {iss}"),
        )
        .await;
    }
    for aud in [
        json!(null),
        json!(""),
        json!("CRM"),
        json!("crm "),
        json!("crm,erp"),
        json!("crm erp"),
        json!([]),
        json!(["erp"]),
        json!([["crm"]]),
        json!({"crm": true}),
        json!(5),
        json!(["crm", 5]),
    ] {
        expect_invalid_token(&account, &token_for_issuer_and_audience(issuer(), aud.clone()), &format!("aud {aud}"))
            .await;
    }
    for without in ["iss", "aud"] {
        let mut claims = json!({"account_id": account.id, "exp": timestamp_in(60), "iss": issuer(), "aud": "crm"});
        claims.as_object_mut().unwrap().remove(without);
        expect_invalid_token(&account, &sign_raw(HEADER, claims.to_string()), without).await;
    }
    for aud in [json!("crm"), json!(["crm"]), json!(["erp", "crm"]), json!(["crm", "crm"])] {
        get_with_token(&account, &token_for_issuer_and_audience(issuer(), aud)).await.expect(200);
    }
}
