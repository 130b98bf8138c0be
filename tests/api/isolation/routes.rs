//! Requests to every route that contain identifiers of another account. Add a case for each new route.

use serde_json::{Value, json};

use super::fixtures::{Identifiers, Tenant};
use crate::support::percent_encoded;

/// A request that an intruder sends.
pub(super) struct IntruderRequest {
    pub(super) path: String,
    pub(super) body: Body,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) enum Body {
    None,
    Json(Value),
    Form(String),
}

impl IntruderRequest {
    fn header(self, name: &'static str, value: &str) -> Self {
        Self { headers: vec![(name, value.to_owned())], ..self }
    }

    fn json(self, body: Value) -> Self {
        Self { body: Body::Json(body), ..self }
    }

    /// Returns the path, the body and the header values in one text.
    pub(super) fn text(&self) -> String {
        let body = match &self.body {
            Body::None => String::new(),
            Body::Json(body) => body.to_string(),
            Body::Form(form) => form.clone(),
        };
        let headers: Vec<_> = self.headers.iter().map(|(_, value)| value.as_str()).collect();
        format!("{} {body} {}", self.path.replace("%40", "@"), headers.join(" "))
    }
}

fn request(path: impl Into<String>) -> IntruderRequest {
    IntruderRequest { path: path.into(), body: Body::None, headers: vec![] }
}

fn valid_body() -> Value {
    json!({"fields": {"first_name": "Mine"}})
}

fn request_with_body(path: &str, body: Value) -> IntruderRequest {
    request(path).json(body)
}

fn token_request(form: String) -> IntruderRequest {
    IntruderRequest { body: Body::Form(form), ..request("/oauth2/token") }
}

/// A method, a route as in the OpenAPI document, and a function that builds a request with these identifiers.
pub(super) type Case = (&'static str, &'static str, fn(&Identifiers) -> IntruderRequest);

/// Lists, search and the change feed.
const LIST_CASES: &[Case] = &[
    ("GET", "/contacts", |victim| request(format!("/contacts?email={}&archived=true", percent_encoded(&victim.email)))),
    ("GET", "/contacts", |victim| request(format!("/contacts?external_id={}", victim.external_id))),
    ("GET", "/contacts", |victim| request(format!("/contacts?properties=phone,{}", victim.field))),
    ("GET", "/contacts", |victim| request(format!("/contacts?limit=1&after={}", victim.list_cursor))),
    ("GET", "/contacts", |victim| request(format!("/contacts?after={}", victim.search_cursor))),
    ("GET", "/contacts", |_| request("/contacts?archived=true&limit=100")),
    ("GET", "/contacts/changes", |_| request("/contacts/changes?limit=1000")),
    ("GET", "/contacts/changes", |_| request("/contacts/changes?properties=*&since=2020-01-01T00:00:00Z")),
    ("GET", "/contacts/export", |_| request("/contacts/export?format=ndjson")),
    ("GET", "/contacts/export", |_| request("/contacts/export?format=csv&properties=*")),
    ("GET", "/me", |_| request("/me")),
    ("GET", "/contacts/changes", |victim| request(format!("/contacts/changes?after={}", victim.feed_cursor))),
    ("GET", "/contacts/changes", |victim| request(format!("/contacts/changes?after={}", victim.history_cursor))),
    ("GET", "/contacts/changes", |victim| request(format!("/contacts/changes?exclude_actor={}", victim.actor))),
    ("POST", "/contacts/search", |_| request_with_body("/contacts/search", json!({"archived": true}))),
    ("POST", "/contacts/search", |victim| request_with_body("/contacts/search", json!({"query": victim.name}))),
    ("POST", "/contacts/search", |victim| {
        request_with_body(
            "/contacts/search",
            json!({"limit": 1, "sorts": ["first_name"], "after": victim.search_cursor}),
        )
    }),
    ("POST", "/contacts/search", |victim| search_with_filter("email", "eq", json!(victim.email))),
    ("POST", "/contacts/search", |victim| search_with_filter("id", "in", json!([victim.active, victim.archived]))),
    ("POST", "/contacts/search", |victim| search_with_filter("first_name", "starts_with", json!(victim.name))),
    ("POST", "/contacts/search", |victim| search_with_filter(&victim.field, "eq", json!(victim.badge))),
    ("POST", "/contacts/search", |victim| search_with_filter(&victim.choice, "eq", json!(victim.option))),
    ("POST", "/contacts/search", |victim| {
        request_with_body("/contacts/search", json!({"sorts": [format!("-{}", victim.choice)]}))
    }),
    ("POST", "/contacts/search", |victim| request_with_body("/contacts/search", json!({"properties": [victim.field]}))),
];

fn search_with_filter(property: &str, operator: &str, value: Value) -> IntruderRequest {
    let filter = json!({"property": property, "operator": operator, "value": value});
    request_with_body("/contacts/search", json!({"filters": [filter], "archived": true}))
}

/// One contact, addressed by its id or by a unique property.
const CONTACT_CASES: &[Case] = &[
    ("POST", "/contacts", |victim| {
        request_with_body("/contacts", json!({"fields": {"email": victim.email, "external_id": victim.external_id}}))
    }),
    ("POST", "/contacts", |victim| {
        request_with_body("/contacts", json!({"fields": {"first_name": "Mine", victim.field.clone(): victim.badge}}))
    }),
    ("POST", "/contacts", |victim| {
        request_with_body("/contacts", json!({"fields": {"first_name": "Mine", "id": victim.active}}))
    }),
    ("POST", "/contacts", |victim| {
        request_with_body("/contacts", Tenant::idempotent_body()).header("idempotency-key", &victim.idempotency_key)
    }),
    ("GET", "/contacts/{contactId}", |victim| request(format!("/contacts/{}", victim.active))),
    ("GET", "/contacts/{contactId}", |victim| request(format!("/contacts/{}", victim.active.to_uppercase()))),
    ("GET", "/contacts/{contactId}", |victim| request(format!("/contacts/{}", victim.archived))),
    ("GET", "/contacts/{contactId}", |victim| {
        request(format!("/contacts/{}", victim.active)).header("if-none-match", &victim.contact_etag)
    }),
    ("GET", "/contacts/{contactId}", |victim| {
        request(format!("/contacts/{}?properties={}", victim.active, victim.field))
    }),
    ("GET", "/contacts/{contactId}", |victim| {
        request(format!("/contacts/{}?id_property=email", percent_encoded(&victim.email)))
    }),
    ("GET", "/contacts/{contactId}", |victim| {
        request(format!("/contacts/{}?id_property=external_id", victim.external_id))
    }),
    ("GET", "/contacts/{contactId}", |victim| {
        request(format!("/contacts/{}?id_property={}", victim.badge, victim.field))
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}", victim.active), valid_body())
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}", victim.archived), valid_body())
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?dry_run=true", victim.active), valid_body())
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}", victim.active), valid_body())
            .header("if-match", &victim.contact_etag)
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}", victim.active), valid_body()).header("if-match", "*")
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property=email", percent_encoded(&victim.email)), valid_body())
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property=external_id", victim.external_id), valid_body())
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property={}", victim.badge, victim.field), valid_body())
    }),
    ("PATCH", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}", victim.active), json!({"fields": {victim.field.clone(): "mine"}}))
    }),
    ("PUT", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property=external_id", victim.external_id), valid_body())
    }),
    ("PUT", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property=email", percent_encoded(&victim.email)), valid_body())
    }),
    ("PUT", "/contacts/{contactId}", |victim| {
        request_with_body(
            &format!("/contacts/{}?id_property=email&dry_run=true", percent_encoded(&victim.email)),
            valid_body(),
        )
    }),
    ("PUT", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property={}", victim.badge, victim.field), valid_body())
    }),
    ("PUT", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property=external_id", victim.external_id), valid_body())
            .header("if-match", "*")
    }),
    ("PUT", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property=external_id", victim.external_id), valid_body())
            .header("if-match", &victim.contact_etag)
    }),
    ("PUT", "/contacts/{contactId}", |victim| {
        request_with_body(&format!("/contacts/{}?id_property=external_id", victim.external_id), valid_body())
            .header("if-none-match", "*")
    }),
    ("DELETE", "/contacts/{contactId}", |victim| request(format!("/contacts/{}", victim.active))),
    ("DELETE", "/contacts/{contactId}", |victim| request(format!("/contacts/{}", victim.archived))),
    ("DELETE", "/contacts/{contactId}", |victim| request(format!("/contacts/{}?dry_run=true", victim.active))),
    ("DELETE", "/contacts/{contactId}", |victim| {
        request(format!("/contacts/{}", victim.active)).header("if-match", &victim.contact_etag)
    }),
    ("DELETE", "/contacts/{contactId}", |victim| {
        request(format!("/contacts/{}?id_property=email", percent_encoded(&victim.email)))
    }),
    ("POST", "/contacts/{contactId}/restore", |victim| request(format!("/contacts/{}/restore", victim.archived))),
    ("POST", "/contacts/{contactId}/restore", |victim| request(format!("/contacts/{}/restore", victim.active))),
    ("POST", "/contacts/{contactId}/restore", |victim| {
        request(format!("/contacts/{}/restore", victim.archived)).header("idempotency-key", &victim.idempotency_key)
    }),
    ("POST", "/contacts/{contactId}/purge", |victim| request(format!("/contacts/{}/purge", victim.active))),
    ("POST", "/contacts/{contactId}/purge", |victim| {
        request(format!("/contacts/{}/purge", victim.active)).header("if-match", &victim.contact_etag)
    }),
    ("POST", "/contacts/{contactId}/purge", |victim| {
        request(format!("/contacts/{}/purge", victim.archived)).header("idempotency-key", &victim.idempotency_key)
    }),
    ("GET", "/contacts/{contactId}/history", |victim| request(format!("/contacts/{}/history", victim.active))),
    ("GET", "/contacts/{contactId}/history", |victim| request(format!("/contacts/{}/history", victim.archived))),
    ("GET", "/contacts/{contactId}/history", |victim| {
        request(format!("/contacts/{}/history?after={}", victim.active, victim.history_cursor))
    }),
];

/// Batches.
const BATCH_CASES: &[Case] = &[
    ("POST", "/contacts/batch/create", |victim| {
        let fields = json!({"email": victim.email, "external_id": victim.external_id});
        request_with_body("/contacts/batch/create", json!({"inputs": [{"fields": fields}]}))
            .header("idempotency-key", &victim.idempotency_key)
    }),
    ("POST", "/contacts/batch/create", |victim| {
        request_with_body(
            "/contacts/batch/create",
            json!({"inputs": [{"fields": {"first_name": "Mine", victim.choice.clone(): victim.option}}]}),
        )
    }),
    ("POST", "/contacts/batch/read", |victim| {
        request_with_body("/contacts/batch/read", json!({"inputs": [{"id": victim.active}, {"id": victim.archived}]}))
    }),
    ("POST", "/contacts/batch/read", |victim| {
        request_with_body(
            "/contacts/batch/read",
            json!({"inputs": [{"id": victim.external_id}], "id_property": "external_id"}),
        )
    }),
    ("POST", "/contacts/batch/read", |victim| {
        request_with_body(
            "/contacts/batch/read",
            json!({"inputs": [{"id": victim.active}], "properties": [victim.field]}),
        )
    }),
    ("POST", "/contacts/batch/read", |victim| {
        request_with_body(
            "/contacts/batch/read",
            json!({"inputs": [{"id": victim.badge}], "id_property": victim.field}),
        )
    }),
    ("POST", "/contacts/batch/update", |victim| {
        let inputs = [&victim.active, &victim.archived].map(|id| json!({"id": id, "fields": {"first_name": "Mine"}}));
        request_with_body("/contacts/batch/update", json!({"inputs": inputs}))
    }),
    ("POST", "/contacts/batch/update", |victim| {
        let inputs = json!([{"fields": {"first_name": "Mine"}, "id": victim.email}]);
        request_with_body("/contacts/batch/update", json!({"inputs": inputs, "id_property": "email", "atomic": true}))
    }),
    ("POST", "/contacts/batch/upsert", |victim| {
        let inputs = json!([{"id": victim.external_id, "fields": {"first_name": "Mine", "email": victim.email}}]);
        request_with_body("/contacts/batch/upsert", json!({"inputs": inputs, "id_property": "external_id"}))
    }),
    ("POST", "/contacts/batch/upsert", |victim| {
        let inputs = json!([{"id": victim.badge, "fields": {"first_name": "Mine"}}]);
        request_with_body("/contacts/batch/upsert", json!({"inputs": inputs, "id_property": victim.field}))
    }),
    ("POST", "/contacts/batch/archive", |victim| {
        request_with_body(
            "/contacts/batch/archive",
            json!({"inputs": [{"id": victim.active}, {"id": victim.archived}]}),
        )
    }),
    ("POST", "/contacts/batch/archive", |victim| {
        request_with_body(
            "/contacts/batch/archive",
            json!({"inputs": [{"id": victim.active, "if_match": victim.contact_etag}, {"id": victim.active, "if_match": 1}]}),
        )
    }),
    ("POST", "/contacts/batch/archive", |victim| {
        request_with_body(
            "/contacts/batch/archive",
            json!({"inputs": [{"id": victim.email}], "id_property": "email", "atomic": true}),
        )
    }),
];

/// Fields, tokens, operations and the OpenAPI document.
const OTHER_CASES: &[Case] = &[
    ("GET", "/fields", |_| request("/fields")),
    ("POST", "/fields", |victim| {
        request_with_body("/fields", json!({"internal_name": victim.field, "label": "Mine", "type": "number"}))
    }),
    ("POST", "/fields", |victim| {
        let options = json!([{"internal_name": victim.option, "label": "Mine"}]);
        request_with_body(
            "/fields",
            json!({"internal_name": victim.choice, "label": "Mine", "type": "dropdown", "options": options}),
        )
        .header("idempotency-key", &victim.idempotency_key)
    }),
    ("GET", "/fields/{internalName}", |victim| request(format!("/fields/{}", victim.field))),
    ("GET", "/fields/{internalName}", |victim| request(format!("/fields/{}", victim.choice))),
    ("PATCH", "/fields/{internalName}", |victim| {
        request_with_body(&format!("/fields/{}", victim.field), json!({"label": "Mine"}))
    }),
    ("PATCH", "/fields/{internalName}", |victim| {
        request_with_body(
            &format!("/fields/{}", victim.choice),
            json!({"options": [{"internal_name": victim.option, "label": "Mine"}]}),
        )
    }),
    ("DELETE", "/fields/{internalName}", |victim| request(format!("/fields/{}", victim.field))),
    ("DELETE", "/fields/{internalName}", |victim| request(format!("/fields/{}", victim.choice))),
    ("POST", "/oauth2/token", |victim| {
        token_request(format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            victim.client_id,
            "s".repeat(43)
        ))
    }),
    ("POST", "/oauth2/token", |victim| {
        token_request(format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            victim.client_secret, victim.client_id
        ))
    }),
    ("GET", "/openapi.json", |victim| request("/openapi.json").header("if-none-match", &victim.document_etag)),
    ("GET", "/healthz", |victim| request(format!("/healthz?account={}", victim.active))),
    ("GET", "/readyz", |_| request("/readyz")),
    ("GET", "/metrics", |_| request("/metrics")),
    // Not in the OpenAPI document.
    ("GET", "/docs", |_| request("/docs")),
    ("PATCH", "/contacts", |victim| request(format!("/contacts?id={}", victim.active))),
    ("GET", "/contacts/", |victim| request(format!("/contacts/?id={}", victim.active))),
    ("GET", "/contacts/{contactId}/nothing", |victim| request(format!("/contacts/{}/nothing", victim.active))),
];

/// Returns all cases.
pub(super) fn cases() -> impl Iterator<Item = Case> {
    [LIST_CASES, CONTACT_CASES, BATCH_CASES, OTHER_CASES].into_iter().flatten().copied()
}
