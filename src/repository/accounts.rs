//! Rows of accounts. An account needs no registration: its row is inserted with its first contact or custom field.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Inserts rows for the accounts that have none yet.
pub(super) async fn insert_accounts(connection: &mut PgConnection, accounts: &[Uuid]) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO accounts (account_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING";
    sqlx::query(INSERT).bind(accounts).execute(connection).await?;
    Ok(())
}
