//! Who calls. A handler that takes a [`Caller`] is reached only by a good token; without one it has no account
//! to ask the repository for.

use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use uuid::Uuid;

use super::error::ApiError;
use super::extract::body_limit;
use super::scope;
use super::state::App;
use crate::auth::Identity;

const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The account that a good token speaks for, and on whose behalf.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The account. Everything a request can see or change is of this one.
    pub account: Uuid,
    /// The token's `sub`.
    pub actor: Option<String>,
}

/// The stages of contract §1 that come before the path: declared size, then token, then scope.
impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let limit = body_limit(parts.uri.path(), app);
        let declared =
            parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|length| length > limit as u64) {
            return Err(ApiError::PayloadTooLarge { limit });
        }
        let token = bearer_token(&parts.headers)?;
        let identity = app.verifier().verify(token).map_err(|reason| {
            tracing::debug!(%reason, "token refused");
            ApiError::Unauthorized { token_sent: true }
        })?;
        refuse_revoked(&identity, app).await?;
        let account = identity.account.ok_or(ApiError::MissingAccountContext)?;
        tracing::Span::current().record("account", tracing::field::display(account));
        check_scope(&identity, parts)?;
        Ok(Self { account, actor: identity.actor })
    }
}

/// Where no token is needed: none is fine, but one that is sent has to be good.
impl OptionalFromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, ApiError> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<App>>::from_request_parts(parts, app).await.map(Some)
    }
}

/// A token that was made for a client is good only as long as the client is.
async fn refuse_revoked(identity: &Identity, app: &App) -> Result<(), ApiError> {
    if let Some(client) = identity.client
        && app.repository().is_client_revoked(client).await?
    {
        tracing::debug!("token refused: its client is revoked");
        return Err(ApiError::Unauthorized { token_sent: true });
    }
    Ok(())
}

/// A token that is limited to scopes needs the one that covers the call.
fn check_scope(identity: &Identity, parts: &Parts) -> Result<(), ApiError> {
    let Some(scopes) = identity.scopes else { return Ok(()) };
    let route = parts.extensions.get::<MatchedPath>().map_or_else(|| parts.uri.path(), MatchedPath::as_str);
    match scope::needed(&parts.method, route) {
        Some(needed) if !scopes.contains(needed) => Err(ApiError::InsufficientScope { needed }),
        _ => Ok(()),
    }
}

/// The token of the one `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(ApiError::Unauthorized { token_sent: false })?;
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match token {
        Some("") | None => Err(ApiError::Unauthorized { token_sent: false }),
        Some(token) if token.len() > MAX_TOKEN_BYTES || values.next().is_some() => {
            Err(ApiError::Unauthorized { token_sent: true })
        }
        Some(token) => Ok(token),
    }
}
