//! Asks the database every 500 ms whether it responds and can write, and chooses the host that new connections go to.
//!
//! The pools cannot tell a database that does not respond from a slow one: they would use its connections until the network
//! reports the failure. And a connection to a server that was a primary stays open when another server has taken over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor, Row};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::connection_pool::Pool;
use super::database_health::{DatabaseHealth, is_writable};

/// The interval of the probes, and the time limit of each.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The time limit for new connections. The pools have the same.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval at which further connections are tried meanwhile: one that was begun while the database did not respond may never end.
const CONNECT_INTERVAL: Duration = Duration::from_secs(1);

/// The time without an answer after which a database without a connection of the probe counts as lost.
const MAX_SILENCE: Duration = Duration::from_secs(2);

/// The only encoding that can store every text of a request.
const ENCODING: &str = "UTF8";

/// Probes the database on a connection of its own.
pub(in crate::repository) struct DatabaseProbe {
    health: DatabaseHealth,
    /// The options of each host.
    hosts: Vec<PgConnectOptions>,
    /// The pools whose new connections go to the chosen host.
    pools: Vec<Pool>,
    connection: Option<PgConnection>,
    /// The last error of a new connection.
    last_error: Option<String>,
}

/// What a host has answered on a new connection.
enum Answer {
    Writable(PgConnection),
    ReadOnly,
    /// The host has refused the connection, or responded with an error.
    Rejected(sqlx::Error),
}

impl DatabaseProbe {
    pub(in crate::repository) fn new(health: DatabaseHealth, hosts: Vec<PgConnectOptions>, pools: Vec<Pool>) -> Self {
        // `contacts distribute` counts the connections of running instances by their name.
        let hosts = hosts.into_iter().map(|host| host.application_name("contacts probe")).collect();
        Self { health, hosts, pools, connection: None, last_error: None }
    }

    /// Probes the database, for as long as the future is polled.
    pub(in crate::repository) async fn run(mut self) {
        let mut ticks = interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.probe().await;
        }
    }

    async fn probe(&mut self) {
        let started = Instant::now();
        if let Some(mut connection) = self.connection.take() {
            match timeout(PROBE_TIMEOUT, is_writable(&mut connection)).await {
                Ok(Ok(true)) => {
                    self.health.record_status(true);
                    self.connection = Some(connection);
                    return;
                }
                // A new connection may lead to another server, and then the old ones do not.
                Ok(Ok(false)) => self.health.suspect_connections(),
                Ok(Err(_)) => {}
                // The database responds to others: it is only busy.
                Err(_) if self.health.has_responded_since(started) => return,
                Err(_) => self.record_loss(),
            }
        }
        self.connect().await;
    }

    /// Connects to all hosts at once, and uses the one that can write, or else the first one that can be read.
    async fn connect(&mut self) {
        let started = Instant::now();
        let (mut answers, mut pending) = (Answers::default(), FuturesUnordered::new());
        while started.elapsed() < CONNECT_TIMEOUT {
            pending.extend(self.hosts.iter().enumerate().map(|(index, host)| ask(index, host, &self.health)));
            match timeout(CONNECT_INTERVAL, answers.read_until_writable(&mut pending)).await {
                Ok(Some((host, connection))) => {
                    drop(pending);
                    (self.connection, self.last_error) = (Some(connection), None);
                    return self.use_host(host, true);
                }
                // All hosts have answered.
                Ok(None) => break,
                Err(_) => {
                    let is_silent = answers.is_empty() && !self.health.has_responded_since(started);
                    if is_silent && started.elapsed() >= MAX_SILENCE {
                        self.record_loss();
                    }
                }
            }
        }
        drop(pending);
        match answers {
            Answers { readable: Some(host), .. } => self.use_host(host, false),
            Answers { rejection: Some(error), .. } => self.record_rejection(&error),
            _ => {}
        }
    }

    fn use_host(&self, host: usize, is_writable: bool) {
        let is_another = |pool: &Pool| pool.use_host(&self.hosts[host]);
        if self.hosts.len() > 1 && self.pools.iter().filter(|pool| is_another(pool)).count() > 0 {
            self.health.suspect_connections();
        }
        let before = self.health.record_status(is_writable);
        if before.is_lost && before.losses > 0 {
            tracing::info!("the database responds again");
        }
        match (before.is_writable, is_writable) {
            (true, false) => tracing::warn!("the database is read-only: reads go on, and writes fail"),
            (false, true) => tracing::info!("the database can write again"),
            _ => {}
        }
    }

    fn record_rejection(&mut self, error: &sqlx::Error) {
        // A refused connection is no response.
        if self.hosts.len() == 1 && matches!(error, sqlx::Error::Database(_)) {
            self.health.record_rejection();
        }
        let text = error.to_string();
        if self.last_error.as_ref() != Some(&text) {
            tracing::warn!(%error, "cannot connect to the database");
            self.last_error = Some(text);
        }
    }

    fn record_loss(&self) {
        if self.health.record_loss() {
            tracing::error!("the database does not respond: all its connections are closed");
        }
    }
}

/// What the hosts have answered that cannot write.
#[derive(Default)]
struct Answers {
    /// The first host that can be read.
    readable: Option<usize>,
    rejection: Option<sqlx::Error>,
}

impl Answers {
    fn is_empty(&self) -> bool {
        self.readable.is_none() && self.rejection.is_none()
    }

    /// Reads answers until a host can write, and returns this host and its connection. Returns `None` if no answer is pending any more.
    async fn read_until_writable(
        &mut self,
        pending: &mut (impl Stream<Item = (usize, Answer)> + Unpin),
    ) -> Option<(usize, PgConnection)> {
        loop {
            match pending.next().await? {
                (host, Answer::Writable(connection)) => return Some((host, connection)),
                (host, Answer::ReadOnly) => self.readable = Some(self.readable.map_or(host, |first| first.min(host))),
                (_, Answer::Rejected(error)) => self.rejection = Some(error),
            }
        }
    }
}

/// Opens a connection to a host, and asks whether it can write. Returns the answer with the number of the host.
async fn ask(index: usize, host: &PgConnectOptions, health: &DatabaseHealth) -> (usize, Answer) {
    let connect = async {
        let mut connection = PgConnection::connect_with(host).await?;
        health.record_encoding(read_encoding(&mut connection).await?);
        Ok::<_, sqlx::Error>((is_writable(&mut connection).await?, connection))
    };
    let answer = match connect.await {
        Ok((true, connection)) => Answer::Writable(connection),
        Ok((false, _)) => Answer::ReadOnly,
        Err(error) => Answer::Rejected(error),
    };
    (index, answer)
}

/// Returns the encoding of the database if it is not [`ENCODING`].
async fn read_encoding(connection: &mut PgConnection) -> sqlx::Result<Option<Arc<str>>> {
    let encoding: String = connection.fetch_one("SELECT current_setting('server_encoding')").await?.try_get(0)?;
    Ok((encoding != ENCODING).then(|| encoding.into()))
}
