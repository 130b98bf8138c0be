//! What the service bears with at most: how many requests of an account, how many at once, how much of their bodies.
//!
//! The numbers are settings. Whatever is refused is refused early, while it has cost next to nothing.

mod bodies;
mod rate;
mod slots;

use crate::config::HttpSettings;

pub(super) use bodies::Bodies;
pub(super) use rate::{NotedStanding, Rates, Standing};
pub(super) use slots::{Slots, bounded};

/// The limits of a running service, and how far they are used up.
pub(super) struct Limits {
    /// How many requests each account has left; `None` when it has as many as it likes.
    pub(super) rates: Option<Rates>,
    /// How many requests can still be begun.
    pub(super) slots: Slots,
    /// How much can still be read into memory.
    pub(super) bodies: Bodies,
}

impl Limits {
    /// The limits of a service that has just started.
    pub(super) fn new(settings: &HttpSettings) -> Self {
        let limits = &settings.limits;
        Self {
            rates: limits.rate_per_minute.map(Rates::new),
            slots: Slots::new(limits.concurrent_requests),
            bodies: Bodies::new(limits.buffered_body_bytes, limits.body_read_timeout),
        }
    }
}
