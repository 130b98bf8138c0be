//! Detects a pooler in transaction mode: it gives the statements of a connection to several sessions of the database, which
//! have neither the settings nor the prepared statements nor the locks of the service.

use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};

/// How often the detection is repeated: other clients of the pooler can hide the exchange of sessions.
const ATTEMPTS: usize = 3;

/// Whether two new connections share sessions of the database.
pub(in crate::repository) async fn share_sessions(
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> sqlx::Result<bool> {
    for _ in 0..ATTEMPTS {
        let session = session_id(first).await?;
        // The transaction keeps a session, which a pooler takes from those that it has just got back.
        second.execute("BEGIN").await?;
        let is_shared = session_id(second).await? == session || session_id(first).await? != session;
        second.execute("ROLLBACK").await?;
        if is_shared {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn session_id(connection: &mut PgConnection) -> sqlx::Result<i32> {
    connection.fetch_one("SELECT pg_backend_pid()").await?.try_get(0)
}
