//! Query parameters that a route does not have (`docs/api-reference.md#requests-and-responses`).

use serde_json::{Value, json};

use crate::support::Account;

/// Returns the message of the only error detail.
fn detail_message(body: &Value) -> &str {
    body["details"][0]["message"].as_str().unwrap()
}

/// Calls every operation of the document that requires a token, so that a new route is covered as well.
#[tokio::test]
async fn unknown_parameter_of_every_route_with_a_token_is_400() {
    let account = Account::new().await;
    let document = account.anonymous("GET", "/openapi.json").send().await.expect(200).body;
    let before = account.stored_rows().await;
    let mut calls = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let security = operation["security"].as_array();
            if !security.is_some_and(|security| security.iter().all(|scheme| scheme.get("bearer").is_some())) {
                continue;
            }
            let path = path.replace("{contactId}", "x").replace("{internalName}", "email");
            let required = match (method.as_str(), path.as_str()) {
                ("put", _) => "&id_property=external_id",
                (_, "/contacts/export") => "&format=csv",
                _ => "",
            };
            let call = account.call(&method.to_uppercase(), &format!("{path}?Limit=1{required}&nonsense=&Limit=2"));
            let response = call.body("text/plain", "{").send().await.expect_error(400, "invalid_query");
            response.expect_details(&[("Limit", "unknown_parameter"), ("nonsense", "unknown_parameter")]);
            calls += 1;
        }
    }
    assert!(calls >= 21, "{calls}");
    assert_eq!(account.stored_rows().await, before);
}

#[tokio::test]
async fn misspelled_parameter_is_400_and_names_the_nearest_one() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A", "email": "a@x.io"})).await;
    let before = account.stored_rows().await;
    for (method, path, name, suggestion) in [
        ("PATCH", format!("/contacts/{id}?dryrun=true"), "dryrun", "dry_run"),
        ("DELETE", format!("/contacts/{id}?dry-run=1"), "dry-run", "dry_run"),
        ("GET", "/contacts?emial=a@x.io".to_owned(), "emial", "email"),
        ("GET", "/contacts?Email=a@x.io".to_owned(), "Email", "email"),
        ("HEAD", "/contacts?emial=a@x.io".to_owned(), "emial", "email"),
        ("GET", "/contacts/changes?%6cimt=1".to_owned(), "limt", "limit"),
        ("PUT", "/contacts/x?id_propery=external_id".to_owned(), "id_propery", "id_property"),
    ] {
        let response =
            account.call(method, &path).json(&json!({"fields": {"first_name": "B"}})).send().await.expect(400);
        if method != "HEAD" {
            let expected = format!("is not a parameter of this route. Did you mean {suggestion}?");
            assert_eq!(detail_message(&response.body), expected, "{path}");
            assert_eq!(response.details()[0], (name.to_owned(), "unknown_parameter".to_owned()));
        }
    }
    let unknown = account.get("/contacts/changes?utm_source=x").await.expect_error(400, "invalid_query");
    assert!(
        detail_message(&unknown.body).ends_with("which takes after, since, limit, wait, exclude_actor, properties"),
        "{}",
        unknown.text
    );
    let none = account.get("/fields?a=1").await.expect_error(400, "invalid_query");
    assert!(detail_message(&none.body).contains("takes none"), "{}", none.text);
    assert_eq!(account.stored_rows().await, before);
}

#[tokio::test]
async fn parameter_of_another_route_is_unknown() {
    let account = Account::new().await;
    let id = account.create(json!({"first_name": "A"})).await;
    for (method, path) in [
        ("POST", format!("/contacts/{id}/purge?properties=phone")),
        ("POST", format!("/contacts/{id}/restore?id_property=email")),
        ("GET", format!("/contacts/{id}/history?wait=1")),
        ("POST", "/contacts/search?limit=1".to_owned()),
        ("POST", "/contacts/batch/create?properties=phone".to_owned()),
        ("GET", "/fields?limit=1".to_owned()),
        ("GET", "/contacts?dry_run=false".to_owned()),
    ] {
        let response = account.call(method, &path).json(&json!({})).send().await.expect_error(400, "invalid_query");
        assert_eq!(response.details().len(), 1, "{}", response.text);
        assert_eq!(response.details()[0].1, "unknown_parameter", "{path}");
    }
    account.get(&format!("/contacts/{id}")).await.expect(200);
}

#[tokio::test]
async fn unknown_parameter_is_reported_with_all_problems_of_the_query() {
    let account = Account::new().await;
    let response = account.get("/contacts?emial=x&limit=0&properties=nope&=1").await;
    response.expect_error(400, "invalid_query").expect_details(&[
        ("emial", "unknown_parameter"),
        ("", "unknown_parameter"),
        ("limit", "out_of_range"),
        ("nope", "unknown_field"),
    ]);
}

#[tokio::test]
async fn unknown_parameter_is_checked_after_the_path_and_before_the_content_type() {
    let account = Account::new().await;
    account.anonymous("GET", "/contacts?x=1").send().await.expect_error(401, "unauthorized");
    account.get("/contacts/%20?x=1").await.expect_error(400, "missing_contact_id");
    account.call("PUT", "/contacts?x=1").send().await.expect_error(405, "method_not_allowed");
    let refused = account.call("PATCH", "/contacts/x?x=1").body("text/plain", "{").send().await;
    refused.expect_error(400, "invalid_query").expect_details(&[("x", "unknown_parameter")]);
}

#[tokio::test]
async fn routes_without_a_token_ignore_unknown_parameters() {
    let account = Account::new().await;
    for path in ["/healthz", "/readyz", "/metrics", "/docs", "/docs/page.js", "/openapi.json"] {
        account.anonymous("GET", &format!("{path}?x=1&limit=0&=")).send().await.expect(200);
    }
    account.get("/openapi.json?x=1").await.expect(200);
}
