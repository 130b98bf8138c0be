//! Who calls. A handler that takes a [`Caller`] is reached only by a good token; without one it has no account
//! to ask the repository for.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use uuid::Uuid;

use super::error::ApiError;
use super::extract::body_limit;
use super::state::App;

const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The account that a good token speaks for, and on whose behalf.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The account. Everything a request can see or change is of this one.
    pub account: Uuid,
    /// The token's `sub`.
    pub actor: Option<String>,
}

/// The stages of contract §1 that come before the path: declared size, then token.
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
        let account = identity.account.ok_or(ApiError::MissingAccountContext)?;
        tracing::Span::current().record("account", tracing::field::display(account));
        Ok(Self { account, actor: identity.actor })
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
