//! An in-memory cache of the registries of the accounts in use.
//!
//! A change made by this instance is visible at once. A change made by another instance is visible within
//! [`REFRESH_INTERVAL`] and the time of a query. An outdated registry cannot cause an invalid write: a write that was
//! validated against any version but the stored one is not committed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::future::Cache;
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use super::error::StorageError;
use super::pool::Pool;
use super::row_mapping::{self, FIELD_COLUMNS, StoredField};
use super::statement::sql;
use super::storage_metrics::RegistryLoad;
use crate::fields::{FieldId, Registry};

/// The interval at which the versions of the cached registries are compared with the stored ones.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
const MAX_ACCOUNTS: u64 = 10_000;
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

type RegistrySlot = Arc<ArcSwap<Registry>>;

/// The cached registries, by account.
pub(super) struct RegistryCache {
    pool: Pool,
    slots: Cache<Uuid, RegistrySlot>,
}

impl RegistryCache {
    pub(super) fn new(pool: Pool) -> Self {
        let slots = Cache::builder().max_capacity(MAX_ACCOUNTS).time_to_idle(IDLE_TIMEOUT).build();
        Self { pool, slots }
    }

    /// Returns the registry of an account, and loads it if it is not cached.
    pub(super) async fn get(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        let load = async {
            RegistryLoad::FirstUse.count(1);
            load_registry(&mut *self.pool.acquire().await?, account).await.map(Arc::new)
        };
        Ok(self.slot_or_insert(account, load).await?.load_full())
    }

    /// Loads the registry of an account and replaces the cached one.
    pub(super) async fn reload(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        RegistryLoad::Changed.count(1);
        let registry = Arc::new(load_registry(&mut *self.pool.acquire().await?, account).await?);
        self.insert_if_newer(account, &registry).await;
        Ok(registry)
    }

    /// Returns the number of cached registries.
    pub(super) fn count(&self) -> usize {
        // `Cache::entry_count` is updated with a delay.
        self.slots.iter().count()
    }

    /// Caches the registry of an account, unless a newer one is cached.
    pub(super) async fn insert_if_newer(&self, account: Uuid, registry: &Arc<Registry>) {
        loop {
            // This may join a load that began before `registry` was committed. The result of that load may be older, so
            // the versions are compared below.
            let slot = self.slot_or_insert(account, async { Ok(Arc::clone(registry)) }).await;
            let Ok(slot) = slot else { continue };
            slot.rcu(|cached| {
                let newest = if cached.version() < registry.version() { registry } else { cached };
                Arc::clone(newest)
            });
            return;
        }
    }

    /// Reloads registries that other instances have changed, until the future is dropped.
    pub(super) async fn refresh_periodically(self: Arc<Self>) {
        loop {
            tokio::time::sleep(REFRESH_INTERVAL).await;
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "cannot check for changed field registries");
            }
        }
    }

    async fn refresh(&self) -> Result<(), StorageError> {
        const FIND_CHANGED: &str = "SELECT a.account_id \
            FROM unnest($1::uuid[], $2::bigint[]) AS known (account_id, version) \
            CROSS JOIN LATERAL (SELECT account_id FROM accounts \
            WHERE account_id = known.account_id AND registry_version <> known.version LIMIT 1) a";
        let (accounts, versions): (Vec<Uuid>, Vec<i64>) =
            self.slots.iter().map(|(account, slot)| (*account, slot.load().version())).unzip();
        if accounts.is_empty() {
            return Ok(());
        }
        let find_changed = sqlx::query(FIND_CHANGED).bind(accounts).bind(versions);
        for row in find_changed.fetch_all(&mut *self.pool.acquire().await?).await? {
            self.reload(row_mapping::account_from_row(&row)?).await?;
        }
        Ok(())
    }

    /// Returns the account's slot, and fills it from `load` if there is none. Concurrent callers share one load.
    async fn slot_or_insert(
        &self,
        account: Uuid,
        load: impl Future<Output = Result<Arc<Registry>, StorageError>>,
    ) -> Result<RegistrySlot, StorageError> {
        let new_slot = async { load.await.map(|registry| Arc::new(ArcSwap::new(registry))) };
        self.slots.try_get_with(account, new_slot).await.map_err(|error| StorageError::clone(&error))
    }
}

/// Loads the registry of an account. A single statement reads all fields, so they belong to the same version.
pub(super) async fn load_registry(executor: impl PgExecutor<'_>, account: Uuid) -> Result<Registry, StorageError> {
    let select = sql!(
        "SELECT a.registry_version, a.last_field_id, {FIELD_COLUMNS} \
         FROM accounts a LEFT JOIN fields f ON f.account_id = a.account_id AND f.deleted_at IS NULL \
         WHERE a.account_id = $1"
    );
    let rows = sqlx::query(select).bind(account).fetch_all(executor).await?;
    let Some(first) = rows.first() else { return Ok(Registry::new(0, FieldId::FIRST_CUSTOM - 1, vec![])) };
    let (version, last_custom_id) = (first.try_get("registry_version")?, first.try_get("last_field_id")?);
    let has_field = |row: &&_| Row::try_get::<Option<i32>, _>(*row, "id").is_ok_and(|id| id.is_some());
    let (mut custom, mut unsupported) = (vec![], vec![]);
    for row in rows.iter().filter(has_field) {
        match row_mapping::field_from_row(row)? {
            StoredField::Supported(field) => custom.push(field),
            StoredField::Unsupported(field) => unsupported.push(field),
        }
    }
    Ok(Registry::new(version, last_custom_id, custom).with_unsupported(unsupported))
}
