//! The durations and statuses of responses.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The durations of responses, and their number by status.
#[derive(Debug, Default)]
pub struct Timings {
    durations: Vec<Duration>,
    statuses: BTreeMap<u16, usize>,
}

impl Timings {
    /// Returns the timings of a single response.
    pub fn with(status: u16, took: Duration) -> Self {
        Self { durations: vec![took], statuses: BTreeMap::from([(status, 1)]) }
    }

    pub fn add(&mut self, status: u16, took: Duration) {
        self.append(Self::with(status, took));
    }

    pub fn append(&mut self, other: Self) {
        self.durations.extend(other.durations);
        other.statuses.into_iter().for_each(|(status, count)| *self.statuses.entry(status).or_default() += count);
    }

    fn quantile(&self, percent: usize) -> Duration {
        let mut durations = self.durations.clone();
        durations.sort_unstable();
        durations.get((durations.len() * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "p50 {:.1?}, p99 {:.1?}, {:?}", self.quantile(50), self.quantile(99), self.statuses)
    }
}
