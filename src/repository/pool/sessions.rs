//! How connections get sessions of the database. Usually, a connection is a session. Behind a pooler in transaction mode, connections
//! share sessions: the statements of a connection run in several of them, unless they are in a transaction. Settings, locks and
//! temporary objects of a session are then of no use. Prepared statements are, if the pooler prepares them in each session.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Error, Executor, Row};
use tokio::sync::OnceCell;
use tokio::time::timeout;
use uuid::Uuid;

use super::session_settings::SessionSettings;

/// How often the detection is repeated: other clients of the pooler can hide the exchange of sessions.
const ATTEMPTS: usize = 5;
/// The time limit for a caller that needs the mode.
const DETECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The reason why a pooler in transaction mode cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedPooler {
    /// It does not keep prepared statements, or transactions.
    #[error(
        "DATABASE_URL leads to a pooler in transaction mode that does not keep prepared statements. Use session mode, or \
         PgBouncer 1.21 or newer with max_prepared_statements above 0, or connect to the database directly"
    )]
    NoPreparedStatements,
    /// The role lacks settings. Contains the statements that set them.
    #[error(
        "DATABASE_URL leads to a pooler in transaction mode, where the settings of sessions must belong to the role. Run these \
         statements, and then RECONNECT in the console of PgBouncer:\n{0}"
    )]
    MissingSettings(String),
    /// The operation needs a session of its own.
    #[error(
        "DATABASE_URL leads to a pooler in transaction mode, and this needs a session of its own. For this command, use session \
         mode, or connect to the database directly"
    )]
    NeedsOwnSession,
    /// The tables are distributed over a Citus cluster.
    #[error(
        "DATABASE_URL leads to a pooler in transaction mode, which is not supported with Citus. Use session mode, or connect to \
         the database directly"
    )]
    Citus,
}

impl From<UnsupportedPooler> for Error {
    fn from(error: UnsupportedPooler) -> Self {
        Self::Configuration(Box::new(error))
    }
}

/// The mode of the sessions, which the first connection of any pool detects. Cheap to clone.
#[derive(Clone)]
pub(in crate::repository) struct Sessions(Arc<SessionsInner>);

struct SessionsInner {
    required: SessionSettings,
    mode: OnceCell<SessionMode>,
}

/// The mode of the sessions.
#[derive(Debug)]
pub(super) struct SessionMode {
    /// Whether connections share sessions.
    pub(super) is_shared: bool,
    /// The settings that each new connection must set, because the role lacks them. Empty if sessions are shared.
    pub(super) missing_settings: SessionSettings,
}

impl Sessions {
    /// Creates the state before the detection. `required` are the settings of each session.
    pub(in crate::repository) fn new(required: SessionSettings) -> Self {
        Self(Arc::new(SessionsInner { required, mode: OnceCell::new() }))
    }

    /// Returns the mode, which is detected by the first call.
    ///
    /// # Errors
    /// The database is unavailable, or an [`UnsupportedPooler`].
    pub(super) async fn detect(&self, options: &PgConnectOptions) -> sqlx::Result<&SessionMode> {
        // One caller detects the mode, and the others wait for it.
        let detect = self.0.mode.get_or_try_init(|| detect_mode(options, &self.0.required));
        timeout(DETECTION_TIMEOUT, detect).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Returns the mode if it was detected.
    pub(super) fn mode(&self) -> Option<&SessionMode> {
        self.0.mode.get()
    }

    /// Sets the missing settings of a new connection. Returns whether it shares sessions: then nothing is set, because others would
    /// get the settings.
    ///
    /// # Errors
    /// The database is unavailable, or the mode was not detected.
    pub(super) async fn set_up_connection(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        let mode = self.mode().ok_or_else(|| Error::Protocol("the mode of the sessions is unknown".into()))?;
        if !mode.is_shared {
            mode.missing_settings.apply(connection).await?;
            cancel_statements_of_dropped_connections(connection).await?;
        }
        Ok(mode.is_shared)
    }
}

/// Lets the database cancel a statement whose client connection was dropped.
///
/// Otherwise the database would notice the drop only when it sends the result. So each caller that disconnects while it
/// waits for a lock would occupy a connection until the statement timeout.
///
/// The setting does not exist before PostgreSQL 14, and some platforms reject it. So an error from the database is ignored.
async fn cancel_statements_of_dropped_connections(connection: &mut PgConnection) -> sqlx::Result<()> {
    match connection.execute("SET client_connection_check_interval = '500ms'").await {
        Ok(_) | Err(Error::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn detect_mode(options: &PgConnectOptions, required: &SessionSettings) -> sqlx::Result<SessionMode> {
    let mut first = PgConnection::connect_with(options).await?;
    let mut second = PgConnection::connect_with(options).await?;
    let is_shared = share_sessions(&mut first, &mut second).await?;
    let missing_settings = required.read_missing(&mut first).await?;
    if is_shared && !missing_settings.is_empty() {
        let role: String = first.fetch_one("SELECT quote_ident(session_user)").await?.try_get(0)?;
        return Err(UnsupportedPooler::MissingSettings(missing_settings.role_statements(&role)).into());
    }
    first.close().await?;
    second.close().await?;
    Ok(SessionMode { is_shared, missing_settings })
}

/// Whether two new connections share sessions.
///
/// # Errors
/// [`UnsupportedPooler::NoPreparedStatements`], and the errors of the database.
async fn share_sessions(first: &mut PgConnection, second: &mut PgConnection) -> sqlx::Result<bool> {
    let statement = PreparedSessionId::new();
    for _ in 0..ATTEMPTS {
        // A pooler may use its sessions in turn.
        let (session, next) = (statement.execute(first).await?, statement.execute(first).await?);
        // The transaction keeps a session, which a pooler takes from those that it has just got back.
        second.execute("BEGIN").await.map_err(as_unsupported)?;
        let is_shared = session_id(second).await? == next;
        // If the other one has the session in which the statement was prepared, it runs in another one.
        let last = statement.execute(first).await?;
        second.execute("ROLLBACK").await?;
        if is_shared || next != session || last != next {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the id of a connection's session.
async fn session_id(connection: &mut PgConnection) -> sqlx::Result<i32> {
    connection.fetch_one("SELECT pg_backend_pid()").await?.try_get(0)
}

/// A statement for the id of a connection's session, which the connection keeps prepared.
struct PreparedSessionId {
    sql: String,
    /// Is part of the statement: a session can have a statement of the same name from another run of this program.
    id: Uuid,
}

impl PreparedSessionId {
    fn new() -> Self {
        let id = Uuid::new_v4();
        Self { sql: format!("SELECT pg_backend_pid(), '{id}'::uuid WHERE $1"), id }
    }

    async fn execute(&self, connection: &mut PgConnection) -> sqlx::Result<i32> {
        let query = sqlx::query(AssertSqlSafe(self.sql.clone())).bind(true);
        let row = query.fetch_one(connection).await.map_err(as_unsupported)?;
        match (row.try_get::<i32, _>(0), row.try_get::<Uuid, _>(1)) {
            (Ok(session), Ok(id)) if id == self.id => Ok(session),
            _ => Err(UnsupportedPooler::NoPreparedStatements.into()),
        }
    }
}

/// Converts an error that shows that the pooler does not keep prepared statements, or transactions.
fn as_unsupported(error: Error) -> Error {
    let Some(database) = error.as_database_error() else { return error };
    let is_unsupported = match database.code().as_deref() {
        // invalid_sql_statement_name, duplicate_prepared_statement
        Some("26000" | "42P05") => true,
        // protocol_violation: a statement with other parameters, and transactions in the statement mode of PgBouncer.
        Some("08P01") => {
            ["bind message supplies", "statement pooling"].iter().any(|part| database.message().contains(part))
        }
        _ => false,
    };
    if is_unsupported { UnsupportedPooler::NoPreparedStatements.into() } else { error }
}
