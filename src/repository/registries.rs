//! Snapshots of the registries of the accounts in use, kept in memory.
//!
//! A change made by this instance is seen at once, one made by another within [`REFRESH_EVERY`] and the time
//! of a query. The database keeps the last word: what was checked against another version than its own is not stored.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::future::Cache;
use sqlx::postgres::PgConnection;
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use super::StorageError;
use super::meters::Load;
use super::pool::Pool;
use super::rows::{self, field_columns};
use crate::fields::{FieldId, Registry};

/// How often the versions of the cached registries are compared with the database's.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
const MAX_ACCOUNTS: u64 = 10_000;
const FORGET_AFTER_IDLE: Duration = Duration::from_secs(10 * 60);

type Slot = Arc<ArcSwap<Registry>>;

pub(super) struct Registries {
    pool: Pool,
    slots: Cache<Uuid, Slot>,
}

impl Registries {
    pub(super) fn new(pool: Pool) -> Self {
        let slots = Cache::builder().max_capacity(MAX_ACCOUNTS).time_to_idle(FORGET_AFTER_IDLE).build();
        Self { pool, slots }
    }

    /// The registry of an account; asks the database the first time only.
    pub(super) async fn get(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        let load = async {
            Load::FirstUse.count(1);
            load(&mut *self.pool.acquire().await?, account).await.map(Arc::new)
        };
        Ok(self.slot(account, load).await?.load_full())
    }

    /// The registry of an account as the database has it now.
    pub(super) async fn reload(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        Load::Changed.count(1);
        let registry = Arc::new(load(&mut *self.pool.acquire().await?, account).await?);
        self.put(account, &registry).await;
        Ok(registry)
    }

    /// How many are in memory.
    pub(super) fn count(&self) -> usize {
        // The cache's own count lags behind.
        self.slots.iter().count()
    }

    /// Makes `registry` the account's, unless a newer one is known already.
    pub(super) async fn put(&self, account: Uuid, registry: &Arc<Registry>) {
        loop {
            // Joins a load under way, which may have begun before `registry` was: its result must not outlive it.
            let slot = self.slot(account, async { Ok(Arc::clone(registry)) }).await;
            let Ok(slot) = slot else { continue };
            slot.rcu(
                |known| if known.version() < registry.version() { Arc::clone(registry) } else { Arc::clone(known) },
            );
            return;
        }
    }

    /// Reloads registries that another instance has changed, for as long as it is polled.
    pub(super) async fn keep_fresh(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH_EVERY).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "could not look for changed registries");
            }
        }
    }

    async fn refresh(&self) -> Result<(), StorageError> {
        let (accounts, versions): (Vec<Uuid>, Vec<i64>) =
            self.slots.iter().map(|(account, slot)| (*account, slot.load().version())).unzip();
        if accounts.is_empty() {
            return Ok(());
        }
        let changed = "SELECT a.account_id FROM unnest($1::uuid[], $2::bigint[]) AS known (account_id, version) \
                       JOIN accounts a USING (account_id) WHERE a.registry_version <> known.version";
        let changed =
            sqlx::query(changed).bind(accounts).bind(versions).fetch_all(&mut *self.pool.acquire().await?).await?;
        for row in changed {
            self.reload(rows::account(&row)?).await?;
        }
        Ok(())
    }

    /// The account's slot, filled by `load` when there is none. Callers that miss at once share one load.
    async fn slot(
        &self,
        account: Uuid,
        load: impl Future<Output = Result<Arc<Registry>, StorageError>>,
    ) -> Result<Slot, StorageError> {
        let fill = async { load.await.map(|registry| Arc::new(ArcSwap::new(registry))) };
        self.slots.try_get_with(account, fill).await.map_err(|error| StorageError::clone(&error))
    }
}

/// Makes a row for each of these accounts that has none yet.
pub(super) async fn found(connection: &mut PgConnection, accounts: &[Uuid]) -> sqlx::Result<()> {
    const FOUND: &str = "INSERT INTO accounts (account_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING";
    sqlx::query(FOUND).bind(accounts).execute(connection).await?;
    Ok(())
}

/// The registry of an account, in one statement and so at one version.
pub(super) async fn load(executor: impl PgExecutor<'_>, account: Uuid) -> Result<Registry, StorageError> {
    const LOAD: &str = concat!(
        "SELECT a.registry_version, a.last_field_id, ",
        field_columns!(),
        " FROM accounts a LEFT JOIN fields f ON f.account_id = a.account_id AND f.deleted_at IS NULL \
         WHERE a.account_id = $1"
    );
    let rows = sqlx::query(LOAD).bind(account).fetch_all(executor).await?;
    let Some(first) = rows.first() else { return Ok(Registry::new(0, FieldId::FIRST_CUSTOM - 1, vec![])) };
    let (version, last_custom_id) = (first.try_get("registry_version")?, first.try_get("last_field_id")?);
    let has_field = |row: &&_| Row::try_get::<Option<i32>, _>(*row, "id").is_ok_and(|id| id.is_some());
    let custom = rows.iter().filter(has_field).map(rows::field).collect::<sqlx::Result<_>>()?;
    Ok(Registry::new(version, last_custom_id, custom))
}
