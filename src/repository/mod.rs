//! Every line of SQL. A transaction never leaves this room: a caller asks for one use case at a time.
//!
//! Knows contacts, fields and clients, nothing of HTTP.

mod batch;
mod changes;
mod clients;
mod columns;
mod contacts;
mod doorbells;
mod error;
mod fields;
mod gather;
mod group;
mod kept;
mod load;
mod migrations;
mod pool;
mod reader;
mod registries;
mod revocations;
mod rows;
mod search;
mod store;
mod sweep;
mod work;
mod writer;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool};

pub use changes::{After, FeedError, FeedPage, FeedRequest, HistoryPage};
pub use clients::Credentials;
use doorbells::Doorbells;
pub use error::{FieldError, StorageError, WriteError};
pub use migrations::{MigrationError, Migrations};
use reader::Reader;
use registries::Registries;
use revocations::Revocations;
use search::Searching;
pub use work::{Done, Keep, Outcomes, Unit, Work};
use writer::Writer;

use crate::config::{DatabaseSettings, SettingsError};

/// The contacts, fields and clients of all accounts, in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pool: PgPool,
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
        let options = pool::connect_options(settings)?;
        // A pool goes through its connections in turn, each of which has its own caches: the writer keeps to its own.
        let total = settings.max_connections;
        let reserved = if settings.write_batch_max > 1 { writer::workers() } else { total / 4 * 3 };
        let has_own = reserved > 0 && total > reserved;
        let shared = if has_own { total - reserved } else { total };
        let pool = pool::open(settings, options.clone(), shared);
        let own = if has_own { pool::open(settings, pool::impatient(options.clone()), reserved) } else { pool.clone() };
        Ok(Self {
            registries: Arc::new(Registries::new(pool.clone())),
            revocations: Arc::new(Revocations::new(pool.clone())),
            searching: Arc::new(Searching::new(shared)),
            reader: Arc::new(Reader::start(&pool, settings.timeout)),
            writer: Arc::new(Writer::start(&own, &pool, settings)),
            doorbells: Arc::new(Doorbells::new()),
            change_retention: settings.change_retention,
            options: Arc::new(options),
            pool,
        })
    }

    /// Keeps the caches fresh and removes what was deleted, for as long as it is polled.
    pub async fn run_background_work(&self) {
        tokio::join!(self.registries.keep_fresh(), self.revocations.keep_fresh(), sweep::run(self));
    }

    /// Closes the pool, after the statements under way.
    pub async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }
}
