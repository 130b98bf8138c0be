//! What is known of the database, shared by all pools: whether it responds, whether it can write, and which connections must be
//! tested or dropped because of that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor, Row};
use tokio::sync::watch;
use tokio::time::timeout;

/// A connection that was idle for longer than this is tested before use.
///
/// A ping before every use would cost a sixth of the throughput. Without any ping, the first requests after a restart
/// of the database would fail. [`Marks::broken_at`] covers the connections that were used within this time.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);

/// The time that a caller waits for a lost database before its request fails.
const MAX_WAIT_FOR_LOST: Duration = Duration::from_secs(1);
/// The time that a caller waits for the first choice of a host.
const MAX_WAIT_FOR_CHOICE: Duration = Duration::from_secs(5);

/// The state of the database, as the probe ([`super::probe`]) and failed statements have found it. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::repository) struct DatabaseHealth(Arc<SharedHealth>);

#[derive(Debug)]
struct SharedHealth {
    created_at: Instant,
    marks: Mutex<Marks>,
    status: watch::Sender<DatabaseStatus>,
    /// When the last statement ended, in milliseconds since `created_at`.
    last_response: AtomicU64,
    /// The encoding of the database, if the service cannot use it.
    bad_encoding: Mutex<Option<Arc<str>>>,
}

/// The times at which something was detected that concerns older connections.
#[derive(Debug, Default, Clone, Copy)]
struct Marks {
    /// A connection was broken. The database may have restarted, so every connection that has not been used since then is
    /// tested before use.
    broken_at: Option<Instant>,
    /// The database did not respond. Connections that were opened before are dropped without a test, which might not end.
    lost_at: Option<Instant>,
    /// A database that cannot write was detected, or one that can write again. Connections that were opened before may lead to
    /// the one that cannot, so they are asked before use.
    read_only_at: Option<Instant>,
}

/// The state of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::repository) struct DatabaseStatus {
    /// How often the database was lost. Connections from before the last time are not used any more.
    pub(super) losses: u64,
    /// Whether the database does not respond since the last loss.
    pub(super) is_lost: bool,
    /// Whether new connections can write.
    pub(super) is_writable: bool,
}

impl DatabaseHealth {
    /// Creates the state of a database about which nothing is known. `must_choose`: connections wait until the probe has chosen a
    /// host.
    pub(in crate::repository) fn new(must_choose: bool) -> Self {
        let status = DatabaseStatus { losses: 0, is_lost: must_choose, is_writable: true };
        Self(Arc::new(SharedHealth {
            created_at: Instant::now(),
            marks: Mutex::default(),
            status: watch::Sender::new(status),
            last_response: AtomicU64::new(0),
            bad_encoding: Mutex::default(),
        }))
    }

    /// Whether new connections can write, as far as is known.
    pub(in crate::repository) fn is_writable(&self) -> bool {
        self.0.status.borrow().is_writable
    }

    /// Records that a broken connection was detected now.
    pub(super) fn record_broken_connection(&self) {
        self.marks().broken_at = Some(Instant::now());
    }

    /// Records that a statement was rejected because its database cannot write. Returns whether a new connection may be able to.
    pub(super) fn record_read_only(&self) -> bool {
        self.suspect_connections();
        self.is_writable()
    }

    /// Records that connections which were opened before now may lead to a server that cannot write.
    pub(super) fn suspect_connections(&self) {
        self.marks().read_only_at = Some(Instant::now());
    }

    /// Records that the database responds, but rejects new connections. They are tried again.
    pub(super) fn record_rejection(&self) {
        self.0.status.send_if_modified(|status| std::mem::take(&mut status.is_lost));
    }

    /// Records that the database has responded.
    pub(super) fn record_response(&self) {
        self.0.last_response.store(self.milliseconds(Instant::now()), Ordering::Relaxed);
    }

    /// Whether the database has responded since then.
    pub(super) fn has_responded_since(&self, start: Instant) -> bool {
        self.0.last_response.load(Ordering::Relaxed) > self.milliseconds(start)
    }

    fn milliseconds(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.0.created_at).as_millis()).unwrap_or(u64::MAX)
    }

    /// Records that the database does not respond: all statements that run now fail. Returns false if it was lost before.
    pub(super) fn record_loss(&self) -> bool {
        self.0.status.send_if_modified(|status| {
            let is_new = !status.is_lost;
            if is_new {
                self.marks().lost_at = Some(Instant::now());
                status.losses += 1;
                status.is_lost = true;
            }
            is_new
        })
    }

    /// Records the encoding of the database if the service cannot use it.
    pub(super) fn record_encoding(&self, bad_encoding: Option<Arc<str>>) {
        let mut last = self.0.bad_encoding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoding) = bad_encoding.as_ref().filter(|encoding| last.as_ref() != Some(encoding)) {
            tracing::error!("{}", bad_encoding_message(encoding));
        }
        *last = bad_encoding;
    }

    /// Records that the database responds on a new connection, and whether it can write. Returns the state before.
    pub(super) fn record_status(&self, is_writable: bool) -> DatabaseStatus {
        let before = *self.0.status.borrow();
        if is_writable && !before.is_writable {
            self.suspect_connections();
        }
        let status = DatabaseStatus { is_lost: false, is_writable, ..before };
        self.0.status.send_if_modified(|last| std::mem::replace(last, status) != status);
        before
    }

    /// Waits until the database is not lost, for a caller that is about to use a connection.
    ///
    /// # Errors
    /// Fails after a second, and if the service cannot use the database.
    pub(super) async fn wait_until_reachable(&self) -> sqlx::Result<LossWatch> {
        if let Some(encoding) = &*self.0.bad_encoding.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(sqlx::Error::Protocol(bad_encoding_message(encoding)));
        }
        let mut status = self.0.status.subscribe();
        let DatabaseStatus { is_lost, losses, .. } = *status.borrow();
        if is_lost {
            let limit = if losses == 0 { MAX_WAIT_FOR_CHOICE } else { MAX_WAIT_FOR_LOST };
            let waited = timeout(limit, status.wait_for(|status| !status.is_lost)).await;
            waited.map_err(|_| lost()).map(drop)?;
        }
        let losses = status.borrow_and_update().losses;
        Ok(LossWatch { status, losses })
    }

    /// Tests a connection that was opened and last used this long ago. Returns whether it may be used.
    ///
    /// # Errors
    /// Fails if the connection is broken, or from before a loss of the database.
    pub(super) async fn test(
        &self,
        connection: &mut PgConnection,
        age: Duration,
        idle: Duration,
    ) -> sqlx::Result<bool> {
        let marks = *self.marks();
        if is_older(age, marks.lost_at) {
            return Err(lost());
        }
        // While new connections cannot write either, this one is as good as any.
        if is_older(age, marks.read_only_at) && self.is_writable() {
            return is_writable(connection).await;
        }
        if idle > TEST_AFTER_IDLE || is_older(idle, marks.broken_at) {
            connection.ping().await?;
        }
        Ok(true)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bad_encoding_message(encoding: &str) -> String {
    format!(
        "the database has the encoding {encoding}, and the service needs UTF8: create it with ENCODING 'UTF8' TEMPLATE template0"
    )
}

/// Whether something that took place this long ago was before a mark.
fn is_older(age: Duration, mark: Option<Instant>) -> bool {
    mark.is_some_and(|mark| age > mark.elapsed())
}

/// Asks a database whether it can write.
pub(super) async fn is_writable(connection: &mut PgConnection) -> sqlx::Result<bool> {
    // A standby is read-only. As a simple query, it is one round trip, also for a pooler that does not keep prepared statements.
    const IS_WRITABLE: &str = "SELECT current_setting('transaction_read_only') = 'off'";
    connection.fetch_one(IS_WRITABLE).await?.try_get(0)
}

/// Returns the error of a statement whose database does not respond.
pub(super) fn lost() -> sqlx::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "the database does not respond").into()
}

/// Ends the uses of a connection when the database is lost.
#[derive(Debug, Clone)]
pub(super) struct LossWatch {
    status: watch::Receiver<DatabaseStatus>,
    /// The number of losses before the connection was acquired.
    losses: u64,
}

impl LossWatch {
    /// Whether the database was lost since the connection was acquired.
    pub(super) fn is_lost(&self) -> bool {
        self.status.borrow().losses > self.losses
    }

    /// Returns the result of an operation, unless the database is lost before its end.
    ///
    /// # Errors
    /// The errors of the operation, or the loss of the database.
    pub(super) async fn unless_lost<T>(&mut self, operation: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let losses = self.losses;
        tokio::select! {
            biased;
            result = operation => result,
            Ok(_) = self.status.wait_for(|status| status.losses > losses) => Err(lost()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn loss_ends_running_operations_and_later_ones_wait_for_the_recovery() {
        let health = DatabaseHealth::new(false);
        let mut watch = health.wait_until_reachable().await.unwrap();
        assert_eq!(watch.unless_lost(async { Ok(1) }).await.unwrap(), 1);
        let running = tokio::spawn({
            let mut watch = watch.clone();
            async move { watch.unless_lost(std::future::pending::<sqlx::Result<()>>()).await }
        });
        health.record_loss();
        assert!(running.await.unwrap().is_err());
        assert!(watch.is_lost());
        assert!(watch.unless_lost(std::future::pending::<sqlx::Result<()>>()).await.is_err());

        let waiting = tokio::spawn({
            let health = health.clone();
            async move { health.wait_until_reachable().await.map(|watch| watch.is_lost()) }
        });
        tokio::task::yield_now().await;
        health.record_status(true);
        assert!(!waiting.await.unwrap().unwrap(), "a connection that is acquired after the loss");
    }

    #[test]
    fn response_counts_from_a_later_millisecond_on() {
        let health = DatabaseHealth::new(false);
        let start = Instant::now();
        assert!(!health.has_responded_since(start));
        std::thread::sleep(Duration::from_millis(2));
        health.record_response();
        assert!(health.has_responded_since(start));
        assert!(!health.has_responded_since(Instant::now()));
    }
}
