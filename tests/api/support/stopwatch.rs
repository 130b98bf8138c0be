//! Measures time for assertions that an operation takes no longer than a limit.

use std::ops::Range;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the background thread confirms that the process runs.
const TICK: Duration = Duration::from_millis(10);
/// How much of one tick counts at most. A longer tick means that the process was suspended.
const MAX_TICK: Duration = Duration::from_millis(100);

/// A stopwatch that excludes the time in which this process did not run at all.
///
/// Shared machines suspend a process for seconds, and then the test and the service under test are suspended together.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    started_at_running_time: Duration,
}

impl Stopwatch {
    /// Starts the stopwatch.
    pub fn start() -> Self {
        Self { started: Instant::now(), started_at_running_time: running_time() }
    }

    /// Returns the time since the start, precise to a few ticks.
    pub fn elapsed(&self) -> Duration {
        running_time().saturating_sub(self.started_at_running_time)
    }

    /// Checks that the elapsed milliseconds are in this range.
    ///
    /// The lower bound counts all time, the upper bound only the time in which the process ran.
    #[track_caller]
    pub fn expect_milliseconds(&self, range: Range<u64>) {
        let (least, most) = (Duration::from_millis(range.start), Duration::from_millis(range.end));
        assert!(self.started.elapsed() >= least, "returned after only {:?}", self.started.elapsed());
        assert!(self.elapsed() < most, "took {:?}", self.elapsed());
    }
}

/// Returns for how long the process has been observed to run.
fn running_time() -> Duration {
    static WATCH: Once = Once::new();
    static MILLISECONDS: AtomicU64 = AtomicU64::new(0);
    WATCH.call_once(|| {
        std::thread::spawn(|| {
            loop {
                let before = Instant::now();
                std::thread::sleep(TICK);
                let tick = before.elapsed().min(MAX_TICK);
                MILLISECONDS.fetch_add(tick.as_millis() as u64, Ordering::Relaxed);
            }
        });
    });
    Duration::from_millis(MILLISECONDS.load(Ordering::Relaxed))
}
