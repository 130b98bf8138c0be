//! The part of the statements that locks the accounts of a batch and finds their newest changes.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::account_batch::AccountBatch;
use super::bind_columns::Statement;
use crate::contacts::LastChange;
use crate::repository::statement::{ArrayColumn, rows_from_arrays};

/// The number of accounts up to which the newest change of each is read separately.
const FEW_ACCOUNTS: usize = 8;

/// The columns that [`bind_accounts`] binds: the account, the version of the registry that was read, and the number of
/// changes.
pub(super) const ACCOUNT_COLUMNS: [ArrayColumn; 3] =
    [("account_id", "uuid"), ("registry", "bigint"), ("changes", "bigint")];

/// Whether a statement waits for accounts that another transaction has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Locking {
    /// It skips them: other accounts must not wait.
    SkipLocked,
    /// It waits for the only account.
    Wait,
}

/// Which of the variants of a statement is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Variant {
    locking: Locking,
    /// There are [`FEW_ACCOUNTS`] at most.
    has_few_accounts: bool,
    /// The new position of each account is stored in its row, for instances of an older build.
    advances_accounts: bool,
}

impl Variant {
    /// Returns the variant for this number of accounts.
    pub(super) fn new(locking: Locking, accounts: usize, advances_accounts: bool) -> Self {
        Self { locking, has_few_accounts: accounts <= FEW_ACCOUNTS, advances_accounts }
    }

    /// Returns a value for each variant, in the order of [`Variant::index`].
    pub(super) fn map_all<T>(value: impl Fn(Self) -> T) -> Vec<T> {
        let of_index = |index: usize| Self {
            locking: if index & 1 == 0 { Locking::SkipLocked } else { Locking::Wait },
            has_few_accounts: index & 2 != 0,
            advances_accounts: index & 4 != 0,
        };
        (0..8).map(|index| value(of_index(index))).collect()
    }

    /// Returns the index of the variant in the result of [`Variant::map_all`].
    pub(super) fn index(self) -> usize {
        usize::from(self.locking == Locking::Wait)
            + 2 * usize::from(self.has_few_accounts)
            + 4 * usize::from(self.advances_accounts)
    }
}

/// Returns a query that locks the accounts of [`bind_accounts`], whose parameters begin with `first`, and returns their
/// columns and `position`, a lower bound of the position of their last change. It skips accounts whose registry has changed.
/// There may be more columns than [`ACCOUNT_COLUMNS`].
/// `condition` may restrict the accounts `s`. `more` may be expressions, which are evaluated when the account is locked.
pub(super) fn lock_accounts_sql(
    first: usize,
    columns: &[ArrayColumn],
    locking: Locking,
    condition: &str,
    more: &str,
) -> String {
    let skip = match locking {
        Locking::SkipLocked => " SKIP LOCKED",
        Locking::Wait => "",
    };
    format!(
        "SELECT n.*, greatest(a.last_position, a.trimmed_position) AS position{more} FROM {} CROSS JOIN LATERAL \
         (SELECT * FROM accounts s WHERE account_id = n.account_id AND registry_version = n.registry{condition} LIMIT 1 \
         FOR NO KEY UPDATE{skip}) a",
        rows_from_arrays(first, columns)
    )
}

/// Returns common table expressions, of which the last is `l`: the rows of [`lock_accounts_sql`] that meet `condition`, each
/// with the position and the time of its newest change, `newest_position` and `newest_at`. From then on, the transaction waits
/// 100 ms for any other lock: a row that another transaction holds must not block other writes.
///
/// An account whose position is to be stored must not have changed since the snapshot of the statement: otherwise its row
/// cannot be updated, and `l` does not contain it.
pub(super) fn locked_accounts_sql(first: usize, columns: &[ArrayColumn], variant: Variant, condition: &str) -> String {
    let newest_changes = if variant.has_few_accounts {
        "CROSS JOIN LATERAL newest_change(k.account_id) c"
    } else {
        "LEFT JOIN newest_changes((SELECT array_agg(account_id) FROM locked)) c ON c.account = k.account_id"
    };
    let name = if variant.advances_accounts { "placed" } else { "l" };
    let placed = format!(
        "locked AS MATERIALIZED ({}), {name} AS MATERIALIZED (SELECT * FROM (SELECT k.*, \
         greatest(k.position, c.newest_position) AS newest_position, c.newest_at FROM locked k {newest_changes}) p{condition})",
        lock_accounts_sql(first, columns, variant.locking, "", ", set_config('lock_timeout', '100ms', true)"),
    );
    if !variant.advances_accounts {
        return placed;
    }
    format!(
        "{placed}, advanced AS (UPDATE accounts a SET last_position = p.newest_position + p.changes FROM placed p \
         CROSS JOIN LATERAL (SELECT ctid AS row_id FROM accounts WHERE account_id = p.account_id LIMIT 1) r \
         WHERE a.ctid = r.row_id RETURNING a.account_id), \
         l AS MATERIALIZED (SELECT p.* FROM placed p JOIN advanced v ON v.account_id = p.account_id)"
    )
}

/// Binds the columns of [`ACCOUNT_COLUMNS`].
pub(super) fn bind_accounts<'a>(query: Statement<'a>, batches: &[&AccountBatch]) -> Statement<'a> {
    query
        .bind(batches.iter().map(|batch| batch.account).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.state.unwrap_or_default().registry.stored()).collect::<Vec<_>>())
        .bind(batches.iter().map(|batch| batch.unit_of_work.changes().len() as i64).collect::<Vec<_>>())
}

/// Reads the last changes of accounts from rows with `account_id`, `newest_position` and `newest_at`.
pub(super) fn last_changes_from_rows(rows: &[PgRow]) -> sqlx::Result<HashMap<Uuid, LastChange>> {
    let last = |row: &PgRow| {
        let last = LastChange { position: row.try_get("newest_position")?, at: row.try_get("newest_at")? };
        Ok((row.try_get("account_id")?, last))
    };
    rows.iter().map(last).collect()
}

/// Places the batches of these accounts.
pub(super) fn place_batches(batches: &mut [&mut AccountBatch], last_changes: &HashMap<Uuid, LastChange>) {
    for batch in batches {
        last_changes.get(&batch.account).into_iter().for_each(|last| batch.place_after(*last));
    }
}
