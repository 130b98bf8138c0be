//! The connection pool.

mod holder;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Executor, Postgres};

use crate::config::{DatabaseSettings, SettingsError, problem};
use crate::repository::StorageError;
use crate::repository::line::Line;
use crate::repository::meters::PoolMeters;
pub(super) use holder::{Holder, Holders};

/// A connection that was idle for longer is tested before use: a ping on every use costs a sixth of the
/// throughput, none at all answers the first requests after a restart of the database with an error. (See [`Suspicion`] for those after the first.)
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);
/// How long a request waits for a connection, at most.
const MAX_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may take to come to rest once no one uses it any more: what is under way is first given up.
const MAX_RELEASE: Duration = Duration::from_secs(1);

/// How connections are made. No setting of a session is relied upon, but for the time limits given here.
pub(super) fn connect_options(settings: &DatabaseSettings) -> Result<PgConnectOptions, SettingsError> {
    let malformed = |_| problem("DATABASE_URL", "is malformed: use postgres://user:password@host:5432/database");
    let options: PgConnectOptions = settings.url.expose().parse().map_err(malformed)?;
    Ok(options.application_name("contacts"))
}

/// How long a batch waits for a row that someone else holds, before its updates are written alone.
const BATCH_LOCK_TIMEOUT: &str = "100ms";

/// The same for connections that must not wait long for locks.
pub(super) fn impatient(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("lock_timeout", BATCH_LOCK_TIMEOUT)])
}

/// When a connection was last found broken. The database may have gone and come back then, so that those that were made
/// before are broken too. Shared by the pools of a database.
#[derive(Clone, Default)]
pub(super) struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    fn raise(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection is to be tested that was not used for so long.
    fn is_upon(&self, idle: Duration) -> bool {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle > TEST_AFTER_IDLE || raised.is_some_and(|raised| idle > raised.elapsed())
    }
}

/// Connections to the database, made when they are first used. Knows who waits for one; so everyone has to ask for one
/// here, and none is taken unseen. Cheap to clone.
#[derive(Clone)]
pub(super) struct Pool {
    connections: PgPool,
    line: Arc<Line>,
    suspicion: Suspicion,
    meters: PoolMeters,
}

impl Pool {
    /// Whether a caller who comes now may wait for a connection. To be asked at the beginning of what a caller wants, not
    /// in the midst of it: what has been done for him would be lost.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`]: it would take too long.
    pub(super) fn expect_turn(&self) -> Result<(), StorageError> {
        let free = (self.max() as usize + self.connections.num_idle()).saturating_sub(self.connections.size() as usize);
        self.line.expect_turn(free).inspect_err(|_| self.meters.failures.increment(1))
    }

    /// A connection for a caller who has just come, unless he would wait too long.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`], those of [`Pool::acquire`].
    pub(super) async fn admit(&self) -> Result<PoolConnection<Postgres>, StorageError> {
        self.expect_turn()?;
        Ok(self.acquire().await?)
    }

    /// A connection, as soon as one is free.
    ///
    /// # Errors
    /// None was free in time, or the database is away.
    pub(super) async fn acquire(&self) -> sqlx::Result<PoolConnection<Postgres>> {
        let started = Instant::now();
        // It is large, for it may have to make a connection: each request would carry it along, whether it needs one or not.
        let connection = self.line.stand(Box::pin(self.connections.acquire())).await;
        self.meters.wait.record(started.elapsed());
        if connection.is_err() {
            self.meters.failures.increment(1);
        }
        connection
    }

    /// Whether a connection is to be tested that was not used for so long.
    pub(super) fn suspects(&self, idle: Duration) -> bool {
        self.suspicion.is_upon(idle)
    }

    /// Whether it gives out no more connections.
    pub(super) fn is_closed(&self) -> bool {
        self.connections.is_closed()
    }

    /// Gives out no more connections, and waits until all are back.
    pub(super) fn close(&self) -> impl Future<Output = ()> {
        self.connections.close()
    }

    /// Brings its gauges up to date. So many of the connections that were given out are held, and not in use.
    pub(super) fn measure(&self, held: usize) {
        let (open, idle) = (self.connections.size() as usize, self.connections.num_idle() + held);
        self.meters.show(open.saturating_sub(idle), idle, self.max(), self.line.length());
    }

    /// How many connections there may be.
    fn max(&self) -> u32 {
        self.connections.options().get_max_connections()
    }
}

/// Lets the database end a statement whose connection was dropped. It would notice only when it has something to say, so
/// each caller who leaves while a lock is held would cost it a connection until the time limit of the statement.
///
/// Not every database can: before version 14 there is no such setting, and some platforms refuse it. As a parameter of
/// the connection it would keep us from connecting to those.
async fn notice_departure(connection: &mut PgConnection) -> sqlx::Result<()> {
    match connection.execute("SET client_connection_check_interval = '500ms'").await {
        Ok(_) | Err(sqlx::Error::Database(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// A pool of at most this many connections. It is measured under `name`.
pub(super) fn open(
    name: &'static str,
    settings: &DatabaseSettings,
    options: PgConnectOptions,
    max_connections: u32,
    suspicion: &Suspicion,
) -> Pool {
    let limit = |timeout: Duration| format!("{}ms", timeout.as_millis());
    let session = [
        // Every statement is one for which the general plan is the right one; planning a batch anew each time costs more
        // than running it.
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        ("statement_timeout", limit(settings.timeout)),
        ("idle_in_transaction_session_timeout", limit(settings.timeout * 2)),
    ];
    let (to_test, to_raise) = (suspicion.clone(), suspicion.clone());
    let connections = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(settings.timeout.min(MAX_ACQUIRE_TIMEOUT))
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async move { notice_departure(connection).await }))
        .before_acquire(move |connection, usage| {
            let is_suspect = to_test.is_upon(usage.idle_for);
            Box::pin(async move {
                if is_suspect {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(move |connection, _| {
            let suspicion = to_raise.clone();
            // A batch of a thousand writes has made them large, and each connection has one now and then.
            connection.shrink_buffers();
            Box::pin(async move {
                // One that answers nothing is dropped, or its place in the pool would be lost until the network gives it up.
                // (sqlx pings as well, after this: always, without a bound, and without telling us how it went. So this can't
                // be left out, and that can't be turned off. Neither holds up the caller.)
                let answered = tokio::time::timeout(MAX_RELEASE, connection.ping()).await;
                let answered = answered.unwrap_or(Err(sqlx::Error::PoolTimedOut));
                answered.inspect_err(|_| suspicion.raise()).map(|()| true)
            })
        })
        .connect_lazy_with(options.options(session));
    let line = Arc::new(Line::new(max_connections));
    Pool { connections, line, suspicion: suspicion.clone(), meters: PoolMeters::new(name) }
}
