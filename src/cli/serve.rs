//! `contacts serve`: runs the service in production.

use std::time::Duration;

use super::error::CliError;
use super::{file_descriptors, run_server};
use crate::auth::{Signer, Verifier};
use crate::config::{Environment, ServeSettings};
use crate::http::App;
use crate::repository::{DistributeError, MigrationError, Repository, StorageError, TableLayout};

const COMMAND: &str = "contacts serve";
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

pub(super) async fn run(environment: &Environment) -> Result<(), CliError> {
    let mut settings = ServeSettings::read(environment)?;
    let connections = &mut settings.http.limits.connections;
    *connections = file_descriptors::limit_connections(*connections, settings.database.max_connections);
    let verifier = Verifier::new(&settings.tokens)?;
    let repository = Repository::new(&settings.database)?;
    let (listener, address) = run_server::bind("BIND_ADDR", settings.http.bind_addr, COMMAND).await?;
    let preparation = prepare_database(repository.clone(), settings.database.migrate_on_start);
    tracing::info!(%address, version = env!("CARGO_PKG_VERSION"), "serving");
    let signer = Signer::for_clients(&settings.tokens);
    let app = App::new(repository, verifier, signer, settings.http);
    tokio::select! {
        served = run_server::serve_until_shutdown(app, listener, COMMAND) => served,
        error = preparation => Err(error),
    }
}

/// Applies pending migrations if `migrate_on_start` is set, and checks that this build can serve the database. Retries every
/// second until it succeeds, because the database may not be up yet. Returns only when this build can never serve the
/// database as it is.
async fn prepare_database(repository: Repository, migrate_on_start: bool) -> CliError {
    loop {
        match try_prepare_database(&repository, migrate_on_start).await {
            Ok(()) => return std::future::pending().await,
            Err(PreparationError::Final(error)) => return error,
            Err(PreparationError::Retry) => tokio::time::sleep(RETRY_INTERVAL).await,
        }
    }
}

/// The reason why the database cannot be served.
enum PreparationError {
    /// It may be possible later.
    Retry,
    /// It is not possible until someone changes the database.
    Final(CliError),
}

async fn try_prepare_database(repository: &Repository, migrate_on_start: bool) -> Result<(), PreparationError> {
    if migrate_on_start {
        match repository.migrate().await {
            Ok(applied) => tracing::info!(applied, "the schema is up to date"),
            Err(error @ (MigrationError::OlderBuild | MigrationError::Storage(StorageError::Pooler(_)))) => {
                return Err(PreparationError::Final(CliError::Other(error.to_string())));
            }
            Err(error) => {
                tracing::warn!(%error, "could not migrate the schema, retrying");
                return Err(PreparationError::Retry);
            }
        }
    }
    match repository.table_layout().await {
        Ok(TableLayout::PostgreSql | TableLayout::Distributed) => Ok(()),
        Ok(TableLayout::NotDistributed) => {
            tracing::warn!(
                "the database has the extension Citus, but its tables are not distributed: see contacts distribute"
            );
            Ok(())
        }
        Ok(TableLayout::Incomplete { missing }) => {
            Err(PreparationError::Final(CliError::Other(DistributeError::Incomplete(missing).to_string())))
        }
        Err(error @ StorageError::Pooler(_)) => Err(PreparationError::Final(CliError::Other(error.to_string()))),
        Err(error) => {
            tracing::warn!(%error, "could not read the layout of the tables, retrying");
            Err(PreparationError::Retry)
        }
    }
}
