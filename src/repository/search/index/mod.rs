//! The search index of accounts with many contacts: which contacts have a word or a value, and the contacts in the order of a
//! value (`migrations/0005_search_index.sql`).
//!
//! Writes do not maintain the index. A background task takes the contacts that have changed from the feed, some of them at a
//! time, and records the position up to which it has done so. A search adds the contacts that have changed after this
//! position, so it finds a write as soon as its response is sent. It checks every condition on the contacts themselves.
//!
//! The first pass over all contacts of an account builds its index. Later passes add the contacts that another program has
//! inserted into the database.

mod catch_up;
mod entries;
mod passes;
mod state;
mod words;

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use sqlx::Connection;
use uuid::Uuid;

use super::collation::Collation;
use crate::repository::Repository;
use crate::repository::error::StorageError;
use crate::repository::pool::Pool;
use crate::repository::statement::{shard_condition, sql};
pub(super) use entries::{entry_column, push_word_text};
use state::IndexState;
pub(super) use words::Words;

/// The time between two looks for changed contacts.
const INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which all accounts are looked through for those that have become large enough for an index.
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// The number of accounts that one statement reads.
const ACCOUNTS_AT_A_TIME: i64 = 1_000;

/// How long an account is known to have no complete index. A search of it then does not look for one.
const WITHOUT_INDEX: Duration = Duration::from_secs(1);
/// How long an account is known to be too small for an index.
const TOO_SMALL: Duration = Duration::from_secs(5);
/// The maximum number of accounts of which this is known.
const MAX_ACCOUNTS: u64 = 100_000;

/// The accounts that are searched and have no index.
pub(super) struct IndexRequests {
    /// The number of contacts from which on an account gets an index.
    min_contacts: i64,
    /// The accounts to be checked.
    requested: Mutex<HashSet<Uuid>>,
    without_index: Cache<Uuid, ()>,
    checked: Cache<Uuid, ()>,
}

impl IndexRequests {
    pub(super) fn new(min_contacts: u32) -> Self {
        let cache = |lifetime| Cache::builder().max_capacity(MAX_ACCOUNTS).time_to_live(lifetime).build();
        Self {
            min_contacts: min_contacts.into(),
            requested: Mutex::default(),
            without_index: cache(WITHOUT_INDEX),
            checked: cache(TOO_SMALL),
        }
    }

    /// Whether the account had no complete index a moment ago.
    pub(super) fn is_without_index(&self, account: Uuid) -> bool {
        self.without_index.contains_key(&account)
    }

    /// Records that an account has no complete index, and requests one.
    pub(super) fn add_without_index(&self, account: Uuid) {
        self.without_index.insert(account, ());
        self.request(account);
    }

    /// Requests an index for an account, if it is large enough and has none.
    pub(super) fn request(&self, account: Uuid) {
        if !self.checked.contains_key(&account) {
            self.checked.insert(account, ());
            self.requested().insert(account);
        }
    }

    fn take(&self) -> HashSet<Uuid> {
        std::mem::take(&mut *self.requested())
    }

    fn requested(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.requested.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Repository {
    /// Keeps the indexes of all accounts up to date until the future is dropped. Several instances may run it at the same time.
    pub(in crate::repository) async fn maintain_search_indexes(self) {
        let (pool, search) = (&self.pool, &self.search_state);
        let mut last_discovery: Option<Instant> = None;
        let mut is_failing = false;
        loop {
            let started = Instant::now();
            let is_discovery = last_discovery.is_none_or(|last| last.elapsed() > DISCOVERY_INTERVAL);
            let round = async {
                let collation = search.collation(pool).await?;
                maintain(pool, collation, &search.index_requests, is_discovery).await
            };
            let result = round.await;
            if is_discovery && result.is_ok() {
                last_discovery = Some(started);
            }
            // An outage is logged once, not every second.
            if let Some(error) = result.as_ref().err().filter(|_| !is_failing) {
                tracing::warn!(%error, "cannot update the search indexes");
            }
            is_failing = result.is_err();
            if !result.unwrap_or(false) {
                // To look for changes must not take a large share of the time.
                tokio::time::sleep(INTERVAL.max(started.elapsed() * 10)).await;
            }
        }
    }
}

/// Adds the indexes that are missing, and brings all of them some steps forward. Returns whether there was anything to do.
async fn maintain(
    pool: &Pool,
    collation: Collation,
    requests: &IndexRequests,
    is_discovery: bool,
) -> Result<bool, StorageError> {
    if !collation.supports_index() {
        return Ok(false);
    }
    for account in requests.take() {
        state::insert_if_large(pool, account, collation, requests.min_contacts).await?;
    }
    if is_discovery {
        insert_for_all_accounts(pool, collation, requests.min_contacts).await?;
    }
    let mut result = Ok(false);
    for account in pending_accounts(pool, collation).await? {
        let started = Instant::now();
        // An account whose index cannot be updated must not keep the others from being updated.
        match (maintain_account(pool, account, collation).await, &mut result) {
            (Ok(is_locked), Ok(has_work)) => *has_work |= is_locked,
            (Err(error), Ok(_)) => result = Err(error),
            (_, Err(_)) => {}
        }
        // At most half of the time of a processor: the requests come first.
        tokio::time::sleep(started.elapsed()).await;
    }
    result
}

/// Processes the next changes and the next contacts of an account. Returns false if another instance does.
async fn maintain_account(pool: &Pool, account: Uuid, collation: Collation) -> Result<bool, StorageError> {
    const TRIMMED: &str = "SELECT trimmed_position FROM accounts WHERE account_id = $1";
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let Some(state) = IndexState::lock(&mut transaction, account).await? else { return Ok(false) };
    let trimmed: Option<i64> = sqlx::query_scalar(TRIMMED).bind(account).fetch_optional(&mut *transaction).await?;
    if state.collation != collation.name() || trimmed.is_some_and(|trimmed| trimmed > state.position) {
        state::start_again(&mut transaction, account, collation).await?;
    } else {
        catch_up::process_changes(&mut transaction, &state, collation).await?;
        if state.has_pass(collation) {
            passes::visit_contacts(&mut transaction, &state, collation).await?;
        }
    }
    transaction.commit().await?;
    Ok(true)
}

async fn insert_for_all_accounts(pool: &Pool, collation: Collation, min_contacts: i64) -> Result<(), StorageError> {
    const NEXT: &str = "SELECT account_id FROM accounts WHERE account_id > $1 ORDER BY account_id LIMIT $2";
    let mut last = Uuid::nil();
    loop {
        let next = sqlx::query_scalar(NEXT).bind(last).bind(ACCOUNTS_AT_A_TIME);
        let accounts: Vec<Uuid> = next.fetch_all(&mut *pool.acquire().await?).await?;
        let Some(end) = accounts.last() else { return Ok(()) };
        last = *end;
        for account in accounts {
            state::insert_if_large(pool, account, collation, min_contacts).await?;
        }
    }
}

/// Returns the accounts whose index has contacts to visit or changes to process.
async fn pending_accounts(pool: &Pool, collation: Collation) -> Result<Vec<Uuid>, StorageError> {
    let states = IndexState::read_all(pool).await?;
    let (with_pass, other): (Vec<_>, Vec<_>) = states.into_iter().partition(|state| state.has_pass(collation));
    let positions = other.into_iter().map(|state| (state.account, state.position)).collect();
    let pending = Mutex::new(with_pass.into_iter().map(|state| state.account).collect::<Vec<_>>());
    pool.for_each_shard(positions, async |positions| {
        let changed = changed_accounts(pool, positions).await?;
        pending.lock().unwrap_or_else(PoisonError::into_inner).extend(changed);
        Ok(())
    })
    .await?;
    Ok(pending.into_inner().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the accounts, all in one shard, that have changed since these positions.
async fn changed_accounts(pool: &Pool, positions: Vec<(Uuid, i64)>) -> Result<Vec<Uuid>, StorageError> {
    let changed = sql!(
        "SELECT k.account_id FROM unnest($1::uuid[], $2::bigint[]) AS k (account_id, position) CROSS JOIN LATERAL \
         (SELECT position FROM changes h WHERE account_id = k.account_id AND position > k.position AND {} \
         ORDER BY position LIMIT 1) h",
        shard_condition("h", 3)
    );
    if positions.is_empty() {
        return Ok(vec![]);
    }
    let (accounts, positions): (Vec<_>, Vec<_>) = positions.into_iter().unzip();
    let shard = pool.shard_accounts(accounts.iter().copied());
    let changed = sqlx::query_scalar(changed).bind(accounts).bind(positions).bind(shard);
    Ok(changed.fetch_all(&mut *pool.acquire().await?).await?)
}
