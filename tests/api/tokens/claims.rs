//! What the claims of a token may try. Each token is well signed.

use contacts::config::TokenSettings;
use serde_json::{Value, json};

use super::{by, expect_refused, good_claims, signed};
use crate::support::{Account, Server, in_seconds, tokens};

const HEADER: &str = r#"{"alg":"HS256"}"#;

/// Good claims, with this text instead of the time of the end.
fn ending(account: &Account, exp: &str) -> String {
    format!(r#"{{"account_id":"{}","exp":{exp}}}"#, account.id)
}

#[tokio::test]
async fn the_end_is_a_number_that_is_to_come() {
    let account = Account::new().await;
    let (soon, over) = (in_seconds(60), in_seconds(-31));
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
        &format!("{over}"),
        &format!("{over}.4"),
        "1e400",
        "-1e400",
        "1e20",
        "NaN",
        "Infinity",
        "0x7fffffff",
        &format!("0{soon}"),
        &format!("+{soon}"),
        &format!("{soon},\"exp\":{over}"),
        &format!("{over},\"exp\":{soon}"),
        &format!("{soon},\"exp\":{soon}"),
    ] {
        expect_refused(&account, &signed(HEADER, ending(&account, exp)), exp).await;
    }
    expect_refused(&account, &signed(HEADER, json!({"account_id": account.id}).to_string()), "none").await;
    for exp in
        [format!("{soon}"), format!("{soon}.75"), "4e9".to_owned(), "99999999999".to_owned(), u64::MAX.to_string()]
    {
        by(&account, &signed(HEADER, ending(&account, &exp))).await.expect(200);
    }
}

#[tokio::test]
async fn the_other_times_are_numbers_too() {
    let account = Account::new().await;
    let with = |name: &str, value: Value| {
        let mut claims = json!({"account_id": account.id, "exp": in_seconds(60)});
        claims[name] = value;
        signed(HEADER, claims.to_string())
    };
    for nbf in
        [json!(in_seconds(35)), json!(1e18), json!("now"), json!(in_seconds(-60).to_string()), json!([0]), json!({})]
    {
        expect_refused(&account, &with("nbf", nbf.clone()), &format!("nbf {nbf}")).await;
    }
    for nbf in [json!(0), json!(in_seconds(25)), json!(0.5)] {
        by(&account, &with("nbf", nbf)).await.expect(200);
    }
    // When it was made decides nothing (RFC 7519 §4.1.6).
    for iat in [json!(in_seconds(600)), json!(-1), json!("yesterday"), json!(null)] {
        by(&account, &with("iat", iat)).await.expect(200);
    }
}

#[tokio::test]
async fn clocks_may_be_off_by_the_leeway_and_no_more() {
    let account = Account::new().await;
    // Two seconds for the machine.
    for (claim, good, bad) in [("exp", -28, -31), ("nbf", 28, 33)] {
        let token = |seconds| {
            let mut claims = json!({"account_id": account.id, "exp": in_seconds(60)});
            claims[claim] = json!(in_seconds(seconds));
            signed(HEADER, claims.to_string())
        };
        by(&account, &token(good)).await.expect(200);
        expect_refused(&account, &token(bad), claim).await;
    }
    // Nor is one that was good a moment ago, and is remembered.
    let token = signed(HEADER, ending(&account, &in_seconds(-28).to_string()));
    by(&account, &token).await.expect(200);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    expect_refused(&account, &token, "remembered").await;
}

#[tokio::test]
async fn claims_that_can_be_read_in_two_ways_are_none() {
    let account = Account::new().await;
    let (own, other, exp) = (account.id, uuid::Uuid::now_v7(), in_seconds(60));
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
        // A token in a token (RFC 7519 §5.2).
        signed(HEADER, good_claims(&account)),
    ] {
        expect_refused(&account, &signed(HEADER, &claims), &claims).await;
    }
    let nested = signed(r#"{"alg":"HS256","cty":"JWT"}"#, signed(HEADER, good_claims(&account)));
    expect_refused(&account, &nested, "nested").await;
    expect_refused(&account, &signed(HEADER, b"{\"exp\":1,\"x\":\"\xff\"}"), "no UTF-8").await;
}

#[tokio::test]
async fn an_account_is_a_uuid_in_its_usual_form() {
    let account = Account::new().await;
    let id = account.id.to_string();
    let with = |account_id: Value| signed(HEADER, json!({"account_id": account_id, "exp": in_seconds(60)}).to_string());
    for named in [
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
        let answer = by(&account, &with(named.clone())).await;
        assert_eq!((answer.status, &answer.body["code"]), (401, &json!("missing_account_context")), "{named}");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"", "{named}");
        assert!(answer.body.get("details").is_none() && !answer.text.contains(&id), "{named}: {}", answer.text);
    }
    let contact = account.create(json!({"first_name": "A"})).await;
    let upper = account.with_token(with(json!(id.to_uppercase())));
    assert_eq!(upper.get(&format!("/contacts/{contact}")).await.expect(200).id(), contact);
    // One like any other, and empty like any other.
    let nil = account.with_token(with(json!(uuid::Uuid::nil())));
    nil.get(&format!("/contacts/{contact}")).await.expect_error(404, "not_found");
}

#[tokio::test]
async fn a_subject_is_kept_as_it_is_or_refused() {
    let account = Account::new().await;
    let with =
        |sub: Value| signed(HEADER, json!({"account_id": account.id, "sub": sub, "exp": in_seconds(60)}).to_string());
    for sub in [json!(5), json!(0.5), json!(true), json!(["u1"]), json!({"id": "u1"}), json!("\0"), json!("a\0b")] {
        expect_refused(&account, &with(sub.clone()), &sub.to_string()).await;
    }
    let long = "s".repeat(5_500);
    let strange =
        ["u1", " ", "a\nb\r\n\tc", "\u{1b}[31m", "\u{7f}\u{80}", "ä💥\u{202e}", "' OR 1=1 --", "null", "me", &long];
    for (index, sub) in strange.into_iter().enumerate() {
        let caller = account.with_token(with(json!(sub)));
        let id = caller.create(json!({"first_name": "A"})).await;
        assert_eq!(caller.delete(&format!("/contacts/{id}")).await.expect(200).body["archived_by"], sub);
        let history = caller.get(&format!("/contacts/{id}/history")).await.expect(200);
        assert!(history.body["data"].as_array().unwrap().iter().all(|entry| entry["actor"] == sub), "{sub:?}");
        // An answer is kept for this actor alone.
        let create = |caller: &Account| {
            let call = caller.call("POST", "/contacts").header("idempotency-key", &format!("key-{index}"));
            call.json(&json!({"fields": {"first_name": "B"}})).send()
        };
        assert_eq!(create(&caller).await.expect(201).id(), create(&caller).await.expect(201).id(), "{sub:?}");
        create(&account.with_token(with(json!(format!("{sub}x"))))).await.expect_error(422, "idempotency_key_reused");
    }
}

#[tokio::test]
async fn an_issuer_is_one_string_and_an_audience_one_or_several() {
    let settings =
        TokenSettings { issuer: Some("https://us.example".into()), audience: Some("crm".into()), ..tokens() };
    let account = Account::on(&Server::shared().with_tokens(&settings));
    let with = |iss: Value, aud: Value| {
        let claims = json!({"account_id": account.id, "exp": in_seconds(60), "iss": iss, "aud": aud});
        signed(HEADER, claims.to_string())
    };
    let us = || json!("https://us.example");
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
        expect_refused(&account, &with(iss.clone(), json!("crm")), &format!("iss {iss}")).await;
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
        expect_refused(&account, &with(us(), aud.clone()), &format!("aud {aud}")).await;
    }
    for without in ["iss", "aud"] {
        let mut claims = json!({"account_id": account.id, "exp": in_seconds(60), "iss": us(), "aud": "crm"});
        claims.as_object_mut().unwrap().remove(without);
        expect_refused(&account, &signed(HEADER, claims.to_string()), without).await;
    }
    for aud in [json!("crm"), json!(["crm"]), json!(["erp", "crm"]), json!(["crm", "crm"])] {
        by(&account, &with(us(), aud)).await.expect(200);
    }
}
