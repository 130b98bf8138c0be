//! Lines that callers stand in, and how fast they move. Who would stand in one for too long is turned away at once: a
//! line that grows would in the end serve everyone too late, and no one who waits in vain learns it early.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::StorageError;

/// How long a caller may have to wait in a line, as far as can be foreseen.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// How many steps of late tell the pace of a line.
const STEPS: usize = 3;

/// How long a step of a line took, of late; nothing at first.
#[derive(Default)]
pub(super) struct Pace(Mutex<[Duration; STEPS]>);

impl Pace {
    /// Takes into account that a step took so long.
    pub(super) fn note(&self, step: Duration) {
        let mut steps = self.steps();
        steps.rotate_left(1);
        steps[STEPS - 1] = step;
    }

    /// Whether a caller with so many steps ahead may wait for his turn.
    ///
    /// # Errors
    /// [`StorageError::Overloaded`]: it would take too long.
    pub(super) fn expect_turn(&self, ahead: usize) -> Result<(), StorageError> {
        let ahead = u32::try_from(ahead).unwrap_or(u32::MAX);
        let is_short = ahead == 0 || self.step().saturating_mul(ahead) <= MAX_WAIT;
        if is_short { Ok(()) } else { Err(StorageError::Overloaded) }
    }

    /// How long a step takes: the median. One that took long says that the line stood still, not that it is slow.
    fn step(&self) -> Duration {
        let mut steps = *self.steps();
        steps.sort_unstable();
        steps[STEPS / 2]
    }

    fn steps(&self) -> MutexGuard<'_, [Duration; STEPS]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line of callers who are served in turn.
pub(super) struct Line {
    length: AtomicUsize,
    round: Mutex<Round>,
    pace: Pace,
}

impl Line {
    /// A line in which so many can be served at a time.
    pub(super) fn new(width: u32) -> Self {
        Self { length: AtomicUsize::new(0), round: Mutex::new(Round::of(width)), pace: Pace::default() }
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
        if place.ahead == 0 {
            self.round().resume(Instant::now());
        }
        let turn = turn.await;
        if let Some(step) = self.round().count(Instant::now()) {
            self.pace.note(step);
        }
        turn
    }

    fn round(&self) -> MutexGuard<'_, Round> {
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As many turns as there can be at a time. Taken together, for they may come together: when all were held up by the
/// same thing, all move on at once.
struct Round {
    width: u32,
    turns: u32,
    /// For how long someone stood in the line.
    time: Duration,
    /// Until when that is taken into account.
    until: Instant,
}

impl Round {
    fn of(width: u32) -> Self {
        Self { width, turns: 0, time: Duration::ZERO, until: Instant::now() }
    }

    /// Leaves out the time until now: no one stood in the line.
    fn resume(&mut self, now: Instant) {
        self.until = now;
    }

    /// Counts a turn, and tells how long each took at the end of the round.
    fn count(&mut self, now: Instant) -> Option<Duration> {
        self.turns += 1;
        self.time += now.saturating_duration_since(self.until);
        self.until = now;
        if self.turns < self.width {
            return None;
        }
        self.turns = 0;
        Some(std::mem::take(&mut self.time) / self.width)
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
        for _ in 0..2 * STEPS {
            drop(turns.take().await);
        }
        assert!(turns.line.pace.step() < Duration::from_millis(1), "an empty line is fast");
    }

    #[tokio::test]
    async fn a_standstill_is_not_taken_for_a_slow_line() {
        const WIDTH: u32 = 8;
        let turns = Arc::new(Turns::new(WIDTH));
        let all = Arc::clone(&turns.permits).acquire_many_owned(WIDTH).await.expect("no one closes it");
        let mut callers = tokio::task::JoinSet::new();
        (0..80).for_each(|_| drop(callers.spawn(take_turn(Arc::clone(&turns)))));
        tokio::time::sleep(STEP * 8).await;
        drop(all);
        tokio::time::sleep(STEP / 2).await;
        assert!(turns.line.length() > 60);
        turns.expect_turn().expect("ten steps are not long");
        callers.join_all().await;
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
