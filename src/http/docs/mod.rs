//! `GET /docs`: the API reference as a web page with try-it-out (`docs/api-reference.md#operations`).
//!
//! The page is Swagger UI. All its files are in the binary, so it works offline and loads nothing from other hosts. The
//! HTML page and its settings are written for this service, so that the page needs no inline scripts.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use utoipa_swagger_ui::Config;

use super::app::App;
use super::conditional_headers::ConditionalHeaders;
use super::error::ApiError;
use super::extractors::PathParameter;
use super::query::NoParameters;
use super::response_compression::PreferredCoding;
use super::static_content::StaticContent;
use crate::config::HttpSettings;

/// The content security policy: the page may load files from this service and call it. Swagger UI's style sheet has
/// icons as `data:` URLs.
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const PAGE: &str = include_str!("page.html");

/// The files of the page by name: the files of Swagger UI that it uses, and this module's own files.
static FILES: LazyLock<HashMap<&'static str, StaticContent>> = LazyLock::new(|| {
    let own = [
        ("page.css", StaticContent::new("text/css; charset=utf-8", include_str!("page.css"))),
        ("page.js", StaticContent::new("text/javascript; charset=utf-8", include_str!("page.js"))),
    ];
    let swagger_ui = [
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ];
    let vendored = swagger_ui
        .into_iter()
        .filter_map(|(name, content_type)| Some((name, StaticContent::new(content_type, swagger_ui_file(name)?))));
    own.into_iter().chain(vendored).collect()
});

/// Returns a file of Swagger UI. The configuration affects only its initializer script, which this page does not use.
fn swagger_ui_file(name: &str) -> Option<Bytes> {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok()??;
    Some(file.bytes.into_owned().into())
}

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
