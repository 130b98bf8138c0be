//! The routes of the API, the order of the middleware around them, and the OpenAPI document that follows from them.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::{Extension, Router, middleware, routing};
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::OpenApi as Document;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::openapi::endpoint::PublicDocument;
use super::openapi::{base_document, code_samples, endpoint, shared_parts};
use super::query::DeclaredParameters;
use super::{
    batch, change_feed, contacts, cors, docs, export, fallbacks, fields, health, me, metrics_endpoint, oauth,
    request_context, request_timeout, reserved_segments, search,
};

/// The HTTP service: a router, and the preparation of requests that runs before it.
pub(super) type Service = MapRequest<Router, fn(Request) -> Request>;

/// The OpenAPI document without any account's custom fields. Built on first use.
static PUBLIC_DOCUMENT: LazyLock<PublicDocument> = LazyLock::new(|| PublicDocument::new(&openapi_document()));

/// The query parameters of every route. Built on first use.
static DECLARED_PARAMETERS: LazyLock<DeclaredParameters> =
    LazyLock::new(|| DeclaredParameters::from_document(&openapi_document()));

/// Returns the service with all routes that the settings enable.
pub(super) fn api_service(app: App) -> Service {
    let (router, _) = enabled_routes(&app).split_for_parts();
    let router = router
        .merge(docs::routes(app.settings()))
        .route("/contacts/", routing::any(fallbacks::missing_contact_id))
        .route("/contacts/batch", routing::any(fallbacks::route_not_found));
    LazyLock::force(&DECLARED_PARAMETERS);
    with_request_preparation(with_middleware(router, app))
}

/// Returns a service that serves `/metrics` only.
pub(super) fn metrics_service(app: App) -> Service {
    let (router, _) = OpenApiRouter::new().routes(routes!(metrics_endpoint::get_metrics)).split_for_parts();
    with_request_preparation(with_middleware(router, app))
}

/// Returns the complete OpenAPI document, without any account's custom fields.
#[must_use]
pub fn openapi_document() -> Document {
    let (_, mut document) = documented_routes().split_for_parts();
    shared_parts::add_shared_parts(&mut document);
    code_samples::add_code_samples(&mut document);
    document
}

/// Returns every route that the OpenAPI document describes, including routes that the settings can disable.
fn documented_routes() -> OpenApiRouter<App> {
    permanent_routes()
        .routes(routes!(endpoint::get_openapi_document))
        .routes(routes!(oauth::create_token))
        .routes(routes!(metrics_endpoint::get_metrics))
}

/// Returns the routes that the settings enable.
fn enabled_routes(app: &App) -> OpenApiRouter<App> {
    let document_route =
        OpenApiRouter::new().routes(routes!(endpoint::get_openapi_document)).layer(Extension(&PUBLIC_DOCUMENT));
    let mut routes = permanent_routes().merge(document_route);
    if app.client_signer().is_some() {
        routes = routes.routes(routes!(oauth::create_token));
    }
    if app.settings().metrics_addr.is_none() {
        routes = routes.routes(routes!(metrics_endpoint::get_metrics));
    }
    routes
}

/// Returns the routes that every instance serves, except `/openapi.json`, which needs the document as an extension.
fn permanent_routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(base_document::base_document())
        .routes(routes!(contacts::list_contacts, contacts::create_contact))
        .routes(routes!(
            contacts::read_contact,
            contacts::update_contact,
            contacts::upsert_contact,
            contacts::archive_contact
        ))
        .routes(routes!(contacts::restore_contact))
        .routes(routes!(contacts::purge_contact))
        .routes(routes!(batch::create_batch))
        .routes(routes!(batch::read_batch))
        .routes(routes!(batch::update_batch))
        .routes(routes!(batch::upsert_batch))
        .routes(routes!(batch::archive_batch))
        .routes(routes!(change_feed::read_changes))
        .routes(routes!(change_feed::read_history))
        .routes(routes!(search::search_contacts))
        .routes(routes!(export::export_contacts))
        .routes(routes!(fields::list_fields, fields::create_field))
        .routes(routes!(fields::read_field, fields::update_field, fields::delete_field))
        .routes(routes!(me::read_me))
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
}

/// Adds the middleware that applies to every request. The layer added last runs first.
fn with_middleware(router: Router<App>, app: App) -> Router {
    let router = router
        .method_not_allowed_fallback(fallbacks::method_not_allowed)
        .fallback(fallbacks::route_not_found)
        .layer(CatchPanicLayer::custom(fallbacks::internal_error_after_panic))
        .layer(middleware::from_fn_with_state(app.clone(), request_timeout::limit_time));
    let router = match &app.settings().cors {
        Some(origins) => router.layer(middleware::from_fn_with_state(cors::cors_layer(origins), cors::apply_cors)),
        None => router,
    };
    router.layer(middleware::from_fn_with_state(app.clone(), request_context::with_request_context)).with_state(app)
}

fn with_request_preparation(router: Router) -> Service {
    MapRequest::new(router, prepare_request)
}

/// Rewrites the path of a request. Gives a request with a query the parameters that the routes declare.
fn prepare_request(request: Request) -> Request {
    let mut request = reserved_segments::escape_reserved_segments(request);
    if request.uri().query().is_some() {
        request.extensions_mut().insert(&*DECLARED_PARAMETERS);
    }
    request
}
