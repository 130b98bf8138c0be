//! `/openapi.json`: frozen, complete, and true.

use serde_json::{Value, json};

use crate::support::Account;

/// The one route that answers in another format, and takes no token: see `oauth.rs`.
const TOKENS: &str = "/oauth2/token";

async fn document() -> Value {
    Account::new().await.anonymous("GET", "/openapi.json").send().await.expect(200).body
}

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            item.as_object()
                .unwrap()
                .iter()
                .map(|(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
        })
        .collect()
}

#[tokio::test]
async fn changes_only_on_purpose() {
    insta::assert_json_snapshot!(document().await);
}

#[tokio::test]
async fn is_of_version_3_1_and_all_its_references_lead_somewhere() {
    let document = document().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}

#[tokio::test]
async fn every_operation_is_described_and_routed() {
    let account = Account::new().await;
    let document = document().await;
    for (method, path, operation) in operations(&document).into_iter().filter(|(_, path, _)| path != TOKENS) {
        let route = format!("{method} {path}");
        assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{route}");
        let is_open = ["/healthz", "/readyz", "/openapi.json", "/metrics"].contains(&path.as_str());
        assert_eq!(operation["security"].is_null(), is_open, "{route}");
        let sent =
            account.anonymous(&method, &path.replace("{contactId}", "x").replace("{internalName}", "x")).send().await;
        assert_eq!(sent.status, if is_open { 200 } else { 401 }, "{route} {}", sent.text);
        let responses = operation["responses"].as_object().unwrap();
        let documented: Vec<_> = responses.keys().map(String::as_str).collect();
        assert!(
            is_open || ["401", "500", "503"].iter().all(|status| documented.contains(status)),
            "{route} {documented:?}"
        );
        for (status, response) in responses {
            assert!(response["headers"]["X-Request-Id"].is_object(), "{route} {status}");
            let is_error = status.parse::<u16>().unwrap() >= 400;
            let schema = &response["content"]["application/json"]["schema"]["$ref"];
            assert_eq!(*schema == json!("#/components/schemas/Error"), is_error, "{route} {status}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{route} {}", parameter["name"]);
        }
    }
}

#[tokio::test]
async fn the_router_has_no_route_that_is_not_in_it() {
    let account = Account::new().await;
    let document = document().await;
    for path in document["paths"].as_object().unwrap().keys() {
        let mut documented: Vec<_> = operations(&document)
            .into_iter()
            .filter(|(_, other, _)| other == path)
            .map(|(method, _, _)| method)
            .collect();
        if documented.contains(&"GET".to_owned()) {
            documented.push("HEAD".to_owned());
        }
        let path = path.replace("{contactId}", "x").replace("{internalName}", "x");
        let answer = account.anonymous("OPTIONS", &path).send().await.expect(204);
        let mut allowed: Vec<_> = answer.header("allow").split(',').map(str::to_owned).collect();
        allowed.sort();
        documented.sort();
        assert_eq!(allowed, documented, "{path}");
    }
}

#[tokio::test]
async fn its_examples_succeed() {
    let account = Account::new().await;
    let document = document().await;
    let example = |schema: &str| document["components"]["schemas"][schema]["examples"][0].clone();
    account.post("/fields", example("FieldInput")).await.expect(201);
    account.call("PATCH", "/fields/shoe_size").json(&example("FieldChange")).send().await.expect(200);
    let created = account.post("/contacts?properties=phone,job_title", example("ContactInput")).await.expect(201);
    let path = format!("/contacts/{}", created.id());
    account.call("PATCH", &path).json(&example("ContactInput")).send().await.expect(200);
    let schema = &document["components"]["schemas"]["Contact"];
    for name in schema["required"].as_array().unwrap() {
        assert!(created.body.get(name.as_str().unwrap()).is_some(), "{name}");
    }
    assert!(created.body.as_object().unwrap().keys().all(|name| schema["properties"].get(name).is_some()));
    let writable = document["components"]["schemas"]["ContactFields"]["properties"].as_object().unwrap();
    let fields: serde_json::Map<_, _> =
        writable.iter().map(|(name, schema)| (name.clone(), schema["examples"][0].clone())).collect();
    account.post("/contacts", json!({"fields": fields})).await.expect(201);
}
