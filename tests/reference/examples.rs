//! Sends every operation with the examples of the document, as the page at `/docs` sends it. Every example must
//! succeed.

use reqwest::{Client, Method, Url};
use serde_json::Value;

use crate::dev_server::DevServer;

/// Every operation, in an order that works on the sample account. For example, a contact is archived before it is
/// restored.
const ORDER: [&str; 28] = [
    "health",
    "metrics",
    "readiness",
    "openapi",
    "listContacts",
    "readContact",
    "updateContact",
    "upsertContact",
    "createContact",
    "searchContacts",
    "batchRead",
    "batchCreate",
    "batchUpdate",
    "batchUpsert",
    "batchArchive",
    "archiveContact",
    "restoreContact",
    "readHistory",
    "purgeContact",
    "readChanges",
    "exportContacts",
    "readMe",
    "listFields",
    "readField",
    "createField",
    "updateField",
    "deleteField",
    // Needs the credentials of an API client, which the sample account does not have.
    "createToken",
];

/// An operation of the OpenAPI document.
struct Operation<'a> {
    document: &'a Value,
    method: Method,
    path: &'a str,
    content: &'a Value,
}

impl<'a> Operation<'a> {
    /// Returns the operation with this `operationId`.
    fn find(document: &'a Value, id: &str) -> Self {
        let all = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, content)| (path, method, content))
        });
        let (path, method, content) = all
            .into_iter()
            .find(|(_, _, content)| content["operationId"] == id)
            .unwrap_or_else(|| panic!("the document has no operation {id}"));
        Self { document, method: method.to_uppercase().parse().unwrap(), path, content }
    }

    /// Resolves a `$ref` of the document.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        }
    }

    /// Returns the URL with the examples and defaults of the parameters. Lists are joined by commas.
    fn url(&self, origin: &str) -> Url {
        let mut url = Url::parse(origin).unwrap();
        let mut segments: Vec<_> = self.path.split('/').skip(1).map(str::to_owned).collect();
        for parameter in self.content["parameters"].as_array().into_iter().flatten() {
            let example = parameter.get("example").or_else(|| self.resolve(&parameter["schema"]).get("default"));
            let Some(value) = example.map(text) else {
                assert_ne!(parameter["required"], true, "{} {} has no example", self.path, parameter["name"]);
                continue;
            };
            let name = parameter["name"].as_str().unwrap();
            match parameter["in"].as_str() {
                Some("path") => segments
                    .iter_mut()
                    .filter(|segment| **segment == format!("{{{name}}}"))
                    .for_each(|segment| segment.clone_from(&value)),
                Some("query") => drop(url.query_pairs_mut().append_pair(name, &value)),
                other => panic!("the parameter {name} has an example but is in {other:?}"),
            }
        }
        url.path_segments_mut().unwrap().pop_if_empty().extend(segments);
        url
    }

    /// Returns the first example of the body, which the page shows at first.
    fn body(&self) -> Option<&'a Value> {
        let content = self.content["requestBody"]["content"].get("application/json")?;
        Some(&self.resolve(&content["schema"])["examples"][0])
    }
}

/// Returns a parameter value as it is written in a URL.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn example_of_every_operation_succeeds_on_the_sample_account() {
    let dev = DevServer::start();
    let client = Client::new();
    let document: Value = {
        let request = client.get(format!("{}/openapi.json", dev.origin)).bearer_auth(&dev.token);
        request.send().await.unwrap().json().await.unwrap()
    };
    for id in ORDER.iter().filter(|id| **id != "createToken") {
        let operation = Operation::find(&document, id);
        let request = client.request(operation.method.clone(), operation.url(&dev.origin)).bearer_auth(&dev.token);
        let request = match operation.body() {
            Some(body) => request.json(body),
            None => request,
        };
        let response = request.send().await.unwrap();
        let (status, body) = (response.status(), response.text().await.unwrap());
        // 207 is a success in HTTP, but it means that a part of a batch has failed.
        assert!(status.is_success() && status != 207, "{id}: {status} {body}");
        if *id == "listContacts" {
            assert!(body.contains("sample-1"), "the example of a list returns no contact: {body}");
        }
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    for operation in operations {
        assert!(ORDER.iter().any(|id| operation["operationId"] == *id), "{} was not sent", operation["operationId"]);
    }
}
