//! `GET /contacts/export`: streams all active contacts (`docs/api-reference.md#export`).
//!
//! The contacts are read in pages, and the client gets each page before the next one is read. So an export holds neither a
//! connection nor a snapshot of the database, however slow its client is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use super::app::App;
use super::authentication::Caller;
use super::error::ApiError;
use super::limits::ExportSlot;
use super::openapi::parameters::ExportParameters;
use super::openapi::responses::ExportResponse;
use super::query::{ExportMediaType, ExportQuery, QueryString};
use crate::contacts::{Contact, FeedScope, ListFilter, ListRequest, ListStart};
use crate::fields::{CustomSelection, Field, Registry};
use crate::import_export;
use crate::repository::{FeedRequest, FeedStart};

const CHANGES_CURSOR: HeaderName = HeaderName::from_static("changes-cursor");
/// The number of contacts that are read at a time. It follows the size of the contacts of the page before.
const MIN_PAGE_CONTACTS: i64 = 16;
const MAX_PAGE_CONTACTS: i64 = 500;
/// The usual size of a page.
const PAGE_BYTES: i64 = 512 * 1024;
/// A page ends with the contact that brings it to this size.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;
/// The number of attempts to read a page, and the time between two of them: a switch-over of the database must not end a
/// long export.
const MAX_ATTEMPTS: u32 = 10;
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Export all contacts
///
/// Streams all active contacts in order of creation, each once and as it is when it is read. The header `Changes-Cursor` is
/// the position of the change feed before the first contact was read: with the changes after it, the copy is exact. An
/// account can have one export at a time.
#[utoipa::path(get, path = "/contacts/export", tag = "sync", operation_id = "exportContacts", security(("bearer" = [])),
    params(ExportParameters), responses(ExportResponse))]
pub(super) async fn export_contacts(
    State(app): State<App>,
    caller: Caller,
    query: QueryString,
) -> Result<Response, ApiError> {
    let account = caller.account;
    let registry = app.registry(account).await?;
    let query = ExportQuery::parse(&query, &registry)?;
    let slot = app.limits().exports.try_take(account);
    let slot = slot.ok_or(ApiError::Unavailable("too many exports at a time".into()))?;
    let now =
        FeedRequest { after: FeedStart::Newest, limit: 1, exclude: None, custom_fields: CustomSelection::default() };
    let cursor = app.repository().read_changes(account, &now).await?.next.encode(FeedScope::Feed(account));
    let headers = export_headers(query.format, &cursor);
    let mut export = Export::new(app, caller, slot, query, &registry);
    let mut first = export.header_row()?;
    first.extend(export.read_page().await?);
    let first = stream::once(async { Ok::<_, ApiError>(Bytes::from(first)) });
    let pages = stream::try_unfold(export, |mut export| async {
        let page = export.read_page_with_retries().await.inspect_err(|error| {
            tracing::warn!(%error, "an export ended early");
        })?;
        Ok((!page.is_empty()).then(|| (Bytes::from(page), export)))
    });
    Ok((headers, Body::from_stream(first.chain(pages))).into_response())
}

fn export_headers(format: ExportMediaType, cursor: &str) -> HeaderMap {
    let (content_type, disposition) = match format {
        ExportMediaType::Csv => ("text/csv", "attachment; filename=\"contacts.csv\""),
        ExportMediaType::Ndjson => ("application/x-ndjson", "attachment; filename=\"contacts.ndjson\""),
    };
    let values = [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CACHE_CONTROL, "private, no-cache"),
        (CHANGES_CURSOR, cursor),
    ];
    values.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::from_str(value).ok()?))).collect()
}

/// An export that is running.
struct Export {
    app: App,
    caller: Caller,
    query: ExportQuery,
    /// The columns of a CSV file.
    columns: Vec<Arc<Field>>,
    /// The last contact of the page before; `None` once all contacts are read.
    after: Option<Uuid>,
    /// The number of contacts of the next page.
    page_contacts: i64,
    _slot: ExportSlot,
}

impl Export {
    fn new(app: App, caller: Caller, slot: ExportSlot, query: ExportQuery, registry: &Registry) -> Self {
        let default = registry.fields().iter().filter(|field| field.default);
        let columns = default.chain(query.selection.extra()).cloned().collect();
        Self { app, caller, query, columns, after: Some(Uuid::nil()), page_contacts: MIN_PAGE_CONTACTS, _slot: slot }
    }

    /// Returns the header row of a CSV file.
    fn header_row(&self) -> Result<Vec<u8>, ApiError> {
        match self.query.format {
            ExportMediaType::Csv => csv_row(self.columns.iter().map(|field| field.internal_name.as_bytes())),
            ExportMediaType::Ndjson => Ok(vec![]),
        }
    }

    /// Reads the next page, again if the database is unavailable. Returns an empty page after the last contact.
    async fn read_page_with_retries(&mut self) -> Result<Vec<u8>, ApiError> {
        let mut attempt = 1;
        loop {
            match self.read_page().await {
                Err(ApiError::Unavailable(reason)) if attempt < MAX_ATTEMPTS && !self.app.is_draining() => {
                    tracing::debug!(%reason, "a page of an export is read again");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    attempt += 1;
                }
                page => return page,
            }
        }
    }

    async fn read_page(&mut self) -> Result<Vec<u8>, ApiError> {
        let Some(after) = self.after else { return Ok(vec![]) };
        let request = ListRequest {
            filter: ListFilter::default(),
            start: ListStart::After(after),
            limit: self.page_contacts,
            custom_fields: CustomSelection::from(&self.query.selection),
        };
        let mut contacts = self.app.repository().list_contacts(self.caller.account, &request).await?.contacts;
        let (mut page, mut last, mut count, mut has_more) = (vec![], None, 0, false);
        while !has_more && let Some(contact) = contacts.try_next().await? {
            // If more contacts follow, there is one more than requested.
            has_more = count == self.page_contacts || page.len() >= MAX_PAGE_BYTES;
            if !has_more {
                self.append(&contact, &mut page)?;
                (last, count) = (Some(contact.id), count + 1);
            }
        }
        self.after = last.filter(|_| has_more);
        if count > 0 {
            let average = (page.len() as i64 / count).max(1);
            self.page_contacts = (PAGE_BYTES / average).clamp(MIN_PAGE_CONTACTS, MAX_PAGE_CONTACTS);
        }
        Ok(page)
    }

    fn append(&self, contact: &Contact, page: &mut Vec<u8>) -> Result<(), ApiError> {
        match self.query.format {
            ExportMediaType::Csv => {
                let cells = import_export::export_cells(contact, &self.columns, self.query.is_spreadsheet_safe);
                page.extend(csv_row(cells.map(|cell| cell.into_owned().into_bytes()))?);
            }
            ExportMediaType::Ndjson => {
                serde_json::to_writer(&mut *page, &contact.render(&self.query.selection)).map_err(internal)?;
                page.push(b'\n');
            }
        }
        Ok(())
    }
}

/// Returns a row of a CSV file.
fn csv_row(cells: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Result<Vec<u8>, ApiError> {
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(cells).map_err(internal)?;
    writer.into_inner().map_err(internal)
}

/// Contacts can always be written to memory.
fn internal(error: impl std::fmt::Display) -> ApiError {
    ApiError::Internal(error.to_string().into())
}
