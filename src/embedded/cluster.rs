//! A PostgreSQL cluster that starts and stops with the process. The first start initializes it.

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

use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::owner::Owner;
use crate::config::{EmbeddedSettings, Secret};

/// A shell script that runs PostgreSQL until standard input closes.
///
/// Standard input closes when the service ends, even by SIGKILL. The script then stops PostgreSQL with a fast shutdown,
/// not an immediate one, so that no acknowledged write is lost. Its first argument is the folder to remove afterwards,
/// or empty.
const SUPERVISOR: &str = r#"
remove_folder=$1; shift
exec 3<&0 </dev/null
"$@" 3<&- &
postgres=$!
(while read -r _ <&3; do :; done; kill -INT "$postgres") &
reader=$!
exec 3<&-
wait "$postgres"
status=$?
kill "$reader" 2>/dev/null
[ -z "$remove_folder" ] || rm -rf "$remove_folder"
exit "$status"
"#;

const USER: &str = "contacts";
/// The maximum time for PostgreSQL to start. A PostgreSQL of a previous process has a sixth of this time to stop.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum length of the socket folder's path in bytes: the lowest limit on socket paths of all platforms, minus
/// the length of the socket's name.
const MAX_SOCKET_FOLDER: usize = 80;

/// The durability of the data in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Committed data survives a crash of the machine.
    Durable,
    /// For tests: fast, and the folder is removed when the process ends.
    Disposable,
}

/// A running private PostgreSQL. Dropping this value stops PostgreSQL.
#[derive(Debug)]
pub struct Cluster {
    supervisor: Child,
    binaries: Binaries,
    data: PathBuf,
    sockets: PathBuf,
    /// Locked while the cluster runs, so that no other process starts it.
    _lock: File,
}

impl Cluster {
    /// Starts the cluster in a folder. Initializes it if the folder has none.
    ///
    /// # Errors
    /// Fails if no suitable PostgreSQL is found, if another process uses the folder, or if PostgreSQL does not start.
    pub async fn start(
        settings: &EmbeddedSettings,
        folder: &Path,
        durability: Durability,
    ) -> Result<Self, EmbeddedError> {
        let owner = Owner::detect()?;
        match durability {
            Durability::Durable => owner.create_reachable_folder(folder)?,
            // The folder must be new, because the supervisor removes it with all its content.
            Durability::Disposable => owner.create_private_folder(folder)?,
        }
        let folder = &folder.canonicalize().map_err(|error| EmbeddedError::io("find", folder, &error))?;
        let lock = lock_folder(folder)?;
        let data = folder.join("postgres");
        let binaries = Binaries::find(settings, data_version(&data))?;
        if data_version(&data).is_none() {
            initialize(&binaries, owner, &data)?;
        }
        let sockets = socket_folder(owner, &data)?;
        wait_for_previous_postgres(&data).await?;
        let log = folder.join("postgres.log");
        let supervisor = spawn_supervisor(&binaries, owner, &data, &sockets, &log, durability)?;
        let mut cluster = Self { supervisor, binaries, data, sockets, _lock: lock };
        cluster.wait_until_ready(&log).await?;
        Ok(cluster)
    }

    /// Returns the URL of a database in the cluster.
    #[must_use]
    pub fn url(&self, database: &str) -> Secret {
        socket_url(&self.sockets, database)
    }

    /// Returns the URL of a database in the cluster that another process has started in a folder. Returns `None` if no
    /// cluster is running there.
    #[must_use]
    pub fn running_url(folder: &Path, database: &str) -> Option<Secret> {
        let data = folder.canonicalize().ok()?.join("postgres");
        let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        // Lines of the file: the process id, the data folder, the start time, the port, and the folder of the socket.
        let mut lines = file.lines();
        let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?);
        let sockets = Path::new(lines.nth(3)?.trim());
        let is_running = matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM));
        (is_running && sockets.is_dir()).then(|| socket_url(sockets, database))
    }

    /// Creates a database, as a copy of `template` if there is one. Does nothing if the database exists.
    ///
    /// # Errors
    /// Fails if a statement fails.
    pub async fn create_database(&self, name: &str, template: Option<&str>) -> Result<(), EmbeddedError> {
        let failed = |error: sqlx::Error| EmbeddedError::new(format!("could not create the database {name}: {error}"));
        let mut connection = self.connect().await.map_err(failed)?;
        let exists =
            sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(name).fetch_optional(&mut connection);
        if exists.await.map_err(failed)?.is_none() {
            // CREATE DATABASE takes no parameters. The names never come from a client, so they are safe to insert.
            let create = format!("CREATE DATABASE \"{name}\" TEMPLATE \"{}\"", template.unwrap_or("template0"));
            sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)
    }

    /// Returns the path of another program of the same PostgreSQL, such as `pgbench`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.binaries.path(name)
    }

    /// Returns the process id of the server while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        fs::read_to_string(self.data.join("postmaster.pid")).ok()?.lines().next()?.trim().parse().ok()
    }

    async fn connect(&self) -> sqlx::Result<PgConnection> {
        PgConnection::connect(self.url("postgres").expose()).await
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<(), EmbeddedError> {
        let started = Instant::now();
        while started.elapsed() < START_TIMEOUT {
            if matches!(self.supervisor.try_wait(), Ok(Some(_))) {
                break;
            }
            if self.connect().await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let log_text = fs::read_to_string(log).unwrap_or_default();
        let last_line = log_text.lines().next_back().unwrap_or("its log is empty");
        Err(EmbeddedError::new(format!("PostgreSQL did not start: {last_line} (see {})", log.display())))
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

/// Returns the URL of a database behind the socket in a folder.
fn socket_url(sockets: &Path, database: &str) -> Secret {
    let host = sockets.to_string_lossy();
    Secret::new(format!("postgres://{USER}@localhost/{database}?host={}", utf8_percent_encode(&host, NON_ALPHANUMERIC)))
}

/// Locks the folder against other processes.
fn lock_folder(folder: &Path) -> Result<File, EmbeddedError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|error| EmbeddedError::io("create", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::new(format!(
            "another process uses {}: stop it, or set CONTACTS_DATA_DIR to another folder",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(EmbeddedError::io("lock", &path, &error)),
    }
}

/// Returns the major version of PostgreSQL that initialized a data folder. `None` if the folder is not initialized.
fn data_version(data: &Path) -> Option<u32> {
    fs::read_to_string(data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Initializes the data folder under a temporary name and renames it when it is complete, so that an interrupted start
/// leaves no incomplete data folder.
fn initialize(binaries: &Binaries, owner: Owner, data: &Path) -> Result<(), EmbeddedError> {
    let temporary = data.with_extension("new");
    let _ = fs::remove_dir_all(&temporary);
    owner.create_private_folder(&temporary)?;
    let mut initdb = Command::new(binaries.path("initdb"));
    initdb
        .args(["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--no-locale", "--pgdata"])
        .arg(&temporary);
    initdb.env_clear().current_dir("/").stdin(Stdio::null());
    owner.set_user(&mut initdb);
    let output = initdb.output().map_err(|error| EmbeddedError::io("run", &binaries.path("initdb"), &error))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(EmbeddedError::new(format!(
            "could not initialize the database: {}",
            stderr.trim().replace('\n', " ")
        )));
    }
    fs::rename(&temporary, data).map_err(|error| EmbeddedError::io("rename", &temporary, &error))
}

/// Returns the folder of the socket: the data folder, or a new folder in `/tmp` if the path of the data is too long.
fn socket_folder(owner: Owner, data: &Path) -> Result<PathBuf, EmbeddedError> {
    if data.as_os_str().len() <= MAX_SOCKET_FOLDER {
        return Ok(data.to_owned());
    }
    let folder = PathBuf::from("/tmp").join(format!("contacts-{}", std::process::id()));
    owner.create_private_folder(&folder)?;
    Ok(folder)
}

/// Waits until the PostgreSQL of a previous process has stopped. If that process was killed with SIGKILL, its
/// supervisor is still stopping PostgreSQL.
async fn wait_for_previous_postgres(data: &Path) -> Result<(), EmbeddedError> {
    let is_running = || {
        let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let pid = Pid::from_raw(file.lines().next()?.trim().parse().ok()?);
        Some(matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM)))
    };
    let started = Instant::now();
    // The file can be stale and name a process that has ended or is unrelated. PostgreSQL detects that itself at start.
    while is_running() == Some(true) && started.elapsed() < START_TIMEOUT / 6 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Starts the supervisor, which runs PostgreSQL.
fn spawn_supervisor(
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
    let folder_to_remove = data.parent().filter(|_| durability == Durability::Disposable);
    command.args(["-c", SUPERVISOR, "contacts-postgres"]).arg(folder_to_remove.unwrap_or(Path::new("")));
    command.arg(binaries.path("postgres")).arg("-D").arg(data).arg("-k").arg(sockets);
    command.args(["-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"]);
    command.args(match durability {
        Durability::Durable => &["-c", "max_connections=200"][..],
        // A test run starts many services, and each has its own connections.
        Durability::Disposable => &[
            "-c",
            "max_connections=3000",
            "-c",
            "fsync=off",
            "-c",
            "synchronous_commit=off",
            "-c",
            "full_page_writes=off",
        ],
    });
    // A separate process group does not receive Ctrl-C, so PostgreSQL runs until the service has stopped.
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/").process_group(0);
    command.stdin(Stdio::piped()).stdout(log_file()?).stderr(log_file()?);
    owner.set_user(&mut command);
    command.spawn().map_err(|error| EmbeddedError::io("run", Path::new("/bin/sh"), &error))
}
