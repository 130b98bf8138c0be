//! A guard that counts an operation in a gauge for as long as it runs.

use metrics::Gauge;

/// Increments a gauge while it exists and decrements it when dropped, however the operation ends.
pub struct GaugeGuard<'a>(&'a Gauge);

impl<'a> GaugeGuard<'a> {
    /// Increments `gauge` by one.
    #[must_use]
    pub fn new(gauge: &'a Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for GaugeGuard<'_> {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
