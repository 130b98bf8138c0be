//! JSON responses with data of an account.

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::buffered_body::BufferedBody;
use super::error::ApiError;
use super::representation_tag::contact_tag;
use crate::contacts::{Contact, WrittenContact};
use crate::fair_semaphore::FairPermit;
use crate::fields::Selection;

const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A JSON response that shared caches must not store. It can be stored under an `Idempotency-Key` and sent again.
#[derive(Default)]
pub(super) struct JsonResponse {
    head: ResponseHead,
    body: BufferedBody,
    /// Whether an earlier request got this response.
    is_replayed: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ResponseHead {
    status: u16,
    etag: Option<String>,
    location: Option<String>,
}

impl JsonResponse {
    /// Creates a response with this body.
    pub(super) fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(body).map_err(|error| ApiError::Internal(error.to_string().into()))?;
        Ok(Self::from_body(status, body.into()))
    }

    /// Creates a response without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self::from_body(status, BufferedBody::default())
    }

    /// Creates a response with a body that is JSON already.
    pub(super) fn from_body(status: StatusCode, body: BufferedBody) -> Self {
        Self { head: ResponseHead { status: status.as_u16(), ..ResponseHead::default() }, body, is_replayed: false }
    }

    /// Marks this response as the response to an earlier request.
    pub(super) fn replayed(self) -> Self {
        Self { is_replayed: true, ..self }
    }

    /// Returns this response with a permit for the memory of its body.
    pub(super) fn with_permit(self, permit: Option<FairPermit>) -> Self {
        Self { body: self.body.with_permit(permit), ..self }
    }

    /// Creates a response whose body is one contact, with the contact's `ETag`.
    pub(super) fn from_contact(status: StatusCode, contact: &Contact, selection: &Selection) -> Result<Self, ApiError> {
        let mut response = Self::new(status, &contact.render(selection))?;
        response.head.etag = Some(contact_tag(contact, selection));
        Ok(response)
    }

    /// Returns the entity tag of the response.
    pub(super) fn etag(&self) -> Option<&str> {
        self.head.etag.as_deref()
    }

    /// Creates the response to a write of one contact.
    pub(super) fn from_written_contact(
        written: &WrittenContact,
        selection: &Selection,
        is_dry_run: bool,
    ) -> Result<Self, ApiError> {
        let contact = &written.contact;
        match (written.created, is_dry_run) {
            (false, false) => Self::from_contact(StatusCode::OK, contact, selection),
            (false, true) => {
                // Sends the tag of the stored contact. A later write could give the tag of the dry run's result to
                // another state of the contact.
                let mut response = Self::from_contact(StatusCode::OK, contact, selection)?;
                response.head.etag = written.before.as_deref().map(|before| contact_tag(before, selection));
                Ok(response)
            }
            // The contact of a dry run does not exist, so it has neither an id nor a location.
            (true, true) => Self::new(StatusCode::CREATED, &contact.render_without_id(selection)),
            (true, false) => {
                let mut response = Self::from_contact(StatusCode::CREATED, contact, selection)?;
                response.head.location = Some(format!("/contacts/{}", contact.id));
                Ok(response)
            }
        }
    }

    /// Returns the 304 response in place of this one, with this tag and otherwise the same headers, but without its body.
    pub(super) fn into_not_modified(self, etag: String) -> Self {
        let head = ResponseHead { status: StatusCode::NOT_MODIFIED.as_u16(), etag: Some(etag), ..self.head };
        Self { head, body: BufferedBody::default(), ..self }
    }

    /// Serializes the response: its head as JSON, a line feed, and its body.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        self.body.copy_to(&mut bytes);
        bytes
    }

    /// Deserializes a response that [`Self::to_bytes`] has serialized.
    pub(super) fn from_bytes(bytes: &Bytes) -> Result<Self, ApiError> {
        let malformed = || ApiError::Internal("a stored response is malformed".into());
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(malformed)?;
        let head = serde_json::from_slice(&bytes[..end]).map_err(|_| malformed())?;
        Ok(Self { head, body: bytes.slice(end + 1..).into(), is_replayed: false })
    }
}

impl IntoResponse for JsonResponse {
    fn into_response(self) -> Response {
        let Self { head, body, is_replayed } = self;
        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let has_body = body.length() > 0;
        let mut response = status.into_response();
        body.set_in(&mut response);
        let headers = response.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if has_body || status == StatusCode::NOT_MODIFIED {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        }
        if is_replayed {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        for (name, value) in [(header::ETAG, head.etag), (header::LOCATION, head.location)] {
            headers.extend(value.and_then(|value| HeaderValue::from_str(&value).ok()).map(|value| (name, value)));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_response_is_read_back_unchanged() {
        let head = ResponseHead { status: 201, etag: Some("\"a\"".into()), location: Some("/contacts/1".into()) };
        let body = b"{\"a\":\n1}".to_vec().into();
        let response = JsonResponse { head: head.clone(), body, is_replayed: false };
        let bytes = Bytes::from(response.to_bytes());
        let read = JsonResponse::from_bytes(&bytes).expect("the bytes are a response");
        assert_eq!((&read.head, read.to_bytes()), (&head, bytes.to_vec()));
        assert!(JsonResponse::from_bytes(&Bytes::from_static(b"{}")).is_err());
    }
}
