//! CORS: which web pages may call the API (`docs/api-reference.md#requests-and-responses`). Without
//! `CORS_ALLOWED_ORIGINS` the router leaves this middleware out.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::{Any, CorsLayer};

use crate::config::AllowedOrigins;

/// How long browsers may cache a preflight: two hours, the longest time that any browser accepts.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Returns the CORS rules for pages of these origins: the methods, request headers and response headers that they may
/// use.
pub(super) fn cors_layer(origins: &AllowedOrigins) -> CorsLayer {
    let name = HeaderName::from_static;
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::PUT, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            header::IF_NONE_MATCH,
            name("idempotency-key"),
            name("prefer"),
            name("traceparent"),
            name("x-request-id"),
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            name("changes-cursor"),
            name("created-beside-archived"),
            name("idempotency-replayed"),
            name("preference-applied"),
            name("ratelimit-limit"),
            name("ratelimit-remaining"),
            name("ratelimit-reset"),
            name("stale-write"),
            name("x-request-id"),
        ])
        .max_age(MAX_AGE);
    match origins {
        AllowedOrigins::Any => layer.allow_origin(Any),
        AllowedOrigins::List(origins) => layer
            .allow_origin(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect::<Vec<_>>()),
    }
}

/// Answers preflights, and adds CORS headers to other responses.
pub(super) async fn apply_cors(State(layer): State<CorsLayer>, request: Request, next: Next) -> Response {
    let is_preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
        && request.headers().contains_key(header::ORIGIN);
    if request.method() != Method::OPTIONS {
        let Ok(response) = layer.layer(next).oneshot(request).await;
        return response;
    }
    // The layer would answer OPTIONS with 200 for any path. The router must answer first, so that unknown paths are 404
    // and the response has `Allow`. The layer then contributes only its headers.
    let mut preflight = Request::new(Body::empty());
    *preflight.method_mut() = Method::OPTIONS;
    *preflight.headers_mut() = request.headers().clone();
    let mut response = next.run(request).await;
    if is_preflight && response.status().is_success() {
        let Ok(cors_response) = layer.layer(service_fn(empty_response)).oneshot(preflight).await;
        let (cors_parts, _) = cors_response.into_parts();
        response.headers_mut().extend(cors_parts.headers.into_iter().filter(|(name, _)| {
            // This header is the length of the layer's own empty body.
            name.as_ref() != Some(&header::CONTENT_LENGTH)
        }));
    }
    response
}

/// The inner service that the layer requires. Never called, because the layer answers preflights itself.
async fn empty_response(_: Request) -> Result<Response, Infallible> {
    Ok(Response::default())
}
