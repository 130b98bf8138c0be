//! Responses with an array that is rendered item by item, such as the pages of a list and the results of a batch.

use axum::http::StatusCode;
use futures_util::TryStreamExt;
use serde::Serialize;
use uuid::Uuid;

use super::error::ApiError;
use super::json_response::JsonResponse;
use super::limits::{MAX_RESPONSE_BYTES, ResponseBuffer, ResponseMemory};
use crate::fields::{Issue, IssueCode, Issues};
use crate::repository::RowStream;

/// A page ends with the item that brings it to this size (`docs/api-reference.md#limits`).
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;

/// A JSON object that is being rendered. Its first member is an array.
pub(super) struct ArrayResponse<'a> {
    buffer: ResponseBuffer<'a>,
    /// The length of the response before the first item.
    start: usize,
}

impl<'a> ArrayResponse<'a> {
    /// Begins a response of an account with an array of this name.
    pub(super) fn new(memory: &'a ResponseMemory, account: Uuid, name: &str) -> Result<Self, ApiError> {
        let mut buffer = memory.new_response(account);
        buffer.push(b"{")?;
        buffer.push_json(&name)?;
        buffer.push(b":[")?;
        Ok(Self { start: buffer.length(), buffer })
    }

    /// Appends an item, after waiting for the memory of the items before it.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if there is no memory, [`ApiError::Internal`] if the item cannot be rendered.
    pub(super) async fn push(&mut self, item: &impl Serialize) -> Result<(), ApiError> {
        self.wait_for_memory().await?;
        self.append(item)
    }

    /// Appends an item as [`Self::push`] does, unless the response then is too large. Returns whether the item was
    /// appended.
    pub(super) async fn push_if_fits(&mut self, item: &impl Serialize) -> Result<bool, ApiError> {
        let before = self.buffer.length();
        self.push(item).await?;
        let fits = self.buffer.length() <= MAX_RESPONSE_BYTES;
        if !fits {
            self.buffer.truncate(before);
        }
        Ok(fits)
    }

    async fn wait_for_memory(&mut self) -> Result<(), ApiError> {
        self.buffer.grow().await
    }

    /// Appends an item for which there is memory.
    pub(super) fn append(&mut self, item: &impl Serialize) -> Result<(), ApiError> {
        if self.buffer.length() > self.start {
            self.buffer.push(b",")?;
        }
        self.buffer.push_json(item)
    }

    /// Removes all items.
    pub(super) fn clear(&mut self) {
        self.buffer.truncate(self.start);
    }

    /// Returns whether the page ends here because of its size.
    pub(super) fn is_full_page(&self) -> bool {
        self.buffer.length() >= MAX_PAGE_BYTES
    }

    /// Ends the array, and completes the response.
    pub(super) fn finish(mut self, status: StatusCode) -> Result<JsonResponse, ApiError> {
        self.buffer.push(b"]}")?;
        Ok(JsonResponse::from_body(status, self.buffer.finish()))
    }

    /// Ends the array, and completes the response with another member.
    pub(super) fn finish_with(
        mut self,
        status: StatusCode,
        name: &str,
        member: &impl Serialize,
    ) -> Result<JsonResponse, ApiError> {
        self.buffer.push(b"],")?;
        self.buffer.push_json(&name)?;
        self.buffer.push(b":")?;
        self.buffer.push_json(member)?;
        self.buffer.push(b"}")?;
        Ok(JsonResponse::from_body(status, self.buffer.finish()))
    }
}

/// The end of a page.
pub(super) struct PageEnd<T> {
    /// The last row of the page.
    pub last: Option<T>,
    /// Whether more rows follow.
    pub has_more: bool,
    /// Whether the page has fewer rows than requested because of its size.
    pub is_early: bool,
}

impl<T> PageEnd<T> {
    /// Returns the row after which the next page starts. `None`: this is the last page.
    pub(super) fn next_after(&self) -> Option<&T> {
        self.last.as_ref().filter(|_| self.has_more)
    }

    /// Checks that a page with `offset` did not end early: the offset of the next page would skip rows.
    ///
    /// # Errors
    /// [`ApiError::InvalidQuery`].
    pub(super) fn check_offset(&self) -> Result<(), ApiError> {
        let message = "is too high for the size of these contacts. Lower it, or page with after";
        let issue = || Issue::new("limit", IssueCode::OutOfRange, message);
        if self.is_early { Err(ApiError::InvalidQuery(Issues::from([issue()]))) } else { Ok(()) }
    }
}

/// Renders up to `limit` rows with `append`. The page ends early with the row that brings it to 8 MiB.
///
/// # Errors
/// The errors of the rows, of `append`, and of [`ArrayResponse::push`].
pub(super) async fn render_page<T>(
    response: &mut ArrayResponse<'_>,
    mut rows: RowStream<T>,
    limit: i64,
    append: impl Fn(&mut ArrayResponse<'_>, &T) -> Result<(), ApiError>,
) -> Result<PageEnd<T>, ApiError> {
    let (mut last, mut count) = (None, 0);
    while let Some(row) = rows.try_next().await? {
        if count == limit {
            read_to_end(rows).await?;
            return Ok(PageEnd { last, has_more: true, is_early: false });
        }
        if response.is_full_page() {
            return Ok(PageEnd { last, has_more: true, is_early: true });
        }
        response.wait_for_memory().await?;
        append(response, &row)?;
        (last, count) = (Some(row), count + 1);
    }
    Ok(PageEnd { last, has_more: false, is_early: false })
}

/// Reads the last rows of a page that are not needed, so that the connection can be used again.
pub(super) async fn read_to_end<T>(mut rows: RowStream<T>) -> Result<(), ApiError> {
    while rows.try_next().await?.is_some() {}
    Ok(())
}

/// The position of a page in its list (`docs/api-reference.md#list`).
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
