//! The OpenAPI document. Its operations stand at their handlers; what all share is added here.

pub(super) mod parameters;
pub(super) mod responses;
pub(super) mod schemas;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document, RefOr};

use super::error::ApiError;
use crate::fields::{Issue, IssueCode};
use crate::json::JsonError;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Contacts",
        description = "A multi-tenant contacts (CRM) service. Its heart is `PATCH /contacts/{contactId}`: \
                       send the fields that change, get the whole contact back.",
        license(name = "Proprietary")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "contacts", description = "Contacts of the token's account"),
        (name = "fields", description = "The registry: the system fields and the account's custom fields"),
        (name = "operations", description = "For those who run the service")
    ),
    components(schemas(schemas::Error))
)]
struct Base;

/// The document without its operations.
pub(super) fn document() -> Document {
    let mut document = Base::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A JWT whose claim `account_id` names the account"))
        .build();
    document.components.get_or_insert_with(Components::new).add_security_scheme("bearer", SecurityScheme::Http(bearer));
    document
}

/// The whole document.
#[must_use]
pub fn complete() -> Document {
    let (_, mut document) = super::documented().split_for_parts();
    for (path, item) in &mut document.paths.paths {
        operations(item).for_each(|operation| describe_common(operation, path));
    }
    document
}

/// The API as an OpenAPI 3.1 document
#[utoipa::path(get, path = "/openapi.json", tag = "operations", operation_id = "openapi",
    responses((status = 200, description = "This document", body = schemas::OpenApiDocument)))]
pub(super) async fn serve() -> impl IntoResponse {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| complete().to_json().unwrap_or_default());
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], DOCUMENT.as_str())
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete].into_iter().flatten()
}

/// Adds what follows from an operation's shape: the errors it can answer, and the headers of every answer.
fn describe_common(operation: &mut Operation, path: &str) {
    let has_token = operation.security.is_some();
    let has_body = operation.request_body.is_some();
    let has_parameters = operation.parameters.is_some();
    let mut add = |description: &str, examples: &[ApiError]| {
        let Some(first) = examples.first() else { return };
        let status = first.catalogue().0.as_str().to_owned();
        let response = RefOr::T(responses::error(description, examples));
        operation.responses.responses.entry(status).or_insert(response);
    };
    if has_token {
        add(
            "No valid token, or one that names no account",
            &[ApiError::Unauthorized { token_sent: false }, ApiError::MissingAccountContext],
        );
    }
    if path.contains('{') {
        add("The account has no such object", &[ApiError::NotFound]);
    }
    if has_body {
        let issue = Issue::new("email", IssueCode::InvalidFormat, "must be an email address such as ada@example.com");
        add(
            "The request is invalid",
            &[
                ApiError::ValidationFailed(vec![issue]),
                ApiError::InvalidJson(JsonError::Empty),
                ApiError::InvalidBody("The body must be a JSON object".into()),
            ],
        );
        add("The body is too large", &[ApiError::PayloadTooLarge { limit: 1024 * 1024 }]);
        add("The body is not declared as JSON", &[ApiError::UnsupportedMediaType]);
    } else if has_parameters {
        let limit = Issue::new("limit", IssueCode::OutOfRange, "must be a number from 1 to 100");
        let property = Issue::new("nope", IssueCode::UnknownField, "is not a property of this account's contacts");
        add(
            "The request is invalid",
            &[ApiError::InvalidQuery(vec![limit]), ApiError::InvalidProperties(vec![property])],
        );
    }
    if has_token {
        add("A bug on our side, logged with the request's id", &[ApiError::Internal("".into())]);
        add(
            "The service can't answer now; on a write it is unknown whether it was done",
            &[ApiError::Unavailable("".into())],
        );
    }
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let header = responses::text_header("The request's id: the caller's, or a fresh one");
            response.headers.insert("X-Request-Id".to_owned(), header.into());
        }
    }
}
