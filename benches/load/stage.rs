//! A filled database, and what runs on it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use contacts::config::{DatabaseSettings, EmbeddedSettings, Environment, Secret};
use contacts::embedded::{Cluster, Durability};
use contacts::repository::Repository;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::client::{self, Work};
use crate::report::Figures;
use crate::server::Server;
use crate::{data, pgbench};

/// How much there is.
#[derive(Clone, Copy)]
pub struct Shape {
    pub rows: u64,
    pub accounts: u64,
    pub fields: u64,
    /// Whether unique keys are filled in too.
    pub keys: bool,
}

pub struct Stage {
    // Stopped before its folder goes.
    cluster: Option<Cluster>,
    folder: PathBuf,
    pub shape: Shape,
}

impl Stage {
    /// Starts a database and fills it.
    pub async fn set(shape: Shape) -> Self {
        let folder = std::env::temp_dir().join(format!("contacts-bench-{}-{}", std::process::id(), shape.rows));
        let settings = EmbeddedSettings::read(&Environment::read().unwrap());
        let cluster = Cluster::start(&settings, &folder, Durability::Durable).await.unwrap();
        let mut stage = Self { cluster: Some(cluster), folder, shape };
        let tuning = [
            "shared_buffers = '2GB'",
            "max_wal_size = '8GB'",
            "wal_compression = 'lz4'",
            "checkpoint_timeout = '15min'",
        ];
        stage.execute("postgres", tuning.map(|setting| format!("ALTER SYSTEM SET {setting}"))).await;
        drop(stage.cluster.take());
        let cluster = Cluster::start(&settings, &stage.folder, Durability::Durable).await.unwrap();
        cluster.create_database("contacts", None).await.unwrap();
        stage.cluster = Some(cluster);
        eprintln!("filling {} contacts in {} accounts", shape.rows, shape.accounts);
        let database = DatabaseSettings {
            url: stage.url(),
            max_connections: 2,
            write_batch_max: 1,
            migrate_on_start: true,
            change_retention: contacts::config::DEFAULT_CHANGE_RETENTION,
            timeout: Duration::from_secs(10),
        };
        Repository::new(&database).unwrap().migrate().await.unwrap();
        stage.execute("contacts", data::fill(shape.rows, shape.accounts, shape.fields, shape.keys)).await;
        stage
    }

    fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    /// How its database is reached.
    pub fn url(&self) -> Secret {
        self.cluster().url("contacts")
    }

    /// Where files can be put, for as long as it stands.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process of its database.
    pub fn pid(&self) -> u32 {
        self.cluster().pid().unwrap()
    }

    async fn execute(&self, database: &str, statements: impl IntoIterator<Item = String>) {
        let mut connection = PgConnection::connect(self.cluster().url(database).expose()).await.unwrap();
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
    }

    /// Starts the service, with batches of at most this many updates.
    pub async fn serve(&self, write_batch_max: usize) -> Server {
        Server::start(self.url().expose(), write_batch_max, &self.folder).await
    }

    /// Sends work to the service from this many connections.
    pub async fn drive(&self, server: &Server, work: Work, connections: usize, time: Duration) -> Figures {
        let (before, database_before) = (server.cpu(), self.cpu());
        let mut figures = client::drive(server.address, work, connections, time, self.shape).await;
        let answered = figures.rate * time.as_secs_f64();
        figures.server_cpu = Some(server.cpu().saturating_sub(before).as_secs_f64() * 1e6 / answered);
        figures.database_cpu = Some(self.cpu().saturating_sub(database_before).as_secs_f64() * 1e6 / answered);
        figures.memory = Some(server.memory());
        figures
    }

    /// Runs a script of pgbench from this many clients.
    pub async fn pgbench(&self, script: &str, clients: usize, time: Duration) -> Figures {
        let before = self.cpu();
        let mut figures = pgbench::run(self.cluster(), script, clients, time, self.shape, &self.folder);
        figures.database_cpu =
            Some(self.cpu().saturating_sub(before).as_secs_f64() * 1e6 / (figures.rate * time.as_secs_f64()));
        figures
    }

    fn cpu(&self) -> Duration {
        crate::server::cpu_of_family(self.pid())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.cluster.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
