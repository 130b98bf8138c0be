//! A connection that a worker holds on to from batch to batch. To give one back takes round trips, for the pool tests
//! what it is given, and the next batch would wait for them.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Postgres};

use super::Pool;

/// After which a connection is given back all the same: what the pool knows of its age must come to count.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// Workers' connections, one each.
pub(in crate::repository) struct Holders {
    pool: Pool,
    holders: Vec<Holder>,
}

impl Holders {
    /// Holders on a pool that no one else uses: others would wait in vain for what is held.
    pub(in crate::repository) fn on_own(pool: Pool, workers: u32) -> Self {
        Self::new(pool, workers, || Some(Arc::default()))
    }

    /// Holders that hold nothing, on a pool that is shared with others.
    pub(in crate::repository) fn on_shared(pool: Pool, workers: u32) -> Self {
        Self::new(pool, workers, || None)
    }

    fn new(pool: Pool, workers: u32, slot: impl Fn() -> Option<Slot>) -> Self {
        let holder = |_| Holder { pool: pool.clone(), slot: slot() };
        Self { holders: (0..workers).map(holder).collect(), pool }
    }

    /// One that holds nothing.
    pub(in crate::repository) fn passing(&self) -> Holder {
        Holder { pool: self.pool.clone(), slot: None }
    }

    /// One for each worker.
    pub(in crate::repository) fn iter(&self) -> impl Iterator<Item = Holder> {
        self.holders.iter().cloned()
    }

    /// Brings the gauges of the pool up to date.
    pub(in crate::repository) fn measure(&self) {
        let holds = |holder: &&Holder| holder.slot().is_some_and(|slot| slot.is_some());
        self.pool.measure(self.holders.iter().filter(holds).count());
    }

    /// Closes the connections, after the statements under way.
    pub(in crate::repository) async fn close(&self) {
        // What is held from now on is let go at once.
        let closed = self.pool.close();
        self.holders.iter().for_each(|holder| drop(holder.take()));
        closed.await;
    }
}

type Slot = Arc<Mutex<Option<Held>>>;

/// Holds a connection of a pool between its uses. Cheap to clone.
#[derive(Clone)]
pub(in crate::repository) struct Holder {
    pool: Pool,
    /// `None`: it holds nothing.
    slot: Option<Slot>,
}

/// A connection that is to be held again when nothing is under way on it; else it goes back to the pool when it is
/// dropped.
pub(in crate::repository) struct Held {
    connection: PoolConnection<Postgres>,
    since: Instant,
    last_used: Instant,
}

impl Holder {
    /// The connection that is held, or else one of the pool.
    ///
    /// # Errors
    /// None was free in time, or the database is away.
    pub(in crate::repository) async fn acquire(&self) -> sqlx::Result<Held> {
        if let Some(mut held) = self.take()
            && self.is_sound(&mut held).await
        {
            return Ok(held);
        }
        let now = Instant::now();
        Ok(Held { connection: self.pool.acquire().await?, since: now, last_used: now })
    }

    /// Holds on to a connection on which nothing is under way.
    pub(in crate::repository) fn hold(&self, held: Held) {
        let is_young = held.since.elapsed() < MAX_HOLD;
        let held = is_young.then(|| Held { last_used: Instant::now(), ..held });
        if let Some(mut slot) = self.slot() {
            *slot = held;
        }
        if self.pool.is_closed() {
            self.take();
        }
    }

    fn take(&self) -> Option<Held> {
        self.slot()?.take()
    }

    fn slot(&self) -> Option<MutexGuard<'_, Option<Held>>> {
        Some(self.slot.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn is_sound(&self, held: &mut Held) -> bool {
        !self.pool.suspects(held.last_used.elapsed()) || held.ping().await.is_ok()
    }
}

impl Deref for Held {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Held {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
