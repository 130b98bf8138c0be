//! The responses that several operations share.

use std::collections::BTreeMap;

use axum::http::{HeaderName, header};
use utoipa::IntoResponses;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::Link;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use uuid::uuid;

use crate::contacts::UnmetPrecondition;
use crate::fields::{Issue, IssueCode, Issues};
use crate::http::error::{ACCEPT_PATCH, ApiError, Duplicate};
use crate::json::JsonError;

type Responses = BTreeMap<String, RefOr<Response>>;

/// Defines types, each of which describes one response of an operation.
macro_rules! responses {
    ($($(#[$doc:meta])* $name:ident: $status:literal => $response:expr;)+) => {$(
        $(#[$doc])*
        pub(in crate::http) struct $name;

        impl IntoResponses for $name {
            fn responses() -> Responses {
                BTreeMap::from([($status.to_owned(), RefOr::T($response))])
            }
        }
    )+};
}

responses! {
    /// One contact.
    ContactResponse: "200" => contact_response("The whole contact", "Contact").build();
    /// A contact that was updated, or not because of a newer change.
    UpdateResponse: "200" => contact_response("The whole contact", "Contact")
        .header("Stale-Write", stale_header())
        .build();
    /// A contact that was created.
    CreatedResponse: "201" => created_response().build();
    /// A contact that an upsert created.
    UpsertCreatedResponse: "201" => created_response()
        .header("Created-Beside-Archived", text_header("The archived contact that has the same value of `id_property`, if there is one"))
        .build();
    /// A write of which the caller wants no contact back.
    MinimalResponse: "204" => ResponseBuilder::new()
        .description("The write succeeded. Only with `Prefer: return=minimal`; a creation is then 201 without a body")
        .header("ETag", text_header("The entity tag of the contact"))
        .header("Preference-Applied", text_header("`return=minimal`"))
        .header("Stale-Write", stale_header())
        .build();
    /// The contact has not changed.
    NotModified: "304" => ResponseBuilder::new()
        .description("The contact still has this ETag")
        .header("ETag", text_header("The entity tag of the contact"))
        .build();
    /// The document has not changed.
    DocumentNotModified: "304" => ResponseBuilder::new()
        .description("The document still has this ETag")
        .header("ETag", text_header("The entity tag of the document"))
        .build();
    /// A write to an archived contact, or with unique values of other contacts.
    Conflict: "409" => error_response("The contact is archived, or another active contact has the value of a unique field", &[
        ApiError::DuplicateContact(vec![Duplicate { field: "email".into(), existing_id: Some(uuid!("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")) }]),
        ApiError::ContactArchived,
    ]);
    /// A write with unique values of other contacts.
    DuplicateKey: "409" => error_response("Another active contact has the value of a unique field", &[
        ApiError::DuplicateContact(vec![Duplicate { field: "email".into(), existing_id: Some(uuid!("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")) }]),
    ]);
    /// An upsert with unique values of other contacts, or with the value of an archived contact that it refuses.
    UpsertConflict: "409" => error_response("Another active contact has the value of a unique field, or an archived contact has the value of `id_property` and `on_archived` is `refuse`", &[
        ApiError::DuplicateContact(vec![Duplicate { field: "email".into(), existing_id: Some(uuid!("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")) }]),
        ApiError::ArchivedHolder(Duplicate { field: "external_id".into(), existing_id: Some(uuid!("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")) }),
    ]);
    /// A contact that was permanently deleted.
    Purged: "204" => ResponseBuilder::new().description("The contact and all its values are permanently deleted").build();
    /// All contacts.
    ExportResponse: "200" => ResponseBuilder::new()
        .description("All active contacts, in order of creation")
        .content("text/csv", text_content())
        .content("application/x-ndjson", text_content())
        .header("Changes-Cursor", text_header("The position of the change feed before the first contact was read, for `after`"))
        .build();
    /// A batch in which every input succeeded.
    BatchResponse: "200" => batch_response("Every input succeeded").build();
    /// A batch in which some inputs failed.
    PartialBatchResponse: "207" => batch_response("Some inputs failed: see their results").build();
    /// A cursor of the change feed that is too old.
    CursorExpired: "410" => error_response("The change feed no longer has the entries after this cursor", &[ApiError::CursorExpired]);
    /// An `Idempotency-Key` that was sent with another request.
    KeyReused: "422" => error_response("The Idempotency-Key was sent with another request", &[ApiError::IdempotencyKeyReused]);
    /// A precondition that does not hold.
    PreconditionFailed: "412" => error_response("The precondition (If-Match or If-None-Match) does not hold", &[ApiError::PreconditionFailed(UnmetPrecondition::OtherVersion)]);
    /// A search that is invalid.
    InvalidSearch: "400" => error_response("The search is invalid", &[
        ApiError::InvalidQuery(Issues::from([
            Issue::new("filters[0].operator", IssueCode::InvalidOption, "must be one of eq, neq, in, not_in, has_value, has_no_value (for a property of type checkbox)"),
            Issue::new("sorts[0]", IssueCode::UnknownField, "nope is not a property of this account's contacts"),
        ])),
        ApiError::InvalidProperties(Issues::from([
            Issue::new("nope", IssueCode::UnknownField, "is not a property of this account's contacts"),
        ])),
        ApiError::InvalidJson(JsonError::Empty),
        ApiError::InvalidBody("sorts must be an array of strings".into()),
    ]);
    /// A change to the fields that conflicts with their current state.
    FieldConflict: "409" => error_response("The name is taken, an option is in use, or the account has too many fields", &[
        ApiError::DuplicateField,
        ApiError::OptionInUse(vec!["large".into()]),
        ApiError::TooManyFields { limit: 500, unique: false },
    ]);
    /// A service that is not ready.
    NotReady: "503" => error_response("The database is unreachable, migrations are pending, or the service is shutting down", &[
        ApiError::Unavailable("".into()),
    ]);
}

fn created_response() -> ResponseBuilder {
    contact_response("The new contact", "ContactResult")
        .header("Location", text_header("The path of the contact"))
        .header("Preference-Applied", text_header("`return=minimal`, if the body is empty because of it"))
        .link("read", link_by_id("readContact"))
        .link("update", link_by_id("updateContact"))
        .link("archive", link_by_id("archiveContact"))
        .link("history", link_by_id("readHistory"))
}

fn stale_header() -> utoipa::openapi::Header {
    text_header(
        "`ignored` if a newer change with `source_updated_at` was stored before, so that this one changed nothing",
    )
}

fn text_content() -> utoipa::openapi::Content {
    ContentBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String).build())).build()
}

fn batch_response(description: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("BatchResults"))).build();
    ResponseBuilder::new().description(description).content("application/json", content)
}

fn contact_response(description: &str, schema: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(description).content("application/json", content).header(
        "ETag",
        text_header("Changes whenever the response changes. Writes accept it for any selection of fields"),
    )
}

/// Returns a link to an operation on the contact of the response.
fn link_by_id(operation: &str) -> Link {
    Link::builder().operation_id(operation).parameter("contactId", "$response.body#/id").build()
}

/// Returns an error response with these errors as examples.
pub(super) fn error_response(description: &str, examples: &[ApiError]) -> Response {
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ApiError")));
    let mut response = ResponseBuilder::new().description(description);
    for error in examples {
        let body = serde_json::from_slice(&error.body("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")).ok();
        let example = ExampleBuilder::new().value(body).build();
        content = content.examples_from_iter([(error.code(), example)]);
        if let Some((name, _)) = error.header() {
            response = response.header(header_case(name.as_str()), text_header(header_description(&name)));
        }
    }
    response.content("application/json", content.build()).build()
}

fn header_description(name: &HeaderName) -> &'static str {
    match *name {
        header::ACCEPT_ENCODING => "The codings that a body may have, if its Content-Encoding is not supported",
        header::RETRY_AFTER => "Seconds to wait before the next attempt",
        header::CONNECTION => "`close`: the connection ends after this response, except over HTTP/2",
        _ if *name == ACCEPT_PATCH => "The media type of a body, if JSON Patch was sent",
        header::WWW_AUTHENTICATE => "The authentication scheme, and why the token was rejected",
        _ => "",
    }
}

/// Adds the headers with the state of the account's rate limit.
pub(super) fn add_rate_limit_headers(response: &mut Response) {
    for (name, description) in [
        ("RateLimit-Limit", "Requests per minute that the account may send"),
        ("RateLimit-Remaining", "Requests that are left"),
        (
            "RateLimit-Reset",
            "Seconds until the request can be sent again. On other responses: seconds until the full limit is available again",
        ),
    ] {
        response.headers.insert(name.to_owned(), number_header(description).into());
    }
}

fn number_header(description: &str) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

pub(super) fn text_header(description: &str) -> utoipa::openapi::Header {
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// Returns a header name in its usual case: `Retry-After`. The exception is `WWW-Authenticate`.
fn header_case(name: &str) -> String {
    if name == "www-authenticate" {
        return "WWW-Authenticate".to_owned();
    }
    let upper = |word: &str| {
        word.split_at_checked(1).map(|(first, rest)| first.to_ascii_uppercase() + rest).unwrap_or_default()
    };
    name.split('-').map(upper).collect::<Vec<_>>().join("-")
}
