//! Samples of each operation in several languages: the extension `x-codeSamples` of the document.
//!
//! They are written from the examples of the parameters and bodies, and succeed on the sample account of `contacts dev`
//! (`tests/reference/code_samples.rs`).

mod curl;
mod literal;
mod python;
mod sample_request;
mod typescript;

use serde_json::{Value, json};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::extensions::ExtensionsBuilder;

use self::sample_request::SampleRequest;
use super::operations::operations;

/// Adds samples to every operation of a document, which must be complete otherwise.
pub(in crate::http) fn add_code_samples(document: &mut Document) {
    let json = serde_json::to_value(&*document).unwrap_or_default();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            let samples = samples(&SampleRequest::new(&json, path, &method));
            operation.extensions = Some(ExtensionsBuilder::new().add("x-codeSamples", samples).build());
        }
    }
}

fn samples(request: &SampleRequest) -> Value {
    json!([
        {"lang": "shell", "label": "curl", "source": curl::write(request)},
        {"lang": "python", "label": "Python", "source": python::write(request)},
        {"lang": "typescript", "label": "TypeScript", "source": typescript::write(request)},
    ])
}
