//! Samples for curl in a POSIX shell.

use axum::http::Method;

use super::literal::{self, literal};
use super::sample_request::{Credentials, SampleBody, SampleRequest, text};

/// Returns the sample.
pub(super) fn write(request: &SampleRequest) -> String {
    let method = if request.method == Method::GET { String::new() } else { format!("-X {} ", request.method) };
    let mut lines = vec![format!("curl {method}\"$URL{}\"", request.target())];
    match request.credentials {
        Credentials::None => {}
        Credentials::Token => lines.push("-H \"Authorization: Bearer $TOKEN\"".to_owned()),
        Credentials::Client => lines.push("-u \"$CLIENT_ID:$CLIENT_SECRET\"".to_owned()),
    }
    match &request.body {
        None => {}
        Some(SampleBody::Json(body)) => {
            lines.push("-H 'Content-Type: application/json'".to_owned());
            lines.push(format!("-d {}", quote(&literal(body, &literal::JSON, 2))));
        }
        Some(SampleBody::Form(fields)) => {
            lines
                .extend(fields.iter().map(|(name, value)| format!("-d {}", quote(&format!("{name}={}", text(value))))));
        }
    }
    lines.join(" \\\n  ")
}

/// Returns a shell word in single quotes.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
