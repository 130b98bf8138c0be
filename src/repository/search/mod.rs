//! Searches: the only SQL whose text is made while the service runs. It is put together from the fragments of these
//! files; whatever a caller or an account named, field ids included, is bound.

mod column;
mod condition;
mod narrowing;
mod order;

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::line::Turns;
use super::pool::Pool;
use super::rows::{self, contact_columns};
use super::{Repository, StorageError};
use crate::contacts::{Page, Search, SearchRequest};
use condition::{Folding, push_condition, push_conditions, push_word};
use narrowing::Narrowing;
use order::{push_after, push_keys, push_order};

/// A statement in the making. Its first parameter is the account.
type Sql = QueryBuilder<Postgres>;

/// What all searches of a repository share.
pub(super) struct Searching {
    /// How this database compares text in any case, once it has been asked.
    folding: OnceCell<Folding>,
    /// A search that reads an account's contacts holds a connection for long. Some are left for everyone else.
    readers: Arc<Turns>,
}

impl Searching {
    /// For a pool of this many connections.
    pub(super) fn new(connections: u32) -> Self {
        Self { folding: OnceCell::new(), readers: Arc::new(Turns::new(connections / 4)) }
    }
}

impl Repository {
    /// One page of a search, as the database has it now.
    ///
    /// # Errors
    /// The database, also when the search takes longer than a statement may.
    #[tracing::instrument(name = "search contacts", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn search(&self, account: Uuid, request: &SearchRequest) -> Result<Page, StorageError> {
        self.pool.expect_turn()?;
        let ask = async || Folding::of(&mut *self.pool.acquire().await?).await;
        let folding = *self.searching.folding.get_or_try_init(ask).await?;
        let narrowing = Narrowing::of(&request.search);
        let is_reader = narrowing.is_none();
        let sql = statement(account, request, narrowing, folding);
        let found = if is_reader { self.read(sql).await? } else { fetch(self.pool.clone(), sql).await? };
        let mut contacts = found.iter().map(rows::contact).collect::<sqlx::Result<Vec<_>>>()?;
        let more = contacts.len() as i64 > request.limit;
        contacts.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        Ok(Page { contacts, count: None, more })
    }

    /// Runs a search that reads contacts one by one, when its turn comes. On a task of its own: the database goes on
    /// with a statement whose caller went away, and so long it counts as one of those that may run.
    async fn read(&self, sql: Sql) -> Result<Vec<PgRow>, StorageError> {
        self.searching.readers.expect_turn()?;
        let turn = self.searching.readers.take().await;
        let pool = self.pool.clone();
        let reading = tokio::spawn(async move {
            let found = fetch(pool, sql).await;
            drop(turn);
            found
        });
        Ok(reading.await.map_err(|_| StorageError::Lost)??)
    }
}

/// Not as a prepared statement that is kept: the next search has another text.
async fn fetch(pool: Pool, mut sql: Sql) -> sqlx::Result<Vec<PgRow>> {
    sql.build().persistent(false).fetch_all(&mut *pool.acquire().await?).await
}

fn statement(account: Uuid, request: &SearchRequest, narrowing: Option<Narrowing<'_>>, folding: Folding) -> Sql {
    let Search { conditions, groups, words, sorts, archived } = &request.search;
    let mut sql = Sql::new(concat!("SELECT ", contact_columns!(), " FROM contacts c CROSS JOIN LATERAL (SELECT "));
    push_keys(&mut sql, sorts);
    sql.push(") AS sort WHERE c.account_id = ").push_bind(account);
    if !archived {
        sql.push(" AND c.archived_at IS NULL");
    }
    if let Some(narrowing) = narrowing {
        narrowing.push(&mut sql, account, *archived);
    }
    for condition in conditions {
        sql.push(" AND ");
        push_condition(&mut sql, condition, folding);
    }
    for (index, group) in groups.iter().enumerate() {
        sql.push(if index == 0 { " AND (" } else { " OR " });
        push_conditions(&mut sql, group, folding);
    }
    if !groups.is_empty() {
        sql.push(")");
    }
    for word in words {
        sql.push(" AND ");
        push_word(&mut sql, word, folding);
    }
    if let Some(place) = &request.after {
        sql.push(" AND ");
        push_after(&mut sql, sorts, &place.0);
    }
    push_order(&mut sql, sorts);
    // One more than asked for tells whether more follow.
    sql.push(" LIMIT ").push_bind(request.limit + 1);
    sql
}
