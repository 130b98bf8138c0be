//! Rows of accounts. An account needs no registration: its row is inserted with its first contact or custom field.

use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Inserts a row for each account that has none yet.
pub(super) async fn insert_accounts(
    connection: &mut PgConnection,
    accounts: &[Uuid],
    is_distributed: bool,
) -> sqlx::Result<()> {
    const ALL: &str = "INSERT INTO accounts (account_id) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING";
    const ONE: &str = "INSERT INTO accounts (account_id) VALUES ($1) ON CONFLICT DO NOTHING";
    if !is_distributed {
        sqlx::query(ALL).bind(accounts).execute(connection).await?;
        return Ok(());
    }
    // Citus would insert the rows of a query with a two-phase commit.
    for account in accounts {
        sqlx::query(ONE).bind(account).execute(&mut *connection).await?;
    }
    Ok(())
}
