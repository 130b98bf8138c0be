//! JSON responses with data of an account.

use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use uuid::Uuid;

use super::buffered_body::BufferedBody;
use super::error::ApiError;
use super::query::ContactQuery;
use super::representation_tag::contact_tag;
use super::return_preference::ReturnPreference;
use crate::contacts::{Contact, WrittenContact};
use crate::fair_semaphore::FairPermit;
use crate::fields::Selection;

const CREATED_BESIDE: HeaderName = HeaderName::from_static("created-beside-archived");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const STALE_WRITE: HeaderName = HeaderName::from_static("stale-write");

/// A JSON response that shared caches must not store. It can be stored under an `Idempotency-Key` and sent again.
#[derive(Default)]
pub(super) struct JsonResponse {
    head: ResponseHead,
    body: BufferedBody,
    /// Whether an earlier request got this response.
    is_replayed: bool,
    /// The `Link` to the next page.
    link: Option<HeaderValue>,
}

/// The status, and the headers that are stored with a response. Responses of older builds have only the first three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct ResponseHead {
    status: u16,
    etag: Option<String>,
    location: Option<String>,
    /// Whether the response has no body because the caller prefers that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_minimal: bool,
    /// Whether the write was ignored, because it is older than an earlier one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_stale: bool,
    /// The archived contact beside which an upsert created a contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_beside: Option<Uuid>,
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
        Self { head: ResponseHead { status: status.as_u16(), ..ResponseHead::default() }, body, ..Self::default() }
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

    /// Returns this response with the header that says whether the preference was applied.
    pub(super) fn with_preference(self, preference: ReturnPreference) -> Self {
        Self { head: ResponseHead { is_minimal: preference.is_minimal(), ..self.head }, ..self }
    }

    /// Returns this response with a `Link` to the next page.
    pub(super) fn with_link(self, link: Option<HeaderValue>) -> Self {
        Self { link, ..self }
    }

    /// Returns the entity tag of the response.
    pub(super) fn etag(&self) -> Option<&str> {
        self.head.etag.as_deref()
    }

    /// Creates the response to a write of one contact.
    pub(super) fn from_written_contact(
        written: &WrittenContact,
        query: &ContactQuery,
        preference: ReturnPreference,
    ) -> Result<Self, ApiError> {
        let (contact, selection) = (&written.contact, &query.selection);
        let status = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        // The contact of a dry run that creates one does not exist, so it has neither an id nor a location.
        let is_new = written.created && !query.is_dry_run;
        let tagged = match query.is_dry_run {
            false => Some(&**contact),
            // The tag of the stored contact: a later write could give the tag of the dry run's result to another state of
            // the contact.
            true => written.before.as_deref(),
        };
        let mut response = match preference {
            ReturnPreference::Minimal if written.created => Self::empty(status),
            ReturnPreference::Minimal => Self::empty(StatusCode::NO_CONTENT),
            ReturnPreference::Representation if written.created && query.is_dry_run => {
                Self::new(status, &contact.render_without_id(selection))?
            }
            ReturnPreference::Representation => Self::new(status, &contact.render(selection))?,
        };
        response.head = ResponseHead {
            etag: tagged.map(|contact| contact_tag(contact, selection)),
            location: is_new.then(|| format!("/contacts/{}", contact.id)),
            is_minimal: preference.is_minimal(),
            is_stale: written.is_stale,
            created_beside: written.created_beside,
            ..response.head
        };
        Ok(response)
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
        Ok(Self { head, body: bytes.slice(end + 1..).into(), ..Self::default() })
    }
}

impl IntoResponse for JsonResponse {
    fn into_response(self) -> Response {
        let Self { head, body, is_replayed, link } = self;
        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let has_body = body.length() > 0;
        let mut response = status.into_response();
        body.set_in(&mut response);
        let headers = response.headers_mut();
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if has_body || head.is_minimal || status == StatusCode::NOT_MODIFIED {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        }
        if is_replayed {
            headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
        }
        if head.is_minimal {
            headers.insert(PREFERENCE_APPLIED, HeaderValue::from_static("return=minimal"));
        }
        if head.is_stale {
            headers.insert(STALE_WRITE, HeaderValue::from_static("ignored"));
        }
        headers.extend(link.map(|link| (header::LINK, link)));
        let created_beside = head.created_beside.map(|id| id.to_string());
        let values = [(header::ETAG, head.etag), (header::LOCATION, head.location), (CREATED_BESIDE, created_beside)];
        for (name, value) in values {
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
        let head = ResponseHead {
            status: 201,
            etag: Some("\"a\"".into()),
            location: Some("/contacts/1".into()),
            is_minimal: true,
            is_stale: true,
            created_beside: Some(Uuid::nil()),
        };
        let body = b"{\"a\":\n1}".to_vec().into();
        let response = JsonResponse { head: head.clone(), body, ..JsonResponse::default() };
        let bytes = Bytes::from(response.to_bytes());
        let read = JsonResponse::from_bytes(&bytes).expect("the bytes are a response");
        assert_eq!((&read.head, read.to_bytes()), (&head, bytes.to_vec()));
        assert!(JsonResponse::from_bytes(&Bytes::from_static(b"{}")).is_err());
    }

    #[test]
    fn response_of_an_older_build_is_read() {
        let stored = Bytes::from_static(b"{\"status\":200,\"etag\":null,\"location\":null}\n{}");
        let read = JsonResponse::from_bytes(&stored).expect("the bytes are a response");
        assert_eq!(read.head, ResponseHead { status: 200, ..ResponseHead::default() });
        assert_eq!(read.to_bytes(), stored.to_vec());
    }
}
