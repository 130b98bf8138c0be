//! Calls from pages of other origins (contract §2): who may read answers in a browser. Without the setting the layer is
//! not there at all.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{Any, CorsLayer};

use crate::config::Origins;

/// How long a browser need not ask again: the most that any of them keeps to.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// What the pages of these origins may send and read.
pub(super) fn layer(origins: &Origins) -> CorsLayer {
    let name = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            name("idempotency-key"),
            name("traceparent"),
            name("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            name("idempotency-replayed"),
            name("ratelimit-limit"),
            name("ratelimit-remaining"),
            name("ratelimit-reset"),
            name("x-request-id"),
        ])
        .max_age(MAX_AGE);
    match origins {
        Origins::Any => layer.allow_origin(Any),
        Origins::These(origins) => layer
            .allow_origin(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect::<Vec<_>>()),
    }
}

/// Answers preflights, and adds to other answers what lets a page read them.
pub(super) async fn cors(State(layer): State<CorsLayer>, request: Request, next: Next) -> Response {
    let is_preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && request.headers().contains_key(header::ORIGIN);
    if request.method() != Method::OPTIONS {
        let Ok(response) = layer.layer(next).oneshot(request).await;
        return response;
    }
    // The layer answers any OPTIONS by itself, with 200 and for any path: the route has the first word (contract §1).
    let mut preflight = Request::new(Body::empty());
    *preflight.method_mut() = Method::OPTIONS;
    *preflight.headers_mut() = request.headers().clone();
    let mut response = next.run(request).await;
    if is_preflight && response.status().is_success() {
        let Ok(permission) = layer.layer(service_fn(nothing)).oneshot(preflight).await;
        let (permission, _) = permission.into_parts();
        response.headers_mut().extend(permission.headers.into_iter().filter(|(name, _)| {
            // Of the layer's own empty body.
            name.as_ref() != Some(&header::CONTENT_LENGTH)
        }));
    }
    response
}

/// Never asked: the layer answers preflights without it.
async fn nothing(_: Request) -> Result<Response, Infallible> {
    Ok(Response::default())
}
