//! The routes of the OpenAPI document and their parameters.

use serde_json::Value;

/// A route of the OpenAPI document.
pub(super) struct Route {
    pub(super) method: String,
    pub(super) path: String,
    /// The names of its query parameters.
    pub(super) query: Vec<String>,
    /// The names of its header parameters.
    pub(super) headers: Vec<String>,
}

impl Route {
    /// Returns every route of the document.
    pub(super) fn all() -> Vec<Self> {
        let document = serde_json::to_value(contacts::http::openapi_document()).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (path, method.to_uppercase(), operation))
        });
        operations.map(|(path, method, operation)| Self::from_operation(path, method, operation)).collect()
    }

    fn from_operation(path: &str, method: String, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let names_in = |location: &str| {
            let matching = parameters.iter().filter(|parameter| parameter["in"] == location);
            matching.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        Self { method, path: path.to_owned(), query: names_in("query"), headers: names_in("header") }
    }
}
