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
use uuid::Uuid;

use super::collation::Collation;
use crate::repository::Repository;
use crate::repository::accounts::accounts_after;
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
/// The time after which this is tried again when it has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// The interval at which searches of an account that had no complete index look for one again.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it is known that an account had no complete index.
const WITHOUT_INDEX: Duration = Duration::from_secs(60);
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
    /// When a search last looked for the index of an account that had none.
    looked: Cache<Uuid, Instant>,
    checked: Cache<Uuid, ()>,
}

impl IndexRequests {
    pub(super) fn new(min_contacts: u32) -> Self {
        Self {
            min_contacts: min_contacts.into(),
            requested: Mutex::default(),
            looked: Cache::builder().max_capacity(MAX_ACCOUNTS).time_to_live(WITHOUT_INDEX).build(),
            checked: Cache::builder().max_capacity(MAX_ACCOUNTS).time_to_live(TOO_SMALL).build(),
        }
    }

    /// Whether a search has to look for the index of an account. If the account had none, one search does so every second: many
    /// concurrent ones would take the connections from the searches without an index.
    pub(super) fn begin_look(&self, account: Uuid) -> bool {
        let looked = self.looked.get(&account);
        if looked.is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL) {
            return false;
        }
        if looked.is_some() {
            self.looked.insert(account, Instant::now());
        }
        true
    }

    /// Records that an account has no complete index, and requests one.
    pub(super) fn add_without_index(&self, account: Uuid) {
        self.looked.insert(account, Instant::now());
        self.request(account);
    }

    /// Records that an account has a complete index.
    pub(super) fn remove(&self, account: Uuid) {
        self.looked.invalidate(&account);
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
        tokio::join!(self.discover_accounts(), self.update_indexes());
    }

    /// Looks for accounts that have become large enough for an index.
    async fn discover_accounts(&self) {
        let requests = &self.search_state.index_requests;
        loop {
            let discovered = async {
                let collation = self.search_state.collation(&self.pool).await?;
                insert_for_all_accounts(&self.pool, collation, requests.min_contacts).await
            };
            let interval = match discovered.await {
                Ok(()) => DISCOVERY_INTERVAL,
                Err(error) => {
                    tracing::warn!(%error, "cannot look for accounts without a search index");
                    RETRY_INTERVAL
                }
            };
            tokio::time::sleep(interval).await;
        }
    }

    /// Brings the indexes up to date.
    async fn update_indexes(&self) {
        let mut is_failing = false;
        loop {
            let round = async {
                let collation = self.search_state.collation(&self.pool).await?;
                update_pending(&self.pool, collation, &self.search_state.index_requests).await
            };
            let (has_work, error) = match round.await {
                Ok(result) => result,
                Err(error) => (false, Some(error)),
            };
            // An outage is logged once, not every second.
            if let Some(error) = error.as_ref().filter(|_| !is_failing) {
                tracing::warn!(%error, "cannot update the search indexes");
            }
            is_failing = error.is_some();
            if !has_work {
                tokio::time::sleep(INTERVAL).await;
            }
        }
    }
}

/// Adds the requested indexes, and brings those that are not up to date a step forward. Returns whether there was a step, and an error:
/// an account whose index cannot be updated does not keep the others from being updated.
async fn update_pending(
    pool: &Pool,
    collation: Collation,
    requests: &IndexRequests,
) -> Result<(bool, Option<StorageError>), StorageError> {
    if !collation.supports_index() {
        return Ok((false, None));
    }
    for account in requests.take() {
        state::insert_if_large(pool, account, collation, requests.min_contacts).await?;
    }
    let (mut has_work, mut error) = (false, None);
    for account in pending_accounts(pool, collation).await? {
        let started = Instant::now();
        match update_account(pool, account, collation).await {
            Ok(is_locked) => has_work |= is_locked,
            Err(failure) => error = Some(failure),
        }
        // At most half of the time of a processor: the requests come first.
        tokio::time::sleep(started.elapsed()).await;
    }
    Ok((has_work, error))
}

/// Processes the next changes and the next contacts of an account. Returns false if another instance does.
async fn update_account(pool: &Pool, account: Uuid, collation: Collation) -> Result<bool, StorageError> {
    const TRIMMED: &str = "SELECT trimmed_position FROM accounts WHERE account_id = $1";
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let Some(state) = IndexState::lock(&mut transaction, account).await? else { return Ok(false) };
    catch_up::process_changes(&mut transaction, &state, collation).await?;
    let trimmed: Option<i64> = sqlx::query_scalar(TRIMMED).bind(account).fetch_optional(&mut *transaction).await?;
    if state.collation != collation.name() || trimmed.is_some_and(|trimmed| trimmed > state.position) {
        state::start_again(&mut transaction, account, collation).await?;
    } else if state.has_pass(collation) {
        passes::visit_contacts(&mut transaction, &state, collation).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

async fn insert_for_all_accounts(pool: &Pool, collation: Collation, min_contacts: i64) -> Result<(), StorageError> {
    if !collation.supports_index() {
        return Ok(());
    }
    let mut last = Uuid::nil();
    loop {
        let accounts = accounts_after(pool, last).await?;
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
    Ok(changed.fetch_all(&mut pool.acquire().await?).await?)
}
