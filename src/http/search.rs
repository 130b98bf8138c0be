//! `POST /contacts/search` (`docs/api-reference.md#search`).

use axum::extract::State;
use axum::http::StatusCode;

use super::app::App;
use super::array_response::{ArrayResponse, Pagination, render_page};
use super::authentication::Caller;
use super::error::ApiError;
use super::extractors::{Payload, parse_object};
use super::json_response::JsonResponse;
use super::openapi::responses::InvalidSearch;
use super::openapi::schemas::ContactPage;
use super::openapi::search::SearchInput;
use super::query::NoParameters;
use crate::contacts::{Contact, SearchCursor, SearchError, SearchRequest};
use crate::json::Object;

/// Search contacts
///
/// Filters and sorts by any system or custom fields. A search finds a contact as soon as its write has been answered.
/// Filters are joined by AND, groups of filters by OR. Paging with `after` is equally fast on every page. Queries, and filters
/// and sorts on ids, unique fields, names, phone numbers, the company and the time of creation, use an index. Any other search reads all
/// contacts of the account, and is 503 if it takes too long.
#[utoipa::path(post, path = "/contacts/search", tag = "contacts", operation_id = "searchContacts", security(("bearer" = [])),
    request_body = SearchInput,
    responses((status = 200, description = "A page of contacts", body = ContactPage), InvalidSearch))]
pub(super) async fn search_contacts(
    State(app): State<App>,
    caller: Caller,
    _: NoParameters,
    payload: Payload,
) -> Result<JsonResponse, ApiError> {
    let account = caller.account;
    let body = payload.read(caller.account).await?;
    let registry = app.registry(account).await?;
    let parse = |body: &Object<'_>| Ok(SearchRequest::parse(body, account, &registry)?);
    let request = parse_object(&app, account, &body, parse).await?;
    let contacts = app.repository().search_contacts(account, &request).await?;
    let mut response = ArrayResponse::new(&app.limits().responses, account, "data")?;
    let append =
        |response: &mut ArrayResponse<'_>, contact: &Contact| response.append(&contact.render(&request.selection));
    let end = render_page(&mut response, contacts, request.limit, append).await?;
    let next = end.next_after().map(|last| SearchCursor::encode_after(last, account, &request.criteria));
    let pagination = Pagination { limit: request.limit, offset: None, count: None, next };
    response.finish_with(StatusCode::OK, "pagination", &pagination)
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::InvalidBody(message) => Self::InvalidBody(message.into()),
            SearchError::InvalidProperties(issues) => Self::InvalidProperties(issues),
            SearchError::InvalidQuery(issues) => Self::InvalidQuery(issues),
        }
    }
}
