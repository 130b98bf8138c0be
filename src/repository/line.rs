//! Lines that callers stand in, and how fast they move. Who would stand in one for too long is turned away at once: a
//! line that grows would in the end serve everyone too late, and no one who waits in vain learns it early.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StorageError;

/// How long a caller may have to wait in a line, as far as can be foreseen.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How long a step of a line takes, of late; nothing at first. Who writes it at the same moment as another may write in
/// vain: it is an estimate.
#[derive(Default)]
pub(super) struct Pace(AtomicU64);

impl Pace {
    /// Takes into account that a step took so long.
    pub(super) fn note(&self, step: Duration) {
        // A line that stood still says little about how it moves when it does.
        let step = nanoseconds(step.min(MAX_WAIT));
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before - before / 4 + step / 4, Ordering::Relaxed);
    }

    /// Takes into account that a step takes no longer than this.
    fn note_at_most(&self, step: Duration) {
        self.0.fetch_min(nanoseconds(step), Ordering::Relaxed);
    }

    /// Whether a caller with so many steps ahead may wait for his turn.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`]: it would take too long.
    pub(super) fn expect_turn(&self, ahead: usize) -> Result<(), StorageError> {
        let wait = self.0.load(Ordering::Relaxed).saturating_mul(ahead as u64);
        if wait > nanoseconds(MAX_WAIT) { Err(StorageError::Overloaded) } else { Ok(()) }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A line of callers who are served in turn.
pub(super) struct Line {
    /// How many can be served at a time.
    width: u32,
    length: AtomicUsize,
    pace: Pace,
}

impl Line {
    /// A line in which so many can be served at a time.
    pub(super) fn new(width: u32) -> Self {
        Self { width, length: AtomicUsize::new(0), pace: Pace::default() }
    }

    /// How many stand in it.
    pub(super) fn length(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Whether a caller who comes now may wait for his turn. So much of what the line is for is `free`.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`]: it would take too long.
    pub(super) fn expect_turn(&self, free: usize) -> Result<(), StorageError> {
        self.pace.expect_turn(self.length().saturating_sub(free))
    }

    /// Stands in the line until `turn` has come.
    pub(super) async fn stand<T>(&self, turn: impl Future<Output = T>) -> T {
        let place = Place::last_in(self);
        let started = Instant::now();
        let turn = turn.await;
        match u32::try_from(place.ahead).unwrap_or(u32::MAX) {
            // Whatever he waited for, it was not the line.
            0 => self.pace.note_at_most(started.elapsed()),
            // After a standstill all that can be served at a time move on at once, however few stood there.
            ahead => self.pace.note(started.elapsed() / ahead.saturating_add(1).max(self.width)),
        }
        turn
    }
}

/// Someone's place in a line, until it is dropped: he has had his turn, or has gone.
struct Place<'a> {
    line: &'a Line,
    /// How many stood in the line when he came.
    ahead: usize,
}

impl<'a> Place<'a> {
    fn last_in(line: &'a Line) -> Self {
        Self { line, ahead: line.length.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.length.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Permits for what only some may do at a time, and the line of those who wait for one.
pub(super) struct Turns {
    permits: Arc<Semaphore>,
    line: Line,
}

impl Turns {
    /// For so many at a time.
    pub(super) fn new(count: u32) -> Self {
        let count = count.max(1);
        Self { permits: Arc::new(Semaphore::new(count as usize)), line: Line::new(count) }
    }

    /// Whether a caller who comes now may wait for his turn.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`]: it would take too long.
    pub(super) fn expect_turn(&self) -> Result<(), StorageError> {
        self.line.expect_turn(self.permits.available_permits())
    }

    /// Waits for a turn, which lasts until the permit is dropped.
    pub(super) async fn take(&self) -> OwnedSemaphorePermit {
        let permit = self.line.stand(Arc::clone(&self.permits).acquire_owned()).await;
        permit.expect("no one closes it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    /// Someone who stands in a line, and leaves when he has been served.
    async fn take_turn(turns: Arc<Turns>) {
        let permit = turns.take().await;
        tokio::time::sleep(STEP).await;
        drop(permit);
    }

    #[tokio::test]
    async fn a_line_is_as_long_as_two_seconds_are() {
        let turns = Arc::new(Turns::new(2));
        turns.expect_turn().expect("no one is there");
        let mut callers = tokio::task::JoinSet::new();
        for _ in 0..80 {
            turns.expect_turn().expect("how fast it moves is not known yet");
            callers.spawn(take_turn(Arc::clone(&turns)));
        }
        tokio::time::sleep(STEP * 5).await;
        // Two every tenth of a second: the next would wait for more than three seconds.
        assert!(turns.line.length() > 60);
        assert!(matches!(turns.expect_turn(), Err(StorageError::Overloaded)));
        while turns.line.length() > 10 {
            callers.join_next().await.expect("there are more").expect("no panic");
        }
        turns.expect_turn().expect("half a second is not long");
        callers.join_all().await;
        take_turn(Arc::clone(&turns)).await;
        assert!(turns.line.pace.0.load(Ordering::Relaxed) < nanoseconds(STEP / 10), "an empty line is fast");
    }

    #[tokio::test]
    async fn a_standstill_is_not_taken_for_a_slow_line() {
        const WIDTH: u32 = 8;
        let turns = Arc::new(Turns::new(WIDTH));
        let all = Arc::clone(&turns.permits).acquire_many_owned(WIDTH).await.expect("no one closes it");
        let mut callers = tokio::task::JoinSet::new();
        (0..2).for_each(|_| drop(callers.spawn(take_turn(Arc::clone(&turns)))));
        tokio::time::sleep(STEP * 8).await;
        drop(all);
        callers.join_all().await;
        // Half of a caller's wait would be four steps.
        assert!(turns.line.pace.0.load(Ordering::Relaxed) < nanoseconds(STEP / 2));
    }

    #[tokio::test]
    async fn who_goes_away_leaves_his_place() {
        let turns = Turns::new(1);
        let permit = turns.take().await;
        assert!(tokio::time::timeout(Duration::from_millis(1), turns.take()).await.is_err());
        assert_eq!(turns.line.length(), 0);
        drop(permit);
        drop(turns.take().await);
    }
}
