//! The request that the samples of an operation send.

use axum::http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// The characters of a path segment or query value that are encoded. Commas and colons are easier to read as they are.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b':').remove(b'@');

/// The request of a sample.
pub(super) struct SampleRequest {
    pub(super) method: Method,
    /// The path with the values of its parameters.
    pub(super) path: String,
    /// The query parameters that have an example. Their values are not encoded.
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<SampleBody>,
    pub(super) credentials: Credentials,
    /// Whether a success has a JSON body.
    pub(super) returns_json: bool,
}

/// The body of a sample.
pub(super) enum SampleBody {
    Json(Value),
    /// Form fields in the order of the schema.
    Form(Map<String, Value>),
}

/// How a sample authenticates.
pub(super) enum Credentials {
    None,
    /// A bearer token.
    Token,
    /// The id and the secret of an API client.
    Client,
}

impl SampleRequest {
    /// Returns the request of an operation of a document, with the examples of its parameters and body.
    pub(super) fn new(document: &Value, path: &str, method: &Method) -> Self {
        let operation = &document["paths"][path][method.as_str().to_lowercase()];
        let mut request = Self {
            method: method.clone(),
            path: path.to_owned(),
            query: Vec::new(),
            body: SampleBody::of(document, operation),
            credentials: Credentials::of(operation),
            returns_json: returns_json(operation),
        };
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let (Some(name), Some(example)) = (parameter["name"].as_str(), parameter.get("example")) else { continue };
            let value = text(example);
            if parameter["in"] == "path" {
                request.path = request.path.replace(&format!("{{{name}}}"), &encode(&value));
            } else {
                request.query.push((name.to_owned(), value));
            }
        }
        request
    }

    /// Returns the path with the query.
    pub(super) fn target(&self) -> String {
        let pairs: Vec<_> = self.query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        if pairs.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, pairs.join("&")) }
    }
}

impl SampleBody {
    fn of(document: &Value, operation: &Value) -> Option<Self> {
        let content = &operation["requestBody"]["content"];
        let example = |media_type| {
            let schema = &content.get(media_type)?["schema"];
            let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
            let schema = reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema);
            schema["examples"].get(0).cloned()
        };
        if let Some(json) = example("application/json") {
            return Some(Self::Json(json));
        }
        match example("application/x-www-form-urlencoded") {
            Some(Value::Object(fields)) => Some(Self::Form(fields)),
            _ => None,
        }
    }
}

impl Credentials {
    fn of(operation: &Value) -> Self {
        let has = |scheme: &str| {
            operation["security"].as_array().into_iter().flatten().any(|requirement| requirement.get(scheme).is_some())
        };
        if has("bearer") {
            Self::Token
        } else if has("basic") {
            Self::Client
        } else {
            Self::None
        }
    }
}

fn returns_json(operation: &Value) -> bool {
    let responses = operation["responses"].as_object().into_iter().flatten();
    let mut successes = responses.filter(|(status, _)| status.starts_with('2'));
    successes.any(|(_, response)| response["content"].get("application/json").is_some())
}

/// Returns a parameter's value. Lists are joined by commas.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn encode(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}
