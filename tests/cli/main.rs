//! Tests of the program as a process: required settings, output, start and shutdown.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod access_log;
mod account;
mod client;
mod config;
mod descriptors;
mod dev;
mod distribute;
mod every_operation;
mod help;
mod import_export;
mod logged_statements;
mod long_polls;
mod metrics;
mod open_docs;
mod pipes;
mod plans;
mod roles;
mod rolling;
mod scopes;
mod secrets;
mod shards;
mod statements;
#[allow(dead_code)]
#[path = "../api/support/stopwatch.rs"]
mod stopwatch;
mod traces;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use contacts::config::{EmbeddedSettings, Environment};
use contacts::embedded::{Cluster, Durability};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const SECRET: &str = "a secret for tests that is long enough";
const ACCOUNT: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e";
/// The longest time that [`wait_for`] waits.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Returns a command for the program in an empty folder. Its environment holds only the variables that locate
/// PostgreSQL.
fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contacts"));
    command.env_clear().current_dir(folder.path()).stdin(Stdio::null());
    for name in ["PATH", "PG_BIN_DIR", "HOME"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Returns the lines of standard error.
fn stderr_lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

/// Repeats an attempt until it returns a value.
fn wait_for<T>(condition: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(started.elapsed() < WAIT_TIMEOUT, "timed out waiting for {condition}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a request on a new connection and returns the complete response as text.
///
/// Requests of `/contacts` carry a valid token.
fn send_request(address: &str, head: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n").ok()?;
    let token =
        if head.contains("/contacts") { format!("authorization: Bearer {}\r\n", token()) } else { String::new() };
    write!(stream, "{token}\r\n{body}").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    Some(response)
}

fn token() -> String {
    let folder = TempDir::new().unwrap();
    let output = program(&folder)
        .env("JWT_SECRET", SECRET)
        .args(["token", "--account", ACCOUNT, "--sub", "u1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}", stderr_lines(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A child process that is killed when this value is dropped.
struct ChildGuard(Child);

impl ChildGuard {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Starts a separate PostgreSQL with an empty database, and returns the database's URL.
fn start_database(name: &str) -> (Cluster, String) {
    let folder = std::env::temp_dir().join(format!("contacts-cli-{name}-{}", std::process::id()));
    let settings = EmbeddedSettings::read(&Environment::read().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(async {
        let cluster = Cluster::start(&settings, &folder, Durability::Disposable).await.unwrap();
        cluster.create_database("contacts", None).await.unwrap();
        cluster
    });
    let url = cluster.url("contacts").expose().to_owned();
    (cluster, url)
}

/// Returns the command `contacts serve`, which appends its log to the file `log` in the folder.
fn serve_command(folder: &TempDir, url: &str, address: &str) -> Command {
    let mut command = program(folder);
    command.arg("serve").env("DATABASE_URL", url).env("JWT_SECRET", SECRET).env("BIND_ADDR", address);
    command.stderr(fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap());
    command
}

fn is_ready(address: &str) -> bool {
    send_request(address, "GET /readyz", "").is_some_and(|response| response.starts_with("HTTP/1.1 200"))
}

#[test]
fn version_prints_the_crate_version_and_help_lists_the_commands() {
    let folder = TempDir::new().unwrap();
    let version = program(&folder).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("contacts {}\n", env!("CARGO_PKG_VERSION")));
    let help = program(&folder).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(
        ["dev", "serve", "migrate", "distribute", "token", "client", "import", "export"]
            .iter()
            .all(|command| help.contains(command)),
        "{help}"
    );
}

#[test]
fn serve_reports_each_missing_or_malformed_setting_in_one_line() {
    let good = [("DATABASE_URL", "postgres://x@127.0.0.1:1/x"), ("JWT_SECRET", SECRET)];
    for (name, value) in [
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "postgres://"),
        ("JWT_SECRET", ""),
        ("JWT_SECRET", "too short"),
        ("JWT_PUBLIC_KEY", "/nowhere/key.pem"),
        ("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"),
        ("JWT_ALGORITHM", "none"),
        ("JWT_SECRET_PREVIOUS_FILE", "/nowhere/secret"),
        ("JWT_SECRET_PREVIOUS", "too short"),
        ("JWT_JWKS_URL", "issuer.example"),
        ("JWT_JWKS_FILE", "/nowhere/keys.json"),
        ("JWT_ALGORITHM", "RS256"),
        ("BIND_ADDR", "somewhere"),
        ("BIND_ADDR", "127.0.0.1"),
        ("DATABASE_MAX_CONNECTIONS", "0"),
        ("WRITE_BATCH_MAX", "0"),
        ("REQUEST_TIMEOUT_MS", "soon"),
        ("SHUTDOWN_TIMEOUT_MS", "-1"),
        ("MAX_BODY_BYTES", "1MB"),
        ("MIGRATE_ON_START", "maybe"),
        ("RATE_LIMIT_PER_MINUTE", "-5"),
        ("MAX_CONCURRENT_REQUESTS", "0"),
        ("MAX_LONG_POLLS", "none"),
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com/path"),
        ("TRUSTED_PROXIES", "10.0.0.0/8 10.1.0.0/16"),
        ("METRICS_ADDR", "9464"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "info=what=ever"),
    ] {
        let folder = TempDir::new().unwrap();
        let output = program(&folder).arg("serve").envs(good).env(name, value).output().unwrap();
        let lines = stderr_lines(&output);
        assert!(!output.status.success(), "{name}={value}");
        assert_eq!(lines.len(), 1, "{name}={value}: {lines:?}");
        assert!(lines[0].starts_with(&format!("error: {name}")), "{name}={value}: {lines:?}");
    }
}

#[test]
fn environment_variables_override_the_env_file() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".env"), format!("JWT_SECRET='{SECRET}'\nDATABASE_URL=mysql://x/x\n")).unwrap();
    let output = program(&folder).arg("serve").env("JWT_SECRET", "too short").output().unwrap();
    assert_eq!(stderr_lines(&output).len(), 2, "{:?}", stderr_lines(&output));
    let output = program(&folder).args(["token", "--account", ACCOUNT]).env("JWT_SECRET", "").output().unwrap();
    assert!(output.status.success() && output.stdout.len() > 100, "{:?}", stderr_lines(&output));
}

#[test]
fn token_command_prints_only_the_token() {
    let folder = TempDir::new().unwrap();
    assert_eq!(token().split('.').count(), 3);
    for (secret, arguments) in
        [("", ["--account", ACCOUNT]), ("short", ["--account", ACCOUNT]), (SECRET, ["--account", "acme"])]
    {
        let output = program(&folder).env("JWT_SECRET", secret).arg("token").args(arguments).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{secret} {arguments:?}");
    }
}

#[test]
fn serve_waits_for_the_database_migrates_it_and_finishes_requests_in_flight_on_sigterm() {
    let (cluster, url) = start_database("serve");
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let without_database =
        serve_command(&folder, "postgres://x@127.0.0.1:1/x", &address).spawn().map(ChildGuard).unwrap();
    let health = || send_request(&address, "GET /healthz", "").filter(|response| response.starts_with("HTTP/1.1 200"));
    wait_for("the start", health);
    let unready = send_request(&address, "GET /readyz", "").unwrap();
    assert!(unready.starts_with("HTTP/1.1 503") && unready.contains("retry-after"), "{unready}");
    assert!(send_request(&address, "GET /contacts", "").unwrap().starts_with("HTTP/1.1 503"));
    drop(without_database);

    let address = free_address();
    let mut running = serve_command(&folder, &url, &address).env("LOG_FORMAT", "json").spawn().map(ChildGuard).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    let created =
        send_request(&address, "POST /contacts?properties=job_title", r#"{"fields": {"first_name": "bodyvalue"}}"#)
            .unwrap();
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    let id = created.split("location: /contacts/").nth(1).unwrap().split('\r').next().unwrap().to_owned();

    // A request in flight: it waits for a row lock that this test holds.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut lock = runtime.block_on(async {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT 1 FROM contacts FOR UPDATE").execute(&mut connection).await.unwrap();
        connection
    });
    let (patch, target) = (format!("PATCH /contacts/{id}"), address.clone());
    let in_flight = std::thread::spawn(move || send_request(&target, &patch, r#"{"fields": {"first_name": "B"}}"#));
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::SIGTERM);
    wait_for("the drain", || {
        send_request(&address, "GET /readyz", "").filter(|response| response.starts_with("HTTP/1.1 503"))
    });
    std::thread::sleep(Duration::from_millis(700));
    assert!(running.0.try_wait().unwrap().is_none(), "the service stopped before it answered the request in flight");
    runtime.block_on(async { sqlx::raw_sql("COMMIT").execute(&mut lock).await.unwrap() });
    let response = in_flight.join().unwrap().unwrap();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));

    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let line = log.lines().find(|line| line.contains("\"status\":201")).unwrap();
    assert!(["/contacts", "POST", ACCOUNT, "\"ms\":"].iter().all(|part| line.contains(part)), "{line}");
    assert!(log.contains("/contacts/{contactId}"), "{log}");
    for secret in [SECRET, &*id, "job_title", "bodyvalue", &token()[..40], "Bearer"] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    drop(cluster);
}

#[test]
fn serve_with_migrate_on_start_false_does_not_migrate() {
    let (cluster, url) = start_database("migrate");
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let running =
        serve_command(&folder, &url, &address).env("MIGRATE_ON_START", "false").spawn().map(ChildGuard).unwrap();
    wait_for("the start", || send_request(&address, "GET /healthz", ""));
    let is_healthy = || program(&folder).arg("health").env("BIND_ADDR", &address).output().unwrap().status.success();
    assert!(!is_ready(&address) && !is_healthy());
    let migrated = program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap();
    assert!(migrated.status.success(), "{:?}", stderr_lines(&migrated));
    wait_for("readiness", || is_ready(&address).then_some(()));
    assert!(is_healthy());
    drop(running);
    drop(cluster);
}
