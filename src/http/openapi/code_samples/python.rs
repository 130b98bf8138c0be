//! Samples for Python with the package requests.

use serde_json::Value;

use super::literal::{Notation, literal, quote};
use super::sample_request::{Credentials, SampleBody, SampleRequest};

const PYTHON: Notation = Notation { null: "None", no: "False", yes: "True", indent: 4 };

/// Returns the sample.
pub(super) fn write(request: &SampleRequest) -> String {
    let mut arguments = vec![format!("os.environ[\"URL\"] + {}", quote(&request.path))];
    if !request.query.is_empty() {
        let pairs = request.query.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        arguments.push(format!("params={}", literal(&pairs, &PYTHON, 4)));
    }
    match request.credentials {
        Credentials::None => {}
        Credentials::Token => {
            arguments.push("headers={\"Authorization\": \"Bearer \" + os.environ[\"TOKEN\"]}".to_owned());
        }
        Credentials::Client => {
            arguments.push("auth=(os.environ[\"CLIENT_ID\"], os.environ[\"CLIENT_SECRET\"])".to_owned());
        }
    }
    match &request.body {
        None => {}
        Some(SampleBody::Json(body)) => arguments.push(format!("json={}", literal(body, &PYTHON, 4))),
        Some(SampleBody::Form(fields)) => {
            arguments.push(format!("data={}", literal(&fields.clone().into(), &PYTHON, 4)));
        }
    }
    let method = request.method.as_str().to_lowercase();
    let result = if request.returns_json { "response.json()" } else { "response.text" };
    format!(
        "import os\n\nimport requests\n\nresponse = requests.{method}(\n    {},\n)\nif not response.ok:\n    raise SystemExit(response.text)\n\
         print({result})",
        arguments.join(",\n    ")
    )
}
