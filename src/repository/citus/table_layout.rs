//! Whether the tables are distributed. The service detects it, so there is no setting.

use std::collections::HashSet;

use sqlx::postgres::PgConnection;
use sqlx::{Executor, Row};

use crate::repository::Repository;
use crate::repository::error::StorageError;
use crate::repository::statement::sql;

/// The tables with rows of accounts. Each has the distribution column `account_id`. The others are distributed like the first
/// one.
pub(in crate::repository) const TABLES: [&str; 13] = [
    "accounts",
    "fields",
    "contacts",
    "contact_keys",
    "changes",
    "pending_erasures",
    "idempotency_keys",
    "idempotency_key_contacts",
    "clients",
    "search_indexes",
    "search_entries",
    "source_times",
    "imported_rows",
];

/// The list of migrations. Every node has a copy, so that instances can connect to any of them.
pub(super) const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// The condition that a table `p` of `pg_dist_partition` is distributed or copied to every node. Citus also lists tables there
/// that are on one node.
pub(super) const IS_DISTRIBUTED: &str = "(p.partmethod = 'h' OR p.repmodel = 't')";

/// How the tables are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TableLayout {
    /// On one server, without Citus.
    PostgreSql,
    /// The extension Citus is installed, and the tables are on one server.
    NotDistributed,
    /// The tables are distributed over the nodes of a Citus cluster.
    Distributed,
    /// Some tables are distributed and some are not. Statements that join both fail.
    Incomplete {
        /// The tables that are not distributed, or not like the first one.
        missing: Vec<String>,
    },
}

/// Reads how the existing tables are stored.
pub(super) async fn read_table_layout(connection: &mut PgConnection) -> sqlx::Result<TableLayout> {
    const HAS_CITUS: &str = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')";
    let distributed = sql!(
        "SELECT t.name, CASE WHEN {IS_DISTRIBUTED} THEN p.partmethod::text END AS method, p.colocationid \
         FROM unnest($1::text[]) AS t (name) LEFT JOIN pg_dist_partition p ON p.logicalrelid = to_regclass(t.name) \
         WHERE to_regclass(t.name) IS NOT NULL"
    );
    // As a simple query, because connections can share sessions (`pool/sessions.rs`).
    let has_citus: bool = (&mut *connection).fetch_one(HAS_CITUS).await?.try_get(0)?;
    if !has_citus {
        return Ok(TableLayout::PostgreSql);
    }
    let names: Vec<_> = TABLES.into_iter().chain([MIGRATIONS_TABLE]).collect();
    let rows = sqlx::query(distributed).bind(names).fetch_all(connection).await?;
    let tables = rows.iter().map(|row| {
        Ok(StoredTable {
            name: row.try_get("name")?,
            method: row.try_get("method")?,
            colocation: row.try_get("colocationid")?,
        })
    });
    Ok(layout_of(&tables.collect::<sqlx::Result<Vec<_>>>()?))
}

/// An existing table as Citus knows it.
struct StoredTable {
    name: String,
    /// `h` for a distributed table and `n` for a copy on every node; `None` for a table of one server.
    method: Option<String>,
    /// The group of tables with the same shards.
    colocation: Option<i32>,
}

fn layout_of(tables: &[StoredTable]) -> TableLayout {
    let first = tables.iter().find(|table| table.name == TABLES[0]);
    let colocation = first.filter(|table| table.method.as_deref() == Some("h")).and_then(|table| table.colocation);
    let is_complete = |table: &&StoredTable| match table.name.as_str() {
        MIGRATIONS_TABLE => table.method.as_deref() == Some("n"),
        _ => table.method.as_deref() == Some("h") && table.colocation == colocation,
    };
    let complete: HashSet<_> = tables.iter().filter(is_complete).map(|table| table.name.as_str()).collect();
    if tables.iter().all(|table| table.method.is_none()) {
        TableLayout::NotDistributed
    } else if complete.len() == tables.len() {
        TableLayout::Distributed
    } else {
        let missing = tables.iter().map(|table| &table.name).filter(|name| !complete.contains(name.as_str()));
        TableLayout::Incomplete { missing: missing.cloned().collect() }
    }
}

impl Repository {
    /// Returns how the tables are stored.
    ///
    /// # Errors
    /// The database is unavailable.
    pub async fn table_layout(&self) -> Result<TableLayout, StorageError> {
        Ok(self.pool.acquire().await?.run(read_table_layout).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, method: Option<&str>, colocation: Option<i32>) -> StoredTable {
        StoredTable { name: name.to_owned(), method: method.map(str::to_owned), colocation }
    }

    #[test]
    fn layout_is_complete_only_if_all_tables_are_distributed_alike() {
        let distributed = || TABLES.map(|name| table(name, Some("h"), Some(1)));
        let with_migrations = |method| distributed().into_iter().chain([table(MIGRATIONS_TABLE, method, None)]);
        let missing = |name: &str| TableLayout::Incomplete { missing: vec![name.to_owned()] };
        assert_eq!(layout_of(&with_migrations(Some("n")).collect::<Vec<_>>()), TableLayout::Distributed);
        assert_eq!(layout_of(&with_migrations(None).collect::<Vec<_>>()), missing(MIGRATIONS_TABLE));
        let mut tables = distributed();
        tables[2].method = None;
        assert_eq!(layout_of(&tables), missing("contacts"));
        tables[2] = table("contacts", Some("h"), Some(2));
        assert_eq!(layout_of(&tables), missing("contacts"));
    }

    #[test]
    fn tables_of_one_server_are_not_distributed() {
        assert_eq!(layout_of(&TABLES.map(|name| table(name, None, None))), TableLayout::NotDistributed);
        assert_eq!(layout_of(&[]), TableLayout::NotDistributed);
    }
}
