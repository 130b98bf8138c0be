//! `GET /openapi.json` (`docs/api-reference.md#generated-clients`).

use std::sync::LazyLock;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde_json::Value;
use utoipa::openapi::OpenApi as Document;

use super::responses::DocumentNotModified;
use super::{account_document, parameters, schemas};
use crate::http::app::App;
use crate::http::authentication::Caller;
use crate::http::buffered_body::BufferedBody;
use crate::http::conditional_headers::ConditionalHeaders;
use crate::http::error::ApiError;
use crate::http::query::NoParameters;
use crate::http::response_compression::PreferredCoding;
use crate::http::static_content::StaticContent;

/// The OpenAPI document without any account's custom fields.
pub(in crate::http) struct PublicDocument {
    json: Value,
    content: StaticContent,
}

impl PublicDocument {
    pub(in crate::http) fn new(document: &Document) -> Self {
        let json = serde_json::to_value(document).unwrap_or_default();
        let content = static_content(&json);
        Self { json, content }
    }
}

/// The API as an OpenAPI 3.1 document
///
/// With a token that covers `contacts:read`, the contact schemas also contain the account's custom fields, so that
/// generated clients have typed fields. Fetch the document again when the fields have changed.
#[utoipa::path(get, path = "/openapi.json", tag = "operations", operation_id = "openapi", security((), ("bearer" = ["contacts:read"])),
    params(parameters::IfNoneMatch), responses((status = 200, description = "This document", body = schemas::OpenApiDocument,
        headers(("ETag" = String, description = "Changes exactly when the document changes"))), DocumentNotModified))]
pub(in crate::http) async fn get_openapi_document(
    State(app): State<App>,
    Extension(public): Extension<&'static LazyLock<PublicDocument>>,
    caller: Option<Caller>,
    _: NoParameters,
    conditional_headers: ConditionalHeaders,
    coding: PreferredCoding,
) -> Result<Response, ApiError> {
    let mut response = match &caller {
        Some(caller) => {
            let registry = app.registry(caller.account).await?;
            let _permit = app.limits().computations.acquire(caller.account, 1).await;
            let document = account_document::with_custom_fields(&public.json, &registry);
            let mut response = static_content(&document).response(&conditional_headers, coding).await;
            let body = std::mem::take(response.body_mut());
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
            let memory = app.limits().responses.reserve(caller.account, body.len()).await?;
            BufferedBody::from(body).with_permit(memory).set_in(&mut response);
            response
        }
        None => public.content.response(&conditional_headers, coding).await,
    };
    let headers = response.headers_mut();
    if caller.is_some() {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
    // The same URL returns a different document for each account, so caches must distinguish the callers.
    headers.insert(header::VARY, HeaderValue::from_static("authorization"));
    Ok(response)
}

fn static_content(document: &Value) -> StaticContent {
    StaticContent::new("application/json", document.to_string())
}
