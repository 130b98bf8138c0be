//! How much is going on at this moment, as a gauge.

use metrics::Gauge;

/// Raises a gauge by one until it is dropped: what began has ended then, however it did.
pub struct Raised<'a>(&'a Gauge);

impl<'a> Raised<'a> {
    /// Raises `gauge`.
    #[must_use]
    pub fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Raised<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
