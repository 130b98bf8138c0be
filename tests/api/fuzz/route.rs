//! The routes of the document: what each takes.

use serde_json::Value;

/// A route of the document.
pub(super) struct Route {
    pub(super) method: String,
    pub(super) path: String,
    /// The parameters of its query, by name.
    pub(super) query: Vec<String>,
    /// The headers that it looks at.
    pub(super) headers: Vec<String>,
}

impl Route {
    /// All there are.
    pub(super) fn all() -> Vec<Self> {
        let document = serde_json::to_value(contacts::http::openapi::complete()).unwrap();
        let paths = document["paths"].as_object().unwrap().iter();
        let operations = paths.flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (path, method.to_uppercase(), operation))
        });
        operations.map(|(path, method, operation)| Self::read(path, method, operation)).collect()
    }

    fn read(path: &str, method: String, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named = |place: &str| {
            let of_place = parameters.iter().filter(|parameter| parameter["in"] == place);
            of_place.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
        };
        Self { method, path: path.to_owned(), query: named("query"), headers: named("header") }
    }
}
