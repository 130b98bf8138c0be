//! Strings that have broken other programs: the service returns them unchanged, trims them or rejects them.

use serde_json::{Value, json};

use crate::support::{Account, percent_encoded};

/// Returns strings that users and attackers put into text fields.
fn unusual_strings() -> Vec<String> {
    let listed = [
        // Text that looks like a value of another type.
        "undefined",
        "null",
        "NULL",
        "nil",
        "None",
        "true",
        "false",
        "NaN",
        "Infinity",
        "-0",
        "0x10",
        "1e309",
        "1,000.00",
        "00000000-0000-0000-0000-000000000000",
        "2026-02-30",
        "12:60",
        "[]",
        "{}",
        "{\"fields\": {}}",
        "\"",
        "'",
        "`",
        "\\",
        "\\\\",
        "\\u0000",
        "%00",
        "%s%n%d",
        "%",
        "_",
        "*",
        "?",
        "..",
        "../../../etc/passwd",
        "/",
        "//",
        "a/b",
        "a%2Fb",
        "a+b",
        "a b",
        "#a",
        "a?b=c&d=e",
        ";",
        "a;b",
        ",",
        "a,b",
        "|",
        "&",
        "&amp;",
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "$HOME",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "`id`",
        "$(id)",
        // SQL, HTML, XML and header injection.
        "Robert'); DROP TABLE contacts;--",
        "' OR '1'='1",
        "1; SELECT pg_sleep(10)",
        "$1",
        "$$",
        "E'\\x41'",
        "\u{27}\u{27}",
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>",
        "]]>",
        "<!--",
        "\r\nX-Injected: yes",
        "a\nb",
        "a\r\nb",
        "a\tb",
        // Visible and invisible whitespace.
        " ",
        "  a  ",
        "\t",
        "\n",
        "\u{a0}",
        "\u{2003}a",
        "\u{200b}",
        "\u{feff}a",
        "\u{2028}",
        "\u{85}",
        "\u{180e}",
        "\u{3000}",
        // Control characters and noncharacters.
        "\u{1}",
        "\u{7}",
        "\u{8}",
        "\u{1b}[31mred",
        "\u{7f}",
        "\u{9f}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{fffd}",
        "\u{10ffff}",
        "\u{e000}",
        // Scripts, text directions and combining marks.
        "Zoë",
        "Zoe\u{308}",
        "ﬀ",
        "ß",
        "İstanbul",
        "ı",
        "Ω≈ç√∫",
        "田中さん",
        "你好",
        "𠜎𠜱",
        "안녕",
        "नमस्ते",
        "สวัสดี",
        "العربية",
        "\u{202e}evil\u{202c}",
        "\u{2066}x\u{2069}",
        "Z̮̞̠͙͔ͅḀ̗̞͈̻̗Ḷ͙͎̯̹̞͓G̻O̭̗̮",
        "👩‍👩‍👧‍👦",
        "🇺🇳",
        "1️⃣",
        "👍🏿",
        "\u{1f1}\u{301}",
        "K",
        "Å",
        "ǆ",
        "ς",
    ];
    let mut strings: Vec<String> = listed.map(str::to_owned).into();
    strings.push("a".repeat(255));
    strings.push("𠜎".repeat(255));
    strings.push("\u{301}".repeat(255));
    strings
}

/// Fields that store any text unchanged.
const FREE_TEXT_FIELDS: [&str; 7] =
    ["first_name", "last_name", "job_title", "company_name", "external_id", "note", "badge"];
/// Fields with a required format: their values are stored trimmed or rejected.
const FORMATTED_FIELDS: [&str; 6] = ["email", "contact_owner", "phone", "website", "birthday", "seen"];

/// Creates an account with the custom fields that the tests use.
async fn account_with_text_fields() -> Account {
    let account = Account::new().await;
    for (name, field_type, unique) in
        [("note", "text", false), ("badge", "text", true), ("birthday", "date", false), ("seen", "datetime", false)]
    {
        account.define(json!({"label": name, "type": field_type, "unique": unique})).await;
    }
    account
}

#[tokio::test]
async fn unusual_strings_in_text_fields_are_returned_unchanged() {
    let account = account_with_text_fields().await;
    let id = account.create(json!({"first_name": "Ada"})).await;
    let properties = "properties=job_title,company_name,note,badge";
    for text in unusual_strings() {
        // Unique fields do not store white space only.
        let is_blank = text.trim().is_empty();
        let names = FREE_TEXT_FIELDS.into_iter().filter(|name| !is_blank || !["external_id", "badge"].contains(name));
        let fields = names.clone().map(|name| (name.to_owned(), json!(text))).collect::<Value>();
        let written = account.patch(&format!("{id}?{properties}"), fields).await.expect(200);
        let read = account.get(&format!("/contacts/{id}?{properties}")).await.expect(200);
        for name in names {
            assert_eq!((&written.body[name], &read.body[name]), (&json!(text), &json!(text)), "{name}: {text:?}");
        }
        // The text finds the contact in a query string, in a search body and in a path.
        let value = percent_encoded(&text);
        let list = account.get(&format!("/contacts?external_id={value}")).await;
        let found = if is_blank { Value::Null } else { json!(id) };
        assert_eq!(list.expect(200).body["data"][0]["id"], found, "{text:?}");
        for operator in ["eq", "contains", "starts_with"] {
            let filter = json!({"property": "note", "operator": operator, "value": text});
            let response = account.post("/contacts/search", json!({"filters": [filter]})).await.expect(200);
            assert_eq!(response.body["data"][0]["id"], id, "{operator} {text:?}");
        }
        account.post("/contacts/search", json!({"query": text})).await.expect(200);
        // In a path `+` is a plus sign, so a space has to be sent as `%20`.
        let segment = value.replace('+', "%20");
        let by_badge = account.get(&format!("/contacts/{segment}?id_property=badge")).await;
        // The client resolves `..` before it sends the request.
        if is_blank {
            by_badge.expect_error(404, "not_found");
        } else if ![".."].contains(&&*text) {
            assert_eq!(by_badge.expect(200).body["id"], id, "{text:?}");
        }
    }
    let feed = account.get("/contacts/changes?limit=1000").await.expect(200);
    let notes = feed.body["data"].as_array().unwrap().iter().map(|entry| &entry["changed"]["note"]["new"]);
    assert_eq!(
        notes.skip(1).cloned().collect::<Vec<_>>(),
        unusual_strings().into_iter().map(Value::from).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn unusual_strings_in_formatted_fields_are_trimmed_or_rejected() {
    let account = account_with_text_fields().await;
    let id = account.create(json!({"first_name": "Ada"})).await;
    for text in unusual_strings() {
        for name in FORMATTED_FIELDS {
            let response = account.patch(&format!("{id}?properties={name}"), json!({(name): text})).await;
            if response.status == 200 {
                let returned = &response.body[name];
                let is_unset = returned.is_null() && text.trim().is_empty();
                assert!(is_unset || returned == text.trim(), "{name}: {text:?} became {returned}");
            } else {
                response.expect_error(400, "validation_failed");
            }
        }
    }
    for name in FREE_TEXT_FIELDS.into_iter().chain(FORMATTED_FIELDS) {
        let response = account.patch(&id, json!({(name): "a\u{0}b"})).await.expect_error(400, "validation_failed");
        assert_eq!(response.details(), [(name.to_owned(), "invalid_format".to_owned())]);
    }
}

#[tokio::test]
async fn unusual_strings_are_valid_labels_but_invalid_internal_names() {
    let account = Account::new().await;
    account.define(json!({"internal_name": "n", "label": "n", "type": "text"})).await;
    for text in unusual_strings() {
        let response = account.call("PATCH", "/fields/n").json(&json!({"label": text})).send().await;
        if response.status == 200 {
            assert_eq!(response.body["label"], text);
        } else {
            assert!(text.trim().is_empty(), "{text:?}");
            response.expect_error(400, "validation_failed").expect_details(&[("label", "required")]);
        }
        let is_name = text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.len() <= 63
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if !is_name {
            let definition = json!({"internal_name": text, "label": "x", "type": "text"});
            account.post("/fields", definition).await.expect_error(400, "validation_failed");
            let list = account.get(&format!("/contacts?properties=n,{}", percent_encoded(&text))).await;
            // `*` stands for all fields.
            let is_valid = text.split(',').all(|name| ["", "*"].contains(&name.trim()));
            assert!(list.status == 400 || is_valid, "{text:?}");
        }
    }
}
