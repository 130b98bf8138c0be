//! SQL texts that are built once, from fragments and from the table of system fields.
//!
//! # Plans
//!
//! Statements run with generic plans, which may have been made while the tables were empty. So their shape leaves the
//! planner no choice. The session setting `enable_seqscan = off` excludes scans of a whole table, and:
//!
//! - A join of bound rows with a table is `CROSS JOIN LATERAL (SELECT … WHERE <key> LIMIT 1)`. It can only be executed
//!   as one index lookup for each bound row. (For several matches of a row, `OFFSET 0` replaces the limit.)
//! - `UPDATE` and `DELETE` of many rows find the `ctid` of each row in this way, and then the rows by their `ctid`.
//!
//! `tests/cli/plans.rs` checks the plan of every statement.

use sqlx::types::Uuid;

/// Returns a `&'static str` from `format!` arguments, formatted at the first use.
macro_rules! sql {
    ($($argument:tt)*) => {{
        static SQL: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| format!($($argument)*));
        SQL.as_str()
    }};
}
pub(super) use sql;

/// The accounts of a statement, for the parameter of [`shard_condition`]. `None` if the tables are not distributed.
pub(super) type ShardAccounts = Option<Vec<Uuid>>;

/// Returns the condition that limits a table of a statement to these accounts, which the parameter with this number contains.
/// NULL is no limit.
///
/// Statements about several accounts have it on every table, so that Citus can send them to the one shard that has these
/// accounts. (Citus infers nothing from a join with bound rows.) The form with NULL leaves the plans of PostgreSQL
/// as they are: with the accounts alone, it would read all rows of these accounts. `tests/cli/shards.rs` checks every
/// statement, and names the exceptions.
pub(super) fn shard_condition(table: &str, parameter: usize) -> String {
    format!("(${parameter}::uuid[] IS NULL OR {table}.account_id = ANY (${parameter}))")
}

/// Returns [`shard_condition`] for the newest row of an account, `… ORDER BY … DESC LIMIT 1`. PostgreSQL estimates that this
/// form excludes no row (it knows nothing of the function). With the other form it may sort all rows of the account instead
/// of reading the last one.
pub(super) fn shard_condition_of_newest(table: &str, parameter: usize) -> String {
    format!("(num_nulls(${parameter}::uuid[]) <> 0 OR {table}.account_id = ANY (${parameter}))")
}

/// Returns the join of rows `n` that are inserted with their accounts `a`, limited to a shard. With the account of a stored
/// row, `a.account_id`, Citus inserts them where it is.
pub(super) fn join_accounts(parameter: usize) -> String {
    format!(
        "CROSS JOIN LATERAL (SELECT account_id FROM accounts s WHERE account_id = n.account_id AND {} LIMIT 1) a",
        shard_condition("s", parameter)
    )
}

/// A column that is bound as an array with one element for each row: its name and its SQL type.
pub(super) type ArrayColumn = (&'static str, &'static str);

/// Returns `unnest($1::uuid[], …) AS n (account_id, …)`: rows `n` of arrays that are bound from parameter `first` on.
pub(super) fn rows_from_arrays(first: usize, columns: &[ArrayColumn]) -> String {
    let arrays = columns.iter().enumerate().map(|(index, (_, sql_type))| format!("${}::{sql_type}[]", first + index));
    format!("unnest({}) AS n ({})", comma_separated(arrays), column_names(columns))
}

/// Returns the names of columns, separated by commas.
pub(super) fn column_names(columns: &[ArrayColumn]) -> String {
    comma_separated(columns.iter().map(|(name, _)| (*name).to_owned()))
}

/// Joins fragments with commas.
pub(super) fn comma_separated(fragments: impl IntoIterator<Item = String>) -> String {
    fragments.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_from_arrays_number_their_parameters() {
        let columns = [("account_id", "uuid"), ("key", "text")];
        assert_eq!(rows_from_arrays(3, &columns), "unnest($3::uuid[], $4::text[]) AS n (account_id, key)");
    }
}
