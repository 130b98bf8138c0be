//! Searches (`docs/api-reference.md#search`): the only SQL statements whose text is built for each request.
//!
//! The text consists of fragments from the files of this module. All values from the request and the account, including
//! field ids, are bound as parameters.

mod collation;
mod condition;
mod index_candidates;
mod order;
mod sql_builder;
mod sql_type;

use std::sync::Arc;

use async_stream::try_stream;
use futures_util::StreamExt;
use sqlx::Execute;
use tokio::sync::{OnceCell, mpsc};
use uuid::Uuid;

use super::Repository;
use super::admission::ConcurrencyLimiter;
use super::error::StorageError;
use super::pool::Pool;
use super::row_mapping::{self, contact_columns, custom_parameter};
use super::row_stream::{RowStream, stream_rows};
use super::statement::sql;
use crate::contacts::{Contact, SearchCriteria, SearchRequest};
use collation::Collation;
use condition::{push_condition, push_conditions, push_word};
use index_candidates::IndexCandidates;
use order::{push_after, push_order_by, push_sort_keys};
use sql_builder::SqlBuilder;

/// The number of contacts that a search is ahead of its response. It is small because contacts can be large.
const MAX_QUEUED_CONTACTS: usize = 16;

/// The state that all searches of a repository share.
pub(super) struct SearchState {
    /// The collation of comparisons that ignore case. It is detected by the first search.
    collation: OnceCell<Collation>,
    /// Limits the searches that read all contacts of an account. Each holds a connection for a long time, and other
    /// requests need connections, too.
    scans: Arc<ConcurrencyLimiter>,
}

impl SearchState {
    /// Creates the state over a pool of `connections` connections. A quarter of them, and at least one, may scan at a
    /// time.
    pub(super) fn new(connections: u32) -> Self {
        Self { collation: OnceCell::new(), scans: Arc::new(ConcurrencyLimiter::new(connections / 4)) }
    }
}

impl Repository {
    /// Reads a page of search results from the current data: the contacts of the page, and one more if more follow.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded, or if the search exceeds the statement
    /// timeout.
    #[tracing::instrument(
        name = "search contacts",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub async fn search_contacts(
        &self,
        account: Uuid,
        request: &SearchRequest,
    ) -> Result<RowStream<Contact>, StorageError> {
        self.pool.try_admit(account)?;
        let detect = async || Collation::detect(&mut *self.pool.acquire().await?).await;
        let collation = *self.search_state.collation.get_or_try_init(detect).await?;
        let candidates = IndexCandidates::from_criteria(&request.criteria);
        let is_scan = candidates.is_none();
        let statement = build_statement(account, request, candidates, collation);
        if is_scan { self.run_scan(account, statement).await } else { run(&self.pool, account, statement).await }
    }

    /// Runs a search that reads all contacts of an account, after waiting for a permit.
    ///
    /// The search runs on its own task, which holds the permit. The database may continue a statement whose caller has
    /// disconnected, and the statement counts against the limit until its next row.
    async fn run_scan(&self, account: Uuid, statement: SqlBuilder) -> Result<RowStream<Contact>, StorageError> {
        self.search_state.scans.try_admit(account)?;
        let permit = self.search_state.scans.acquire(account).await;
        let mut contacts = run(&self.pool, account, statement).await?;
        let (sender, mut receiver) = mpsc::channel(MAX_QUEUED_CONTACTS);
        let task = tokio::spawn(async move {
            while let Some(contact) = contacts.next().await
                && sender.send(contact).await.is_ok()
            {}
            drop(permit);
        });
        Ok(Box::pin(try_stream! {
            while let Some(contact) = receiver.recv().await {
                yield contact?;
            }
            // A panic of the task must not look like the end of the results.
            task.await.map_err(|_| StorageError::Lost)?;
        }))
    }
}

/// Runs a statement. It is not cached as a prepared statement, because the next search has another text.
async fn run(pool: &Pool, account: Uuid, mut statement: SqlBuilder) -> Result<RowStream<Contact>, StorageError> {
    let arguments = statement.build().take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
    let query = sqlx::query_with(statement.into_sql(), arguments).persistent(false);
    Ok(stream_rows(pool.acquire_for(account).await?, query, row_mapping::contact_from_row))
}

fn build_statement(
    account: Uuid,
    request: &SearchRequest,
    candidates: Option<IndexCandidates<'_>>,
    collation: Collation,
) -> SqlBuilder {
    let SearchCriteria { conditions, condition_groups, query_words, sorts, include_archived } = &request.criteria;
    let mut sql = SqlBuilder::new(sql!(
        "SELECT {} FROM contacts c CROSS JOIN LATERAL (SELECT ",
        contact_columns("selected.fields")
    ));
    push_sort_keys(&mut sql, sorts);
    sql.push(") AS sort CROSS JOIN (SELECT ").push_bind(custom_parameter(&request.custom_fields()));
    sql.push("::text AS fields) AS selected WHERE c.account_id = ").push_bind(account);
    if !include_archived {
        sql.push(" AND c.archived_at IS NULL");
    }
    if let Some(candidates) = candidates {
        candidates.push(&mut sql, account, *include_archived);
    }
    for condition in conditions {
        sql.push(" AND ");
        push_condition(&mut sql, condition, collation);
    }
    for (index, group) in condition_groups.iter().enumerate() {
        sql.push(if index == 0 { " AND (" } else { " OR " });
        push_conditions(&mut sql, group, collation);
    }
    if !condition_groups.is_empty() {
        sql.push(")");
    }
    for word in query_words {
        sql.push(" AND ");
        push_word(&mut sql, word, collation);
    }
    if let Some(cursor) = &request.cursor {
        sql.push(" AND ");
        push_after(&mut sql, sorts, &cursor.sort_keys);
    }
    push_order_by(&mut sql, sorts);
    // One more than the limit, to detect whether more contacts follow.
    sql.push(" LIMIT ").push_bind(request.limit + 1);
    sql
}
