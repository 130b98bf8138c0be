//! An in-memory cache of the registries of the accounts in use.
//!
//! A change made by this instance is visible at once. A change made by another instance is visible within
//! [`REFRESH_INTERVAL`] and the time of a query. An outdated registry cannot cause an invalid write: a write that was
//! validated against any version but the stored one is not committed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::Entry;
use moka::future::Cache;
use moka::ops::compute::Op;
use sqlx::{PgExecutor, Row};
use uuid::Uuid;

use super::error::StorageError;
use super::pool::Pool;
use super::row_mapping::{self, FIELD_COLUMNS, StoredField};
use super::statement::{shard_condition, sql};
use super::storage_metrics::RegistryLoad;
use crate::fields::{Registry, RegistryVersion};

/// The interval at which the versions of the cached registries are compared with the stored ones.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// The memory that cached registries may take, in bytes (`docs/operations.md#limits`). A registry of 50 fields takes
/// about 20 KB. The largest possible registry, with 500 fields of the maximum size, takes about 55 MB and fits. A larger
/// one of an older build is loaded for each request.
const MAX_BYTES: u64 = 64 * 1024 * 1024;
/// The memory of an entry of the cache in addition to its registry, estimated.
const ENTRY_BYTES: usize = 512;
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);

type RegistrySlot = Arc<ArcSwap<Registry>>;

/// The cached registries, by account.
pub(super) struct RegistryCache {
    pool: Pool,
    slots: Cache<Uuid, RegistrySlot>,
}

impl RegistryCache {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, slots: new_slots(MAX_BYTES) }
    }

    /// Returns the registry of an account, and loads it if it is not cached.
    pub(super) async fn get(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        let load = async {
            RegistryLoad::FirstUse.count(1);
            load_registry(&mut self.pool.acquire().await?, account).await.map(Arc::new)
        };
        Ok(self.slot_or_insert(account, load).await?.load_full())
    }

    /// Loads the registry of an account and replaces the cached one.
    pub(super) async fn reload(&self, account: Uuid) -> Result<Arc<Registry>, StorageError> {
        RegistryLoad::Changed.count(1);
        let replaced = self.slots.get(&account).await.map(|slot| slot.load().version());
        let registry = Arc::new(load_registry(&mut self.pool.acquire().await?, account).await?);
        self.insert(account, &registry, replaced).await;
        Ok(registry)
    }

    /// Returns the number of cached registries.
    pub(super) fn count(&self) -> usize {
        // `Cache::entry_count` is updated with a delay.
        self.slots.iter().count()
    }

    /// Caches the registry of an account that this instance has changed.
    pub(super) async fn insert_changed(&self, account: Uuid, registry: &Arc<Registry>) {
        self.insert(account, registry, None).await;
    }

    /// Caches the registry of an account, unless a newer one is cached. `replaced` is the version that was cached before the
    /// registry was read: it is older in any case, or belongs to a lost history of the database.
    async fn insert(&self, account: Uuid, registry: &Arc<Registry>, replaced: Option<RegistryVersion>) {
        loop {
            // This may join a load that began before `registry` was committed. The result of that load may be older, so
            // the versions are compared below.
            let slot = self.slot_or_insert(account, async { Ok(Arc::clone(registry)) }).await;
            let Ok(slot) = slot else { continue };
            replace_older(&self.slots, account, &slot, registry, replaced).await;
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
        let versions = self.slots.iter().map(|(account, slot)| (*account, slot.load().version().stored())).collect();
        self.pool.for_each_shard(versions, |versions| self.refresh_shard(versions)).await
    }

    /// Reloads changed registries of accounts of one shard.
    async fn refresh_shard(&self, versions: Vec<(Uuid, i64)>) -> Result<(), StorageError> {
        let find_changed = sql!(
            "SELECT a.account_id FROM unnest($1::uuid[], $2::bigint[]) AS known (account_id, version) \
             CROSS JOIN LATERAL (SELECT account_id FROM accounts s WHERE account_id = known.account_id AND {} \
             AND registry_version <> known.version LIMIT 1) a",
            shard_condition("s", 3)
        );
        let (accounts, versions): (Vec<Uuid>, Vec<i64>) = versions.into_iter().unzip();
        if accounts.is_empty() {
            return Ok(());
        }
        let shard = self.pool.shard_accounts(accounts.iter().copied());
        let find_changed = sqlx::query(find_changed).bind(accounts).bind(versions).bind(shard);
        for row in find_changed.fetch_all(&mut self.pool.acquire().await?).await? {
            let account = row_mapping::account_from_row(&row)?;
            // One registry that cannot be read must not keep the others from being refreshed.
            if let Err(error) = self.reload(account).await {
                tracing::warn!(%error, %account, "cannot reload a changed field registry");
            }
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

/// Creates a cache of registries that together take at most this memory.
fn new_slots(max_bytes: u64) -> Cache<Uuid, RegistrySlot> {
    let entry_bytes =
        |_: &Uuid, slot: &RegistrySlot| u32::try_from(ENTRY_BYTES + slot.load().estimated_bytes()).unwrap_or(u32::MAX);
    Cache::builder().weigher(entry_bytes).max_capacity(max_bytes).time_to_idle(IDLE_TIMEOUT).build()
}

/// Replaces the registry in a slot, unless it is newer. The cache weighs a slot only when it is inserted, so a slot that
/// is still cached is inserted again.
async fn replace_older(
    slots: &Cache<Uuid, RegistrySlot>,
    account: Uuid,
    slot: &RegistrySlot,
    registry: &Arc<Registry>,
    replaced: Option<RegistryVersion>,
) {
    let is_newer = |cached: &Arc<Registry>| {
        let cached = cached.version();
        cached != registry.version() && (cached.is_before(registry.version()) || Some(cached) == replaced)
    };
    let previous = slot.rcu(|cached| Arc::clone(if is_newer(cached) { registry } else { cached }));
    if is_newer(&previous) {
        let reinsert = |entry: Option<Entry<Uuid, RegistrySlot>>| {
            std::future::ready(entry.map_or(Op::Nop, |entry| Op::Put(entry.into_value())))
        };
        slots.entry(account).and_compute_with(reinsert).await;
    }
}

/// Loads the registry of an account. A single statement reads all fields, so they belong to the same version.
pub(super) async fn load_registry(executor: impl PgExecutor<'_>, account: Uuid) -> Result<Registry, StorageError> {
    let select = sql!(
        "SELECT a.registry_version, {FIELD_COLUMNS} \
         FROM accounts a LEFT JOIN fields f ON f.account_id = a.account_id AND f.deleted_at IS NULL \
         WHERE a.account_id = $1"
    );
    let rows = sqlx::query(select).bind(account).fetch_all(executor).await?;
    let Some(first) = rows.first() else { return Ok(Registry::new(RegistryVersion::default(), vec![])) };
    let version = RegistryVersion::from_stored(first.try_get("registry_version")?);
    let has_field = |row: &&_| Row::try_get::<Option<i32>, _>(*row, "id").is_ok_and(|id| id.is_some());
    let (mut custom, mut unsupported) = (vec![], vec![]);
    for row in rows.iter().filter(has_field) {
        match row_mapping::field_from_row(row)? {
            StoredField::Supported(field) => custom.push(field),
            StoredField::Unsupported(field) => unsupported.push(field),
        }
    }
    Ok(Registry::new(version, custom).with_unsupported(unsupported))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::{Field, FieldOption, Kind, registry_fixtures as fixtures};

    fn first() -> RegistryVersion {
        RegistryVersion::default()
    }

    /// Returns a registry with this number of fields with 1,000 options each.
    fn large_registry(version: RegistryVersion, fields: i32) -> Arc<Registry> {
        let options: Vec<_> = (0..1_000).map(|number| FieldOption::new(format!("o{number}"), "a label")).collect();
        let field = |id| Field { options: options.clone(), ..fixtures::custom(id, &format!("f_{id}"), Kind::Dropdown) };
        Arc::new(Registry::new(version, (100..100 + fields).map(field).collect()))
    }

    async fn insert(slots: &Cache<Uuid, RegistrySlot>, account: Uuid, registry: Arc<Registry>) -> RegistrySlot {
        slots.get_with(account, async { Arc::new(ArcSwap::new(registry)) }).await
    }

    #[tokio::test]
    async fn registries_together_stay_within_the_limit() {
        let bytes = large_registry(first(), 1).estimated_bytes();
        assert!((50_000..500_000).contains(&bytes), "{bytes}");
        let max_bytes = 10 * (bytes + ENTRY_BYTES) as u64;
        let slots = new_slots(max_bytes);
        for _ in 0..30 {
            insert(&slots, Uuid::now_v7(), large_registry(first(), 1)).await;
        }
        slots.run_pending_tasks().await;
        assert_eq!((slots.entry_count(), slots.weighted_size()), (10, max_bytes));
    }

    #[tokio::test]
    async fn registry_that_grows_takes_more_of_the_limit() {
        let bytes = large_registry(first(), 1).estimated_bytes();
        let slots = new_slots(10 * (bytes + ENTRY_BYTES) as u64);
        let accounts: Vec<_> = (0..10).map(|_| Uuid::now_v7()).collect();
        for account in &accounts {
            let slot = insert(&slots, *account, large_registry(first(), 1)).await;
            replace_older(&slots, *account, &slot, &large_registry(first().next(), 5), None).await;
        }
        slots.run_pending_tasks().await;
        assert!(slots.entry_count() <= 2, "{} entries", slots.entry_count());
        // An older registry replaces nothing.
        let (old, new) = (first().next(), first().next().next());
        let slot = insert(&slots, Uuid::now_v7(), large_registry(new, 1)).await;
        replace_older(&slots, accounts[0], &slot, &large_registry(old, 5), None).await;
        assert_eq!(slot.load().version(), new);
        // The database has another history than the cached registry.
        replace_older(&slots, accounts[0], &slot, &large_registry(old, 5), Some(new)).await;
        assert_eq!(slot.load().version(), old);
    }
}
