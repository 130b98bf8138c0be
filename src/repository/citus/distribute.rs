//! Distributes the tables over the nodes of a Citus cluster (`contacts distribute`, `docs/scale-out.md`).
//!
//! Each table is distributed on its own. If the process ends in between, the next run distributes the others.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};

use super::table_layout::{IS_DISTRIBUTED, MIGRATIONS_TABLE, TABLES, TableLayout, read_table_layout};
use crate::repository::Repository;
use crate::repository::error::StorageError;
use crate::repository::migrations::read_schema_state;
use crate::repository::pool::SessionSettings;
use crate::repository::statement::sql;

/// The oldest major version of Citus that the service was tested with.
const MIN_VERSION: u32 = 13;
/// The default number of shards for each node.
const SHARDS_PER_NODE: u32 = 4;
/// The default number of shards is at least this one.
const MIN_DEFAULT_SHARDS: u32 = 8;

/// The reason why the tables were not distributed, or are not distributed.
#[derive(Debug, thiserror::Error)]
pub enum DistributeError {
    /// The database has no extension Citus.
    #[error("the database does not have the extension Citus. Run CREATE EXTENSION citus on every node")]
    NoCitus,
    /// The version of Citus is too old.
    #[error("Citus {0} is installed. Citus {MIN_VERSION} or newer is needed")]
    OldVersion(String),
    /// The connection is to a worker.
    #[error("DATABASE_URL points to a worker node. Use the URL of the coordinator")]
    NotCoordinator,
    /// Migrations are pending, or the schema is from an older build.
    #[error("the schema is not up to date. Run contacts migrate")]
    OutdatedSchema,
    /// No node of the cluster may have shards.
    #[error("no node of the cluster may have shards. Add a worker with SELECT citus_add_node('HOST', PORT)")]
    NoNodes,
    /// Instances of the service are connected.
    #[error("{0} other connections of contacts are open. Stop all instances and commands")]
    InUse(i64),
    /// The tables already have another number of shards.
    #[error("the tables already have {0} shards. Leave out --shards")]
    OtherShardCount(u32),
    /// No table is distributed.
    #[error("the tables are not distributed. Stop all instances and run contacts distribute")]
    NotDistributed,
    /// Some tables are not distributed, or not like the others.
    #[error(
        "these tables are not distributed like the table accounts: {}. Stop all instances and run contacts distribute. \
         If that does not help, run SELECT undistribute_table('TABLE') for each of them first",
        .0.join(", ")
    )]
    Incomplete(Vec<String>),
    /// The database is unavailable or has rejected a statement.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<sqlx::Error> for DistributeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

/// The distributed tables of a cluster.
#[derive(Debug)]
pub struct DistributedTables {
    /// The number of shards of each table.
    pub shards: u32,
    /// The nodes with shards.
    pub nodes: Vec<NodeTables>,
}

/// The shards of a node.
#[derive(Debug)]
pub struct NodeTables {
    /// Its host and port.
    pub address: String,
    /// The number of shards of each table on this node.
    pub shards: i64,
    /// The size of all tables and indexes on this node, in bytes.
    pub bytes: i64,
}

impl Repository {
    /// Distributes the tables that are not distributed yet, and checks the result. No instance of the service may run.
    /// `shards` is the number of shards; by default 4 for each node that may have shards, and at least 8.
    ///
    /// # Errors
    /// Any [`DistributeError`].
    pub async fn distribute_tables(&self, shards: Option<u32>) -> Result<DistributedTables, DistributeError> {
        // Not a pooled connection, because those have a statement timeout.
        let mut connection = self.connect(&SessionSettings::without_time_limits()).await?;
        check_cluster(&mut connection).await?;
        check_not_in_use(&mut connection).await?;
        distribute_missing_tables(&mut connection, shards).await?;
        let distributed = read_distributed_tables(&mut connection).await?;
        // An instance that has started meanwhile does not know that the tables are distributed.
        check_not_in_use(&mut connection).await?;
        connection.close().await?;
        match shards {
            Some(count) if count != distributed.shards => Err(DistributeError::OtherShardCount(distributed.shards)),
            _ => Ok(distributed),
        }
    }

    /// Checks that the tables are distributed.
    ///
    /// # Errors
    /// Any [`DistributeError`].
    pub async fn distributed_tables(&self) -> Result<DistributedTables, DistributeError> {
        let mut connection = self.connect(&SessionSettings::default()).await?;
        check_cluster(&mut connection).await?;
        let distributed = read_distributed_tables(&mut connection).await?;
        connection.close().await?;
        Ok(distributed)
    }
}

/// Checks that tables can be distributed over this connection.
async fn check_cluster(connection: &mut PgConnection) -> Result<(), DistributeError> {
    const VERSION: &str = "SELECT extversion FROM pg_extension WHERE extname = 'citus'";
    const IS_COORDINATOR: &str = "SELECT groupid = 0 FROM pg_dist_local_group";
    let version: Option<String> = sqlx::query_scalar(VERSION).fetch_optional(&mut *connection).await?;
    let version = version.ok_or(DistributeError::NoCitus)?;
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major: u32| major < MIN_VERSION) {
        return Err(DistributeError::OldVersion(version));
    }
    if !sqlx::query_scalar(IS_COORDINATOR).fetch_one(&mut *connection).await? {
        return Err(DistributeError::NotCoordinator);
    }
    if !read_schema_state(&mut *connection).await?.is_current() {
        return Err(DistributeError::OutdatedSchema);
    }
    if count_nodes(connection).await? == 0 {
        return Err(DistributeError::NoNodes);
    }
    Ok(())
}

/// Returns the number of nodes that may have shards.
async fn count_nodes(connection: &mut PgConnection) -> sqlx::Result<u32> {
    const NODES: &str =
        "SELECT count(*) FROM pg_dist_node WHERE shouldhaveshards AND isactive AND noderole = 'primary'";
    let nodes: i64 = sqlx::query_scalar(NODES).fetch_one(connection).await?;
    Ok(u32::try_from(nodes).unwrap_or(u32::MAX))
}

/// Checks that no instance is connected to any node: while tables are being distributed, statements that join two of them fail.
async fn check_not_in_use(connection: &mut PgConnection) -> Result<(), DistributeError> {
    const SESSIONS: &str = "SELECT count(*) FROM citus_stat_activity WHERE datname = current_database() \
         AND application_name = 'contacts' AND NOT is_worker_query AND global_pid <> citus_backend_gpid()";
    match sqlx::query_scalar(SESSIONS).fetch_one(connection).await? {
        0 => Ok(()),
        sessions => Err(DistributeError::InUse(sessions)),
    }
}

async fn distribute_missing_tables(connection: &mut PgConnection, shards: Option<u32>) -> Result<(), DistributeError> {
    let is_distributed = sql!(
        "SELECT EXISTS (SELECT FROM pg_dist_partition p WHERE p.logicalrelid = $1::regclass AND {IS_DISTRIBUTED})"
    );
    const SET_SHARD_COUNT: &str = "SELECT set_config('citus.shard_count', $1, false)";
    const DISTRIBUTE: &str = "SELECT create_distributed_table($1::regclass, 'account_id', colocate_with => $2)";
    const COPY_TO_EVERY_NODE: &str = "SELECT create_reference_table($1::regclass)";
    // Otherwise the rows would also stay where they were.
    const DELETE_LOCAL_ROWS: &str = "SELECT truncate_local_data_after_distributing_table($1::regclass)";
    let shards = match shards {
        Some(shards) => shards,
        None => (count_nodes(connection).await? * SHARDS_PER_NODE).max(MIN_DEFAULT_SHARDS),
    };
    sqlx::query(SET_SHARD_COUNT).bind(shards.to_string()).execute(&mut *connection).await?;
    for table in TABLES.into_iter().chain([MIGRATIONS_TABLE]) {
        if !sqlx::query_scalar(is_distributed).bind(table).fetch_one(&mut *connection).await? {
            let distribute = match table {
                MIGRATIONS_TABLE => sqlx::query(COPY_TO_EVERY_NODE).bind(table),
                _ if table == TABLES[0] => sqlx::query(DISTRIBUTE).bind(table).bind("none"),
                _ => sqlx::query(DISTRIBUTE).bind(table).bind(TABLES[0]),
            };
            distribute.execute(&mut *connection).await?;
            tracing::info!(table, "the table is distributed");
        }
        sqlx::query(DELETE_LOCAL_ROWS).bind(table).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Reads the shards and sizes of the tables.
///
/// # Errors
/// [`DistributeError::NotDistributed`] and [`DistributeError::Incomplete`], and the errors of the database.
async fn read_distributed_tables(connection: &mut PgConnection) -> Result<DistributedTables, DistributeError> {
    const SHARDS: &str = "SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = $1::regclass";
    const NODES: &str = "SELECT nodename || ':' || nodeport AS address, \
         count(*) FILTER (WHERE table_name = ($1::text[])[1]::regclass) AS shards, sum(shard_size)::bigint AS bytes \
         FROM citus_shards WHERE table_name = ANY ($1::regclass[]) GROUP BY 1 ORDER BY 1";
    match read_table_layout(connection).await? {
        TableLayout::Distributed => {}
        TableLayout::Incomplete { missing } => return Err(DistributeError::Incomplete(missing)),
        TableLayout::PostgreSql | TableLayout::NotDistributed => return Err(DistributeError::NotDistributed),
    }
    let shards: i64 = sqlx::query_scalar(SHARDS).bind(TABLES[0]).fetch_one(&mut *connection).await?;
    let nodes = sqlx::query(NODES).bind(TABLES.to_vec()).fetch_all(connection).await?;
    let nodes = nodes.iter().map(|row| {
        Ok(NodeTables {
            address: row.try_get("address")?,
            shards: row.try_get("shards")?,
            bytes: row.try_get("bytes")?,
        })
    });
    Ok(DistributedTables {
        shards: u32::try_from(shards).unwrap_or_default(),
        nodes: nodes.collect::<sqlx::Result<_>>()?,
    })
}
