//! `/docs`: the API reference as a page, with try-it-out (contract §7). All of it comes from the program: it works
//! offline, and asks nobody else for anything.
//!
//! Swagger UI does the work; page and settings are our own, so that no script stands in the page itself.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing;
use utoipa_swagger_ui::Config;

use super::conditional::Conditions;
use super::error::ApiError;
use super::extract::Segment;
use super::query::NoParameters;
use super::revalidated::Content;
use super::state::App;
use crate::config::HttpSettings;

/// What the page may do: run and show what comes from here, and call this service. (Swagger UI draws its icons from
/// `data:` URLs in its style sheet.)
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const PAGE: &str = include_str!("page.html");

/// The files of the page: those of Swagger UI that it uses, and our own.
static FILES: LazyLock<HashMap<&'static str, Content>> = LazyLock::new(|| {
    let own = [
        ("page.css", Content::new("text/css; charset=utf-8", include_str!("page.css"))),
        ("page.js", Content::new("text/javascript; charset=utf-8", include_str!("page.js"))),
    ];
    let of_swagger_ui = [
        ("swagger-ui.css", "text/css; charset=utf-8"),
        ("swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("favicon-32x32.png", "image/png"),
    ];
    let vendored = of_swagger_ui
        .into_iter()
        .filter_map(|(name, content_type)| Some((name, Content::new(content_type, bytes_of(name)?))));
    own.into_iter().chain(vendored).collect()
});

/// A file of Swagger UI. (Its settings only matter for a file that we don't serve.)
fn bytes_of(name: &str) -> Option<Bytes> {
    let file = utoipa_swagger_ui::serve(name, Arc::new(Config::default())).ok()??;
    Some(file.bytes.into_owned().into())
}

/// The routes of the page, unless it is turned off.
pub(super) fn routes(settings: &HttpSettings) -> Router<App> {
    if !settings.docs_enabled {
        return Router::new();
    }
    Router::new().route("/docs", routing::get(page)).route("/docs/{file}", routing::get(file))
}

async fn page(_: NoParameters, conditions: Conditions) -> Response {
    static CONTENT: LazyLock<Content> = LazyLock::new(|| Content::new("text/html; charset=utf-8", PAGE));
    guarded(CONTENT.answer(&conditions))
}

async fn file(Segment(name): Segment, _: NoParameters, conditions: Conditions) -> Result<Response, ApiError> {
    let file = FILES.get(&*name).ok_or(ApiError::RouteNotFound)?;
    Ok(guarded(file.answer(&conditions)))
}

fn guarded(answer: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // The URL of the page can name an operation, and is nobody else's business.
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, answer).into_response()
}
