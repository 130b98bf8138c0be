//! `/openapi.json`: frozen, complete, and true.

use serde_json::{Value, json};

use crate::support::{Account, in_seconds, sign};

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
        let needs_none = |security: &Value| security.as_array().is_none_or(|ways| ways.contains(&json!({})));
        assert_eq!(needs_none(&operation["security"]), is_open, "{route}");
        let sent =
            account.anonymous(&method, &path.replace("{contactId}", "x").replace("{internalName}", "x")).send().await;
        assert_eq!(sent.status, if is_open { 200 } else { 401 }, "{route} {}", sent.text);
        let responses = operation["responses"].as_object().unwrap();
        let documented: Vec<_> = responses.keys().map(String::as_str).collect();
        assert!(
            operation["security"].is_null() || ["401", "500", "503"].iter().all(|status| documented.contains(status)),
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

/// That every example of a schema is valid is seen by a validator in `.ci/api-document`, and that the examples of
/// operations succeed in `tests/reference`. Here: what is writable can be written as its example says.
#[tokio::test]
async fn the_examples_of_fields_can_be_written() {
    let account = Account::new().await;
    define_every_type(&account).await;
    let document = account.get("/openapi.json").await.expect(200).body;
    let writable = document["components"]["schemas"]["ContactFields"]["properties"].as_object().unwrap();
    let examples = writable.iter().filter(|(_, schema)| schema["examples"].is_array());
    let fields: serde_json::Map<_, _> =
        examples.map(|(name, schema)| (name.clone(), schema["examples"][0].clone())).collect();
    assert!(fields.len() > 15, "{fields:?}");
    let names = fields.keys().cloned().collect::<Vec<_>>().join(",");
    let path = format!("/contacts?properties={names}");
    let created = account.post(&path, json!({"fields": fields})).await.expect(201);
    let schema = &document["components"]["schemas"]["Contact"];
    for name in schema["required"].as_array().unwrap() {
        assert!(created.body.get(name.as_str().unwrap()).is_some(), "{name}");
    }
    assert!(created.body.as_object().unwrap().keys().all(|name| schema["properties"].get(name).is_some()));
    for (name, value) in fields {
        assert_eq!(created.body[&name], value, "{name}");
    }
}

const TYPES: [&str; 11] =
    ["text", "email", "phone", "url", "number", "checkbox", "date", "datetime", "dropdown", "multi_select", "user"];

/// A custom field of each type, with the type's name before it.
async fn define_every_type(account: &Account) {
    for kind in TYPES {
        let mut field = json!({"label": format!("My {kind}"), "internal_name": format!("my_{kind}"), "type": kind});
        if ["dropdown", "multi_select"].contains(&kind) {
            field["options"] = json!([{"label": "Red"}, {"label": "Green"}]);
        }
        account.define(field).await;
    }
}

#[tokio::test]
async fn with_a_token_it_holds_the_accounts_fields() {
    let account = Account::new().await;
    define_every_type(&account).await;
    account.define(json!({"label": "Badge", "type": "text", "unique": true})).await;
    let answer = account.get("/openapi.json").await.expect(200);
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert_eq!(answer.header("vary"), "authorization");
    let schemas = &answer.body["components"]["schemas"];
    for shape in ["Contact", "ContactFields"] {
        let schema = |name: &str| schemas[shape]["properties"][format!("my_{name}")].clone();
        for (kind, expected) in [
            ("text", json!({"type": ["string", "null"], "maxLength": 4096})),
            ("email", json!({"type": ["string", "null"], "format": "email"})),
            ("url", json!({"type": ["string", "null"], "maxLength": 2048})),
            ("number", json!({"type": ["number", "null"]})),
            ("checkbox", json!({"type": ["boolean", "null"]})),
            ("date", json!({"type": ["string", "null"], "format": "date"})),
            ("datetime", json!({"type": ["string", "null"], "format": "date-time"})),
            ("dropdown", json!({"anyOf": [{"type": "string", "enum": ["red", "green"]}, {"type": "null"}]})),
            ("multi_select", json!({"type": ["array", "null"], "items": {"type": "string", "enum": ["red", "green"]}})),
            ("user", json!({"type": ["string", "null"], "format": "email"})),
        ] {
            for (keyword, value) in expected.as_object().unwrap() {
                assert_eq!(schema(kind)[keyword], *value, "{shape} {kind} {keyword}");
            }
        }
    }
    assert_eq!(schemas["ContactFields"]["additionalProperties"], false);
    assert_eq!(schemas["KeyProperty"]["enum"], json!(["email", "external_id", "badge"]));
    assert!(schemas["PropertyName"]["enum"].as_array().unwrap().contains(&json!("my_date")));
}

#[tokio::test]
async fn it_follows_the_fields() {
    let account = Account::new().await;
    let public = document().await;
    let before = account.get("/openapi.json").await.expect(200);
    account.define(json!({"label": "Shoe size", "type": "number"})).await;
    let known = |tag: String| account.call("GET", "/openapi.json").header("if-none-match", &tag).send();
    let after = known(before.etag()).await.expect(200);
    assert!(after.body["components"]["schemas"]["Contact"]["properties"]["shoe_size"].is_object());
    let same = known(after.etag()).await.expect(304);
    assert_eq!((same.header("cache-control"), same.header("vary")), ("private, no-cache", "authorization"));
    account.delete("/fields/shoe_size").await.expect(204);
    let last = account.get("/openapi.json").await.expect(200);
    assert_eq!((last.etag(), &last.body), (before.etag(), &before.body));
    assert_eq!(last.body["paths"], public["paths"]);
}

#[tokio::test]
async fn it_says_nothing_to_a_token_that_is_not_good() {
    let account = Account::new().await;
    let public = account.anonymous("GET", "/openapi.json").send().await.expect(200);
    assert_eq!((public.header("cache-control"), public.header("vary")), ("no-cache", "authorization"));
    for token in ["", "nonsense", &sign(&json!({"account_id": account.id, "exp": in_seconds(-60)}))] {
        let refused = account.with_token(token).get("/openapi.json").await.expect_error(401, "unauthorized");
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    let nobody = account.with_token(sign(&json!({"exp": in_seconds(60)})));
    nobody.get("/openapi.json").await.expect_error(401, "missing_account_context");
    let known = account.with_token("nonsense").call("GET", "/openapi.json").header("if-none-match", &public.etag());
    known.send().await.expect_error(401, "unauthorized");
}

/// A label is anyone's text; the document is read by programs and shown by pages.
#[tokio::test]
async fn it_stays_whole_whatever_fields_are_called() {
    let account = Account::new().await;
    let labels =
        ["</script><script>alert(1)</script>", "\"}]\n\u{2028}\\", "[x](javascript:alert(1)) `y` **z**", "名前 👩‍👩‍👧"];
    for (index, label) in labels.iter().enumerate() {
        let options = json!([{"label": label}]);
        let name = format!("odd_{index}");
        account.define(json!({"internal_name": name, "label": label, "type": "dropdown", "options": options})).await;
    }
    // Names of keywords of the schema language, too.
    for name in ["type", "properties_", "ref", "const", "class", "x"] {
        account.define(json!({"internal_name": name, "label": "L", "type": "text"})).await;
    }
    let document = account.get("/openapi.json").await.expect(200).body;
    let properties = document["components"]["schemas"]["Contact"]["properties"].as_object().unwrap();
    assert_eq!(properties["odd_3"]["description"], labels[3]);
    assert!(properties.iter().all(|(name, schema)| schema["anyOf"].is_array() || !name.starts_with("odd_")));
    for text in properties.values().filter_map(|schema| schema["description"].as_str()) {
        let is_escaped = |mark: char| text.matches(mark).count() == text.matches(&format!("\\{mark}")).count();
        assert!("<[`*".chars().all(is_escaped) && !text.contains('\n'), "{text}");
    }
}
