//! The OpenAPI document without its operations: title, tags and security schemes.

use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document};

use super::{batch_schemas, schemas};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Contacts",
        description = "A multi-tenant contacts (CRM) service. The central operation is `PATCH /contacts/{contactId}`: \
                       send the fields to change and get the whole contact back.\n\n\
                       Unknown paths are 404 `route_not_found`. A method that a path does not list is 405 \
                       `method_not_allowed`, with `Allow`. Any method on `/contacts/`, which lacks the contact's id, \
                       and PATCH and DELETE on `/contacts` are 400 `missing_contact_id`.\n\n\
                       If a rate limit is set, every response to a request with a valid token carries the \
                       `RateLimit-*` headers of the 429 response.",
        license(name = "Proprietary", identifier = "LicenseRef-Proprietary")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "contacts", description = "The contacts of the token's account"),
        (name = "batch", description = "Up to 1,000 contacts in one call"),
        (name = "sync", description = "The changes of an account and of a contact"),
        (name = "fields", description = "The system fields and the account's custom fields"),
        (name = "clients", description = "Tokens for API clients"),
        (name = "operations", description = "Health, metrics and this document, for operators")
    ),
    components(schemas(schemas::ApiError, schemas::ExportFormat, batch_schemas::BatchResults))
)]
struct Base;

/// Returns the document without its operations.
pub(in crate::http) fn base_document() -> Document {
    let mut document = Base::openapi();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some(
            "A JWT. Its claim `account_id` names the account. If it has a claim `scope`, it allows only the calls that \
             these scopes cover",
        ))
        .build();
    let basic = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some("The id and the secret of an API client. Only for `POST /oauth2/token`"))
        .build();
    let components = document.components.get_or_insert_with(Components::new);
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    components.add_security_scheme("basic", SecurityScheme::Http(basic));
    document
}
