//! JSON responses with data of an account.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::representation_tag::contact_tag;
use crate::contacts::{Contact, WrittenContact};
use crate::fields::Selection;

/// A JSON response that shared caches must not store. It can be stored under an `Idempotency-Key` and sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct JsonResponse {
    head: ResponseHead,
    body: Vec<u8>,
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
        Ok(Self { head: ResponseHead { status: status.as_u16(), ..ResponseHead::default() }, body })
    }

    /// Creates a response without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { head: ResponseHead { status: status.as_u16(), ..ResponseHead::default() }, body: vec![] }
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
        Self { head, body: vec![] }
    }

    /// Serializes the response: its head as JSON, a line feed, and its body.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Deserializes a response that [`Self::to_bytes`] has serialized.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, ApiError> {
        let malformed = || ApiError::Internal("a stored response is malformed".into());
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(malformed)?;
        let head = serde_json::from_slice(&bytes[..end]).map_err(|_| malformed())?;
        Ok(Self { head, body: bytes[end + 1..].to_vec() })
    }
}

impl IntoResponse for JsonResponse {
    fn into_response(self) -> Response {
        let Self { head, body } = self;
        let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let has_body = !body.is_empty();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if has_body || status == StatusCode::NOT_MODIFIED {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        }
        for (name, value) in [(header::ETAG, head.etag), (header::LOCATION, head.location)] {
            headers.extend(value.and_then(|value| HeaderValue::from_str(&value).ok()).map(|value| (name, value)));
        }
        response
    }
}

/// The body of a list or of a page of search results (`docs/api-reference.md#list`).
#[derive(Serialize)]
pub(super) struct ListBody<T> {
    /// The items of the page.
    pub data: Vec<T>,
    /// The position of the page.
    pub pagination: Pagination,
}

/// The position of a page in its list.
#[derive(Serialize)]
pub(super) struct Pagination {
    /// The maximum number of items of the page.
    pub limit: i64,
    /// The number of items before the page. `None` when paging by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// The number of items of the whole list. `None` when paging by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// The cursor of the next page. `None` exactly when this is the last page.
    pub next: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_response_is_read_back_unchanged() {
        let head = ResponseHead { status: 201, etag: Some("\"a\"".into()), location: Some("/contacts/1".into()) };
        let response = JsonResponse { head, body: b"{\"a\":\n1}".to_vec() };
        assert_eq!(JsonResponse::from_bytes(&response.to_bytes()).expect("the bytes are a response"), response);
        assert!(JsonResponse::from_bytes(b"{}").is_err());
    }
}
