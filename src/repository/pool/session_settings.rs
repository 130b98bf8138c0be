//! The settings of sessions. They are set after connecting and not as startup parameters, which poolers reject.

use std::fmt::Write;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};

use crate::config::DatabaseSettings;

const IDLE_IN_TRANSACTION_TIMEOUT: &str = "idle_in_transaction_session_timeout";

/// The time that a batch waits for a row lock of another transaction. After that, the writes of the batch are retried
/// outside it.
const BATCH_LOCK_TIMEOUT: &str = "100ms";

/// Settings of PostgreSQL with their values. A later one replaces an earlier one of the same name.
#[derive(Debug, Clone, Default)]
pub(in crate::repository) struct SessionSettings(Vec<(&'static str, String)>);

impl SessionSettings {
    /// Returns the settings of the connections in pools.
    pub(in crate::repository) fn of_pool(settings: &DatabaseSettings) -> Self {
        // The generic plan is the right plan for every statement. Planning a batch's statement anew costs more than
        // executing it.
        Self::default()
            .with("plan_cache_mode", "force_generic_plan")
            // A plan made while a table was small must not read the whole table once it is large.
            .with("enable_seqscan", "off")
            // A scan that cannot be avoided counts as very expensive then. Compiling its plan would take longer than the scan.
            .with("jit", "off")
            .with("statement_timeout", &milliseconds(settings.timeout))
            .with(IDLE_IN_TRANSACTION_TIMEOUT, &milliseconds(settings.timeout * 2))
    }

    /// Adds the timeouts of connections that write batches: 100 ms for a lock, and a second in which a transaction may do
    /// nothing. An instance that is stopped in the middle of a batch then releases its locks.
    pub(in crate::repository) fn with_batch_timeouts(self) -> Self {
        self.with("lock_timeout", BATCH_LOCK_TIMEOUT).with(IDLE_IN_TRANSACTION_TIMEOUT, "1s")
    }

    /// Adds a setting.
    pub(in crate::repository) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.to_owned()));
        self
    }

    /// Applies the settings to a new connection.
    pub(in crate::repository) async fn apply(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let statements = self.0.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, "SET {name} = '{value}';");
            text
        });
        if !statements.is_empty() {
            connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await?;
        }
        Ok(())
    }
}

fn milliseconds(timeout: Duration) -> String {
    format!("{}ms", timeout.as_millis())
}
