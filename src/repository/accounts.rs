//! Rows of accounts. An account needs no registration: its row is inserted with its first contact or custom field.

use uuid::Uuid;

use super::pool::{DatabaseConnection, Pool};

/// The number of accounts that [`accounts_after`] returns at most.
const ACCOUNTS_AT_A_TIME: i64 = 1_000;

/// Returns the next accounts in order of their ids, to visit all of them. Empty at the end.
pub(super) async fn accounts_after(pool: &Pool, last: Uuid) -> sqlx::Result<Vec<Uuid>> {
    const NEXT: &str = "SELECT account_id FROM accounts WHERE account_id > $1 ORDER BY account_id LIMIT $2";
    let next = sqlx::query_scalar(NEXT).bind(last).bind(ACCOUNTS_AT_A_TIME);
    next.fetch_all(&mut pool.acquire().await?).await
}

/// Inserts the row of an account if it has none yet.
pub(super) async fn insert_account(connection: &mut DatabaseConnection, account: Uuid) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO accounts (account_id) VALUES ($1) ON CONFLICT DO NOTHING";
    sqlx::query(INSERT).bind(account).execute(connection).await?;
    Ok(())
}

/// Inserts a row for each account of a batch that has none yet. The transaction waits 100 ms for the lock of another one that
/// inserts the same row, so that the other accounts need not wait for it.
pub(super) async fn insert_accounts(
    connection: &mut DatabaseConnection,
    accounts: &[Uuid],
    is_distributed: bool,
) -> sqlx::Result<()> {
    const INSERT: &str = "INSERT INTO accounts (account_id) SELECT unnest($1::uuid[]) \
         FROM (SELECT set_config('lock_timeout', '100ms', true) OFFSET 0) t ON CONFLICT DO NOTHING";
    if !is_distributed {
        sqlx::query(INSERT).bind(accounts).execute(connection).await?;
        return Ok(());
    }
    // Citus would insert the rows of a query with a two-phase commit.
    for account in accounts {
        insert_account(connection, *account).await?;
    }
    Ok(())
}
