//! `/openapi.json`: it matches its snapshot, is complete and agrees with the responses of the service.

use serde_json::{Value, json};

use crate::support::{Account, sign, timestamp_in};

/// The only route with another error format and without a bearer token. `oauth.rs` tests it.
const TOKEN_ROUTE: &str = "/oauth2/token";

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
async fn openapi_document_matches_its_snapshot() {
    insta::assert_json_snapshot!(document().await);
}

#[tokio::test]
async fn document_is_openapi_3_1_and_every_reference_resolves() {
    let document = document().await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer} does not resolve");
    }
}

#[tokio::test]
async fn every_operation_is_described_and_served() {
    let account = Account::new().await;
    let document = document().await;
    for (method, path, operation) in operations(&document).into_iter().filter(|(_, path, _)| path != TOKEN_ROUTE) {
        let route = format!("{method} {path}");
        assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{route}");
        let is_public = ["/healthz", "/readyz", "/openapi.json", "/metrics"].contains(&path.as_str());
        let allows_no_token = |security: &Value| security.as_array().is_none_or(|schemes| schemes.contains(&json!({})));
        assert_eq!(allows_no_token(&operation["security"]), is_public, "{route}");
        let sent =
            account.anonymous(&method, &path.replace("{contactId}", "x").replace("{internalName}", "x")).send().await;
        assert_eq!(sent.status, if is_public { 200 } else { 401 }, "{route} {}", sent.text);
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
            assert_eq!(*schema == json!("#/components/schemas/ApiError"), is_error, "{route} {status}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{route} {}", parameter["name"]);
        }
    }
}

#[tokio::test]
async fn allow_header_of_every_path_matches_the_documented_methods() {
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
        let response = account.anonymous("OPTIONS", &path).send().await.expect(204);
        let mut allowed: Vec<_> = response.header("allow").split(',').map(str::to_owned).collect();
        allowed.sort();
        documented.sort();
        assert_eq!(allowed, documented, "{path}");
    }
}

/// The validator in `.ci/api-document` checks that every schema example is valid, and `tests/reference` that the
/// examples of operations succeed. This test checks that the example of every writable field can be written.
#[tokio::test]
async fn field_examples_can_be_written() {
    let account = Account::new().await;
    define_fields_of_every_type(&account).await;
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

const FIELD_TYPES: [&str; 11] =
    ["text", "email", "phone", "url", "number", "checkbox", "date", "datetime", "dropdown", "multi_select", "user"];

/// Defines a custom field of each type, named `my_` and the type.
async fn define_fields_of_every_type(account: &Account) {
    for kind in FIELD_TYPES {
        let mut field = json!({"label": format!("My {kind}"), "internal_name": format!("my_{kind}"), "type": kind});
        if ["dropdown", "multi_select"].contains(&kind) {
            field["options"] = json!([{"label": "Red"}, {"label": "Green"}]);
        }
        account.define(field).await;
    }
}

#[tokio::test]
async fn document_with_a_token_has_the_custom_fields_of_the_account() {
    let account = Account::new().await;
    define_fields_of_every_type(&account).await;
    account.define(json!({"label": "Badge", "type": "text", "unique": true})).await;
    let response = account.get("/openapi.json").await.expect(200);
    assert_eq!(response.header("cache-control"), "private, no-cache");
    assert_eq!(response.header("vary"), "authorization");
    let schemas = &response.body["components"]["schemas"];
    for schema_name in ["Contact", "ContactFields"] {
        let schema = |name: &str| schemas[schema_name]["properties"][format!("my_{name}")].clone();
        for (kind, expected) in [
            ("text", json!({"type": ["string", "null"], "maxLength": 4096})),
            ("email", json!({"type": ["string", "null"], "format": "email"})),
            ("url", json!({"type": ["string", "null"], "maxLength": 2048})),
            ("number", json!({"type": ["number", "null"]})),
            ("checkbox", json!({"type": ["boolean", "null"]})),
            ("date", json!({"type": ["string", "null"], "format": "date"})),
            ("datetime", json!({"type": ["string", "null"], "format": "date-time"})),
            ("dropdown", json!({"anyOf": [{"$ref": "#/components/schemas/MyDropdownOption"}, {"type": "null"}]})),
            (
                "multi_select",
                json!({"type": ["array", "null"], "items": {"$ref": "#/components/schemas/MyMultiSelectOption"}}),
            ),
            ("user", json!({"type": ["string", "null"], "format": "email"})),
        ] {
            let written = schema(kind);
            // A write of a multi_select field can also send the options to add and to remove.
            let is_written_set = (schema_name, kind) == ("ContactFields", "multi_select");
            let value_schema = if is_written_set { &written["else"] } else { &written };
            for (keyword, value) in expected.as_object().unwrap() {
                assert_eq!(value_schema[keyword], *value, "{schema_name} {kind} {keyword}");
            }
        }
    }
    for option_schema in ["MyDropdownOption", "MyMultiSelectOption"] {
        assert_eq!(schemas[option_schema], json!({"type": "string", "enum": ["red", "green"]}));
    }
    assert_eq!(schemas["ContactFields"]["additionalProperties"], false);
    assert_eq!(schemas["KeyProperty"]["enum"], json!(["email", "external_id", "badge"]));
    assert!(schemas["PropertyName"]["enum"].as_array().unwrap().contains(&json!("my_date")));
}

#[tokio::test]
async fn document_lists_options_up_to_256_kib() {
    let account = Account::new().await;
    let name = |number: usize| format!("o{number:03}{}", "x".repeat(59));
    let options: Vec<_> = (0..400).map(|number| json!({"label": "L", "internal_name": name(number)})).collect();
    // The names of the options of a field have 400 x 63 bytes.
    for number in 0..11 {
        account.define(json!({"label": format!("f{number:02}"), "type": "dropdown", "options": options})).await;
    }
    let document = account.get("/openapi.json").await.expect(200).body;
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["F09Option"]["enum"].as_array().unwrap().len(), 400);
    for schema in ["Contact", "ContactResult", "ContactFields"] {
        let option = |field: &str| schemas[schema]["properties"][field]["anyOf"][0].clone();
        assert_eq!(option("f09"), json!({"$ref": "#/components/schemas/F09Option"}));
        assert_eq!(option("f10"), json!({"type": "string"}));
    }
}

#[tokio::test]
async fn document_and_etag_change_with_the_custom_fields() {
    let account = Account::new().await;
    let public = document().await;
    let before = account.get("/openapi.json").await.expect(200);
    account.define(json!({"label": "Shoe size", "type": "number"})).await;
    let get_if_none_match = |tag: String| account.call("GET", "/openapi.json").header("if-none-match", &tag).send();
    let after = get_if_none_match(before.etag()).await.expect(200);
    assert!(after.body["components"]["schemas"]["Contact"]["properties"]["shoe_size"].is_object());
    let same = get_if_none_match(after.etag()).await.expect(304);
    assert_eq!((same.header("cache-control"), same.header("vary")), ("private, no-cache", "authorization"));
    account.delete("/fields/shoe_size").await.expect(204);
    let restored = account.get("/openapi.json").await.expect(200);
    assert_eq!((restored.etag(), &restored.body), (before.etag(), &before.body));
    assert_eq!(restored.body["paths"], public["paths"]);
}

#[tokio::test]
async fn document_with_an_invalid_token_is_401() {
    let account = Account::new().await;
    let public = account.anonymous("GET", "/openapi.json").send().await.expect(200);
    assert_eq!((public.header("cache-control"), public.header("vary")), ("no-cache", "authorization"));
    for token in ["", "nonsense", &sign(&json!({"account_id": account.id, "exp": timestamp_in(-60)}))] {
        let refused = account.with_token(token).get("/openapi.json").await.expect_error(401, "unauthorized");
        assert_eq!(refused.header("cache-control"), "no-store");
    }
    let without_account = account.with_token(sign(&json!({"exp": timestamp_in(60)})));
    without_account.get("/openapi.json").await.expect_error(401, "missing_account_context");
    let conditional =
        account.with_token("nonsense").call("GET", "/openapi.json").header("if-none-match", &public.etag());
    conditional.send().await.expect_error(401, "unauthorized");
}

/// Labels are arbitrary text of users, but programs parse the document and pages render it.
#[tokio::test]
async fn document_stays_valid_with_hostile_field_names_and_labels() {
    let account = Account::new().await;
    let labels =
        ["</script><script>alert(1)</script>", "\"}]\n\u{2028}\\", "[x](javascript:alert(1)) `y` **z**", "名前 👩‍👩‍👧"];
    for (index, label) in labels.iter().enumerate() {
        let options = json!([{"label": label}]);
        let name = format!("odd_{index}");
        account.define(json!({"internal_name": name, "label": label, "type": "dropdown", "options": options})).await;
    }
    // Field names that are also keywords of JSON Schema.
    for name in ["type", "items", "enum", "const", "class", "x"] {
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
