//! Every line of SQL. A transaction never leaves this room: a caller asks for one use case at a time.
//!
//! Knows contacts and fields, nothing of HTTP.

mod batch;
mod contacts;
mod error;
mod fields;
mod keys;
mod migrations;
mod pool;
mod registries;
mod rows;
mod search;
mod sweep;
mod writer;
mod writes;

use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgPool};

pub use error::{FieldError, StorageError, WriteError};
pub use migrations::{MigrationError, Migrations};
use registries::Registries;
use search::Searching;
pub use writer::Update;
use writer::Writer;

use crate::config::{DatabaseSettings, SettingsError};

/// The contacts and fields of all accounts, in PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pool: PgPool,
    /// How to reach the database outside the pool.
    options: Arc<PgConnectOptions>,
    registries: Arc<Registries>,
    searching: Arc<Searching>,
    /// `None` where each write is a transaction of its own.
    writer: Option<Arc<Writer>>,
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
        let is_batched = settings.write_batch_max > 1 && settings.max_connections > writer::WORKERS;
        let reserved = if is_batched { writer::WORKERS } else { 0 };
        let pool = pool::open(settings, options.clone(), settings.max_connections - reserved);
        let registries = Arc::new(Registries::new(pool.clone()));
        let searching = Arc::new(Searching::new(settings.max_connections - reserved));
        let writer = is_batched.then(|| {
            let own = pool::open(settings, pool::impatient(options.clone()), reserved);
            Arc::new(Writer::start(&own, &pool, settings))
        });
        Ok(Self { pool, options: Arc::new(options), registries, searching, writer })
    }

    /// Keeps the caches fresh and removes what was deleted, for as long as it is polled.
    pub async fn run_background_work(&self) {
        tokio::join!(self.registries.keep_fresh(), sweep::run(&self.pool));
    }

    /// Closes the pool, after the statements under way.
    pub async fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.close().await;
        }
        self.pool.close().await;
    }
}
