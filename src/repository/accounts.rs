//! Rows of accounts. An account needs no registration: its row is inserted with its first contact or custom field.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Inserts a row for each account that has none yet.
pub(super) async fn insert_accounts(connection: &mut PgConnection, accounts: &[Uuid]) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO accounts (account_id) VALUES ($1) ON CONFLICT DO NOTHING";
    for account in accounts {
        sqlx::query(INSERT).bind(account).execute(&mut *connection).await?;
    }
    Ok(())
}
