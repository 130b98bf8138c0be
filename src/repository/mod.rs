//! All SQL. Each method of `Repository` is one use case; a transaction never leaves this module.
//!
//! The module uses `contacts`, `fields` and `clients`, and is independent of HTTP. The use cases by file:
//!
//! | file | use cases |
//! |---|---|
//! | `batched_reads` | `contact_by_id`: reads single contacts, combined into batches |
//! | `contacts` | `contacts_by_id`, `contacts_by_key`, `list_contacts`: reads several contacts |
//! | `search` | `search_contacts`: reads a page of search results |
//! | `writer` | `write_contacts`: creates, updates, upserts, archives, restores and purges contacts |
//! | `change_feed` | `read_changes`, `subscribe_to_changes`: reads the feed, and waits for changes |
//! | `history` | `read_history`: reads the changes of a contact |
//! | `fields` | `registry`, `registry_at_least`, `reload_registry`, `create_field`, `update_field`, `delete_field`: reads and changes custom fields |
//! | `clients` | `create_client`, `list_clients`, `revoke_client`, `client_credentials`, `is_client_revoked`: manages API clients |
//! | `account_purge` | `revoke_clients`, `purge_account`: removes an account |
//! | `imported_rows` | `claim_imported_rows`, `find_imported_rows`, `release_imported_rows`: recognizes rows of imports that have no key |
//! | `export` | `export_contacts`: reads all contacts of an account in one snapshot |
//! | `citus` | `table_layout`, `distribute_tables`: distributes the tables over a Citus cluster |
//! | `migrations` | `migrate`, `schema_state`: creates and checks the schema |
//! | `cleanup` | `delete_expired_records`: deletes expired stored responses and expired changes |
//! | `storage_metrics` | `update_gauges`: updates the gauges of queues and pools |
//! | this file | `new`, `run_background_work`, `close` |

mod account_purge;
mod accounts;
mod admission;
mod batched_reads;
mod batcher;
mod change_feed;
mod change_notifier;
mod citus;
mod cleanup;
mod clients;
mod contact_counts;
mod contacts;
mod error;
mod export;
mod fields;
mod history;
mod history_erasure;
mod idempotency;
mod imported_rows;
mod last_changes;
mod migrations;
mod option_search;
mod pool;
mod registry_cache;
mod remote_changes;
mod revoked_clients;
mod rolling_upgrade;
mod row_mapping;
mod row_stream;
mod search;
mod source_times;
mod statement;
mod storage_metrics;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::task::JoinSet;

use crate::config::{DatabaseSettings, SettingsError};
use batched_reads::ContactReader;
use change_notifier::ChangeNotifier;
use citus::{NodeCheck, ShardMap};
use contact_counts::ContactCounts;
use pool::{DatabaseHealth, DatabaseProbe, DedicatedConnections, Pool, SessionSettings, Sessions, open_pool};
use registry_cache::RegistryCache;
use revoked_clients::RevokedClients;
use search::SearchState;
use writer::{AccountQueues, Writer};

pub use crate::memory_budget::ContentMemory;
pub use change_feed::{FeedError, FeedPage, FeedRequest, FeedStart};
pub use change_notifier::ChangeSubscription;
pub use citus::{DistributeError, DistributedTables, NodeTables, TableLayout};
pub use clients::StoredCredentials;
pub use contacts::ListPage;
pub use error::{FieldError, StorageError, WriteError};
pub use history::HistoryPage;
pub use idempotency::{Idempotent, IdempotentRequest};
pub use imported_rows::{ImportLabel, RowClaim};
pub use migrations::{MigrationError, SchemaState};
pub use pool::UnsupportedPooler;
pub use row_stream::RowStream;
pub use writer::{AccountWrites, Atomicity, Outcomes, WriteOutcomes};

/// Reads by id get their own connections only if at least this many connections are not reserved for writes.
const MIN_CONNECTIONS_FOR_READERS: u32 = 8;

/// The contacts, fields and clients of all accounts, in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    /// The connections of all operations except batched writes and batched reads.
    pool: Pool,
    /// The options of connections outside the pools.
    options: Arc<PgConnectOptions>,
    health: DatabaseHealth,
    /// Ends when it is dropped.
    _probe: Arc<JoinSet<()>>,
    registry_cache: Arc<RegistryCache>,
    revoked_clients: Arc<RevokedClients>,
    search_state: Arc<SearchState>,
    reader: Arc<ContactReader>,
    writer: Arc<Writer>,
    change_notifier: Arc<ChangeNotifier>,
    node_check: Arc<NodeCheck>,
    contact_counts: Arc<ContactCounts>,
    /// How long entries of the change feed are stored.
    change_retention: Duration,
}

impl Repository {
    /// Creates a repository on the database of `settings`. Connections are opened at their first use, so the database
    /// may be down. Call this within a Tokio runtime, which runs the workers.
    ///
    /// # Errors
    /// Fails if `DATABASE_URL` cannot be parsed.
    pub fn new(settings: &DatabaseSettings) -> Result<Self, SettingsError> {
        storage_metrics::describe_metrics();
        let hosts = pool::connect_options(settings)?;
        let options = hosts[0].clone();
        let total = settings.max_connections;
        let writers = if settings.write_batch_max > 1 { writer::connection_count().min(total - 1) } else { 0 };
        let write_connections = if writers > 0 { writers } else { total / 4 * 3 };
        let has_readers = total - write_connections >= MIN_CONNECTIONS_FOR_READERS;
        let read_connections = if has_readers { batched_reads::WORKERS } else { 0 };
        let shared_connections = total - write_connections - read_connections;
        let health = DatabaseHealth::new(hosts.len() > 1);
        let shard_map = ShardMap::default();
        let sessions = Sessions::new(SessionSettings::of_pool(settings));
        let open = |name, connections| {
            open_pool(name, settings, (options.clone(), &sessions), connections, (&health, &shard_map))
        };
        let pool = open("shared", shared_connections);
        // A pool hands out its connections in turn, and each connection has its own caches, such as the plans of
        // prepared statements. So every worker keeps one connection.
        let dedicated = |name, connections, workers| match connections {
            0 => DedicatedConnections::with_shared_pool(pool.clone(), workers),
            _ => DedicatedConnections::with_own_pool(open(name, connections), workers),
        };
        let for_writes = dedicated("writer", write_connections, writers);
        let for_reads = dedicated("reader", read_connections, batched_reads::WORKERS);
        let pools = [&pool, for_writes.pool(), for_reads.pool()].map(Clone::clone).to_vec();
        let new_probe = {
            let health = health.clone();
            move || DatabaseProbe::new(health.clone(), hosts.clone(), pools.clone()).run()
        };
        let mut probe = JoinSet::new();
        probe.spawn(restart_on_panic(new_probe));
        let change_notifier = Arc::new(ChangeNotifier::default());
        let account_queues = AccountQueues::new(&pool, shared_connections, settings.timeout);
        Ok(Self {
            registry_cache: Arc::new(RegistryCache::new(pool.clone())),
            revoked_clients: Arc::new(RevokedClients::new(pool.clone())),
            search_state: Arc::new(SearchState::new(shared_connections, settings)),
            reader: Arc::new(ContactReader::start(for_reads, &pool, shared_connections / 6, settings.timeout)),
            writer: Arc::new(Writer::start(for_writes, account_queues, shared_connections, &change_notifier, settings)),
            change_notifier,
            node_check: Arc::default(),
            contact_counts: Arc::default(),
            change_retention: settings.change_retention,
            options: Arc::new(options),
            health,
            _probe: Arc::new(probe),
            pool,
        })
    }

    /// Refreshes the caches, notifies long polls of other instances' changes, and deletes expired data, for as long as the future is polled.
    pub async fn run_background_work(&self) {
        // The start of the service reports once why a database cannot be used.
        while self.pool.shares_sessions().await.is_err() {
            tokio::time::sleep(RESTART_INTERVAL).await;
        }
        tokio::join!(
            restart_on_panic(|| Arc::clone(&self.registry_cache).refresh_periodically()),
            restart_on_panic(|| Arc::clone(&self.revoked_clients).refresh_periodically()),
            restart_on_panic(|| remote_changes::notify_periodically(self.pool.clone(), self.change_notifier.clone())),
            restart_on_panic(|| cleanup::run_periodically(self.clone())),
            restart_on_panic(|| self.clone().maintain_search_indexes()),
        );
    }

    /// Whether the database can write, as far as is known.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.health.is_writable()
    }

    /// Opens a connection outside the pools, with a session of its own and these settings.
    async fn connect(&self, session_settings: &SessionSettings) -> sqlx::Result<PgConnection> {
        if self.pool.shares_sessions().await? {
            return Err(UnsupportedPooler::NeedsOwnSession.into());
        }
        let options = self.pool.outside_options(&self.options).await?;
        let mut connection = PgConnection::connect_with(&options).await?;
        session_settings.apply(&mut connection).await?;
        Ok(connection)
    }

    /// Closes the connections after the running statements.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
        self.pool.close().await;
    }
}

/// The pause before background work begins again.
const RESTART_INTERVAL: Duration = Duration::from_secs(1);

/// Runs a task that never returns, and restarts it a second after a panic. A bug in one task must not end the others.
async fn restart_on_panic<F: Future<Output = ()> + Send + 'static>(work: impl Fn() -> F) {
    loop {
        let mut task = tokio::task::JoinSet::new();
        task.spawn(work());
        task.join_next().await;
        tokio::time::sleep(RESTART_INTERVAL).await;
    }
}
