//! The service, started in the test process. All tests of a run share one database cluster, most of them one server.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use contacts::auth::{Signer, Verifier};
use contacts::config::{DatabaseSettings, EmbeddedSettings, Environment, HttpSettings, Secret, TokenSettings};
use contacts::embedded::{Cluster, Durability};
use contacts::http::{self, App};
use contacts::repository::Repository;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use uuid::Uuid;

pub const SECRET: &str = "a secret for tests that is long enough";

/// The database cluster of the test run, and a runtime that outlives each test.
struct SharedCluster {
    runtime: Runtime,
    cluster: Cluster,
}

fn shared_cluster() -> &'static SharedCluster {
    static SHARED: OnceLock<SharedCluster> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        // Uses its own thread, because callers already run inside the runtime of a test.
        let cluster =
            std::thread::scope(|scope| scope.spawn(|| runtime.block_on(start_cluster("api"))).join().unwrap());
        SharedCluster { runtime, cluster }
    })
}

/// Starts a cluster with a migrated database named `template`.
async fn start_cluster(name: &str) -> Cluster {
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
}

/// Returns the database settings of a test server: write batching is on, migrations are off.
fn database_settings(url: Secret) -> DatabaseSettings {
    DatabaseSettings {
        url,
        max_connections: 16,
        write_batch_max: 256,
        migrate_on_start: false,
        change_retention: contacts::config::DEFAULT_CHANGE_RETENTION,
        timeout: Duration::from_secs(10),
    }
}

/// Returns the token settings of a test server.
pub fn token_settings() -> TokenSettings {
    TokenSettings::with_secret(Secret::new(SECRET))
}

/// A running service.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    /// The URL of its database, for access that bypasses the API.
    pub database_url: String,
    /// The state that its handlers share, for example the number of requests in flight.
    pub app: App,
}

impl Server {
    /// Returns the server that most tests share. They use separate accounts on it.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self::with_own_database("shared", |_| {}))
    }

    /// Starts a server with its own database, for tests that read or change a whole database.
    pub fn with_own_database(name: &str, configure: impl Fn(&mut HttpSettings) + Send + Sync) -> Self {
        let database_url = std::thread::scope(|scope| {
            let create = async {
                shared_cluster().cluster.create_database(name, Some("template")).await.unwrap();
                shared_cluster().cluster.url(name).expose().to_owned()
            };
            scope.spawn(|| shared_cluster().runtime.block_on(create)).join().unwrap()
        });
        Self::with_database_url(database_url, configure)
    }

    /// Starts a server with its own cluster, for tests that no other activity may disturb.
    pub async fn with_own_cluster(name: &str) -> Self {
        let cluster = start_cluster(name).await;
        let url = cluster.url("template").expose().to_owned();
        // Keeps the cluster running until the process exits.
        std::mem::forget(cluster);
        Self::with_database_url(url, |_| {})
    }

    /// Starts another instance on the same database.
    pub fn second_instance(&self) -> Self {
        Self::with_database_url(self.database_url.clone(), |_| {})
    }

    /// Starts another instance on the same database that runs each write in its own transaction.
    pub fn without_write_batching(&self) -> Self {
        let database = DatabaseSettings { write_batch_max: 1, ..database_settings(Secret::new(&*self.database_url)) };
        Self::start(database, &token_settings(), |_| {})
    }

    /// Starts another instance on the same database that has this number of database connections.
    pub fn with_connections(&self, max_connections: u32) -> Self {
        let database = DatabaseSettings { max_connections, ..database_settings(Secret::new(&*self.database_url)) };
        Self::start(database, &token_settings(), |_| {})
    }

    /// Starts a server on an existing database.
    pub fn with_database_url(url: String, configure: impl Fn(&mut HttpSettings) + Send + Sync) -> Self {
        Self::start(database_settings(Secret::new(url)), &token_settings(), configure)
    }

    /// Starts another instance on the same database that accepts other tokens.
    pub fn with_token_settings(&self, tokens: &TokenSettings) -> Self {
        Self::start(database_settings(Secret::new(&*self.database_url)), tokens, |_| {})
    }

    /// Opens a repository on the same database that retains changes for this long.
    pub fn repository_with_retention(&self, change_retention: Duration) -> Repository {
        Repository::new(&DatabaseSettings { change_retention, ..database_settings(Secret::new(&*self.database_url)) })
            .unwrap()
    }

    /// Opens a repository on the same database, for operations that only the command line offers.
    pub fn repository(&self) -> Repository {
        Repository::new(&database_settings(Secret::new(&*self.database_url))).unwrap()
    }

    fn start(
        database: DatabaseSettings,
        tokens: &TokenSettings,
        configure: impl Fn(&mut HttpSettings) + Send + Sync,
    ) -> Self {
        let url = database.url.expose().to_owned();
        let mut settings = HttpSettings::read(&Environment::default()).unwrap();
        configure(&mut settings);
        let (verifier, signer) = (Verifier::new(tokens).unwrap(), Signer::for_clients(tokens));
        let start = async {
            contacts::telemetry::metrics::install();
            let repository = Repository::new(&database).unwrap();
            let background = repository.clone();
            tokio::spawn(async move { background.run_background_work().await });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let app = App::new(repository, verifier, signer, settings);
            let keys = app.clone();
            tokio::spawn(async move { keys.verifier().run_key_refresh().await });
            tokio::spawn(http::listen(app.clone(), listener, std::future::pending()));
            (address, app)
        };
        let (address, app) =
            std::thread::scope(|scope| scope.spawn(|| shared_cluster().runtime.block_on(start)).join().unwrap());
        Self { address, database_url: url, app }
    }
}

/// Returns the Unix time in this many seconds, for a time claim of a token.
pub fn timestamp_in(seconds: i64) -> i64 {
    chrono::Utc::now().timestamp() + seconds
}

/// Returns a token with these claims, signed with the secret of the test servers.
pub fn sign(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// Returns a token for this account and actor that is valid for an hour.
pub fn token_for(account: Uuid, actor: Option<&str>) -> String {
    sign(&json!({"account_id": account, "sub": actor, "exp": timestamp_in(3_600)}))
}
