//! `Idempotency-Key`: a repeated write returns the response of the first request (`docs/api-reference.md#idempotency`).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use sha2::{Digest, Sha256};

use super::authentication::Caller;
use super::error::ApiError;
use super::json_response::JsonResponse;
use crate::fields::{Issue, IssueCode, Selection};
use crate::repository::{Idempotent, IdempotentRequest};

const HEADER: &str = "idempotency-key";
const MAX_LENGTH: usize = 255;

/// The `Idempotency-Key` header of a request that writes.
pub(super) struct IdempotencyHeader(Option<SentKey>);

struct SentKey {
    /// The key. `None` if it is malformed.
    key: Option<String>,
    method: Method,
    /// The path and query of the request. The URI is not used, because over HTTP/2 it also contains the host.
    target: String,
}

/// An idempotency key and the fingerprint of its request: a hash of the actor, the method, the target, the body and the
/// requested properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestFingerprint {
    key: String,
    fingerprint: [u8; 32],
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyHeader {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut values = parts.headers.get_all(HEADER).iter();
        let Some(first) = values.next() else { return Ok(Self(None)) };
        let key = first.to_str().ok().and_then(parse_key).filter(|_| values.next().is_none());
        let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        Ok(Self(Some(SentKey { key: key.map(str::to_owned), method: parts.method.clone(), target })))
    }
}

/// Returns the key in a value of the header, or `None` if it is malformed. A value in quotes, the form of the IETF draft
/// (draft-ietf-httpapi-idempotency-key-header), is the same key as the value without quotes. Backslashes are not escapes.
fn parse_key(value: &str) -> Option<&str> {
    let key = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let is_valid = (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid.then_some(key)
}

impl IdempotencyHeader {
    /// Whether the request has the header, valid or not.
    pub(super) fn is_sent(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the key, and the fingerprint of a request with this body and these requested properties. Returns `None`
    /// if the request has no key.
    ///
    /// # Errors
    /// [`ApiError::ValidationFailed`] if the key is malformed.
    pub(super) fn fingerprint(
        &self,
        caller: &Caller,
        body: &[u8],
        selection: &Selection,
    ) -> Result<Option<RequestFingerprint>, ApiError> {
        let Some(SentKey { key, method, target }) = &self.0 else { return Ok(None) };
        let Some(key) = key.clone() else {
            let message = "must be sent once, as 1 to 255 visible ASCII characters";
            let issue = Issue::new("Idempotency-Key", IssueCode::InvalidFormat, message);
            return Err(ApiError::ValidationFailed([issue].into()));
        };
        let mut hasher = Sha256::new();
        // Builds that accepted keys on POST only did not hash the method. Instances of both kinds run during an upgrade,
        // and each must recognize the requests that the other has carried out.
        if *method != Method::POST {
            hasher.update(method.as_str());
        }
        let actor = caller.actor.as_deref();
        hasher.update([u8::from(actor.is_some())]);
        for part in [actor.unwrap_or_default().as_bytes(), target.as_bytes(), body] {
            hasher.update(part.len().to_be_bytes());
            hasher.update(part);
        }
        // The ids of the fields, not their names: if a field is deleted and a new field gets its name, the same query
        // requests another field. The stored response contains values of the deleted field and must not be replayed.
        selection.extra().iter().for_each(|field| hasher.update(field.id.0.to_be_bytes()));
        Ok(Some(RequestFingerprint { key, fingerprint: hasher.finalize().into() }))
    }
}

impl RequestFingerprint {
    /// Converts to the type that the repository takes. The repository stores the response that `build_response` returns
    /// in the same transaction as the effect of the request. An error response is not stored.
    pub(super) fn into_idempotent_request<T: ?Sized>(
        self,
        build_response: impl Fn(&T) -> Result<JsonResponse, ApiError> + Send + Sync + 'static,
    ) -> IdempotentRequest<T> {
        let response_bytes = move |outcome: &T| build_response(outcome).ok().map(|response| response.to_bytes());
        IdempotentRequest { key: self.key, fingerprint: self.fingerprint, build_response: Box::new(response_bytes) }
    }
}

/// Returns the stored response of a repeated request, or the response that `build_response` returns for a new request.
pub(super) fn stored_or_new_response<T>(
    outcome: Idempotent<T>,
    build_response: impl FnOnce(&T) -> Result<JsonResponse, ApiError>,
) -> Result<JsonResponse, ApiError> {
    match outcome {
        Idempotent::Fresh(outcome) => build_response(&outcome),
        Idempotent::Stored(stored) => JsonResponse::from_bytes(&stored),
        Idempotent::Replayed(stored) => Ok(JsonResponse::from_bytes(&stored)?.replayed()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("k", Some("k"))]
    #[case("\"k\"", Some("k"))]
    #[case("\"", Some("\""))]
    #[case("\"k", Some("\"k"))]
    #[case("k\"", Some("k\""))]
    #[case("\"\"k\"\"", Some("\"k\""))]
    #[case("\"\"", None)]
    #[case("", None)]
    #[case("\"a b\"", None)]
    fn quotes_around_a_key_are_removed_once(#[case] value: &str, #[case] key: Option<&str>) {
        assert_eq!(parse_key(value), key);
    }
}
