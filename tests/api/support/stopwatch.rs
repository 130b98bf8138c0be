//! How long something takes where no more than a limit is promised.

use std::ops::Range;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often it is seen that the machine is at work.
const TICK: Duration = Duration::from_millis(10);
/// A tick that takes longer is a standstill, of which this much counts.
const MAX_TICK: Duration = Duration::from_millis(100);

/// Measures time, but for that in which this process did not run at all: machines that others use too stand still for
/// seconds, and what is asked of stands still with who asks.
#[derive(Debug)]
pub struct Stopwatch {
    started: Instant,
    at_work: Duration,
}

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self { started: Instant::now(), at_work: at_work() }
    }

    /// The time since, to a few ticks.
    pub fn elapsed(&self) -> Duration {
        at_work().saturating_sub(self.at_work)
    }

    /// Checks that so many milliseconds have passed. Of the least, all time counts.
    #[track_caller]
    pub fn expect_milliseconds(&self, range: Range<u64>) {
        let (least, most) = (Duration::from_millis(range.start), Duration::from_millis(range.end));
        assert!(self.started.elapsed() >= least, "only {:?}", self.started.elapsed());
        assert!(self.elapsed() < most, "{:?}", self.elapsed());
    }
}

/// For how long the machine has been seen at work.
fn at_work() -> Duration {
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
