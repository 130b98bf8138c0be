//! `GET /docs`: the API reference as a web page with try-it-out (`docs/api-reference.md#operations`).
//!
//! The page is Scalar's API reference. All its files are in the binary, so it works offline and loads nothing from other
//! hosts. The HTML page and its settings are written for this service: a form for the token, and no inline scripts.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing;

use super::app::App;
use super::conditional_headers::ConditionalHeaders;
use super::error::ApiError;
use super::extractors::PathParameter;
use super::query::NoParameters;
use super::response_compression::PreferredCoding;
use super::static_content::StaticContent;
use crate::config::HttpSettings;

/// The content security policy: the page may load files from this service and call it. Scalar adds its styles to the
/// page by script, and has icons as `data:` URLs.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const PAGE: &str = include_str!("page.html");

/// The files of the page by name: the script of Scalar, and this module's own files.
static FILES: LazyLock<HashMap<&'static str, StaticContent>> = LazyLock::new(|| {
    let scalar = scalar_api_reference::get_asset("scalar.js").unwrap_or_default();
    HashMap::from([
        ("page.css", StaticContent::new("text/css; charset=utf-8", include_str!("page.css"))),
        ("page.js", StaticContent::new("text/javascript; charset=utf-8", include_str!("page.js"))),
        ("icon.svg", StaticContent::new("image/svg+xml", include_str!("icon.svg"))),
        ("scalar.js", StaticContent::new("text/javascript; charset=utf-8", scalar)),
    ])
});

/// Returns the routes of the page, or none if `DOCS_ENABLED` is false.
pub(super) fn routes(settings: &HttpSettings) -> Router<App> {
    if !settings.docs_enabled {
        return Router::new();
    }
    Router::new().route("/docs", routing::get(get_page)).route("/docs/{file}", routing::get(get_file))
}

async fn get_page(_: NoParameters, conditional_headers: ConditionalHeaders, coding: PreferredCoding) -> Response {
    static CONTENT: LazyLock<StaticContent> = LazyLock::new(|| StaticContent::new("text/html; charset=utf-8", PAGE));
    with_security_headers(CONTENT.response(&conditional_headers, coding).await)
}

async fn get_file(
    PathParameter(name): PathParameter,
    _: NoParameters,
    conditional_headers: ConditionalHeaders,
    coding: PreferredCoding,
) -> Result<Response, ApiError> {
    let file = FILES.get(&*name).ok_or(ApiError::RouteNotFound)?;
    Ok(with_security_headers(file.response(&conditional_headers, coding).await))
}

fn with_security_headers(response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        // The URL of the page can contain the name of an operation, which other sites must not see.
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, response).into_response()
}
