//! Answers that hold data of an account.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::contacts::{Contact, Written, etag};
use crate::fields::Selection;

/// A JSON answer that no shared cache keeps (contract §2).
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, ApiError> {
    Answer::of(status, body).map(IntoResponse::into_response)
}

/// An answer as it is sent, and kept under an `Idempotency-Key`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    head: Head,
    body: Vec<u8>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    status: u16,
    etag: Option<String>,
    location: Option<String>,
}

impl Answer {
    /// An answer with this body.
    pub(super) fn of(status: StatusCode, body: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(body).map_err(|error| ApiError::Internal(error.to_string().into()))?;
        Ok(Self { head: Head { status: status.as_u16(), ..Head::default() }, body })
    }

    /// An answer without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { head: Head { status: status.as_u16(), ..Head::default() }, body: vec![] }
    }

    /// The answer that is one contact.
    pub(super) fn contact(status: StatusCode, contact: &Contact, selection: &Selection) -> Result<Self, ApiError> {
        let mut answer = Self::of(status, &contact.show(selection))?;
        answer.head.etag = Some(etag(contact));
        Ok(answer)
    }

    /// The answer to a write of one contact. One that was only tried may have made a contact that has no id.
    pub(super) fn written(written: &Written, selection: &Selection, dry_run: bool) -> Result<Self, ApiError> {
        let contact = &written.contact;
        match (written.created, dry_run) {
            (false, false) => Self::contact(StatusCode::OK, contact, selection),
            (false, true) => {
                // The tag of the contact as it is: the one that it would have may yet go to another state of it.
                let tag = written.before.as_deref().map(etag);
                let mut answer = Self::contact(StatusCode::OK, contact, selection)?;
                answer.head.etag = tag;
                Ok(answer)
            }
            (true, true) => Self::of(StatusCode::CREATED, &contact.show_without_id(selection)),
            (true, false) => {
                let mut answer = Self::contact(StatusCode::CREATED, contact, selection)?;
                answer.head.location = Some(format!("/contacts/{}", contact.id));
                Ok(answer)
            }
        }
    }

    /// The form in which it is kept.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(&self.head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads it back.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, ApiError> {
        let malformed = || ApiError::Internal("a kept answer is malformed".into());
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(malformed)?;
        let head = serde_json::from_slice(&bytes[..end]).map_err(|_| malformed())?;
        Ok(Self { head, body: bytes[end + 1..].to_vec() })
    }
}

impl IntoResponse for Answer {
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
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
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
    fn a_kept_answer_reads_back_as_it_was() {
        let head = Head { status: 201, etag: Some("\"a\"".into()), location: Some("/contacts/1".into()) };
        let answer = Answer { head, body: b"{\"a\":\n1}".to_vec() };
        assert_eq!(Answer::from_bytes(&answer.to_bytes()).expect("a kept answer"), answer);
        assert!(Answer::from_bytes(b"{}").is_err());
    }
}

/// A page of a list.
#[derive(Serialize)]
pub(super) struct ListBody<T> {
    /// What the page shows.
    pub data: Vec<T>,
    /// Where it is in the list.
    pub pagination: Pagination,
}

/// Where a page is in its list (contract §5).
#[derive(Serialize)]
pub(super) struct Pagination {
    /// How many it shows at most.
    pub limit: i64,
    /// How many come before it; not when paging by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// How many there are in all; not when paging by cursor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// A cursor, `None` exactly when nothing follows.
    pub next: Option<String>,
}
