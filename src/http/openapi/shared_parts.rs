//! The parts of the document that many operations share: errors, headers and scopes.

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi as Document, RefOr, Required};

use super::operations::operations;
use super::{responses, scopes};
use crate::fields::{Issue, IssueCode, Issues};
use crate::http::error::ApiError;
use crate::http::oauth;
use crate::json::JsonError;

/// Adds the shared parts to every operation of a document.
pub(in crate::http) fn add_shared_parts(document: &mut Document) {
    for (path, item) in &mut document.paths.paths {
        scopes::add_required_scopes(item, path);
        for (_, operation) in operations(item) {
            // The token endpoint has errors in another format, and describes them itself.
            if path != oauth::PATH {
                add_errors(operation, path);
            }
            add_request_id_parameter(operation);
            add_response_headers(operation, path);
        }
    }
}

/// Adds the errors that follow from an operation's path, body and authentication. A response that the operation itself
/// describes stays.
fn add_errors(operation: &mut Operation, path: &str) {
    let requires_token = operation.security.is_some();
    let mut add = |description: &str, examples: &[ApiError]| {
        let Some(first) = examples.first() else { return };
        let status = first.status().as_str().to_owned();
        let response = RefOr::T(responses::error_response(description, examples));
        operation.responses.responses.entry(status).or_insert(response);
    };
    if path.contains("{contactId}") {
        add("The account has no such contact", &[ApiError::ContactNotFound]);
    }
    if path.contains("{internalName}") {
        add("The account has no such field", &[ApiError::FieldNotFound]);
    }
    let mut invalid_requests = vec![ApiError::InvalidQuery(
        [Issue::new("limit", IssueCode::OutOfRange, "must be a number from 1 to 1000")].into(),
    )];
    if path.starts_with("/contacts") {
        let unknown = Issue::new("nope", IssueCode::UnknownField, "is not a property of this account's contacts");
        invalid_requests.push(ApiError::InvalidProperties([unknown].into()));
    }
    if path.contains("{contactId}") {
        invalid_requests.push(ApiError::MissingContactId);
    }
    if operation.request_body.is_some() {
        invalid_requests.push(ApiError::ValidationFailed(Issues::from([
            Issue::new("email", IssueCode::InvalidFormat, "must be an email address such as ada@example.com"),
            Issue::new("created_at", IssueCode::ForbiddenField, "is set by the system: leave it out"),
        ])));
        invalid_requests.push(ApiError::InvalidJson(JsonError::Empty));
        invalid_requests.push(ApiError::InvalidBody("The body must be a JSON object".into()));
        // The three have one code, and the last is the example.
        add(
            "The Content-Type is not JSON, or the Content-Encoding is not supported",
            &[ApiError::UnsupportedJsonPatch, ApiError::UnsupportedContentEncoding, ApiError::UnsupportedMediaType],
        );
    }
    if operation.request_body.is_some() {
        add("The body did not arrive in time. Nothing was applied", &[ApiError::RequestTimeout]);
    }
    add("The request is invalid", &invalid_requests);
    if requires_token {
        add(
            "The token is missing or invalid, or it names no account",
            &[ApiError::MissingToken, ApiError::MissingAccountContext],
        );
        add("The account has reached its rate limit", &[ApiError::RateLimited { retry_after: 2 }]);
        add("The body is too large", &[ApiError::PayloadTooLarge { limit: 1024 * 1024 }]);
        add("Internal error, logged with the request id", &[ApiError::Internal("".into())]);
        add(
            "The service cannot process the request now. The outcome of a write is unknown: retry it",
            &[ApiError::Unavailable("".into())],
        );
    }
}

fn add_request_id_parameter(operation: &mut Operation) {
    let request_id = ParameterBuilder::new()
        .name("X-Request-Id")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The caller's id for this request: 1 to 128 visible ASCII characters. The service replaces any other value \
             with a new id",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
    operation.parameters.get_or_insert_default().push(request_id.build().into());
}

fn add_response_headers(operation: &mut Operation, path: &str) {
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            // The 429 of the token endpoint is about wrong secrets, not about the rate limit of an account.
            if status == "429" && path != oauth::PATH {
                responses::add_rate_limit_headers(response);
            }
            let header = responses::text_header("The request id: the caller's, or a new id");
            response.headers.insert("X-Request-Id".to_owned(), header.into());
        }
    }
}
