//! Who calls. A handler that takes a [`Caller`] is reached only by a good token; without one it has no account
//! to ask the repository for.

use std::num::NonZeroU32;

use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use uuid::Uuid;

use super::error::ApiError;
use super::extract::body_limit;
use super::limits::{NotedStanding, Rates, Standing};
use super::meters::NoCaller;
use super::scope;
use super::state::App;
use crate::auth::Identity;
use crate::clients::Scopes;

const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// How many inputs of a batch cost what one request costs.
const INPUTS_OF_A_REQUEST: usize = 10;

/// The account that a good token speaks for, and on whose behalf.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The account. Everything a request can see or change is of this one.
    pub account: Uuid,
    /// The token's `sub`.
    pub actor: Option<String>,
    /// Where to note how the account stands with its limit, where there is one.
    noted: Option<NotedStanding>,
}

/// The stages of contract §1 that come before the path: declared size, then token, then rate limit, then scope.
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
        let identity = app.verifier().verify(token).await.map_err(|reason| {
            tracing::debug!(%reason, "token refused");
            NoCaller::Invalid(reason.flaw()).count(1);
            ApiError::Unauthorized { token_sent: true }
        })?;
        refuse_revoked(&identity, app).await?;
        let account = identity.account.ok_or_else(|| {
            NoCaller::NoAccount.count(1);
            ApiError::MissingAccountContext
        })?;
        tracing::Span::current().record("account", tracing::field::display(account));
        let caller = Self { account, actor: identity.actor, noted: parts.extensions.remove() };
        caller.pay(app, Rates::take_one)?;
        check_scope(identity.scopes, parts)?;
        Ok(caller)
    }
}

impl Caller {
    /// Pays for a batch of so many inputs what it costs besides a single request: a tenth of as many (contract §2).
    pub(super) fn pay_for_inputs(&self, app: &App, inputs: usize) -> Result<(), ApiError> {
        let cost = u32::try_from(inputs.div_ceil(INPUTS_OF_A_REQUEST)).unwrap_or(u32::MAX);
        let Some(rest) = NonZeroU32::new(cost.saturating_sub(1)) else { return Ok(()) };
        self.pay(app, |rates, account| rates.take_rest(account, rest))
    }

    fn pay(&self, app: &App, take: impl Fn(&Rates, Uuid) -> Result<Standing, Standing>) -> Result<(), ApiError> {
        let Some((rates, noted)) = app.limits().rates.as_ref().zip(self.noted.as_ref()) else { return Ok(()) };
        let taken = take(rates, self.account);
        noted.note(taken.unwrap_or_else(|standing| standing));
        taken.map(drop).map_err(|standing| ApiError::RateLimited { retry_after: standing.retry_after() })
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
        NoCaller::Revoked.count(1);
        return Err(ApiError::Unauthorized { token_sent: true });
    }
    Ok(())
}

/// A token that is limited to scopes needs the one that covers the call.
fn check_scope(scopes: Option<Scopes>, parts: &Parts) -> Result<(), ApiError> {
    let Some(scopes) = scopes else { return Ok(()) };
    let route = parts.extensions.get::<MatchedPath>().map_or_else(|| parts.uri.path(), MatchedPath::as_str);
    match scope::needed(&parts.method, route) {
        Some(needed) if !scopes.contains(needed) => Err(ApiError::InsufficientScope { needed }),
        _ => Ok(()),
    }
}

/// The token of the one `Authorization: Bearer` header (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Result<&str, ApiError> {
    let refused = |reason: NoCaller, token_sent| {
        reason.count(1);
        Err(ApiError::Unauthorized { token_sent })
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return refused(NoCaller::Missing, false) };
    let token = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    // Bytes that no token has: but one was meant.
    let is_meant = || value.as_bytes().get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "));
    match token {
        None if value.to_str().is_err() && is_meant() => refused(NoCaller::Unreadable, true),
        Some("") | None => refused(NoCaller::Unreadable, false),
        Some(token) if token.len() > MAX_TOKEN_BYTES || values.next().is_some() => refused(NoCaller::Unreadable, true),
        Some(token) => Ok(token),
    }
}
