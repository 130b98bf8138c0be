//! A connection pool with admission control.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use uuid::Uuid;

use super::connection::{DatabaseConnection, Supervision};
use super::database_health::DatabaseHealth;
use super::sessions::{SessionMode, Sessions};
use crate::config::{DatabaseSettings, DatabaseUrl, Secret, SettingsError};
use crate::fair_semaphore::FairSemaphore;
use crate::repository::admission::AdmissionQueue;
use crate::repository::citus::{Shard, ShardMap};
use crate::repository::error::StorageError;
use crate::repository::statement::ShardAccounts;
use crate::repository::storage_metrics::PoolMetrics;

/// The maximum time that a request waits for a connection.
const MAX_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum time until a released connection responds to a ping. Unread results and an open transaction are
/// discarded first.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the database may be silent after its own time limit of a statement.
const STATEMENT_MARGIN: Duration = Duration::from_secs(1);

/// How many shards [`Pool::for_each_shard`] works on at a time, and the time limit of each.
const SHARDS_AT_A_TIME: usize = 2;
const SHARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the options of connections to each host of the database.
///
/// # Errors
/// Fails if `DATABASE_URL` is malformed.
pub(in crate::repository) fn connect_options(
    settings: &DatabaseSettings,
) -> Result<Vec<PgConnectOptions>, SettingsError> {
    let url =
        DatabaseUrl::parse(settings.url.expose()).map_err(|problem| SettingsError::new("DATABASE_URL", &problem))?;
    let malformed = |_| SettingsError::new("DATABASE_URL", "is malformed: a parameter has a bad value");
    let options = |host: &Secret| {
        let options: PgConnectOptions = host.expose().parse().map_err(malformed)?;
        // Poolers reject the startup parameter `extra_float_digits`, and no statement reads a float.
        Ok(options.application_name("contacts").extra_float_digits(None))
    };
    url.hosts.iter().map(options).collect()
}

/// Connections to the database, which are opened at their first use. Cheap to clone.
///
/// The pool counts the callers that wait for a connection. So every connection must be acquired here, and never from
/// the inner pool directly.
#[derive(Clone)]
pub(in crate::repository) struct Pool {
    connections: PgPool,
    /// A permit for each connection, which accounts share.
    permits: FairSemaphore,
    queue: Arc<AdmissionQueue>,
    health: DatabaseHealth,
    sessions: Sessions,
    /// How long the database may be silent during a statement.
    time_limit: Duration,
    shard_map: ShardMap,
    metrics: PoolMetrics,
}

impl Pool {
    /// Admits a new caller, unless it would wait for a connection for more than 2 s. Call this at the start of a
    /// request: a rejection after that would waste the work already done for the request.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`].
    pub(in crate::repository) fn try_admit(&self, account: Uuid) -> Result<(), StorageError> {
        let admitted = self.queue.try_admit(self.permits.callers_ahead(account));
        admitted.inspect_err(|_| self.metrics.failures.increment(1))
    }

    /// Admits a new caller as [`Pool::try_admit`] does, and returns a connection.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`], and the errors of [`Pool::acquire_for`].
    pub(in crate::repository) async fn admit(&self, account: Uuid) -> Result<DatabaseConnection, StorageError> {
        self.try_admit(account)?;
        Ok(self.acquire_for(account).await?)
    }

    /// Returns a connection for a request of an account. Accounts that wait get connections in turn.
    ///
    /// # Errors
    /// The errors of [`Pool::acquire`].
    pub(in crate::repository) async fn acquire_for(&self, account: Uuid) -> sqlx::Result<DatabaseConnection> {
        let acquire = async {
            // Before the permit, for which others wait.
            self.health.wait_until_reachable().await?;
            let permit = tokio::time::timeout(MAX_ACQUIRE_TIMEOUT, self.permits.acquire(account, 1)).await;
            let permit = permit.map_err(|_| sqlx::Error::PoolTimedOut)?;
            Ok(self.acquire_healthy().await?.with_permit(permit))
        };
        self.measure(Box::pin(acquire)).await
    }

    /// Returns a connection as soon as one is free, for work that belongs to no request.
    ///
    /// # Errors
    /// Fails if no connection was free within the timeout, or if the database is down.
    pub(in crate::repository) async fn acquire(&self) -> sqlx::Result<DatabaseConnection> {
        self.measure(Box::pin(self.acquire_healthy())).await
    }

    async fn acquire_healthy(&self) -> sqlx::Result<DatabaseConnection> {
        let mut loss = self.health.wait_until_reachable().await?;
        let acquire = async {
            let mode = self.session_mode().await?;
            Ok((self.connections.acquire().await?, mode.is_shared))
        };
        let (connection, is_shared) = loss.unless_lost(acquire).await?;
        let supervision = Supervision::new(self.health.clone(), loss, self.time_limit);
        Ok(DatabaseConnection::new(connection, supervision, is_shared))
    }

    /// Returns the mode of the sessions of all pools.
    async fn session_mode(&self) -> sqlx::Result<&SessionMode> {
        match self.sessions.mode() {
            Some(mode) => Ok(mode),
            None => self.sessions.detect(&self.connections.connect_options()).await,
        }
    }

    /// Returns whether connections share sessions, because of a pooler in transaction mode.
    ///
    /// # Errors
    /// The database is unavailable, or the pooler cannot be used.
    pub(in crate::repository) async fn shares_sessions(&self) -> sqlx::Result<bool> {
        let mut loss = self.health.wait_until_reachable().await?;
        Ok(loss.unless_lost(self.session_mode()).await?.is_shared)
    }

    /// Waits for the acquisition of a connection, and measures it.
    ///
    /// The future is large, because it may have to open a connection. Without the box, it would be part of the future of
    /// every request.
    async fn measure<T>(&self, acquire: Pin<Box<impl Future<Output = sqlx::Result<T>>>>) -> sqlx::Result<T> {
        let started = Instant::now();
        let connection = self.queue.wait_in_queue(acquire).await;
        self.metrics.wait.record(started.elapsed());
        if connection.is_err() {
            self.metrics.failures.increment(1);
        }
        connection
    }

    /// Whether the tables are distributed over the nodes of a Citus cluster. Known once a connection was acquired.
    pub(in crate::repository) fn is_distributed(&self) -> bool {
        self.shard_map.is_distributed()
    }

    /// Returns the parameter of `shard_condition` in statements about these accounts, which must be in one shard.
    pub(in crate::repository) fn shard_accounts(&self, accounts: impl IntoIterator<Item = Uuid>) -> ShardAccounts {
        self.is_distributed().then(|| accounts.into_iter().collect())
    }

    /// Returns the shard of an account of distributed tables.
    ///
    /// # Errors
    /// The errors of [`Pool::acquire`], if the shard is not known yet.
    pub(in crate::repository) async fn shard_of(&self, account: Uuid) -> sqlx::Result<Shard> {
        match self.shard_map.known_shard(account) {
            Some(shard) => Ok(shard),
            None => Ok(self.shards_of(&[account]).await?[0]),
        }
    }

    /// Does the work for the rows of each shard, for a few shards at a time: a statement must be about one shard, and a node
    /// that fails or does not answer must not keep the work for other nodes from being done. If the tables are not distributed,
    /// all rows are in one part.
    ///
    /// # Errors
    /// An error of one of the parts.
    pub(in crate::repository) async fn for_each_shard<T, F: Future<Output = Result<(), StorageError>>>(
        &self,
        rows: Vec<(Uuid, T)>,
        work: impl Fn(Vec<(Uuid, T)>) -> F,
    ) -> Result<(), StorageError> {
        if !self.is_distributed() {
            return work(rows).await;
        }
        let accounts: Vec<_> = rows.iter().map(|(account, _)| *account).collect();
        let mut parts: BTreeMap<Shard, Vec<(Uuid, T)>> = BTreeMap::new();
        for (shard, row) in self.shards_of(&accounts).await?.into_iter().zip(rows) {
            parts.entry(shard).or_default().push(row);
        }
        let work =
            |part| async { tokio::time::timeout(SHARD_TIMEOUT, work(part)).await.unwrap_or(Err(StorageError::Lost)) };
        let results: Vec<_> =
            stream::iter(parts.into_values()).map(work).buffer_unordered(SHARDS_AT_A_TIME).collect().await;
        if results.iter().any(|result| matches!(result, Err(StorageError::ShardSplit(_)))) {
            self.forget_shards();
        }
        results.into_iter().collect()
    }

    async fn shards_of(&self, accounts: &[Uuid]) -> sqlx::Result<Vec<Shard>> {
        let known = |account: &Uuid| Some((*account, self.shard_map.known_shard(*account)?));
        let mut shards: HashMap<_, _> = accounts.iter().filter_map(known).collect();
        let unknown: Vec<_> = accounts.iter().copied().filter(|account| !shards.contains_key(account)).collect();
        if !unknown.is_empty() {
            shards.extend(self.shard_map.load(&mut self.acquire().await?, &unknown).await?);
        }
        let shards = accounts.iter().map(|account| shards.get(account).copied());
        shards.collect::<Option<_>>().ok_or_else(|| sqlx::Error::Protocol("a shard is on no node".into()))
    }

    /// Returns the options of a connection outside the pool, to the host of the pool's new connections.
    ///
    /// # Errors
    /// Fails if the database is down.
    pub(in crate::repository) async fn outside_options(
        &self,
        base: &PgConnectOptions,
    ) -> sqlx::Result<PgConnectOptions> {
        self.health.wait_until_reachable().await?;
        let current = self.connections.connect_options();
        Ok(base.clone().host(current.get_host()).port(current.get_port()))
    }

    /// Opens new connections to this host from now on. Returns whether it is another one than before.
    pub(super) fn use_host(&self, host: &PgConnectOptions) -> bool {
        let current = self.connections.connect_options();
        let (name, port) = (host.get_host(), host.get_port());
        let is_another = (current.get_host(), current.get_port()) != (name, port);
        if is_another {
            self.connections.set_connect_options((*current).clone().host(name).port(port));
        }
        is_another
    }

    /// Returns the map of shards.
    pub(in crate::repository) fn shard_map(&self) -> &ShardMap {
        &self.shard_map
    }

    /// Forgets which shards the accounts are in, because a shard was split.
    pub(in crate::repository) fn forget_shards(&self) {
        self.shard_map.clear();
    }

    /// Whether the pool has been closed.
    pub(super) fn is_closed(&self) -> bool {
        self.connections.is_closed()
    }

    /// Closes the pool, so that [`Pool::acquire`] fails. The future completes when all connections are closed.
    pub(in crate::repository) fn close(&self) -> impl Future<Output = ()> {
        self.connections.close()
    }

    /// Updates the gauges. `unused` is the number of acquired connections that a worker keeps but does not use now.
    pub(in crate::repository) fn update_gauges(&self, unused: usize) {
        let (open, idle) = (self.connections.size() as usize, self.connections.num_idle() + unused);
        self.metrics.set_gauges(open.saturating_sub(idle), idle, self.max_connections(), self.queue.length());
    }

    fn max_connections(&self) -> u32 {
        self.connections.options().get_max_connections()
    }
}

/// Opens a pool of up to `max_connections` connections. Its metrics have the label `pool="<name>"`.
pub(in crate::repository) fn open_pool(
    name: &'static str,
    settings: &DatabaseSettings,
    (options, sessions): (PgConnectOptions, &Sessions),
    max_connections: u32,
    (health, shard_map): (&DatabaseHealth, &ShardMap),
) -> Pool {
    let (connect_health, acquire_health, release_health) = (health.clone(), health.clone(), health.clone());
    let connections = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(settings.timeout.min(MAX_ACQUIRE_TIMEOUT))
        .test_before_acquire(false)
        .after_connect({
            let (shard_map, sessions) = (shard_map.clone(), sessions.clone());
            move |connection, _| {
                let (shard_map, sessions, health) = (shard_map.clone(), sessions.clone(), connect_health.clone());
                Box::pin(async move {
                    let is_shared = sessions.set_up_connection(connection).await?;
                    health.record_response();
                    shard_map.set_up_connection(connection, is_shared).await
                })
            }
        })
        .before_acquire(move |connection, usage| {
            let health = acquire_health.clone();
            Box::pin(async move { health.test(connection, usage.age, usage.idle_for).await })
        })
        .after_release(move |connection, _| {
            let health = release_health.clone();
            // A batch of a thousand writes makes the buffers large, and every connection runs such a batch now and
            // then.
            connection.shrink_buffers();
            Box::pin(async move {
                // A connection that does not respond is closed. Otherwise its slot in the pool would be lost until the
                // network reports the failure. sqlx also pings after this hook, but without a timeout and without
                // reporting the result; that ping cannot be turned off. Neither ping delays the caller.
                let pinged = tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await;
                let pinged = pinged.unwrap_or(Err(sqlx::Error::PoolTimedOut));
                pinged.inspect_err(|_| health.record_broken_connection()).map(|()| true)
            })
        })
        .connect_lazy_with(options);
    let queue = Arc::new(AdmissionQueue::new(max_connections));
    let permits = FairSemaphore::new(max_connections as usize);
    let (health, shard_map) = (health.clone(), shard_map.clone());
    let time_limit = settings.timeout + STATEMENT_MARGIN;
    let sessions = sessions.clone();
    Pool { connections, permits, queue, health, sessions, time_limit, shard_map, metrics: PoolMetrics::new(name) }
}
