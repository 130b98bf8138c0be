//! The OpenAPI document without its operations: title, tags and security schemes.

use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, OpenApi as Document};

use super::{batch_schemas, schemas};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Contacts",
        description = include_str!("guide.md"),
        license(name = "Proprietary", identifier = "LicenseRef-Proprietary")
    ),
    servers((url = "/", description = "This server")),
    tags(
        (name = "contacts", description = "The contacts of the token's account. A contact is found by its id, or with \
            `id_property` by the value of a unique field, such as `external_id`. Archived contacts are kept and can be \
            restored; a purge deletes a contact for good."),
        (name = "batch", description = "Up to 1,000 contacts in one call. Each input succeeds or fails for itself, and has \
            its result at the same place; 207 says that some have failed. With `atomic`, all succeed or none."),
        (name = "sync", description = "What an integration needs to keep another system up to date: the changes of an \
            account in order, the history of one contact, and a copy of all contacts."),
        (name = "fields", description = "The system fields, which every account has, and the account's custom fields. A \
            field's `internal_name` is the key in bodies, responses and `properties`."),
        (name = "clients", description = "Tokens for API clients, and what a token may do."),
        (name = "operations", description = "For operators: health, metrics and this document. None of these calls needs a \
            token.")
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
