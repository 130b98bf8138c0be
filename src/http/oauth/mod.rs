//! `POST /oauth2/token`: API clients get their tokens (contract §6, "Client credentials"; RFC 6749 §4.4).
//!
//! Answers, refusals included, are in the format of RFC 6749, which client libraries know, and not in that of the
//! other routes.

mod error;
mod request;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::state::App;
use crate::auth::CLIENT_TOKEN_LIFE;
use crate::clients::{ClientId, Scopes};
pub(super) use error::body as error_body;
use error::{TokenError, TokenRefusal};
use request::{Credentials, TokenForm};

/// The route's template.
pub(super) const PATH: &str = "/oauth2/token";

/// Whether errors of this call are answered in the format of RFC 6749. Other methods of the path are no such calls.
pub(super) fn answers(method: &str, route: &str) -> bool {
    (method, route) == ("POST", PATH)
}

/// What no cache may keep (RFC 6749 §5.1).
const NEVER_STORED: [(HeaderName, &str); 2] = [(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];

/// A token for an API client.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenAnswer {
    /// The token, for `Authorization: Bearer`.
    access_token: String,
    /// For how many seconds it is good.
    #[schema(example = 3_600)]
    expires_in: u64,
    /// Always `Bearer`.
    #[schema(example = "Bearer")]
    token_type: &'static str,
    /// What the token may do, where that is limited.
    #[schema(nullable = false, example = "contacts:read")]
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
}

/// Get a token
///
/// For an API client (`contacts client create` makes one), by OAuth 2.0 client credentials (RFC 6749 §4.4). The client
/// shows its id and secret by HTTP Basic or in the form, not both. Without `JWT_SECRET` there is no such path.
#[utoipa::path(post, path = "/oauth2/token", tag = "clients", operation_id = "createToken",
    security(("basic" = []), ()),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "A token, good for an hour", body = TokenAnswer),
        (status = 400, description = "The request is malformed, or asks for what the client can't get", body = TokenRefusal),
        (status = 401, description = "There is no such client, or the secret is another", body = TokenRefusal,
            headers(("WWW-Authenticate" = String, description = "Says how to go on"))),
        (status = 413, description = "The body is too large", body = TokenRefusal),
        (status = 500, description = "A bug on our side, logged with the request's id", body = TokenRefusal),
        (status = 503, description = "The service can't answer now: try again", body = TokenRefusal,
            headers(("Retry-After" = String, description = "Says how to go on")))
    ))]
pub(super) async fn token(State(app): State<App>, request: Request) -> Response {
    let answer = issue(&app, request).await;
    (NEVER_STORED, answer.map(Json)).into_response()
}

async fn issue(app: &App, request: Request) -> Result<TokenAnswer, TokenError> {
    let signer = app.client_signer().ok_or(ApiError::Internal("tokens are asked for, but can't be signed".into()))?;
    let request = request::read(app, request).await?;
    let (id, allowed) = authenticate(app, &request.credentials).await?;
    tracing::Span::current().record("account", tracing::field::display(id.account));
    let scopes = narrow(allowed, request.scopes)?;
    let access_token = signer.sign_for_client(id, scopes);
    let access_token = access_token.map_err(|error| ApiError::Internal(error.to_string().into()))?;
    let scope = scopes.map(|scopes| scopes.to_string());
    Ok(TokenAnswer { access_token, expires_in: CLIENT_TOKEN_LIFE.as_secs(), token_type: "Bearer", scope })
}

/// The client that has this id and this secret, and what it may do. One answer for every way to be wrong: who guesses
/// learns nothing about which clients there are.
async fn authenticate(app: &App, shown: &Credentials) -> Result<(ClientId, Option<Scopes>), TokenError> {
    let id = ClientId::parse(&shown.id).ok_or(TokenError::WrongCredentials)?;
    let kept = app.repository().client_credentials(id).await.map_err(ApiError::from)?;
    let kept = kept.filter(|kept| kept.secret.matches(&shown.secret)).ok_or(TokenError::WrongCredentials)?;
    Ok((id, kept.scopes))
}

/// The part that is asked for of what the client may do; without a wish, all of it.
fn narrow(allowed: Option<Scopes>, wanted: Option<Scopes>) -> Result<Option<Scopes>, TokenError> {
    match (allowed, wanted) {
        (Some(allowed), Some(wanted)) if !wanted.is_within(allowed) => {
            Err(TokenError::InvalidScope("The client may not do all that scope asks for"))
        }
        (allowed, wanted) => Ok(wanted.or(allowed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrows_what_a_client_may_do_and_never_widens_it() {
        let scopes = |text: &str| Some(text.parse::<Scopes>().expect("scopes"));
        let narrow = |allowed, wanted| narrow(allowed, wanted).ok();
        assert_eq!(narrow(None, None), Some(None));
        assert_eq!(narrow(None, scopes("contacts:read")), Some(scopes("contacts:read")));
        assert_eq!(narrow(scopes("contacts:read fields:write"), None), Some(scopes("contacts:read fields:write")));
        assert_eq!(narrow(scopes("contacts:read fields:write"), scopes("fields:write")), Some(scopes("fields:write")));
        assert_eq!(narrow(scopes("contacts:read"), scopes("contacts:read contacts:write")), None);
        assert_eq!(narrow(scopes(""), scopes("contacts:read")), None);
    }
}
