//! The database server of a test run: a PostgreSQL that the run starts, or the one of `TEST_DATABASE_URL`, which may be a
//! Citus cluster. On a cluster, every database is created on all nodes, and its tables are distributed.

use std::time::Duration;

use contacts::config::{DatabaseSettings, EmbeddedSettings, Environment, Secret};
use contacts::embedded::{Cluster, Durability};
use contacts::repository::Repository;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use url::Url;

use super::pgbouncer::{PoolMode, pool_mode_of_tests};

/// The number of shards of a test database.
const SHARDS: u32 = 4;

/// A database server on which tests create databases.
pub enum TestServer {
    Embedded(Cluster),
    External(Url),
}

impl TestServer {
    /// Returns the server at `TEST_DATABASE_URL`.
    pub fn external() -> Option<Self> {
        std::env::var("TEST_DATABASE_URL").ok().map(|url| Self::External(url.parse().unwrap()))
    }

    /// Starts a server.
    pub async fn start() -> Self {
        Self::Embedded(start_cluster("api").await)
    }

    /// Creates a migrated database and returns its URL.
    pub async fn create_database(&self, name: &str) -> String {
        match self {
            Self::Embedded(cluster) => {
                cluster.create_database(name, Some("template")).await.unwrap();
                cluster.url(name).expose().to_owned()
            }
            Self::External(url) => create_external_database(url, &format!("contacts_test_{name}")).await,
        }
    }
}

/// Starts a cluster with a migrated database named `template`.
pub async fn start_cluster(name: &str) -> Cluster {
    let folder = std::env::temp_dir().join(format!("contacts-{name}-{}", std::process::id()));
    let settings = EmbeddedSettings::read(&Environment::read().unwrap());
    let cluster = Cluster::start(&settings, &folder, Durability::Disposable).await.unwrap();
    create_template_database(&cluster).await;
    cluster
}

/// Creates a migrated database named `template`.
pub async fn create_template_database(cluster: &Cluster) {
    cluster.create_database("template", None).await.unwrap();
    let template = Repository::new(&database_settings(cluster.url("template"))).unwrap();
    template.migrate().await.unwrap();
    template.close().await;
    if pool_mode_of_tests() == Some(PoolMode::Transaction) {
        set_up_role(cluster.url("template").expose()).await;
    }
}

/// Gives the role of this URL the settings that it needs behind a pooler in transaction mode.
pub async fn set_up_role(url: &str) {
    const SCRIPT: &str = include_str!("../../../ops/database/30-role-settings.sql");
    let url = Url::parse(url).unwrap();
    run(&url, &SCRIPT.replace("contacts_app", url.username())).await;
}

/// Gives the role the time limits of these settings in their database, as it needs behind a pooler in transaction mode.
pub async fn set_up_time_limits(settings: &DatabaseSettings) {
    let url = Url::parse(settings.url.expose()).unwrap();
    let (role, database, limit) = (url.username(), url.path().trim_start_matches('/'), settings.timeout.as_millis());
    for (setting, limit) in [("statement_timeout", limit), ("idle_in_transaction_session_timeout", limit * 2)] {
        run(&url, &format!("ALTER ROLE {role} IN DATABASE {database} SET {setting} = '{limit}ms'")).await;
    }
}

/// Returns the database settings of a test server: write batching is on, migrations are off.
pub fn database_settings(url: Secret) -> DatabaseSettings {
    DatabaseSettings {
        url,
        max_connections: 16,
        write_batch_max: 256,
        migrate_on_start: false,
        change_retention: contacts::config::DEFAULT_CHANGE_RETENTION,
        search_index_min_contacts: contacts::config::DEFAULT_SEARCH_INDEX_MIN_CONTACTS,
        timeout: Duration::from_secs(10),
    }
}

/// Creates a database on the server of `url`, instead of one that an earlier run has created.
async fn create_external_database(url: &Url, name: &str) -> String {
    let nodes = cluster_nodes(url).await;
    let with_name = |url: &Url| {
        Url::parse(url.as_str()).map(|mut url| {
            url.set_path(name);
            url
        })
    };
    for node in if nodes.is_empty() { std::slice::from_ref(url) } else { &nodes } {
        run(node, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        run(node, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        if !nodes.is_empty() {
            run(&with_name(node).unwrap(), "CREATE EXTENSION citus").await;
        }
    }
    // The first node is the coordinator.
    let owner = with_name(nodes.first().unwrap_or(url)).unwrap();
    for (index, node) in nodes.iter().enumerate() {
        let function = if index == 0 { "citus_set_coordinator_host" } else { "citus_add_node" };
        let address = format!("'{}', {}", node.host_str().unwrap(), node.port().unwrap_or(5432));
        run(&owner, &format!("SELECT {function}({address})")).await;
    }
    let repository = Repository::new(&database_settings(Secret::new(owner.as_str()))).unwrap();
    repository.migrate().await.unwrap();
    repository.close().await;
    if !nodes.is_empty() {
        let distributed = repository.distribute_tables(Some(SHARDS)).await.unwrap();
        assert_eq!(distributed.shards, SHARDS);
    }
    with_name(url).unwrap().into()
}

/// Returns the URL of each node of a Citus cluster, first the coordinator. Empty for a server without Citus.
async fn cluster_nodes(url: &Url) -> Vec<Url> {
    const NODES: &str = "SELECT nodename, nodeport FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid";
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    let rows = sqlx::query(NODES).fetch_all(&mut connection).await.unwrap_or_default();
    let node = |row: &sqlx::postgres::PgRow| {
        let mut node = url.clone();
        node.set_host(Some(row.get(0))).unwrap();
        node.set_port(u16::try_from(row.get::<i32, _>(1)).ok()).unwrap();
        node
    };
    rows.iter().map(node).collect()
}

async fn run(url: &Url, statement: &str) {
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    connection
        .execute(AssertSqlSafe(statement.to_owned()))
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    connection.close().await.unwrap();
}
