//! Authentication of requests (`docs/api-reference.md#authentication`). A handler that takes a [`Caller`] runs only for
//! requests with a valid token, and reads and writes only the account of that token.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, OptionalFromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::app::App;
use super::error::ApiError;
use super::extractors::body_limit;
use super::limits::{RateLimitRecorder, RateLimitStatus, RateLimits};
use super::query::requested_wait;
use super::request_metrics::AuthenticationFailure;
use super::required_scope;
use crate::auth::Identity;
use crate::clients::{ClientId, Scopes};
use crate::fair_semaphore::FairPermit;

const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The number of batch inputs that cost as much as one request.
const INPUTS_PER_REQUEST: usize = 10;

/// The account and the actor of a valid token.
#[derive(Clone)]
pub(super) struct Caller {
    /// The account. The request reads and writes only data of this account.
    pub account: Uuid,
    /// The `sub` of the token.
    pub actor: Option<String>,
    /// The API client that the token was issued to.
    pub client: Option<ClientId>,
    /// The scopes that limit the token. `None`: it may do everything.
    pub scopes: Option<Scopes>,
    /// When the token expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// Records the rate-limit status of the account for the response headers. `None` if there is no rate limit.
    rate_limit: Option<RateLimitRecorder>,
    /// The slot of the request, which is free again when the handler drops the caller.
    _slot: Arc<FairPermit>,
}

/// Runs the checks that precede the path (`docs/api-reference.md#order-of-checks`): declared body size, token, slot for
/// the request, rate limit, scope.
impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        check_declared_body_size(parts, app)?;
        let token = bearer_token(&parts.headers)?;
        let identity = app.verifier().verify(token).await.map_err(|invalid| {
            tracing::debug!(reason = %invalid, "token rejected");
            AuthenticationFailure::Invalid(invalid.reason()).count(1);
            ApiError::InvalidToken(invalid.to_string().into())
        })?;
        reject_revoked_client(&identity, app).await?;
        let account = identity.account.ok_or_else(|| {
            AuthenticationFailure::NoAccount.count(1);
            ApiError::MissingAccountContext
        })?;
        record_caller(&identity, account);
        let slot = take_slot(account, parts, app)?;
        let required_claim = app.verifier().required_scope_claim();
        let caller = Self {
            account,
            actor: identity.actor,
            client: identity.client,
            scopes: identity.scopes.or_else(|| required_claim.map(|_| Scopes::default())),
            expires_at: identity.expires_at,
            rate_limit: parts.extensions.remove(),
            _slot: slot,
        };
        caller.charge(app, RateLimits::charge_request)?;
        check_scope(identity.scopes, required_claim, parts)?;
        Ok(caller)
    }
}

/// For routes that do not require a token: returns `None` without one. A token that is sent must be valid.
impl OptionalFromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, ApiError> {
        if !parts.headers.contains_key(header::AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<App>>::from_request_parts(parts, app).await.map(Some)
    }
}

impl Caller {
    /// Charges the account for a batch. Ten inputs cost as much as one request, rounded up. One request has already
    /// been charged (`docs/api-reference.md#limits`).
    pub(super) fn charge_batch(&self, app: &App, inputs: usize) -> Result<(), ApiError> {
        let cost = u32::try_from(inputs.div_ceil(INPUTS_PER_REQUEST)).unwrap_or(u32::MAX);
        let Some(additional) = NonZeroU32::new(cost.saturating_sub(1)) else { return Ok(()) };
        self.charge(app, |rates, account| rates.charge_additional(account, additional))
    }

    /// Runs a charge and records the resulting status for the `RateLimit-*` headers.
    fn charge(
        &self,
        app: &App,
        charge: impl Fn(&RateLimits, Uuid) -> Result<RateLimitStatus, RateLimitStatus>,
    ) -> Result<(), ApiError> {
        let Some((rates, rate_limit)) = app.limits().rates.as_ref().zip(self.rate_limit.as_ref()) else {
            return Ok(());
        };
        let charged = charge(rates, self.account);
        rate_limit.record(charged.unwrap_or_else(|rejected| rejected));
        charged.map(drop).map_err(|rejected| ApiError::RateLimited { retry_after: rejected.retry_after() })
    }
}

fn check_declared_body_size(parts: &Parts, app: &App) -> Result<(), ApiError> {
    let limit = body_limit(parts.uri.path(), app);
    let declared =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limit as u64) {
        return Err(ApiError::PayloadTooLarge { limit });
    }
    Ok(())
}

/// Takes a slot for a request of the account. A request without a slot is rejected at once: in a queue, it would wait so
/// long that its client times out before the response.
fn take_slot(account: Uuid, parts: &Parts, app: &App) -> Result<Arc<FairPermit>, ApiError> {
    let is_long_poll = !requested_wait(&parts.extensions, &parts.uri).is_zero();
    let slot = app.limits().slots.try_take(account, is_long_poll);
    slot.map(Arc::new).ok_or(ApiError::Unavailable("too many concurrent requests".into()))
}

/// Adds the caller to the log lines of the request.
fn record_caller(identity: &Identity, account: Uuid) {
    // Together, because the log formats the fields of a span again with each record.
    let client_id = identity.client.map(tracing::field::display);
    tracing::record_all!(tracing::Span::current(), account = %account, actor = identity.actor.as_deref(), client_id);
}

/// Rejects the tokens of an API client that has been revoked.
async fn reject_revoked_client(identity: &Identity, app: &App) -> Result<(), ApiError> {
    if let Some(client) = identity.client
        && app.repository().is_client_revoked(client).await?
    {
        let reason = "the API client has been revoked";
        tracing::debug!(reason, "token rejected");
        AuthenticationFailure::Revoked.count(1);
        return Err(ApiError::InvalidToken(reason.into()));
    }
    Ok(())
}

/// Checks that the scopes of the token, if it is limited to scopes, cover the request. A token without the scope claim
/// may do nothing if the claim is required.
fn check_scope(scopes: Option<Scopes>, required_claim: Option<&str>, parts: &Parts) -> Result<(), ApiError> {
    let route = parts.extensions.get::<MatchedPath>().map_or_else(|| parts.uri.path(), MatchedPath::as_str);
    let Some(needed) = required_scope::for_route(&parts.method, route) else { return Ok(()) };
    match (scopes, required_claim) {
        (Some(scopes), _) if !scopes.contains(needed) => Err(ApiError::InsufficientScope { needed }),
        (None, Some(claim)) => Err(ApiError::MissingScopeClaim { claim: claim.to_owned() }),
        _ => Ok(()),
    }
}

/// Returns the token of the `Authorization: Bearer` header, which must be sent once (RFC 6750 §2.1).
fn bearer_token(headers: &HeaderMap) -> Result<&str, ApiError> {
    let missing_token = |failure: AuthenticationFailure| {
        failure.count(1);
        Err(ApiError::MissingToken)
    };
    let invalid_token = |reason: &'static str| {
        AuthenticationFailure::Unreadable.count(1);
        Err(ApiError::InvalidToken(reason.into()))
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return missing_token(AuthenticationFailure::Missing) };
    let Ok(text) = value.to_str() else {
        // Bytes that are not visible ASCII are never a token, but the scheme shows that one was intended.
        let is_bearer = value.as_bytes().get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "));
        return if is_bearer {
            invalid_token("the token contains characters that are not visible ASCII")
        } else {
            missing_token(AuthenticationFailure::Unreadable)
        };
    };
    match text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) {
        None => missing_token(AuthenticationFailure::Unreadable),
        Some((_, token)) => match token.trim() {
            "" => missing_token(AuthenticationFailure::Unreadable),
            token if token.len() > MAX_TOKEN_BYTES => invalid_token("the token is longer than 8192 bytes"),
            _ if values.next().is_some() => invalid_token("the request has more than one Authorization header"),
            token => Ok(token),
        },
    }
}
