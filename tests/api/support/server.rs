//! The service, started in the test process. All tests of a run share one database server, most of them one service.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contacts::auth::{Signer, Verifier};
use contacts::config::{DatabaseSettings, Environment, HttpSettings, Secret, TokenSettings};
use contacts::http::{self, App};
use contacts::repository::Repository;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::pgbouncer::{PoolMode, pool_mode_of_tests, url_of_service};
use super::stopwatch::Stopwatch;
use super::test_server::{TestServer, database_settings, set_up_time_limits, start_cluster};

pub const SECRET: &str = "a secret for tests that is long enough";

/// The database server of the test run: the one at `TEST_DATABASE_URL`, or one that the run starts.
fn test_server() -> &'static TestServer {
    static EXTERNAL: OnceLock<Option<TestServer>> = OnceLock::new();
    EXTERNAL.get_or_init(TestServer::external).as_ref().unwrap_or_else(started_server)
}

/// The database server that the test run starts.
fn started_server() -> &'static TestServer {
    static STARTED: OnceLock<TestServer> = OnceLock::new();
    STARTED.get_or_init(|| run_outside_test(TestServer::start()))
}

/// Runs a future on a runtime that outlives each test.
fn run_outside_test<T: Send>(future: impl Future<Output = T> + Send) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    run_on(RUNTIME.get_or_init(|| Runtime::new().unwrap()), future)
}

/// Runs a future on this runtime, on its own thread, because callers already run inside the runtime of a test.
fn run_on<T: Send>(runtime: &Runtime, future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| scope.spawn(|| runtime.block_on(future)).join().unwrap())
}

/// Returns the token settings of a test server.
pub fn token_settings() -> TokenSettings {
    TokenSettings::with_secret(Secret::new(SECRET))
}

/// A running service. It ends with the last clone: the services of all tests would otherwise open more than a thousand connections
/// to the database.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    /// The URL of its database, for access that bypasses the API.
    pub database_url: String,
    /// The state that its handlers share, for example the number of requests in flight.
    pub app: App,
    _tasks: Arc<ServerTasks>,
}

/// The runtime of all tasks of a service.
struct ServerTasks(Option<Runtime>);

impl Drop for ServerTasks {
    fn drop(&mut self) {
        // Unlike the drop of a runtime, this is allowed inside the runtime of a test.
        self.0.take().expect("is dropped once").shutdown_background();
    }
}

impl Server {
    /// Returns the server that most tests share. They use separate accounts on it.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self::with_own_database("shared", |_| {}))
    }

    /// Starts a server with its own database, for tests that read or change a whole database.
    pub fn with_own_database(name: &str, configure: impl Fn(&mut HttpSettings) + Send + Sync) -> Self {
        let server = test_server();
        Self::with_database_url(run_outside_test(server.create_database(name)), configure)
    }

    /// Starts a server with its own database on a PostgreSQL that the test run starts, for tests of what Citus does not
    /// have: triggers, the statistics of a table, and older builds.
    pub fn with_own_postgresql_database(name: &str) -> Self {
        let server = started_server();
        Self::with_database_url(run_outside_test(server.create_database(name)), |_| {})
    }

    /// Starts a server with its own database, with other settings of the database.
    pub fn with_database_settings(name: &str, configure: impl Fn(&mut DatabaseSettings)) -> Self {
        let url = run_outside_test(test_server().create_database(name));
        let mut database = database_settings(Secret::new(url));
        configure(&mut database);
        if pool_mode_of_tests() == Some(PoolMode::Transaction) {
            run_outside_test(set_up_time_limits(&database));
        }
        Self::start(database, &token_settings(), |_| {})
    }

    /// Starts a server with its own database, whose requests and statements may take this long.
    pub fn with_time_limit(name: &str, limit: Duration) -> Self {
        let url = run_outside_test(test_server().create_database(name));
        let database = DatabaseSettings { timeout: limit, ..database_settings(Secret::new(url)) };
        Self::start(database, &token_settings(), |settings| settings.request_timeout = limit)
    }

    /// Starts a server with its own database, on which accounts with this many contacts get a search index.
    pub fn with_search_index(name: &str, min_contacts: u32) -> Self {
        Self::with_database_settings(name, |settings| settings.search_index_min_contacts = min_contacts)
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

    /// Waits until this number of requests is in flight, and has taken the slots that they need.
    pub async fn wait_for_in_flight(&self, count: usize) {
        let started = Stopwatch::start();
        while self.app.in_flight() != count {
            assert!(started.elapsed() < Duration::from_secs(30), "{} requests are in flight", self.app.in_flight());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // A request takes its slot after its token was checked, a moment after it is counted.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Returns the same server with the address of a service in another process.
    pub fn at_address(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
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
        let database = DatabaseSettings { url: Secret::new(url_of_service(&url)), ..database };
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
        let runtime = Runtime::new().unwrap();
        let (address, app) = run_on(&runtime, start);
        Self { address, database_url: url, app, _tasks: Arc::new(ServerTasks(Some(runtime))) }
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
