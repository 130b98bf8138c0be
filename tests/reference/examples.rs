//! Every operation, with the examples of the document, as the page sends it: what a reader tries first must succeed.

use reqwest::{Client, Method, Url};
use serde_json::Value;

use crate::dev::Dev;

/// Every operation, in an order that makes sense on the sample account: what is archived is restored after.
const ORDER: [&str; 26] = [
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
    "listFields",
    "readField",
    "createField",
    "updateField",
    "deleteField",
    // Needs the credentials of a client, which nobody has beforehand.
    "createToken",
];

/// An operation of the document.
struct Operation<'a> {
    document: &'a Value,
    method: Method,
    path: &'a str,
    content: &'a Value,
}

impl<'a> Operation<'a> {
    fn find(document: &'a Value, id: &str) -> Self {
        let all = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, content)| (path, method, content))
        });
        let (path, method, content) =
            all.into_iter().find(|(_, _, content)| content["operationId"] == id).unwrap_or_else(|| panic!("no {id}"));
        Self { document, method: method.to_uppercase().parse().unwrap(), path, content }
    }

    /// What a reference of the document leads to.
    fn follow(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        }
    }

    /// The URL with its parameters filled by examples and defaults, lists joined by commas.
    fn url(&self, origin: &str) -> Url {
        let mut url = Url::parse(origin).unwrap();
        let mut segments: Vec<_> = self.path.split('/').skip(1).map(str::to_owned).collect();
        for parameter in self.content["parameters"].as_array().into_iter().flatten() {
            let example = parameter.get("example").or_else(|| self.follow(&parameter["schema"]).get("default"));
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
                other => panic!("an example for {name} in {other:?}"),
            }
        }
        url.path_segments_mut().unwrap().pop_if_empty().extend(segments);
        url
    }

    /// The body that the page starts with.
    fn body(&self) -> Option<&'a Value> {
        let content = self.content["requestBody"]["content"].get("application/json")?;
        Some(&self.follow(&content["schema"])["examples"][0])
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

#[tokio::test]
async fn succeed_on_the_sample_account() {
    let dev = Dev::start();
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
        let answer = request.send().await.unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        // A batch of which a part failed is a success to HTTP, but not to its reader.
        assert!(status.is_success() && status != 207, "{id}: {status} {body}");
        if *id == "listContacts" {
            assert!(body.contains("sample-1"), "the example of a list finds nothing: {body}");
        }
    }
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    for operation in operations {
        assert!(ORDER.iter().any(|id| operation["operationId"] == *id), "{} is not tried", operation["operationId"]);
    }
}
