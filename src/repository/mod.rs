//! Every line of SQL. A transaction never leaves this room: a caller asks for one use case at a time.
//!
//! Knows contacts, fields and clients, nothing of HTTP.

mod changes;
mod clients;
mod contacts;
mod doorbells;
mod error;
mod export;
mod fields;
mod gather;
mod kept;
mod line;
mod meters;
mod migrations;
mod pool;
mod reader;
mod registries;
mod revocations;
mod rows;
mod search;
mod sweep;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

pub use changes::{After, FeedError, FeedPage, FeedRequest, HistoryPage};
pub use clients::Credentials;
use doorbells::Doorbells;
pub use error::{FieldError, StorageError, WriteError};
pub use migrations::{MigrationError, Migrations};
use pool::{Holders, Pool, Suspicion};
use reader::Reader;
use registries::Registries;
use revocations::Revocations;
use search::Searching;
pub use writer::{Done, Keep, Outcomes, Outlook, Prepared, Unit, Work};
use writer::{Lanes, Writer};

use crate::config::{DatabaseSettings, SettingsError};

/// From how many shared connections on some are set apart for reads by id.
const MANY_CONNECTIONS: u32 = 8;

/// The contacts, fields and clients of all accounts, in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pool: Pool,
    /// How to reach the database outside the pool.
    options: Arc<PgConnectOptions>,
    registries: Arc<Registries>,
    revocations: Arc<Revocations>,
    searching: Arc<Searching>,
    reader: Arc<Reader>,
    writer: Arc<Writer>,
    doorbells: Arc<Doorbells>,
    /// For how long entries of the feed are kept.
    change_retention: Duration,
}

impl Repository {
    /// A repository on the database of `settings`. Connects when first used, so the database may be away. To be
    /// called within a runtime, on which its writer works.
    ///
    /// # Errors
    /// A `DATABASE_URL` that can't be parsed.
    pub fn new(settings: &DatabaseSettings) -> Result<Self, SettingsError> {
        meters::describe();
        let options = pool::connect_options(settings)?;
        let total = settings.max_connections;
        let workers = if settings.write_batch_max > 1 { writer::workers().min(total - 1) } else { 0 };
        let for_writes = if workers > 0 { workers } else { total / 4 * 3 };
        let for_reads = if total - for_writes >= MANY_CONNECTIONS { reader::WORKERS } else { 0 };
        let shared = total - for_writes - for_reads;
        let suspicion = Suspicion::default();
        let open = |name, options, connections| pool::open(name, settings, options, connections, &suspicion);
        let pool = open("shared", options.clone(), shared);
        // A pool goes through its connections in turn, each of which has its own caches: workers keep to their own.
        let holders = |name, options, connections, workers| match connections {
            0 => Holders::on_shared(pool.clone(), workers),
            _ => Holders::on_own(open(name, options, connections), workers),
        };
        let for_writes = holders("writer", pool::impatient(options.clone()), for_writes, workers);
        let for_reads = holders("reader", options.clone(), for_reads, reader::WORKERS);
        let lanes = Lanes::new(&pool, shared, settings.timeout);
        Ok(Self {
            registries: Arc::new(Registries::new(pool.clone())),
            revocations: Arc::new(Revocations::new(pool.clone())),
            searching: Arc::new(Searching::new(shared)),
            reader: Arc::new(Reader::start(for_reads, settings.timeout)),
            writer: Arc::new(Writer::start(for_writes, lanes, settings)),
            doorbells: Arc::new(Doorbells::new()),
            change_retention: settings.change_retention,
            options: Arc::new(options),
            pool,
        })
    }

    /// Keeps the caches fresh and removes what was deleted, for as long as it is polled.
    pub async fn run_background_work(&self) {
        let (registries, revocations) = (&self.registries, &self.revocations);
        tokio::join!(
            unending(|| Arc::clone(registries).keep_fresh()),
            unending(|| Arc::clone(revocations).keep_fresh()),
            unending(|| sweep::run(self.clone())),
        );
    }

    /// Closes the pools, after the statements under way.
    pub async fn close(&self) {
        self.writer.close().await;
        self.reader.close().await;
        self.pool.close().await;
    }
}

/// Runs work that never ends, and begins it anew should it panic: the rest must go on.
async fn unending<F: Future<Output = ()> + Send + 'static>(work: impl Fn() -> F) {
    loop {
        let mut task = tokio::task::JoinSet::new();
        task.spawn(work());
        task.join_next().await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
