//! The service, in this process: one database cluster for the run, one server that most tests share.

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

/// What the run shares: the cluster, and a runtime that outlives each test.
struct Shared {
    runtime: Runtime,
    cluster: Cluster,
}

fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        // A thread of its own: this is called from within the runtimes of tests.
        let cluster =
            std::thread::scope(|scope| scope.spawn(|| runtime.block_on(start_cluster("api"))).join().unwrap());
        Shared { runtime, cluster }
    })
}

/// Starts a cluster with a migrated database named `template`.
async fn start_cluster(name: &str) -> Cluster {
    let folder = std::env::temp_dir().join(format!("contacts-{name}-{}", std::process::id()));
    let settings = EmbeddedSettings::read(&Environment::read().unwrap());
    let cluster = Cluster::start(&settings, &folder, Durability::ThrowAway).await.unwrap();
    make_template(&cluster).await;
    cluster
}

/// Makes a migrated database named `template`.
pub async fn make_template(cluster: &Cluster) {
    cluster.create_database("template", None).await.unwrap();
    let template = Repository::new(&database(cluster.url("template"))).unwrap();
    template.migrate().await.unwrap();
    template.close().await;
}

/// How a server reaches its database, and whether it gathers writes.
fn database(url: Secret) -> DatabaseSettings {
    DatabaseSettings {
        url,
        max_connections: 16,
        write_batch_max: 256,
        migrate_on_start: false,
        change_retention: contacts::config::DEFAULT_CHANGE_RETENTION,
        timeout: Duration::from_secs(10),
    }
}

/// Which tokens a server takes.
pub fn tokens() -> TokenSettings {
    TokenSettings::with_secret(Secret::new(SECRET))
}

/// A running service.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    /// The URL of its database, for a look behind the API.
    pub database: String,
    /// What its handlers share, for a look at what is under way.
    pub app: App,
}

impl Server {
    /// The server that most tests share: each has accounts of its own.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self::on_own_database("shared", |_| {}))
    }

    /// A server with a database of its own, for tests that look at the whole of it.
    pub fn on_own_database(name: &str, change: impl Fn(&mut HttpSettings) + Send + Sync) -> Self {
        let database = std::thread::scope(|scope| {
            let create = async {
                shared().cluster.create_database(name, Some("template")).await.unwrap();
                shared().cluster.url(name).expose().to_owned()
            };
            scope.spawn(|| shared().runtime.block_on(create)).join().unwrap()
        });
        Self::on_database(database, change)
    }

    /// A server with a cluster of its own, for tests that no other activity may disturb.
    pub async fn on_own_cluster(name: &str) -> Self {
        let cluster = start_cluster(name).await;
        let url = cluster.url("template").expose().to_owned();
        // Runs until the process ends.
        std::mem::forget(cluster);
        Self::on_database(url, |_| {})
    }

    /// Another instance on the same database.
    pub fn twin(&self) -> Self {
        Self::on_database(self.database.clone(), |_| {})
    }

    /// Another instance on the same database that writes each update in a transaction of its own.
    pub fn unbatched(&self) -> Self {
        let database = DatabaseSettings { write_batch_max: 1, ..database(Secret::new(&*self.database)) };
        Self::start(database, &tokens(), |_| {})
    }

    /// A server on a database that is there.
    pub fn on_database(url: String, change: impl Fn(&mut HttpSettings) + Send + Sync) -> Self {
        Self::start(database(Secret::new(url)), &tokens(), change)
    }

    /// Another instance on the same database that takes other tokens.
    pub fn with_tokens(&self, tokens: &TokenSettings) -> Self {
        Self::start(database(Secret::new(&*self.database)), tokens, |_| {})
    }

    /// A repository on its database that keeps changes for this long only.
    pub fn repository_keeping(&self, change_retention: Duration) -> Repository {
        Repository::new(&DatabaseSettings { change_retention, ..database(Secret::new(&*self.database)) }).unwrap()
    }

    /// A repository on its database, for what is done by the command line.
    pub fn repository(&self) -> Repository {
        Repository::new(&database(Secret::new(&*self.database))).unwrap()
    }

    fn start(
        database: DatabaseSettings,
        tokens: &TokenSettings,
        change: impl Fn(&mut HttpSettings) + Send + Sync,
    ) -> Self {
        let url = database.url.expose().to_owned();
        let mut settings = HttpSettings::read(&Environment::default()).unwrap();
        change(&mut settings);
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
            tokio::spawn(async move { keys.verifier().keep_keys_fresh().await });
            tokio::spawn(http::listen(app.clone(), listener, std::future::pending()));
            (address, app)
        };
        let (address, app) =
            std::thread::scope(|scope| scope.spawn(|| shared().runtime.block_on(start)).join().unwrap());
        Self { address, database: url, app }
    }
}

/// A time as a token's claim.
pub fn in_seconds(seconds: i64) -> i64 {
    chrono::Utc::now().timestamp() + seconds
}

/// A token with these claims, signed as the server expects it.
pub fn sign(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

pub fn token_for(account: Uuid, actor: Option<&str>) -> String {
    sign(&json!({"account_id": account, "sub": actor, "exp": in_seconds(3_600)}))
}
