//! Invalid searches and their errors.

use serde_json::{Value, json};

use super::{account_with_every_type, search};
use crate::support::Account;

#[tokio::test]
async fn search_lists_every_problem_with_its_path() {
    let account = account_with_every_type().await;
    let body = json!({
        "filters": [
            {"property": "nope", "operator": "eq", "value": 1},
            {"property": "email", "operator": "lt", "value": "a@b.cd"},
            {"property": "a_number", "operator": "eq", "value": "1"},
            {"property": "a_text", "operator": "eq", "value": null}
        ],
        "filter_groups": [
            {"filters": [{"property": "a_dropdown", "operator": "in", "value": ["zinc", "lead"]}]},
            {"filters": []}
        ],
        "sorts": ["-nope"],
        "limit": 0
    });
    let response = account.post("/contacts/search", body).await.expect_error(400, "invalid_query");
    assert!(response.text.contains("nope is not a property"), "{}", response.text);
    response.expect_details(&[
        ("filters[0].property", "unknown_field"),
        ("filters[1].operator", "invalid_option"),
        ("filters[2].value", "invalid_type"),
        ("filters[3].value", "required"),
        ("filter_groups[0].filters[0].value[1]", "invalid_option"),
        ("filter_groups[1].filters", "required"),
        ("sorts[0]", "unknown_field"),
        ("limit", "out_of_range"),
    ]);
}

#[tokio::test]
async fn operator_or_value_that_does_not_fit_the_type_is_400() {
    let account = account_with_every_type().await;
    let ordered = ["lt", "lte", "gt", "gte", "between"];
    let parts = ["contains", "starts_with"];
    for (field, operators) in [
        ("a_text", &ordered[..]),
        ("a_email", &ordered),
        ("a_checkbox", &ordered),
        ("a_dropdown", &ordered),
        ("a_multi_select", &ordered),
        ("id", &ordered),
        ("a_number", &parts),
        ("a_date", &parts),
        ("a_datetime", &parts),
        ("a_checkbox", &parts),
        ("a_dropdown", &parts),
        ("a_multi_select", &parts[1..]),
        ("created_at", &parts),
        ("a_text", &["like", "EQ", "", "="]),
    ] {
        for operator in operators {
            let body = json!({"filters": [{"property": field, "operator": operator, "value": "zinc"}]});
            let response = account.post("/contacts/search", body).await.expect_error(400, "invalid_query");
            response.expect_details(&[("filters[0].operator", "invalid_option")]);
        }
    }
    for (field, value) in [
        ("a_text", json!(1)),
        ("a_text", json!("a\u{0}b")),
        ("a_text", json!("x".repeat(4_097))),
        ("email", json!("ada")),
        ("a_phone", json!("call me")),
        ("a_url", json!("ftp://x.yz")),
        ("a_number", json!("1")),
        ("a_number", json!([1])),
        ("a_number", json!(true)),
        ("a_checkbox", json!("true")),
        ("a_checkbox", json!(1)),
        ("a_date", json!("2023-02-29")),
        ("a_date", json!("2024-02-29T00:00:00Z")),
        ("a_datetime", json!("2026-05-01T10:00:00")),
        ("created_at", json!("2026-05-01")),
        ("created_at", json!(1_777_629_600)),
        ("a_user", json!("somebody")),
        ("a_dropdown", json!("lead")),
        ("a_dropdown", json!(["zinc"])),
        ("a_multi_select", json!("zinc")),
        ("a_multi_select", json!(["lead"])),
        ("a_multi_select", json!([])),
        ("id", json!("x")),
        ("archived", json!(true)),
        ("a_text", json!({"a": "b"})),
        ("a_text", json!("")),
        ("a_text", Value::Null),
        ("a_multi_select", Value::Null),
    ] {
        for operator in ["eq", "neq"] {
            let body = json!({"filters": [{"property": field, "operator": operator, "value": value}]});
            let response = account.post("/contacts/search", body).await.expect_error(400, "invalid_query");
            assert_eq!(response.details()[0].0, "filters[0].value", "{field} {value}");
        }
    }
}

#[tokio::test]
async fn search_beyond_its_limits_is_400() {
    let account = Account::new().await;
    let filter = json!({"property": "email", "operator": "has_value"});
    let filters = |count: usize| vec![filter.clone(); count];
    let groups = |count: usize, size: usize| vec![json!({"filters": filters(size)}); count];
    search(&account, json!({"filters": filters(25), "filter_groups": groups(5, 5)})).await;
    let body =
        |values: usize| json!({"filters": [{"property": "first_name", "operator": "in", "value": vec!["x"; values]}]});
    search(&account, body(100)).await;
    search(&account, json!({"properties": vec!["phone"; 1_000], "limit": 100})).await;
    for (body, field) in [
        (json!({"filters": filters(51)}), "filters"),
        (json!({"filters": filters(26), "filter_groups": groups(5, 5)}), "filters"),
        (json!({"filter_groups": groups(6, 1)}), "filter_groups"),
        (body(101), "filters[0].value"),
        (body(0), "filters[0].value"),
        (json!({"sorts": vec!["email"; 11]}), "sorts"),
        (json!({"sorts": ["email", "-email"]}), "sorts[1]"),
        (json!({"query": "x".repeat(1_001)}), "query"),
        (json!({"query": "a\u{0}"}), "query"),
        (json!({"limit": 1001}), "limit"),
        (json!({"limit": -1}), "limit"),
        (json!({"limit": 1.5}), "limit"),
        (json!({"limit": "10"}), "limit"),
        (json!({"archived": "true"}), "archived"),
    ] {
        let response = account.post("/contacts/search", body.clone()).await.expect_error(400, "invalid_query");
        assert_eq!(response.details()[0].0, field, "{body}");
    }
}

#[tokio::test]
async fn malformed_search_bodies_and_invalid_searches_have_different_codes() {
    let account = Account::new().await;
    let send = |body: String| account.call("POST", "/contacts/search").body("application/json", body).send();
    let deep = "[".repeat(40) + &"]".repeat(40);
    for (body, code) in [
        ("".to_owned(), "invalid_json"),
        ("{".into(), "invalid_json"),
        (r#"{"limit": 1, "limit": 2}"#.into(), "invalid_json"),
        (format!(r#"{{"filters": {deep}}}"#), "invalid_json"),
        (r#"{"query": "\ud800"}"#.into(), "invalid_json"),
        ("[]".into(), "invalid_body"),
        ("null".into(), "invalid_body"),
        (r#"{"filter": []}"#.into(), "invalid_body"),
        (r#"{"offset": 0}"#.into(), "invalid_body"),
        (r#"{"filters": {}}"#.into(), "invalid_body"),
        (r#"{"filters": [1]}"#.into(), "invalid_body"),
        (r#"{"filter_groups": [[]]}"#.into(), "invalid_body"),
        (r#"{"sorts": "email"}"#.into(), "invalid_body"),
        (r#"{"properties": "email"}"#.into(), "invalid_body"),
        (r#"{"properties": ["nope", "phone"]}"#.into(), "invalid_properties"),
        (r#"{"properties": ["nope"], "limit": 0}"#.into(), "invalid_query"),
    ] {
        send(body.clone()).await.expect_error(400, code);
    }
    let unknown = send(r#"{"properties": ["nope", "account_id"]}"#.into()).await;
    unknown.expect_details(&[("nope", "unknown_field"), ("account_id", "unknown_field")]);
}

#[tokio::test]
async fn search_checks_the_request_in_the_documented_order() {
    let account = Account::new().await;
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let response =
            account.anonymous(method, "/contacts/search").send().await.expect_error(405, "method_not_allowed");
        assert_eq!(response.header("allow"), "POST");
    }
    account.anonymous("POST", "/contacts/search?a=%ff").send().await.expect_error(401, "unauthorized");
    let send = |query: &str, content_type: &str, body: &str| {
        account.call("POST", &format!("/contacts/search{query}")).body(content_type, body.to_owned()).send()
    };
    send("?a=%ff", "text/plain", "{").await.expect_error(400, "invalid_query");
    send("", "text/plain", "{").await.expect_error(415, "unsupported_media_type");
    send("", "application/json", &" ".repeat(1024 * 1024 + 1)).await.expect_error(413, "payload_too_large");
    account.call("POST", "/contacts/search").body_without_content_type("{}").send().await.expect(200);
    account
        .call("POST", "/contacts/search/")
        .body_without_content_type("{}")
        .send()
        .await
        .expect_error(404, "route_not_found");
}

#[tokio::test]
async fn search_examples_of_the_openapi_document_are_valid() {
    let account = Account::new().await;
    let document = serde_json::to_value(contacts::http::openapi_document()).unwrap();
    let examples = |schema: &str| document["components"]["schemas"][schema]["examples"].as_array().unwrap().clone();
    for example in examples("SearchInput") {
        search(&account, example).await;
    }
    for example in examples("SearchFilter") {
        search(&account, json!({"filters": [example]})).await;
    }
}
