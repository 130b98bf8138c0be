//! Asks the database every 500 ms whether it responds and can write, and chooses the host that new connections go to.
//!
//! The pools cannot tell a database that does not respond from a slow one: they would use its connections until the network
//! reports the failure. And a connection to a server that was a primary stays open when another server has taken over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor, Row};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::connection_pool::Pool;
use super::database_health::{DatabaseHealth, is_writable};

/// The interval of the probes, and the time limit of each.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The time limit for a new connection, which takes several round trips.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The only encoding that can store every text of a request.
const ENCODING: &str = "UTF8";

/// Probes the database on a connection of its own.
pub(in crate::repository) struct DatabaseProbe {
    health: DatabaseHealth,
    /// The options of each host, in the order in which they are tried.
    hosts: Vec<PgConnectOptions>,
    /// The pools whose new connections go to the chosen host.
    pools: Vec<Pool>,
    connection: Option<PgConnection>,
}

/// What a host has answered on a new connection.
enum Answer {
    Writable(PgConnection),
    ReadOnly,
    /// The host has refused the connection, or rejected it with an error.
    Rejected,
    /// The host has not answered in time.
    Silent,
}

impl DatabaseProbe {
    pub(in crate::repository) fn new(health: DatabaseHealth, hosts: Vec<PgConnectOptions>, pools: Vec<Pool>) -> Self {
        Self { health, hosts, pools, connection: None }
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
                // A new connection may lead to another server.
                Ok(_) => {}
                // The database responds to others: it is only busy.
                Err(_) if self.health.has_responded_since(started) => return,
                Err(_) => self.record_loss(),
            }
        }
        self.connect().await;
    }

    /// Connects to the first host that can write, or else to the first one that can be read.
    async fn connect(&mut self) {
        let started = Instant::now();
        let (mut readable, mut is_silent) = (None, true);
        for host in &self.hosts {
            match ask(host, &self.health).await {
                Answer::Writable(connection) => {
                    self.use_host(host, true);
                    self.connection = Some(connection);
                    return;
                }
                Answer::ReadOnly => readable = readable.or(Some(host)),
                Answer::Rejected => is_silent = false,
                Answer::Silent => {}
            }
        }
        match readable {
            Some(host) => self.use_host(host, false),
            None if is_silent && !self.health.has_responded_since(started) => self.record_loss(),
            None => {}
        }
    }

    fn use_host(&self, host: &PgConnectOptions, is_writable: bool) {
        if self.hosts.len() > 1 {
            self.pools.iter().for_each(|pool| pool.use_host(host));
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

    fn record_loss(&self) {
        if self.health.record_loss() {
            tracing::error!("the database does not respond: all its connections are closed");
        }
    }
}

/// Opens a connection to a host, and asks whether it can write.
async fn ask(host: &PgConnectOptions, health: &DatabaseHealth) -> Answer {
    let connect = async {
        let mut connection = PgConnection::connect_with(host).await?;
        health.record_encoding(read_encoding(&mut connection).await?);
        Ok::<_, sqlx::Error>((is_writable(&mut connection).await?, connection))
    };
    match timeout(CONNECT_TIMEOUT, connect).await {
        Ok(Ok((true, connection))) => Answer::Writable(connection),
        Ok(Ok((false, _))) => Answer::ReadOnly,
        Ok(Err(_)) => Answer::Rejected,
        Err(_) => Answer::Silent,
    }
}

/// Returns the encoding of the database if it is not [`ENCODING`].
async fn read_encoding(connection: &mut PgConnection) -> sqlx::Result<Option<Arc<str>>> {
    let encoding: String = connection.fetch_one("SELECT current_setting('server_encoding')").await?.try_get(0)?;
    Ok((encoding != ENCODING).then(|| encoding.into()))
}
