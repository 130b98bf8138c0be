//! `POST /oauth2/token`: tokens for API clients (`docs/api-reference.md#client-credentials`, RFC 6749 §4.4).
//!
//! Responses, including errors, have the format of RFC 6749, which client libraries expect, and not the format of the
//! other routes.

mod error;
mod request;

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::error::ApiError;
use super::peer::Peer;
use crate::auth::CLIENT_TOKEN_LIFETIME;
use crate::clients::{ClientId, Scopes};
use crate::config::Secret;
pub(super) use error::error_body;
use error::{TokenError, TokenRefusal};
use request::{ClientCredentials, TokenForm};

/// The template of the route.
pub(super) const PATH: &str = "/oauth2/token";

/// Returns whether errors of this request have the format of RFC 6749. Errors of other methods on this path have the
/// format of the other routes.
pub(super) fn is_token_request(method: &str, route: &str) -> bool {
    (method, route) == ("POST", PATH)
}

/// Headers that keep caches from storing a response (RFC 6749 §5.1).
const NO_STORE_HEADERS: [(HeaderName, &str); 2] = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];

/// A token for an API client.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    /// The token, for `Authorization: Bearer`.
    access_token: String,
    /// Lifetime in seconds.
    #[schema(example = 3_600)]
    expires_in: u64,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// The scopes of the token. Absent if the token is not limited.
    #[schema(nullable = false, example = "contacts:read")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Get a token
///
/// Issues a token to an API client with the OAuth 2.0 client credentials grant (RFC 6749 §4.4). Create clients with
/// `contacts client create`. Send the client's id and secret with HTTP Basic or in the form, not both. Without
/// `JWT_SECRET` this path does not exist.
#[utoipa::path(post, path = "/oauth2/token", tag = "clients", operation_id = "createToken",
    security(("basic" = []), ()),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token that is valid for one hour", body = TokenAnswer),
        (status = 400, description = "The request is malformed, or the client does not have a requested scope", body = TokenRefusal),
        (status = 401, description = "Missing credentials, unknown client, revoked client, or wrong secret", body = TokenRefusal,
            headers(("WWW-Authenticate" = String, description = "The authentication scheme"))),
        (status = 408, description = "The body did not arrive in time", body = TokenRefusal,
            headers(("Connection" = String, description = "`close`: the connection ends after this response, except over HTTP/2"))),
        (status = 413, description = "The body is too large", body = TokenRefusal),
        (status = 415, description = "The Content-Encoding is not supported", body = TokenRefusal,
            headers(("Accept-Encoding" = String, description = "The supported codings"))),
        (status = 429, description = "The credentials are wrong, and too many wrong ones were sent before", body = TokenRefusal,
            headers(("Retry-After" = String, description = "Seconds to wait before the next attempt"))),
        (status = 500, description = "Internal error, logged with the request id", body = TokenRefusal),
        (status = 503, description = "The service cannot process the request now. Retry it", body = TokenRefusal,
            headers(("Retry-After" = String, description = "Seconds to wait before the next attempt")))
    ))]
pub(super) async fn create_token(State(app): State<App>, request: Request) -> Response {
    let result = issue_token(&app, request).await;
    (NO_STORE_HEADERS, result.map(Json)).into_response()
}

async fn issue_token(app: &App, request: Request) -> Result<TokenAnswer, TokenError> {
    let signer = app.client_signer().ok_or(ApiError::Internal("there is no key to sign tokens with".into()))?;
    let peer = request.extensions().get::<Peer>().ok_or(ApiError::Internal("the peer is unknown".into()))?.network();
    let slot = app.limits().token_slots.try_take(peer);
    let _slot = slot.ok_or(ApiError::Unavailable("too many concurrent token requests".into()))?;
    let request = request::read_token_request(app, request).await?;
    let (id, allowed) = authenticate(app, &request.credentials, peer).await?;
    tracing::Span::current().record("account", tracing::field::display(id.account));
    let scopes = restrict_scopes(allowed, request.scopes)?;
    let access_token = signer.sign_for_client(id, scopes);
    let access_token = access_token.map_err(|error| ApiError::Internal(error.to_string().into()))?;
    let scope = scopes.map(|scopes| scopes.to_string());
    Ok(TokenAnswer { access_token, expires_in: CLIENT_TOKEN_LIFETIME.as_secs(), token_type: "Bearer", scope })
}

/// Returns the id and the scopes of the client with these credentials. Counts wrong credentials.
///
/// # Errors
///
/// The same error for an unknown client, a revoked client and a wrong secret, so that callers cannot find out which
/// clients exist. Past the limit on wrong credentials, it is [`TokenError::SlowDown`].
async fn authenticate(
    app: &App,
    credentials: &ClientCredentials,
    peer: IpAddr,
) -> Result<(ClientId, Option<Scopes>), TokenError> {
    let id = ClientId::parse(&credentials.id);
    if let Some(id) = id {
        tracing::Span::current().record("client_id", tracing::field::display(id));
        if let Some(scopes) = check_secret(app, id, &credentials.secret).await? {
            return Ok((id, scopes));
        }
    }
    match app.limits().wrong_secrets.count(id, peer) {
        Ok(()) => Err(TokenError::WrongCredentials),
        Err(retry_after) => Err(TokenError::SlowDown { retry_after }),
    }
}

/// Returns the scopes of a client, or `None` if the client does not exist, is revoked, or has another secret.
async fn check_secret(app: &App, id: ClientId, secret: &Secret) -> Result<Option<Option<Scopes>>, ApiError> {
    let permit = app.limits().token_slots.wait_for_lookup().await;
    let _permit = permit.ok_or(ApiError::Unavailable("too many token requests wait for the database".into()))?;
    let stored = app.repository().client_credentials(id).await?;
    Ok(stored.filter(|stored| stored.secret_hash.matches(secret)).map(|stored| stored.scopes))
}

/// Returns the requested scopes if the client has all of them, or all scopes of the client if none are requested.
fn restrict_scopes(allowed: Option<Scopes>, requested: Option<Scopes>) -> Result<Option<Scopes>, TokenError> {
    match (allowed, requested) {
        (Some(allowed), Some(requested)) if !requested.is_subset(allowed) => {
            Err(TokenError::InvalidScope("The client does not have all requested scopes"))
        }
        (allowed, requested) => Ok(requested.or(allowed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_gets_requested_scopes_only_if_the_client_has_them() {
        let scopes = |text: &str| Some(text.parse::<Scopes>().expect("scopes"));
        let restrict = |allowed, requested| restrict_scopes(allowed, requested).ok();
        assert_eq!(restrict(None, None), Some(None));
        assert_eq!(restrict(None, scopes("contacts:read")), Some(scopes("contacts:read")));
        assert_eq!(restrict(scopes("contacts:read fields:write"), None), Some(scopes("contacts:read fields:write")));
        assert_eq!(
            restrict(scopes("contacts:read fields:write"), scopes("fields:write")),
            Some(scopes("fields:write"))
        );
        assert_eq!(restrict(scopes("contacts:read"), scopes("contacts:read contacts:write")), None);
        assert_eq!(restrict(scopes(""), scopes("contacts:read")), None);
    }
}
