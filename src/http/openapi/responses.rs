//! The answers that several routes share, for the document.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::Link;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use uuid::uuid;

use crate::fields::{Issue, IssueCode};
use crate::http::error::{ApiError, Duplicate};
use crate::json::JsonError;

type Responses = BTreeMap<String, RefOr<Response>>;

/// Defines a type that stands for one answer of a route.
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
    ContactAnswer: "200" => contact("The whole contact", "Contact").build();
    /// A contact that was created.
    CreatedAnswer: "201" => contact("The new contact", "NewContact")
        .header("Location", text_header("Where the contact is"))
        .link("read", by_its_id("readContact"))
        .link("update", by_its_id("updateContact"))
        .link("archive", by_its_id("archiveContact"))
        .link("history", by_its_id("readHistory"))
        .build();
    /// The caller has the contact as it is.
    NotModified: "304" => ResponseBuilder::new()
        .description("The contact still has this ETag")
        .header("ETag", text_header("The contact's entity tag"))
        .build();
    /// The caller has the document as it is.
    DocumentNotModified: "304" => ResponseBuilder::new()
        .description("The document still has this ETag")
        .header("ETag", text_header("The document's entity tag"))
        .build();
    /// A write that the state of the account's contacts forbids.
    Conflict: "409" => error("The contact is archived, or a unique key belongs to another active contact", &[
        ApiError::DuplicateContact(vec![Duplicate { field: "email".into(), existing_id: Some(uuid!("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")) }]),
        ApiError::ContactArchived,
    ]);
    /// A write whose unique keys belong to others.
    DuplicateKey: "409" => error("A unique key belongs to another active contact", &[
        ApiError::DuplicateContact(vec![Duplicate { field: "email".into(), existing_id: Some(uuid!("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")) }]),
    ]);
    /// A contact that is gone for good.
    Purged: "204" => ResponseBuilder::new().description("The contact and every value of it are gone for good").build();
    /// A batch of which every input succeeded.
    BatchAnswer: "200" => batch("Every input succeeded").build();
    /// A batch of which some inputs failed.
    PartialAnswer: "207" => batch("Some inputs failed: see their results").build();
    /// A cursor of the feed that is too old.
    Expired: "410" => error("The entries after the cursor are no longer kept", &[ApiError::CursorExpired]);
    /// A key of another request.
    KeyReused: "422" => error("The Idempotency-Key belongs to another request", &[ApiError::IdempotencyKeyReused]);
    /// `If-Match` does not match.
    Changed: "412" => error("The contact is not as the precondition demands", &[ApiError::PreconditionFailed]);
    /// A search that is not understood.
    SearchRefused: "400" => error("The search is invalid", &[
        ApiError::InvalidQuery(vec![
            Issue::new("filters[0].operator", IssueCode::InvalidOption, "must, for this property, be one of eq, neq, in, not_in, has_value, has_no_value"),
            Issue::new("sorts[0]", IssueCode::UnknownField, "nope is not a property of this account's contacts"),
        ]),
        ApiError::InvalidProperties(vec![
            Issue::new("nope", IssueCode::UnknownField, "is not a property of this account's contacts"),
        ]),
        ApiError::InvalidJson(JsonError::Empty),
        ApiError::InvalidBody("sorts must be an array of strings".into()),
    ]);
    /// A change to the registry that its state forbids.
    FieldConflict: "409" => error("The name is taken, an option is in use, or there are too many fields", &[
        ApiError::DuplicateField,
        ApiError::OptionInUse(vec!["large".into()]),
        ApiError::TooManyFields { limit: 500, unique: false },
    ]);
    /// The service can't do its work now.
    NotReady: "503" => error("The database is away, migrations are pending, or the service is about to stop", &[
        ApiError::Unavailable("".into()),
    ]);
}

fn batch(description: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("BatchResults"))).build();
    ResponseBuilder::new().description(description).content("application/json", content)
}

fn contact(description: &str, schema: &str) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .header("ETag", text_header("Changes exactly when the contact does"))
}

/// What can be done next with the contact of an answer.
fn by_its_id(operation: &str) -> Link {
    Link::builder().operation_id(operation).parameter("contactId", "$response.body#/id").build()
}

/// An answer in the shape of errors, with examples from the catalogue.
pub(super) fn error(description: &str, examples: &[ApiError]) -> Response {
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Error")));
    let mut response = ResponseBuilder::new().description(description);
    for error in examples {
        let body = serde_json::from_slice(&error.body("0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e")).ok();
        let example = ExampleBuilder::new().value(body).build();
        content = content.examples_from_iter([(error.catalogue().1, example)]);
        if let Some((name, _)) = error.header() {
            response = response.header(header_case(name.as_str()), text_header("Says how to go on"));
        }
    }
    response.content("application/json", content.build()).build()
}

/// Adds the headers that say how an account stands with its limit.
pub(super) fn add_rate_limit(response: &mut Response) {
    for (name, description) in [
        ("RateLimit-Limit", "How many requests the account has a minute"),
        ("RateLimit-Remaining", "How many of them are left"),
        ("RateLimit-Reset", "In how many seconds to send it again; on other answers, when all of them are there again"),
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

/// `retry-after` → `Retry-After`; `www-authenticate` has a case of its own.
fn header_case(name: &str) -> String {
    if name == "www-authenticate" {
        return "WWW-Authenticate".to_owned();
    }
    let upper = |word: &str| {
        word.split_at_checked(1).map(|(first, rest)| first.to_ascii_uppercase() + rest).unwrap_or_default()
    };
    name.split('-').map(upper).collect::<Vec<_>>().join("-")
}
