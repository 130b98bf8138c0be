//! Everything that speaks HTTP: which routes there are, and what happens to a request before and after its handler.
//!
//! Knows the repository and the domain, nothing of SQL.

mod answer;
mod batch;
mod caller;
mod changes;
mod conditional;
mod contacts;
mod cors;
mod docs;
mod edge;
mod error;
mod extract;
mod fields;
mod head;
mod health;
mod idempotency;
mod limits;
mod linger;
mod listen;
mod meters;
mod metrics;
mod oauth;
pub mod openapi;
mod query;
mod revalidated;
mod scope;
mod search;
mod state;
mod trace;
mod words;
mod write;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use percent_encoding::percent_decode_str;
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use caller::Caller;
use error::ApiError;
pub use listen::{listen, listen_for_metrics};
pub use state::App;

/// Every documented route with its handler: the one declaration of both.
fn documented() -> OpenApiRouter<App> {
    permanent().routes(routes!(oauth::token)).routes(routes!(metrics::serve))
}

/// The routes of a service, by its settings.
fn routes_of(app: &App) -> OpenApiRouter<App> {
    let mut routes = permanent();
    if app.client_signer().is_some() {
        routes = routes.routes(routes!(oauth::token));
    }
    if app.settings().metrics_addr.is_none() {
        routes = routes.routes(routes!(metrics::serve));
    }
    routes
}

/// The routes of every service.
fn permanent() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::document())
        .routes(routes!(contacts::list, contacts::create))
        .routes(routes!(contacts::read, contacts::update, contacts::upsert, contacts::archive))
        .routes(routes!(contacts::restore))
        .routes(routes!(contacts::purge))
        .routes(routes!(batch::create))
        .routes(routes!(batch::read))
        .routes(routes!(batch::update))
        .routes(routes!(batch::upsert))
        .routes(routes!(batch::archive))
        .routes(routes!(changes::feed))
        .routes(routes!(changes::history))
        .routes(routes!(search::search))
        .routes(routes!(fields::list, fields::create))
        .routes(routes!(fields::read, fields::update, fields::delete))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(openapi::serve))
}

/// The service: a router, and what comes before the choice of a route.
type Service = MapRequest<Router, fn(Request) -> Request>;

/// The whole service, ready to be served.
fn service(app: App) -> Service {
    MapRequest::new(router(app), words::tell_apart)
}

/// The metrics alone.
fn metrics_service(app: App) -> Service {
    let (router, _) = OpenApiRouter::new().routes(routes!(metrics::serve)).split_for_parts();
    MapRequest::new(in_layers(router, app), words::tell_apart)
}

fn router(app: App) -> Router {
    let (router, _) = routes_of(&app).split_for_parts();
    let router = router
        .merge(docs::routes(app.settings()))
        .route("/contacts/", routing::any(missing_contact_id))
        .route("/contacts/batch", routing::any(route_not_found));
    in_layers(router, app)
}

/// Routes within what holds for all of them.
fn in_layers(router: Router<App>, app: App) -> Router {
    let nosniff = HeaderValue::from_static("nosniff");
    // Outermost last.
    let router = router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(route_not_found)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), limits::bounded));
    let router = match &app.settings().cors {
        Some(origins) => router.layer(middleware::from_fn_with_state(cors::layer(origins), cors::cors)),
        None => router,
    };
    router
        .layer(middleware::from_fn(head::well_formed))
        .layer(middleware::from_fn_with_state(app.clone(), edge::edge))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, nosniff))
        .with_state(app)
}

async fn route_not_found() -> ApiError {
    ApiError::RouteNotFound
}

/// Any method on a path that lacks the contact's id (contract §2).
async fn missing_contact_id(State(app): State<App>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    match Caller::from_request_parts(&mut parts, &app).await {
        Ok(_) => ApiError::MissingContactId.into_response(),
        Err(error) => error.into_response(),
    }
}

/// `OPTIONS` of any route, and methods that a route does not take. The router adds `Allow`.
async fn method_not_allowed(state: State<App>, request: Request) -> Response {
    if lacks_contact_id(&request) {
        return missing_contact_id(state, request).await;
    }
    if request.method() == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    ApiError::MethodNotAllowed.into_response()
}

/// Whether a request means one contact but does not say which: a blank id, or a change to `/contacts`.
fn lacks_contact_id(request: &Request) -> bool {
    match request.uri().path().strip_prefix("/contacts") {
        Some("") => matches!(*request.method(), Method::PATCH | Method::DELETE),
        Some(rest) => {
            let id = rest.split('/').nth(1).unwrap_or_default();
            percent_decode_str(id).decode_utf8().is_ok_and(|id| id.trim().is_empty())
        }
        None => false,
    }
}

/// A bug that would have cut the connection. The hook of the log has said where.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::Internal("panicked".into()).into_response()
}
