//! Samples for TypeScript with `fetch`, as Node.js, Deno and Bun have it.

use axum::http::Method;

use super::literal::{self, literal};
use super::sample_request::{Credentials, SampleBody, SampleRequest};

/// Returns the sample.
pub(super) fn write(request: &SampleRequest) -> String {
    let mut options = Vec::new();
    if request.method != Method::GET {
        options.push(format!("method: \"{}\"", request.method));
    }
    let headers = headers(request);
    if !headers.is_empty() {
        options.push(format!("headers: {{ {} }}", headers.join(", ")));
    }
    match &request.body {
        None => {}
        Some(SampleBody::Json(body)) => {
            options.push(format!("body: JSON.stringify({})", literal(body, &literal::JSON, 2)));
        }
        Some(SampleBody::Form(fields)) => {
            let fields = literal(&fields.clone().into(), &literal::JSON, 2);
            options.push(format!("body: new URLSearchParams({fields})"));
        }
    }
    let options = if options.is_empty() { String::new() } else { format!(", {{\n  {},\n}}", options.join(",\n  ")) };
    let result =
        if request.returns_json { "JSON.stringify(await response.json(), null, 2)" } else { "await response.text()" };
    format!(
        "const response = await fetch(`${{process.env.URL}}{}`{options});\nif (!response.ok) {{\n  \
         throw new Error(await response.text());\n}}\nconsole.log({result});",
        request.target()
    )
}

fn headers(request: &SampleRequest) -> Vec<&'static str> {
    let mut headers = Vec::new();
    match request.credentials {
        Credentials::None => {}
        Credentials::Token => headers.push("Authorization: `Bearer ${process.env.TOKEN}`"),
        Credentials::Client => {
            headers.push("Authorization: `Basic ${btoa(`${process.env.CLIENT_ID}:${process.env.CLIENT_SECRET}`)}`");
        }
    }
    if matches!(request.body, Some(SampleBody::Json(_))) {
        headers.push("\"Content-Type\": \"application/json\"");
    }
    headers
}
