//! Searches (`docs/api-reference.md#search`): the only SQL statements whose text is built for each request.
//!
//! The text consists of fragments from the files of this module. All values from the request and the account, including
//! field ids, are bound as parameters.

mod collation;
mod condition;
mod index;
mod index_candidates;
mod index_order;
mod order;
mod source;
mod sql_builder;
mod sql_type;
mod statement;
mod updated_since;

use std::sync::Arc;
use std::time::Duration;

use async_stream::try_stream;
use futures_util::StreamExt;
use sqlx::postgres::PgArguments;
use sqlx::{Execute, Postgres, Row};
use tokio::sync::{OnceCell, mpsc};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::Repository;
use super::admission::ConcurrencyLimiter;
use super::error::StorageError;
use super::pool::Pool;
use super::row_mapping;
use super::row_stream::{RowStream, stream_rows};
use crate::config::DatabaseSettings;
use crate::contacts::{Contact, SearchRequest};
use collation::Collation;
use index::{IndexRequests, Words};
use index_candidates::{Branch, Lookup, branches};
use index_order::IndexOrder;
use source::{Found, Probe, Source};
use sql_builder::{SearchContext, SqlBuilder};
use statement::{page_statement, probe_statement};
use updated_since::{position_of_first_update, updated_since};

/// The number of contacts that a search is ahead of its response. It is small because contacts can be large.
const MAX_QUEUED_CONTACTS: usize = 16;

/// The maximum length of a statement that a connection keeps prepared, in bytes.
const MAX_PREPARED_LENGTH: usize = 4 * 1024;

/// The state that all searches of a repository share.
pub(super) struct SearchState {
    /// The collation of comparisons that ignore case. It is detected by the first search.
    collation: OnceCell<Collation>,
    /// Limits the searches that read all contacts of an account. Each holds a connection for a long time, and other
    /// requests need connections, too.
    scans: Arc<ConcurrencyLimiter>,
    /// The time after which a scan fails.
    scan_time_limit: Duration,
    index_requests: IndexRequests,
}

impl SearchState {
    /// Creates the state over a pool of `connections` connections. A quarter of them, and at least one, may scan at a
    /// time. Scans end a little before the time limit of requests, so that the response can say why.
    pub(super) fn new(connections: u32, settings: &DatabaseSettings) -> Self {
        Self {
            scan_time_limit: settings.timeout.mul_f64(0.9),
            collation: OnceCell::new(),
            scans: Arc::new(ConcurrencyLimiter::new(connections / 4)),
            index_requests: IndexRequests::new(settings.search_index_min_contacts),
        }
    }

    async fn collation(&self, pool: &Pool) -> Result<Collation, StorageError> {
        let detect = async || Collation::detect(&mut pool.acquire().await?).await;
        Ok(*self.collation.get_or_try_init(detect).await?)
    }
}

impl Repository {
    /// Reads a page of search results from the current data: the contacts of the page, and one more if more follow.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded, or if the search does not end in time.
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
        let collation = self.search_state.collation(&self.pool).await?;
        let include_archived = request.criteria.include_archived;
        let is_distributed = self.pool.is_distributed();
        let context = SearchContext { account, collation, include_archived, is_distributed };
        let mut source = self.choose_source(context, request).await?;
        loop {
            match self.run_search(context, request, &source).await {
                Err(StorageError::Conflict(_)) if source.uses_entries() => {
                    source = source.next(IndexOrder::from_sorts(&request.criteria.sorts));
                }
                result => return result,
            }
        }
    }

    /// Reads a page of search results from these contacts.
    async fn run_search(
        &self,
        context: SearchContext,
        request: &SearchRequest,
        source: &Source<'_>,
    ) -> Result<RowStream<Contact>, StorageError> {
        let statement = page_statement(context, request, source)?;
        let contacts = if source.is_scan(request.criteria.condition_count()) {
            self.run_scan(context.account, statement).await?
        } else {
            // While there are few entries, PostgreSQL may look up values through any index, so that plan is not kept.
            run(&self.pool, context.account, statement, !source.looks_up_values()).await?
        };
        if !source.uses_entries() {
            return Ok(contacts);
        }
        // Before the first contact: the index was reset, or its lookups have found too many contacts (the sample is only a part of them).
        let mut contacts = Box::pin(contacts.peekable());
        match contacts.as_mut().next_if(Result::is_err).await {
            Some(Err(error)) => Err(error),
            _ => Ok(contacts),
        }
    }

    /// Chooses the contacts that a search reads.
    async fn choose_source<'a>(
        &self,
        context: SearchContext,
        request: &'a SearchRequest,
    ) -> Result<Source<'a>, StorageError> {
        let criteria = &request.criteria;
        let found = |lookups| Source::Found(Found { lookups, max: None });
        let branches = branches(criteria).unwrap_or_default();
        if !branches.is_empty() && branches.iter().all(|branch| branch.terms().is_empty()) {
            return Ok(found(branches.into_iter().filter_map(Branch::into_exact).collect()));
        }
        let (account, requests) = (context.account, &self.search_state.index_requests);
        if !context.collation.supports_index() || !requests.begin_look(account) {
            return Ok(Source::All);
        }
        if let Some(since) = updated_since(request) {
            match position_of_first_update(&self.pool, account, since).await? {
                Some(position) => {
                    requests.remove(account);
                    return Ok(found(vec![Lookup::ChangedFrom(position)]));
                }
                None => requests.request(account),
            }
        }
        let order = IndexOrder::from_sorts(&criteria.sorts);
        if branches.is_empty() && !matches!(order, Some(IndexOrder::Entry { .. })) {
            return Ok(Source::All);
        }
        let mut probe = probe_statement(context, request, &branches, order)?;
        let mut connection = self.pool.acquire_for(account).await?;
        let Some(row) = query(&mut probe, true)?.fetch_optional(&mut connection).await? else {
            requests.add_without_index(account);
            return Ok(Source::All);
        };
        requests.remove(account);
        let (texts, words): (Vec<Option<String>>, _) = (row.try_get("texts")?, Words::of_account(account));
        let probe = Probe {
            changes: row.try_get("changes")?,
            sampled: row.try_get("sampled")?,
            matching: row.try_get("matching")?,
            counts: row.try_get("counts")?,
            queries: texts.iter().map(|text| words.query(text.as_deref()?)).collect(),
        };
        Ok(Source::choose(&probe, &branches, order, request.limit + 1, criteria.condition_count()))
    }

    /// Runs a search that reads all contacts of an account, after waiting for a permit.
    ///
    /// The search runs on its own task, which holds the permit. The database may continue a statement whose caller has
    /// disconnected, and the statement counts against the limit until its next row.
    async fn run_scan(&self, account: Uuid, statement: SqlBuilder) -> Result<RowStream<Contact>, StorageError> {
        let deadline = Instant::now() + self.search_state.scan_time_limit;
        self.search_state.scans.try_admit(account)?;
        let permit = timeout_at(deadline, self.search_state.scans.acquire(account)).await;
        let permit = permit.map_err(|_| StorageError::SlowSearch)?;
        let mut contacts = run(&self.pool, account, statement, true).await?;
        let (sender, mut receiver) = mpsc::channel(MAX_QUEUED_CONTACTS);
        let task = tokio::spawn(async move {
            while let Some(contact) = contacts.next().await
                && sender.send(contact).await.is_ok()
            {}
            drop(permit);
        });
        Ok(Box::pin(try_stream! {
            while let Some(contact) = timeout_at(deadline, receiver.recv()).await.map_err(|_| StorageError::SlowSearch)? {
                yield contact?;
            }
            // A panic of the task must not look like the end of the results.
            task.await.map_err(|_| StorageError::Lost)?;
        }))
    }
}

/// Runs a statement. `is_repeated`: most callers send searches of its form again and again.
async fn run(
    pool: &Pool,
    account: Uuid,
    mut statement: SqlBuilder,
    is_repeated: bool,
) -> Result<RowStream<Contact>, StorageError> {
    let query = query(&mut statement, is_repeated)?;
    Ok(stream_rows(pool.acquire_for(account).await?, query, row_mapping::contact_from_row))
}

/// Returns the query of a statement. If it is repeated, the connection keeps it as a prepared statement: planning it takes as long as
/// executing it. Long texts are rarely sent again.
fn query(
    statement: &mut SqlBuilder,
    is_repeated: bool,
) -> sqlx::Result<sqlx::query::Query<'static, Postgres, PgArguments>> {
    let arguments = statement.build().take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
    let sql = std::mem::take(statement).into_sql();
    let is_prepared = is_repeated && sql.as_str().len() <= MAX_PREPARED_LENGTH;
    Ok(sqlx::query_with(sql, arguments).persistent(is_prepared))
}
