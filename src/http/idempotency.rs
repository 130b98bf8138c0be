//! `Idempotency-Key`: a repeat of a POST gets the first answer again (contract §6).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::caller::Caller;
use super::error::ApiError;
use super::state::App;
use crate::fields::{Issue, IssueCode, Selection};

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";
const MAX_LENGTH: usize = 255;

/// The key that a request carries, if any, and the path and query that it is good for.
pub(super) struct Idempotency(Option<Sent>);

struct Sent {
    /// `None` when it is malformed.
    key: Option<String>,
    /// Path and query. (Over HTTP/2 a URI also holds the host.)
    target: String,
}

/// A key, and the hash of the request it belongs to: of who sends what to where, and what he asks to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestKey {
    pub key: String,
    pub fingerprint: [u8; 32],
}

impl FromRequestParts<App> for Idempotency {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Infallible> {
        let mut values = parts.headers.get_all(HEADER).iter();
        // Every other method is idempotent as it is.
        let Some(first) = values.next().filter(|_| parts.method == Method::POST) else { return Ok(Self(None)) };
        let is_good =
            |key: &&str| (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        let key = first.to_str().ok().filter(is_good).filter(|_| values.next().is_none());
        let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        Ok(Self(Some(Sent { key: key.map(str::to_owned), target })))
    }
}

impl Idempotency {
    /// The key, with the hash of the request that has this body and asks to see these fields.
    pub(super) fn of(
        &self,
        caller: &Caller,
        body: &[u8],
        selection: &Selection,
    ) -> Result<Option<RequestKey>, ApiError> {
        let Some(Sent { key, target }) = &self.0 else { return Ok(None) };
        let Some(key) = key.clone() else {
            let message = "must be sent once, as 1 to 255 visible ASCII characters";
            let issue = Issue::new("Idempotency-Key", IssueCode::InvalidFormat, message);
            return Err(ApiError::ValidationFailed(vec![issue]));
        };
        let mut hasher = Sha256::new();
        let actor = caller.actor.as_deref();
        hasher.update([u8::from(actor.is_some())]);
        for part in [actor.unwrap_or_default().as_bytes(), target.as_bytes(), body] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        // A name that has become another field's makes another request of it: the first answer shows what was deleted.
        selection.extra().iter().for_each(|field| hasher.update(field.id.0.to_be_bytes()));
        Ok(Some(RequestKey { key, fingerprint: hasher.finalize().into() }))
    }
}

/// The kept answer, sent again.
pub(super) fn replay(kept: &[u8]) -> Result<Response, ApiError> {
    let mut response = Answer::from_bytes(kept)?.into_response();
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}
