//! The OpenAPI document. Its operations stand at their handlers; what all share is added here.

mod account;
mod contact;
pub(super) mod parameters;
mod problem;
pub(super) mod responses;
pub(super) mod schemas;
mod scopes;
pub(super) mod search;

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document, RefOr, Required};

use super::App;
use super::caller::Caller;
use super::conditional::Conditions;
use super::error::ApiError;
use super::oauth;
use super::query::NoParameters;
use super::revalidated::Content;

use crate::fields::{Issue, IssueCode};
use crate::json::JsonError;
use responses::DocumentNotModified;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Contacts",
        description = "A multi-tenant contacts (CRM) service. Its heart is `PATCH /contacts/{contactId}`: \
                       send the fields that change, get the whole contact back.\n\n\
                       A path that is not listed is 404 `route_not_found`, a method that a path does not list \
                       405 `method_not_allowed` with `Allow`, and any method on `/contacts/` (which lacks its id), \
                       or PATCH and DELETE on `/contacts`, 400 `missing_contact_id`.\n\n\
                       While accounts are limited to so many requests a minute, the headers of the 429 are on every \
                       answer to a request with a good token.",
        license(name = "Proprietary")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "contacts", description = "Contacts of the token's account"),
        (name = "batch", description = "Up to a thousand contacts in one call"),
        (name = "sync", description = "What has changed"),
        (name = "fields", description = "The registry: the system fields and the account's custom fields"),
        (name = "clients", description = "Tokens for programs"),
        (name = "operations", description = "For those who run the service")
    ),
    components(schemas(schemas::Error, schemas::BatchResults))
)]
struct Base;

/// The document without its operations.
pub(super) fn document() -> Document {
    let mut document = Base::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A JWT whose claim `account_id` names the account. One with a claim `scope` may do only what its scopes cover",
        ))
        .build();
    let basic = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some("The id and the secret of an API client, for `POST /oauth2/token` alone"))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("basic", SecurityScheme::Http(basic));
    document
}

/// The whole document.
#[must_use]
pub fn complete() -> Document {
    let (_, mut document) = super::documented().split_for_parts();
    for (path, item) in &mut document.paths.paths {
        scopes::describe(item, path);
        operations(item).for_each(|operation| describe_common(operation, path));
    }
    document
}

/// The API as an OpenAPI 3.1 document
///
/// With a token that covers `contacts:read`, the schemas of contacts also hold the account's custom fields: a client that
/// is generated from it is typed. Fetch it anew when fields have changed.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", operation_id = "openapi", security((), ("bearer" = ["contacts:read"])),
    params(parameters::IfNoneMatch), responses((status = 200, description = "This document", body = schemas::OpenApiDocument,
        headers(("ETag" = String, description = "Changes exactly when the document does"))), DocumentNotModified))]
pub(super) async fn serve(
    State(app): State<App>,
    caller: Option<Caller>,
    _: NoParameters,
    conditions: Conditions,
) -> Result<Response, ApiError> {
    static PUBLIC: LazyLock<Content> = LazyLock::new(|| content(account::public()));
    let mut response = match &caller {
        Some(caller) => content(&account::with_fields_of(&*app.registry(caller.account).await?)).answer(&conditions),
        None => PUBLIC.answer(&conditions),
    };
    let headers = response.headers_mut();
    if caller.is_some() {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    // One URL, and a document for each caller: no cache may take one's for another's.
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    Ok(response)
}

fn content(document: &Value) -> Content {
    Content::new("application/json", document.to_string())
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete].into_iter().flatten()
}

/// Adds what follows from an operation's shape: the errors it can answer, and the headers of every answer.
fn describe_common(operation: &mut Operation, path: &str) {
    let has_token = operation.security.is_some();
    let mut add = |description: &str, examples: &[ApiError]| {
        // The token endpoint has errors of another shape, and names them itself.
        let Some(first) = examples.first().filter(|_| path != oauth::PATH) else { return };
        let status = first.catalogue().0.as_str().to_owned();
        let response = RefOr::T(responses::error(description, examples));
        operation.responses.responses.entry(status).or_insert(response);
    };
    if path.contains('{') {
        add("The account has no such object", &[ApiError::NotFound]);
    }
    let mut refusals = vec![ApiError::InvalidQuery(vec![Issue::new(
        "limit",
        IssueCode::OutOfRange,
        "must be a number from 1 to 100",
    )])];
    if path.starts_with("/contacts") {
        let unknown = Issue::new("nope", IssueCode::UnknownField, "is not a property of this account's contacts");
        refusals.push(ApiError::InvalidProperties(vec![unknown]));
    }
    if path.contains("{contactId}") {
        refusals.push(ApiError::MissingContactId);
    }
    if operation.request_body.is_some() {
        refusals.push(ApiError::ValidationFailed(vec![
            Issue::new("email", IssueCode::InvalidFormat, "must be an email address such as ada@example.com"),
            Issue::new("created_at", IssueCode::ForbiddenField, "is set by the system: leave it out"),
        ]));
        refusals.push(ApiError::InvalidJson(JsonError::Empty));
        refusals.push(ApiError::InvalidBody("The body must be a JSON object".into()));
        add("The body is not declared as JSON", &[ApiError::UnsupportedMediaType]);
    }
    add("The request is invalid", &refusals);
    if has_token {
        add(
            "No valid token, or one that names no account",
            &[ApiError::Unauthorized { token_sent: false }, ApiError::MissingAccountContext],
        );
        add("The account has sent as many requests as it may", &[ApiError::RateLimited { retry_after: 2 }]);
        add("The body is too large", &[ApiError::PayloadTooLarge { limit: 1024 * 1024 }]);
        add("A bug on our side, logged with the request's id", &[ApiError::Internal("".into())]);
        add(
            "The service can't answer now; on a write it is unknown whether it was done",
            &[ApiError::Unavailable("".into())],
        );
    }
    let request_id = ParameterBuilder::new()
        .name("X-Request-Id")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("An id of your own for this request: 1 to 128 visible ASCII characters. Any other is replaced by a fresh one"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
    operation.parameters.get_or_insert_default().push(request_id.build().into());
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            if status == "429" {
                responses::add_rate_limit(response);
            }
            let header = responses::text_header("The request's id: the caller's, or a fresh one");
            response.headers.insert("X-Request-Id".to_owned(), header.into());
        }
    }
}
