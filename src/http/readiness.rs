//! Whether the database is ready. One task checks this every 500 ms, so that the number of calls of `/readyz`, which need
//! no token, does not matter to the database.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::error::ApiError;
use crate::repository::Repository;

/// The interval of the checks.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long the database may take to answer before the service counts as not ready. Also the time that a call of
/// `/readyz` waits for the first check.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of the database at the last check. The text says why it is not ready.
type DatabaseState = Result<(), String>;

/// The result of the last check. `None` before the first one.
#[derive(Default)]
pub(super) struct DatabaseReadiness(watch::Sender<Option<DatabaseState>>);

impl DatabaseReadiness {
    /// Checks that the database was ready at the last check.
    ///
    /// # Errors
    /// [`ApiError::Unavailable`] if it was not.
    pub(super) async fn check(&self) -> Result<(), ApiError> {
        let mut last = self.0.subscribe();
        let last = timeout(DATABASE_TIMEOUT, last.wait_for(Option::is_some)).await.ok().and_then(Result::ok);
        let state = last.as_deref().and_then(Option::as_ref);
        state
            .cloned()
            .unwrap_or(Err("the database has not been checked yet".into()))
            .map_err(|cause| ApiError::Unavailable(cause.into()))
    }

    /// Checks the database every 500 ms, for as long as the future is polled.
    pub(super) async fn check_periodically(&self, repository: &Repository) {
        let mut ticks = interval(CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // A task of its own, so that a panic is a failed check and does not end the checks.
            let check = tokio::spawn(database_state(repository.clone()));
            let state = check.await.unwrap_or(Err("the check of the database panicked".into()));
            self.0.send_replace(Some(state));
        }
    }
}

async fn database_state(repository: Repository) -> DatabaseState {
    let state = timeout(DATABASE_TIMEOUT, check_database(&repository)).await;
    state.unwrap_or_else(|_| Err("the database does not answer in time".into()))
}

async fn check_database(repository: &Repository) -> DatabaseState {
    let schema = repository.schema_state().await.map_err(|error| error.to_string())?;
    if schema.pending > 0 {
        return Err("migrations are pending".into());
    }
    repository.check_nodes().await.map_err(|error| error.to_string())
}
