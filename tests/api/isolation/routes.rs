//! What an intruder can ask of each route with what belongs to another. A new route needs a case here.

use serde_json::{Value, json};

use super::estate::{Estate, Things};
use crate::support::encoded;

/// A request that an intruder sends.
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) body: Body,
    pub(super) headers: Vec<(&'static str, String)>,
}

pub(super) enum Body {
    None,
    Json(Value),
    Form(String),
}

impl Ask {
    fn with(self, name: &'static str, value: &str) -> Self {
        Self { headers: vec![(name, value.to_owned())], ..self }
    }

    fn json(self, body: Value) -> Self {
        Self { body: Body::Json(body), ..self }
    }

    /// All that is sent, in one text.
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

fn to(path: impl Into<String>) -> Ask {
    Ask { path: path.into(), body: Body::None, headers: vec![] }
}

fn named() -> Value {
    json!({"fields": {"first_name": "Mine"}})
}

fn post(path: &str, body: Value) -> Ask {
    to(path).json(body)
}

fn form(form: String) -> Ask {
    Ask { body: Body::Form(form), ..to("/oauth2/token") }
}

/// A route as the document has it, and a request for it.
pub(super) type Case = (&'static str, &'static str, fn(&Things) -> Ask);

/// Reads that are not of one contact.
const LISTS: &[Case] = &[
    ("GET", "/contacts", |of| to(format!("/contacts?email={}&archived=true", encoded(&of.email)))),
    ("GET", "/contacts", |of| to(format!("/contacts?external_id={}", of.external_id))),
    ("GET", "/contacts", |of| to(format!("/contacts?properties=phone,{}", of.field))),
    ("GET", "/contacts", |of| to(format!("/contacts?limit=1&after={}", of.list_cursor))),
    ("GET", "/contacts", |of| to(format!("/contacts?after={}", of.search_cursor))),
    ("GET", "/contacts", |_| to("/contacts?archived=true&limit=100")),
    ("GET", "/contacts/changes", |_| to("/contacts/changes?limit=1000")),
    ("GET", "/contacts/changes", |of| to(format!("/contacts/changes?after={}", of.feed_cursor))),
    ("GET", "/contacts/changes", |of| to(format!("/contacts/changes?after={}", of.history_cursor))),
    ("GET", "/contacts/changes", |of| to(format!("/contacts/changes?exclude_actor={}", of.actor))),
    ("POST", "/contacts/search", |_| post("/contacts/search", json!({"archived": true}))),
    ("POST", "/contacts/search", |of| post("/contacts/search", json!({"query": of.name}))),
    ("POST", "/contacts/search", |of| {
        post("/contacts/search", json!({"limit": 1, "sorts": ["first_name"], "after": of.search_cursor}))
    }),
    ("POST", "/contacts/search", |of| filter("email", "eq", json!(of.email))),
    ("POST", "/contacts/search", |of| filter("id", "in", json!([of.active, of.archived]))),
    ("POST", "/contacts/search", |of| filter("first_name", "starts_with", json!(of.name))),
    ("POST", "/contacts/search", |of| filter(&of.field, "eq", json!(of.badge))),
    ("POST", "/contacts/search", |of| filter(&of.choice, "eq", json!(of.option))),
    ("POST", "/contacts/search", |of| post("/contacts/search", json!({"sorts": [format!("-{}", of.choice)]}))),
    ("POST", "/contacts/search", |of| post("/contacts/search", json!({"properties": [of.field]}))),
];

fn filter(property: &str, operator: &str, value: Value) -> Ask {
    let filter = json!({"property": property, "operator": operator, "value": value});
    post("/contacts/search", json!({"filters": [filter], "archived": true}))
}

/// One contact, by its id or by a value of it.
const CONTACTS: &[Case] = &[
    ("POST", "/contacts", |of| {
        post("/contacts", json!({"fields": {"email": of.email, "external_id": of.external_id}}))
    }),
    ("POST", "/contacts", |of| {
        post("/contacts", json!({"fields": {"first_name": "Mine", of.field.clone(): of.badge}}))
    }),
    ("POST", "/contacts", |of| post("/contacts", json!({"fields": {"first_name": "Mine", "id": of.active}}))),
    ("POST", "/contacts", |of| post("/contacts", Estate::kept_request()).with("idempotency-key", &of.idempotency_key)),
    ("GET", "/contacts/{contactId}", |of| to(format!("/contacts/{}", of.active))),
    ("GET", "/contacts/{contactId}", |of| to(format!("/contacts/{}", of.active.to_uppercase()))),
    ("GET", "/contacts/{contactId}", |of| to(format!("/contacts/{}", of.archived))),
    ("GET", "/contacts/{contactId}", |of| {
        to(format!("/contacts/{}", of.active)).with("if-none-match", &of.contact_tag)
    }),
    ("GET", "/contacts/{contactId}", |of| to(format!("/contacts/{}?properties={}", of.active, of.field))),
    ("GET", "/contacts/{contactId}", |of| to(format!("/contacts/{}?id_property=email", encoded(&of.email)))),
    ("GET", "/contacts/{contactId}", |of| to(format!("/contacts/{}?id_property=external_id", of.external_id))),
    ("GET", "/contacts/{contactId}", |of| to(format!("/contacts/{}?id_property={}", of.badge, of.field))),
    ("PATCH", "/contacts/{contactId}", |of| post(&format!("/contacts/{}", of.active), named())),
    ("PATCH", "/contacts/{contactId}", |of| post(&format!("/contacts/{}", of.archived), named())),
    ("PATCH", "/contacts/{contactId}", |of| post(&format!("/contacts/{}?dry_run=true", of.active), named())),
    ("PATCH", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}", of.active), named()).with("if-match", &of.contact_tag)
    }),
    ("PATCH", "/contacts/{contactId}", |of| post(&format!("/contacts/{}", of.active), named()).with("if-match", "*")),
    ("PATCH", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=email", encoded(&of.email)), named())
    }),
    ("PATCH", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=external_id", of.external_id), named())
    }),
    ("PATCH", "/contacts/{contactId}", |of| post(&format!("/contacts/{}?id_property={}", of.badge, of.field), named())),
    ("PATCH", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}", of.active), json!({"fields": {of.field.clone(): "mine"}}))
    }),
    ("PUT", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=external_id", of.external_id), named())
    }),
    ("PUT", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=email", encoded(&of.email)), named())
    }),
    ("PUT", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=email&dry_run=true", encoded(&of.email)), named())
    }),
    ("PUT", "/contacts/{contactId}", |of| post(&format!("/contacts/{}?id_property={}", of.badge, of.field), named())),
    ("PUT", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=external_id", of.external_id), named()).with("if-match", "*")
    }),
    ("PUT", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=external_id", of.external_id), named())
            .with("if-match", &of.contact_tag)
    }),
    ("PUT", "/contacts/{contactId}", |of| {
        post(&format!("/contacts/{}?id_property=external_id", of.external_id), named()).with("if-none-match", "*")
    }),
    ("DELETE", "/contacts/{contactId}", |of| to(format!("/contacts/{}", of.active))),
    ("DELETE", "/contacts/{contactId}", |of| to(format!("/contacts/{}", of.archived))),
    ("DELETE", "/contacts/{contactId}", |of| to(format!("/contacts/{}?dry_run=true", of.active))),
    ("DELETE", "/contacts/{contactId}", |of| to(format!("/contacts/{}", of.active)).with("if-match", &of.contact_tag)),
    ("DELETE", "/contacts/{contactId}", |of| to(format!("/contacts/{}?id_property=email", encoded(&of.email)))),
    ("POST", "/contacts/{contactId}/restore", |of| to(format!("/contacts/{}/restore", of.archived))),
    ("POST", "/contacts/{contactId}/restore", |of| to(format!("/contacts/{}/restore", of.active))),
    ("POST", "/contacts/{contactId}/restore", |of| {
        to(format!("/contacts/{}/restore", of.archived)).with("idempotency-key", &of.idempotency_key)
    }),
    ("POST", "/contacts/{contactId}/purge", |of| to(format!("/contacts/{}/purge", of.active))),
    ("POST", "/contacts/{contactId}/purge", |of| {
        to(format!("/contacts/{}/purge", of.archived)).with("idempotency-key", &of.idempotency_key)
    }),
    ("GET", "/contacts/{contactId}/history", |of| to(format!("/contacts/{}/history", of.active))),
    ("GET", "/contacts/{contactId}/history", |of| to(format!("/contacts/{}/history", of.archived))),
    ("GET", "/contacts/{contactId}/history", |of| {
        to(format!("/contacts/{}/history?after={}", of.active, of.history_cursor))
    }),
];

const BATCHES: &[Case] = &[
    ("POST", "/contacts/batch/create", |of| {
        let fields = json!({"email": of.email, "external_id": of.external_id});
        post("/contacts/batch/create", json!({"inputs": [{"fields": fields}]}))
            .with("idempotency-key", &of.idempotency_key)
    }),
    ("POST", "/contacts/batch/create", |of| {
        post(
            "/contacts/batch/create",
            json!({"inputs": [{"fields": {"first_name": "Mine", of.choice.clone(): of.option}}]}),
        )
    }),
    ("POST", "/contacts/batch/read", |of| {
        post("/contacts/batch/read", json!({"inputs": [{"id": of.active}, {"id": of.archived}]}))
    }),
    ("POST", "/contacts/batch/read", |of| {
        post("/contacts/batch/read", json!({"inputs": [{"id": of.external_id}], "id_property": "external_id"}))
    }),
    ("POST", "/contacts/batch/read", |of| {
        post("/contacts/batch/read", json!({"inputs": [{"id": of.active}], "properties": [of.field]}))
    }),
    ("POST", "/contacts/batch/read", |of| {
        post("/contacts/batch/read", json!({"inputs": [{"id": of.badge}], "id_property": of.field}))
    }),
    ("POST", "/contacts/batch/update", |of| {
        let inputs = [&of.active, &of.archived].map(|id| json!({"id": id, "fields": {"first_name": "Mine"}}));
        post("/contacts/batch/update", json!({"inputs": inputs}))
    }),
    ("POST", "/contacts/batch/update", |of| {
        let inputs = json!([{"fields": {"first_name": "Mine"}, "id": of.email}]);
        post("/contacts/batch/update", json!({"inputs": inputs, "id_property": "email", "atomic": true}))
    }),
    ("POST", "/contacts/batch/upsert", |of| {
        let inputs = json!([{"id": of.external_id, "fields": {"first_name": "Mine", "email": of.email}}]);
        post("/contacts/batch/upsert", json!({"inputs": inputs, "id_property": "external_id"}))
    }),
    ("POST", "/contacts/batch/upsert", |of| {
        let inputs = json!([{"id": of.badge, "fields": {"first_name": "Mine"}}]);
        post("/contacts/batch/upsert", json!({"inputs": inputs, "id_property": of.field}))
    }),
    ("POST", "/contacts/batch/archive", |of| {
        post("/contacts/batch/archive", json!({"inputs": [{"id": of.active}, {"id": of.archived}]}))
    }),
    ("POST", "/contacts/batch/archive", |of| {
        post("/contacts/batch/archive", json!({"inputs": [{"id": of.email}], "id_property": "email", "atomic": true}))
    }),
];

/// The registry, and what is no contact at all.
const OTHERS: &[Case] = &[
    ("GET", "/fields", |_| to("/fields")),
    ("POST", "/fields", |of| post("/fields", json!({"internal_name": of.field, "label": "Mine", "type": "number"}))),
    ("POST", "/fields", |of| {
        let options = json!([{"internal_name": of.option, "label": "Mine"}]);
        post("/fields", json!({"internal_name": of.choice, "label": "Mine", "type": "dropdown", "options": options}))
            .with("idempotency-key", &of.idempotency_key)
    }),
    ("GET", "/fields/{internalName}", |of| to(format!("/fields/{}", of.field))),
    ("GET", "/fields/{internalName}", |of| to(format!("/fields/{}", of.choice))),
    ("PATCH", "/fields/{internalName}", |of| post(&format!("/fields/{}", of.field), json!({"label": "Mine"}))),
    ("PATCH", "/fields/{internalName}", |of| {
        post(&format!("/fields/{}", of.choice), json!({"options": [{"internal_name": of.option, "label": "Mine"}]}))
    }),
    ("DELETE", "/fields/{internalName}", |of| to(format!("/fields/{}", of.field))),
    ("DELETE", "/fields/{internalName}", |of| to(format!("/fields/{}", of.choice))),
    ("POST", "/oauth2/token", |of| {
        form(format!("grant_type=client_credentials&client_id={}&client_secret={}", of.client_id, "s".repeat(43)))
    }),
    ("POST", "/oauth2/token", |of| {
        form(format!("grant_type=client_credentials&client_id={}&client_secret={}", of.client_secret, of.client_id))
    }),
    ("GET", "/openapi.json", |of| to("/openapi.json").with("if-none-match", &of.document_tag)),
    ("GET", "/healthz", |of| to(format!("/healthz?account={}", of.active))),
    ("GET", "/readyz", |_| to("/readyz")),
    ("GET", "/metrics", |_| to("/metrics")),
    // Not in the document.
    ("GET", "/docs", |_| to("/docs")),
    ("PATCH", "/contacts", |of| to(format!("/contacts?id={}", of.active))),
    ("GET", "/contacts/", |of| to(format!("/contacts/?id={}", of.active))),
    ("GET", "/contacts/{contactId}/nothing", |of| to(format!("/contacts/{}/nothing", of.active))),
];

pub(super) fn cases() -> impl Iterator<Item = Case> {
    [LISTS, CONTACTS, BATCHES, OTHERS].into_iter().flatten().copied()
}
