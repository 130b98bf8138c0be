//! The program, as a process: what it needs, what it prints, how it starts and stops.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod client;
mod config;
mod descriptors;
mod help;
mod metrics;
mod open_docs;
mod pipes;
mod roles;
mod rolling;
mod secrets;
mod statements;
#[allow(dead_code)]
#[path = "../api/support/stopwatch.rs"]
mod stopwatch;
mod traces;
mod transfer;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use contacts::config::{EmbeddedSettings, Environment};
use contacts::embedded::{Cluster, Durability};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

const SECRET: &str = "a secret for tests that is long enough";
const ACCOUNT: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4e";
const PATIENCE: Duration = Duration::from_secs(60);

/// The program in an empty folder, with no setting but what finds PostgreSQL.
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

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} took too long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A request on a connection of its own: the whole answer as text.
fn request(address: &str, head: &str, body: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let length = body.len();
    write!(stream, "{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n").ok()?;
    let token =
        if head.contains("/contacts") { format!("authorization: Bearer {}\r\n", token()) } else { String::new() };
    write!(stream, "{token}\r\n{body}").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn token() -> String {
    let folder = TempDir::new().unwrap();
    let output = program(&folder)
        .env("JWT_SECRET", SECRET)
        .args(["token", "--account", ACCOUNT, "--sub", "u1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}", lines(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A process that is killed when the test is done with it.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A database of its own, and the URL of it.
fn database(name: &str) -> (Cluster, String) {
    let folder = std::env::temp_dir().join(format!("contacts-cli-{name}-{}", std::process::id()));
    let settings = EmbeddedSettings::read(&Environment::read().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cluster = runtime.block_on(async {
        let cluster = Cluster::start(&settings, &folder, Durability::ThrowAway).await.unwrap();
        cluster.create_database("contacts", None).await.unwrap();
        cluster
    });
    let url = cluster.url("contacts").expose().to_owned();
    (cluster, url)
}

fn serve(folder: &TempDir, url: &str, address: &str) -> Command {
    let mut command = program(folder);
    command.arg("serve").env("DATABASE_URL", url).env("JWT_SECRET", SECRET).env("BIND_ADDR", address);
    command.stderr(fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap());
    command
}

fn is_ready(address: &str) -> bool {
    request(address, "GET /readyz", "").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

#[test]
fn says_its_version_and_its_commands() {
    let folder = TempDir::new().unwrap();
    let version = program(&folder).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("contacts {}\n", env!("CARGO_PKG_VERSION")));
    let help = program(&folder).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    assert!(
        ["dev", "serve", "migrate", "token", "client", "import", "export"].iter().all(|command| help.contains(command)),
        "{help}"
    );
}

#[test]
fn serve_names_each_setting_that_is_missing_or_malformed_in_a_line() {
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
        ("CORS_ALLOWED_ORIGINS", "https://app.example.com/path"),
        ("METRICS_ADDR", "9464"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "info=what=ever"),
    ] {
        let folder = TempDir::new().unwrap();
        let output = program(&folder).arg("serve").envs(good).env(name, value).output().unwrap();
        let lines = lines(&output);
        assert!(!output.status.success(), "{name}={value}");
        assert_eq!(lines.len(), 1, "{name}={value}: {lines:?}");
        assert!(lines[0].starts_with(&format!("error: {name}")), "{name}={value}: {lines:?}");
    }
}

#[test]
fn settings_come_from_a_file_that_the_environment_beats() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".env"), format!("JWT_SECRET='{SECRET}'\nDATABASE_URL=mysql://x/x\n")).unwrap();
    let output = program(&folder).arg("serve").env("JWT_SECRET", "too short").output().unwrap();
    assert_eq!(lines(&output).len(), 2, "{:?}", lines(&output));
    let output = program(&folder).args(["token", "--account", ACCOUNT]).env("JWT_SECRET", "").output().unwrap();
    assert!(output.status.success() && output.stdout.len() > 100, "{:?}", lines(&output));
}

#[test]
fn token_prints_a_token_alone() {
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
fn serve_waits_for_its_database_migrates_it_and_stops_without_cutting_off_anyone() {
    let (cluster, url) = database("serve");
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let away = serve(&folder, "postgres://x@127.0.0.1:1/x", &address).spawn().map(Running).unwrap();
    let health = || request(&address, "GET /healthz", "").filter(|answer| answer.starts_with("HTTP/1.1 200"));
    wait_for("the start", health);
    let unready = request(&address, "GET /readyz", "").unwrap();
    assert!(unready.starts_with("HTTP/1.1 503") && unready.contains("retry-after"), "{unready}");
    assert!(request(&address, "GET /contacts", "").unwrap().starts_with("HTTP/1.1 503"));
    drop(away);

    let address = free_address();
    let mut running = serve(&folder, &url, &address).env("LOG_FORMAT", "json").spawn().map(Running).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    let created =
        request(&address, "POST /contacts?x=queryvalue", r#"{"fields": {"first_name": "bodyvalue"}}"#).unwrap();
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    let id = created.split("location: /contacts/").nth(1).unwrap().split('\r').next().unwrap().to_owned();

    // A request in flight: it waits for a lock that is held on purpose.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut lock = runtime.block_on(async {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT 1 FROM contacts FOR UPDATE").execute(&mut connection).await.unwrap();
        connection
    });
    let (patch, target) = (format!("PATCH /contacts/{id}"), address.clone());
    let in_flight = std::thread::spawn(move || request(&target, &patch, r#"{"fields": {"first_name": "B"}}"#));
    std::thread::sleep(Duration::from_millis(500));
    running.signal(Signal::SIGTERM);
    wait_for("the drain", || request(&address, "GET /readyz", "").filter(|answer| answer.starts_with("HTTP/1.1 503")));
    std::thread::sleep(Duration::from_millis(700));
    assert!(running.0.try_wait().unwrap().is_none(), "it did not wait for the request in flight");
    runtime.block_on(async { sqlx::raw_sql("COMMIT").execute(&mut lock).await.unwrap() });
    let answer = in_flight.join().unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(running.0.wait().unwrap().code(), Some(0));

    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let line = log.lines().find(|line| line.contains("\"status\":201")).unwrap();
    assert!(["/contacts", "POST", ACCOUNT, "\"ms\":"].iter().all(|part| line.contains(part)), "{line}");
    assert!(log.contains("/contacts/{contactId}"), "{log}");
    for secret in [SECRET, &*id, "queryvalue", "bodyvalue", &token()[..40], "Bearer"] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
    drop(cluster);
}

#[test]
fn serve_leaves_a_schema_alone_that_it_is_told_to() {
    let (cluster, url) = database("migrate");
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let running = serve(&folder, &url, &address).env("MIGRATE_ON_START", "false").spawn().map(Running).unwrap();
    wait_for("the start", || request(&address, "GET /healthz", ""));
    let is_healthy = || program(&folder).arg("health").env("BIND_ADDR", &address).output().unwrap().status.success();
    assert!(!is_ready(&address) && !is_healthy());
    let migrated = program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap();
    assert!(migrated.status.success(), "{:?}", lines(&migrated));
    wait_for("readiness", || is_ready(&address).then_some(()));
    assert!(is_healthy());
    drop(running);
    drop(cluster);
}

/// The first lines of `contacts dev`: where it serves, and the command to paste.
struct Dev {
    running: Running,
    address: String,
    curl: String,
}

fn dev(folder: &TempDir, data: &Path) -> Dev {
    start_dev(program(folder), data, Stdio::null())
}

fn start_dev(mut command: Command, data: &Path, log: Stdio) -> Dev {
    command.env("CONTACTS_DATA_DIR", data).env("BIND_ADDR", "127.0.0.1:0");
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let serving = output.next().expect("a first line");
    let curl = output.find(|line| line.starts_with("curl ")).expect("a curl line");
    // Its end of the pipe must stay open.
    std::thread::spawn(move || output.for_each(drop));
    Dev { running: Running(child), address: serving.split("http://").nth(1).unwrap().to_owned(), curl }
}

fn paste(curl: &str) -> String {
    let output = Command::new("sh").args(["-c", &format!("{curl} -s -i")]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether any process still uses this data folder.
fn has_postgres(data: &Path) -> bool {
    data.join("postgres/postmaster.pid").exists()
}

#[test]
fn dev_serves_a_sample_that_outlives_every_kind_of_end() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let first = dev(&folder, &data);
    let answer = paste(&first.curl);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"job_title\":\"Countess\""), "{answer}");
    let second_start =
        program(&folder).env("CONTACTS_DATA_DIR", &data).env("BIND_ADDR", "127.0.0.1:0").output().unwrap();
    assert!(
        !second_start.status.success() && lines(&second_start)[0].contains("another process uses"),
        "{:?}",
        lines(&second_start)
    );
    first.running.signal(Signal::SIGKILL);
    drop(first);
    wait_for("the end of its database", || (!has_postgres(&data)).then_some(()));

    let mut second = dev(&folder, &data);
    let read = second.curl.replace("-X PATCH", "-X GET").split(" -d ").next().unwrap().to_owned();
    let answer = paste(&read);
    assert!(answer.contains("\"job_title\":\"Countess\""), "what was acknowledged is gone: {answer}");
    assert!(is_ready(&second.address));
    second.running.signal(Signal::SIGINT);
    assert_eq!(second.running.0.wait().unwrap().code(), Some(0));
    assert!(!has_postgres(&data), "it left its database running");
}

#[test]
fn dev_stays_on_this_machine() {
    let folder = TempDir::new().unwrap();
    for name in ["BIND_ADDR", "METRICS_ADDR"] {
        let output =
            program(&folder).env(name, "0.0.0.0:8080").env("CONTACTS_DATA_DIR", folder.path()).output().unwrap();
        let lines = lines(&output);
        assert!(!output.status.success() && lines[0].starts_with(&format!("error: {name}")), "{lines:?}");
    }
}

#[test]
fn dev_says_in_one_line_that_there_is_no_postgres() {
    let folder = TempDir::new().unwrap();
    if Path::new("/usr/lib/postgresql").exists() && nix::unistd::geteuid().is_root() {
        // Installed where it is always looked for: an unknown version is the way to miss it.
        fs::create_dir_all(folder.path().join("data/postgres")).unwrap();
        fs::write(folder.path().join("data/postgres/PG_VERSION"), "9\n").unwrap();
    }
    let mut command = program(&folder);
    command.env("PATH", "/nowhere").env("HOME", folder.path()).env("BIND_ADDR", "127.0.0.1:0");
    let output = command.env("CONTACTS_DATA_DIR", folder.path().join("data")).output().unwrap();
    let lines = lines(&output);
    assert!(
        !output.status.success() && lines.len() == 1 && lines[0].contains("was not found: install it"),
        "{lines:?}"
    );
}
