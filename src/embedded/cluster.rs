//! A cluster: made once, started with the process, stopped with it.

use std::fs::{self, File, TryLockError};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::EmbeddedError;
use super::binaries::Binaries;
use super::owner::Owner;
use crate::config::{EmbeddedSettings, Secret};

/// Runs PostgreSQL until standard input closes, which happens when the service ends, even by SIGKILL. Then it
/// stops PostgreSQL (fast, not at once: nothing acknowledged is lost) and, for a throw-away cluster, clears up.
const SUPERVISOR: &str = r#"
clear_up=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- &
postgres=$!
(while read -r _ <&3; do :; done; kill -INT "$postgres") &
reader=$!
exec 3<&-
wait "$postgres"
status=$?
kill "$reader" 2>/dev/null
[ -z "$clear_up" ] || rm -rf "$clear_up"
exit "$status"
"#;

const USER: &str = "contacts";
/// How long the database may take to start, or an earlier one to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest path of a Unix socket that every platform takes, less the socket's own name.
const MAX_SOCKET_FOLDER: usize = 80;

/// What a cluster promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What is committed survives a crash of the machine.
    Durable,
    /// Fast, and gone with its folder when the process ends. For tests.
    ThrowAway,
}

/// A running PostgreSQL of our own. Stops when dropped.
#[derive(Debug)]
pub struct Cluster {
    supervisor: Child,
    binaries: Binaries,
    data: PathBuf,
    sockets: PathBuf,
    /// Held for as long as the cluster runs, so that no other process starts it too.
    _lock: File,
}

impl Cluster {
    /// Starts the cluster whose data is in `folder`; makes it when there is none.
    ///
    /// # Errors
    /// A line that says what is missing or wrong.
    pub async fn start(
        settings: &EmbeddedSettings,
        folder: &Path,
        durability: Durability,
    ) -> Result<Self, EmbeddedError> {
        let owner = Owner::choose()?;
        match durability {
            Durability::Durable => owner.make_reachable(folder)?,
            // Its own, so that the supervisor can clear it up.
            Durability::ThrowAway => owner.make_private(folder)?,
        }
        let folder = &folder.canonicalize().map_err(|error| EmbeddedError::io("find", folder, &error))?;
        let lock = lock(folder)?;
        let data = folder.join("postgres");
        let binaries = Binaries::find(settings, version_of(&data))?;
        if version_of(&data).is_none() {
            initialise(&binaries, owner, &data)?;
        }
        let sockets = socket_folder(owner, &data)?;
        await_predecessor(&data).await?;
        let log = folder.join("postgres.log");
        let supervisor = spawn(&binaries, owner, &data, &sockets, &log, durability)?;
        let mut cluster = Self { supervisor, binaries, data, sockets, _lock: lock };
        cluster.await_ready(&log).await?;
        Ok(cluster)
    }

    /// The URL of a database of the cluster.
    #[must_use]
    pub fn url(&self, database: &str) -> Secret {
        let host = self.sockets.to_string_lossy();
        Secret::new(format!(
            "postgres://{USER}@localhost/{database}?host={}",
            utf8_percent_encode(&host, NON_ALPHANUMERIC)
        ))
    }

    /// Makes a database, as a copy of `template` when given, unless it is there already.
    ///
    /// # Errors
    /// What the database says.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), EmbeddedError> {
        let said = |error: sqlx::Error| EmbeddedError::new(format!("could not make the database {name}: {error}"));
        let mut connection = self.connect().await.map_err(said)?;
        let exists =
            sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(name).fetch_optional(&mut connection);
        if exists.await.map_err(said)?.is_none() {
            // Names are our own: a statement that makes a database takes no parameters.
            let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{}\"", template.unwrap_or("template0"));
            sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.map_err(said)?;
        }
        connection.close().await.map_err(said)
    }

    /// Another program of the same PostgreSQL, such as `pgbench`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.path(name)
    }

    /// The process id of the server, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(self.url("postgres").expose()).await
    }

    async fn await_ready(&mut self, log: &Path) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if matches!(self.supervisor.try_wait(), Ok(Some(_))) {
                break;
            }
            if self.connect().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let written = fs::read_to_string(log).unwrap_or_default();
        let last = written.lines().next_back().unwrap_or("nothing in its log");
        Err(EmbeddedError::new(format!("PostgreSQL did not start: {last} (see {})", log.display())))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ = self.supervisor.wait();
        if self.sockets != self.data {
            let _ = fs::remove_dir_all(&self.sockets);
        }
    }
}

fn lock(folder: &Path) -> Result<File, EmbeddedError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| EmbeddedError::io("make", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::new(format!(
            "another process uses {}: stop it, or set CONTACTS_DATA_DIR",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(EmbeddedError::io("lock", &path, &error)),
    }
}

/// The major version that a cluster's data was made by; `None` when there is none.
fn version_of(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Makes a cluster under another name first: one that is there is whole.
fn initialise(binaries: &Binaries, owner: Owner, data: &Path) -> Result<(), EmbeddedError> {
    let fresh = data.with_extension("new");
    let _ = fs::remove_dir_all(&fresh);
    owner.make_private(&fresh)?;
    let mut initdb = Command::new(binaries.path("initdb"));
    initdb.args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--pgdata"]).arg(&fresh);
    initdb.env_clear().current_dir("/").stdin(Stdio::null());
    owner.lend(&mut initdb);
    let output = initdb.output().map_err(|error| EmbeddedError::io("run", &binaries.path("initdb"), &error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(EmbeddedError::new(format!("could not make a database: {}", said.trim().replace('\n', " "))));
    }
    fs::rename(&fresh, data).map_err(|error| EmbeddedError::io("rename", &fresh, &error))
}

/// Where the socket is: with the data, or where that path is too long in a folder for temporary files.
fn socket_folder(owner: Owner, data: &Path) -> Result<PathBuf, EmbeddedError> {
    if data.as_os_str().len() <= MAX_SOCKET_FOLDER {
        return Ok(data.to_owned());
    }
    let folder = PathBuf::from("/tmp").join(format!("contacts-{}", std::process::id()));
    owner.make_private(&folder)?;
    Ok(folder)
}

/// Waits for the PostgreSQL of a process that was killed: it takes a moment to notice.
async fn await_predecessor(data: &Path) -> Result<(), EmbeddedError> {
    let is_running = || {
        let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let pid = Pid::from_raw(file.lines().next()?.trim().parse().ok()?);
        Some(matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM)))
    };
    let started = Instant::now();
    // A stale file names a process that is gone, or another's: PostgreSQL itself tells.
    while is_running() == Some(true) && started.elapsed() < PATIENCE / 6 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn spawn(
    binaries: &Binaries,
    owner: Owner,
    data: &Path,
    sockets: &Path,
    log: &Path,
    durability: Durability,
) -> Result<Child, EmbeddedError> {
    let log_file =
        || File::options().create(true).append(true).open(log).map_err(|error| EmbeddedError::io("open", log, &error));
    let mut command = Command::new("/bin/sh");
    let folder = data.parent().filter(|_| durability == Durability::ThrowAway);
    command.args(["-c", SUPERVISOR, "contacts-postgres"]).arg(folder.unwrap_or(Path::new("")));
    command.arg(binaries.path("postgres")).arg("-D").arg(data).arg("-k").arg(sockets);
    command.args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"]);
    command.args(match durability {
        Durability::Durable => &["-c", "max_connections=200"][..],
        // A test run has many services, each with connections of its own.
        Durability::ThrowAway => &[
            "-c",
            "max_connections=1000",
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "full_page_writes=off",
        ],
    });
    // Its own process group: Ctrl-C stops the service first.
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(log_file()?).stderr(log_file()?);
    owner.lend(&mut command);
    command.spawn().map_err(|error| EmbeddedError::io("run", Path::new("/bin/sh"), &error))
}
