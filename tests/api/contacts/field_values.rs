//! Values of every field type: how the service validates, stores and returns them.

use serde_json::{Value, json, value::RawValue};

use crate::support::Account;

/// Creates an account with a custom field of every type and one contact. Returns the account and the contact's id.
///
/// Each field is named after its type, except where a system field has that name, `mail` and `line`, or where the name is
/// reserved, `web`.
async fn account_with_every_type() -> (Account, String) {
    let account = Account::new().await;
    for field_type in ["text", "email", "phone", "url", "number", "checkbox", "date", "datetime", "user"] {
        let internal_name = field_type.replace("email", "mail").replace("phone", "line").replace("url", "web");
        account.define(json!({"internal_name": internal_name, "label": field_type, "type": field_type})).await;
    }
    let options = json!([{"label": "Red"}, {"label": "Green"}, {"label": "Blue"}]);
    for field_type in ["dropdown", "multi_select"] {
        account.define(json!({"label": field_type, "type": field_type, "options": options})).await;
    }
    let id = account.create(json!({"first_name": "A"})).await;
    (account, id)
}

/// Sends a value as raw JSON. Returns the status, and the returned raw value or the code of the error detail.
async fn patch_value(account: &Account, id: &str, field: &str, value: &str) -> (u16, String) {
    let path = format!("/contacts/{id}?properties={field}");
    let response = account
        .call("PATCH", &path)
        .body("application/json", format!(r#"{{"fields": {{"{field}": {value}}}}}"#))
        .send()
        .await;
    if response.status != 200 {
        return (response.status, response.body["details"][0]["code"].as_str().unwrap_or_default().to_owned());
    }
    let read = account.get(&path).await;
    assert_eq!(read.body, response.body, "the stored contact differs from the response");
    let members: std::collections::HashMap<String, &RawValue> = serde_json::from_str(&response.text).unwrap();
    (200, members[field].get().to_owned())
}

#[tokio::test]
async fn values_are_stored_in_the_form_of_their_type() {
    let (account, id) = account_with_every_type().await;
    for (field, sent, stored) in [
        ("text", r#"" a\tb ""#, r#"" a\tb ""#),
        ("text", r#""\u00df\ud83d\ude00""#, r#""ß😀""#),
        ("mail", r#"" Ada@Example.com ""#, r#""Ada@Example.com""#),
        ("line", r#"" +1 (555) 010-9999 x12""#, r#""+1 (555) 010-9999 x12""#),
        ("web", r#"" HTTPS://Example.com/a?b#c ""#, r#""HTTPS://Example.com/a?b#c""#),
        ("number", "42", "42"),
        ("number", "-0", "0"),
        ("number", "1.50", "1.5"),
        ("number", "1e3", "1000"),
        ("number", "0.1", "0.1"),
        ("number", "18446744073709551615", "18446744073709551615"),
        ("number", "-9223372036854775808", "-9223372036854775808"),
        ("number", "9007199254740993", "9007199254740993"),
        ("checkbox", "false", "false"),
        ("date", r#""2024-02-29""#, r#""2024-02-29""#),
        ("datetime", r#""2026-05-01T01:30:00.98765+02:00""#, r#""2026-04-30T23:30:00.987Z""#),
        ("user", r#""owner@example.com""#, r#""owner@example.com""#),
        ("dropdown", r#""green""#, r#""green""#),
        ("multi_select", r#"["blue", "red", "blue"]"#, r#"["red","blue"]"#),
        ("multi_select", "[]", "null"),
        ("text", r#""""#, "null"),
    ] {
        assert_eq!(patch_value(&account, &id, field, sent).await, (200, stored.to_owned()), "{field} {sent}");
    }
}

#[tokio::test]
async fn invalid_values_are_400_with_the_code_of_their_problem() {
    let (account, id) = account_with_every_type().await;
    let long = format!("\"{}\"", "x".repeat(4_097));
    for (field, sent, code) in [
        ("text", "1", "invalid_type"),
        ("text", r#""a\u0000b""#, "invalid_format"),
        ("text", &*long, "too_long"),
        ("first_name", &*format!("\"{}\"", "x".repeat(256)), "too_long"),
        ("mail", r#""ada""#, "invalid_format"),
        ("mail", r#""ada\u0000@example.com""#, "invalid_format"),
        ("line", r#""12""#, "invalid_format"),
        ("web", r#""ftp://example.com""#, "invalid_format"),
        ("number", r#""42""#, "invalid_type"),
        ("number", "true", "invalid_type"),
        ("number", "1e400", "out_of_range"),
        ("number", "18446744073709551616", "out_of_range"),
        ("number", "0.1000000000000000055511151231257827", "out_of_range"),
        ("checkbox", r#""true""#, "invalid_type"),
        ("checkbox", "1", "invalid_type"),
        ("date", r#""2023-02-29""#, "invalid_format"),
        ("date", r#""2024-02-29T00:00:00Z""#, "invalid_format"),
        ("datetime", r#""2026-05-01T10:00:00""#, "invalid_format"),
        ("user", r#""somebody""#, "invalid_format"),
        ("dropdown", r#""Green""#, "invalid_option"),
        ("dropdown", r#"["green"]"#, "invalid_type"),
        ("multi_select", r#""green""#, "invalid_type"),
        ("multi_select", r#"["green", "pink"]"#, "invalid_option"),
        ("multi_select", r#"[1]"#, "invalid_type"),
    ] {
        assert_eq!(patch_value(&account, &id, field, sent).await, (400, code.to_owned()), "{field} {sent}");
    }
}

#[tokio::test]
async fn unusual_text_values_are_returned_unchanged() {
    let (account, id) = account_with_every_type().await;
    for text in [
        "null",
        "undefined",
        "NaN",
        "' OR 1=1; --",
        "<script>alert(1)</script>",
        "%s%n{}${jndi:x}",
        "\\",
        "\"",
        "\u{7f}\u{85}\u{2028}",
        "\u{feff}bom",
        "\u{202e}rtl",
        "e\u{301}",
        "é",
        "👩‍👩‍👧‍👦",
        "\u{10ffff}",
        "ﷺ",
        "   ",
        "\r\n",
        "=1+1",
        "{\"fields\": {}}",
    ] {
        for field in ["text", "first_name", "external_id"] {
            let response = account.patch(&format!("{id}?properties={field}"), json!({field: text})).await;
            if field == "external_id" && text.trim().is_empty() {
                response.expect_error(400, "validation_failed");
            } else {
                assert_eq!(response.expect(200).body[field], text);
            }
        }
    }
}

#[tokio::test]
async fn values_of_unique_fields_over_255_characters_are_too_long() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    account.define(json!({"label": "site", "type": "url", "unique": true})).await;
    let id = account.create(json!({"first_name": "A"})).await;
    let widest = "\u{10ffff}".repeat(255);
    account.patch(&id, json!({"badge": widest, "external_id": widest})).await.expect(200);
    let url = |length: usize| format!("https://a.bc/{}", "x".repeat(length - 13));
    account.patch(&id, json!({"site": url(255)})).await.expect(200);
    for (field, value) in [("badge", "x".repeat(256)), ("external_id", "x".repeat(256)), ("site", url(256))] {
        let response = account.patch(&id, json!({field: value})).await.expect_error(400, "validation_failed");
        response.expect_details(&[(field, "too_long")]);
    }
}

#[tokio::test]
async fn large_contact_is_returned_with_all_values() {
    let account = Account::new().await;
    let mut fields = serde_json::Map::from_iter([("first_name".to_owned(), json!("A"))]);
    // 31 values of 8 KiB are just below the limit of a contact's size.
    for index in 0..31 {
        account.define(json!({"label": format!("text {index}"), "type": "text"})).await;
        fields.insert(format!("text_{index}"), json!("ü".repeat(4_096)));
    }
    let id = account.create(Value::Object(fields.clone())).await;
    let names: Vec<_> = fields.keys().map(String::as_str).collect();
    let read = account.get(&format!("/contacts/{id}?properties={}", names.join(","))).await.expect(200);
    assert!(fields.iter().all(|(name, value)| read.body[name] == *value));
}

#[tokio::test]
async fn white_space_in_a_unique_text_field_is_400_and_an_empty_text_clears_it() {
    let account = Account::new().await;
    account.define(json!({"label": "badge", "type": "text", "unique": true})).await;
    let id = account.create(json!({"first_name": "A", "external_id": "x", "badge": "y"})).await;
    for blank in [" ", "\t", "\n \r", "\u{a0}", "\u{85}", "\u{3000}", "\u{2028}"] {
        for field in ["external_id", "badge"] {
            let value = json!({"first_name": "B", field: blank});
            let input = json!({"inputs": [{"fields": value}]});
            for refused in [
                account.post("/contacts", json!({"fields": value})).await,
                account.patch(&id, value.clone()).await,
                account.put("z?id_property=email", value.clone()).await,
            ] {
                let details = refused.expect_error(400, "validation_failed").details();
                assert_eq!(details[0], (field.to_owned(), "invalid_format".to_owned()), "{blank:?}");
            }
            let batch = account.batch("create", input).await.expect(207);
            assert_eq!(batch.body["results"][0]["error"]["details"][0]["field"], field);
            let segment: String = blank.bytes().map(|byte| format!("%{byte:02x}")).collect();
            let path = format!("{segment}?id_property={field}");
            let upsert = account.put(&path, json!({"first_name": "B"})).await.expect_error(400, "validation_failed");
            upsert.expect_details(&[(field, "invalid_format")]);
            // A lookup compares exactly what was stored.
            account.get(&format!("/contacts/{path}")).await.expect_error(404, "not_found");
        }
        account.patch(&id, json!({"first_name": blank, "job_title": blank})).await.expect(200);
    }
    assert_eq!(account.get("/contacts").await.body["pagination"]["count"], 1);
    let cleared = account.patch(&format!("{id}?properties=badge"), json!({"external_id": "", "badge": ""})).await;
    let cleared = cleared.expect(200).body;
    assert_eq!((&cleared["external_id"], &cleared["badge"]), (&json!(null), &json!(null)));
}
