//! A PgBouncer between the service and a PostgreSQL of the test run.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use url::Url;

/// How long PgBouncer may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a program until standard input is closed, which happens at the latest when the tests end.
const SUPERVISOR: &str = r#""$@" & child=$!; read -r _; kill "$child"; wait "$child""#;

/// The pool mode of a PgBouncer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMode {
    Session,
    Transaction,
    Statement,
}

/// A running PgBouncer. It is stopped when it is dropped.
pub struct PgBouncer {
    supervisor: Child,
    port: u16,
    folder: TempDir,
}

impl PgBouncer {
    /// Returns the program: the one at `TEST_PGBOUNCER`, or the installed one.
    pub fn program() -> Option<PathBuf> {
        let installed = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"].map(PathBuf::from);
        std::env::var_os("TEST_PGBOUNCER").map(PathBuf::from).into_iter().chain(installed).find(|path| path.exists())
    }

    /// Whether the program keeps prepared statements in transaction mode: PgBouncer does since version 1.21.
    pub fn keeps_prepared_statements() -> bool {
        let output = Self::program().and_then(|program| Command::new(program).arg("--version").output().ok());
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let version =
            text.lines().next().and_then(|line| line.strip_prefix("PgBouncer ")).unwrap_or_default().to_owned();
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
        (numbers.next(), numbers.next()) >= (Some(1), Some(21))
    }

    /// Starts a PgBouncer in front of the server of this URL. `settings` are lines of its configuration. Returns `None` if it is not
    /// installed.
    pub fn start(database_url: &str, mode: PoolMode, settings: &str) -> Option<Self> {
        let Some(program) = Self::program() else {
            eprintln!("SKIPPED: PgBouncer is not installed (apt-get install pgbouncer)");
            return None;
        };
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let (url, folder) = (Url::parse(database_url).unwrap(), TempDir::new().unwrap());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let host = host_of(&url);
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={host} port={database_port} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\nmax_client_conn = 2000\n\
             server_login_retry = 0.1\n{settings}\n",
            database_port = url.port().unwrap_or(5432),
            user = url.username(),
            mode = format!("{mode:?}").to_lowercase(),
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "sh"]).arg(program).arg("-q");
        // It does not run as root.
        if nix::unistd::geteuid().is_root() {
            command.args(["-u", &owner_of(Path::new(&host)).unwrap_or_else(|| "nobody".to_owned())]);
        }
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let supervisor = command.arg(&config).stdin(Stdio::piped()).stderr(log).spawn().unwrap();
        let pgbouncer = Self { supervisor, port, folder };
        pgbouncer.wait_until_started();
        Some(pgbouncer)
    }

    fn wait_until_started(&self) {
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
            assert!(started.elapsed() < START_TIMEOUT, "PgBouncer did not start: {log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Returns the URL of the same database through PgBouncer.
    pub fn url(&self, database_url: &str) -> String {
        let url = Url::parse(database_url).unwrap();
        format!("postgres://{}@127.0.0.1:{}{}?sslmode=disable", url.username(), self.port, url.path())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
    }
}

/// Returns the host of a URL, or the folder of its Unix socket.
fn host_of(url: &Url) -> String {
    let parameter = url.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| host.into_owned());
    parameter.or_else(|| url.host_str().map(str::to_owned)).unwrap_or_else(|| "localhost".to_owned())
}

/// Returns the name of a folder's owner, who may use the socket in it.
fn owner_of(folder: &Path) -> Option<String> {
    let owner = nix::unistd::Uid::from_raw(fs::metadata(folder).ok()?.uid());
    Some(nix::unistd::User::from_uid(owner).ok()??.name)
}

/// Returns the mode in which the test servers use PgBouncer: the one in `TEST_POOL_MODE`, if it is set.
pub fn pool_mode_of_tests() -> Option<PoolMode> {
    match std::env::var("TEST_POOL_MODE").ok()?.as_str() {
        "session" => Some(PoolMode::Session),
        "transaction" => Some(PoolMode::Transaction),
        other => panic!("TEST_POOL_MODE is session or transaction, and not {other}"),
    }
}

/// Returns the URL that a test server uses for a database: the URL itself, or with `TEST_POOL_MODE` one that leads through a
/// PgBouncer, which is started for each PostgreSQL.
pub fn url_of_service(database_url: &str) -> String {
    static STARTED: Mutex<Option<HashMap<String, PgBouncer>>> = Mutex::new(None);
    let Some(mode) = pool_mode_of_tests() else { return database_url.to_owned() };
    // In transaction mode, the servers share fewer sessions than they have connections.
    let settings = match mode {
        PoolMode::Transaction => "default_pool_size = 24\nmax_prepared_statements = 200",
        PoolMode::Session | PoolMode::Statement => "default_pool_size = 400",
    };
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    let pgbouncer = started.get_or_insert_default().entry(host_of(&Url::parse(database_url).unwrap()));
    let start = || PgBouncer::start(database_url, mode, settings).expect("TEST_POOL_MODE needs PgBouncer");
    pgbouncer.or_insert_with(start).url(database_url)
}
