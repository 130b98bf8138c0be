//! `/contacts/search` (contract §6).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::App;
use super::answer::{ListBody, Pagination, json};
use super::caller::Caller;
use super::error::ApiError;
use super::extract::{self, Payload};
use super::openapi::responses::SearchRefused;
use super::openapi::schemas::ContactPage;
use super::openapi::search::SearchInput;
use super::query::NoParameters;
use crate::contacts::{Place, SearchError, SearchRequest};

/// Search contacts
///
/// By the values of any field, system and custom, in any order; what was written is found at once. Filters are joined
/// by AND, groups of them by OR. Page with `after`, which costs the same at any depth. A search for ids, or for values
/// of unique fields by `eq` or `in`, is answered by an index; any other reads the account's contacts, and is 503 when
/// that takes longer than a request may.
#[utoipa::path(post, path = "/contacts/search", tag = "contacts", operation_id = "searchContacts", security(("bearer" = [])),
    request_body = SearchInput,
    responses((status = 200, description = "A page of contacts", body = ContactPage), SearchRefused))]
pub(super) async fn search(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
    payload: Payload,
) -> Result<Response, ApiError> {
    let account = caller.account;
    let body = payload.read().await?;
    let body = extract::object(&body)?;
    let registry = app.registry(account).await?;
    let request = SearchRequest::parse(&body, account, &registry)?;
    let page = app.repository().search(account, &request).await?;
    let last = page.contacts.last().filter(|_| page.more);
    let body = ListBody {
        data: page.contacts.iter().map(|contact| contact.show(&request.selection)).collect(),
        pagination: Pagination {
            limit: request.limit,
            offset: None,
            count: None,
            next: last.map(|last| Place::cursor_after(last, account, &request.search)),
        },
    };
    json(StatusCode::OK, &body)
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Shape(rule) => Self::InvalidBody(rule.into()),
            SearchError::Properties(issues) => Self::InvalidProperties(issues),
            SearchError::Query(issues) => Self::InvalidQuery(issues),
        }
    }
}
