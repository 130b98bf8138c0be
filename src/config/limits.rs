//! What the server bears with at most, from one account and from all callers together.

use std::num::NonZeroU32;
use std::time::Duration;

use super::reader::Reader;

/// What the server bears with at most.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// How many requests an account has a minute, on this instance. `None`: as many as it likes.
    pub rate_per_minute: Option<NonZeroU32>,
    /// How many requests are worked on at once; as many long polls may wait besides.
    pub concurrent_requests: usize,
    /// How many connections are open at once.
    pub connections: usize,
    /// How much of large bodies is held in memory at once, in bytes.
    pub buffered_body_bytes: usize,
    /// How long the head of a request may take, from its first byte on.
    pub header_read_timeout: Duration,
    /// How long a connection may pause between two requests.
    pub idle_timeout: Duration,
    /// How long a body may pause between two pieces of it.
    pub body_read_timeout: Duration,
}

impl Reader<'_> {
    pub(super) fn limits(&mut self) -> LimitSettings {
        LimitSettings {
            rate_per_minute: self.optional("RATE_LIMIT_PER_MINUTE", "must be a number of requests above 0"),
            // A request in work holds little but its body, and the database serves far fewer at once: more than this
            // would only wait in line for longer than their callers do.
            concurrent_requests: self.count("MAX_CONCURRENT_REQUESTS", 1_024),
            connections: self.count("MAX_CONNECTIONS", 8_192),
            buffered_body_bytes: self.bytes("MAX_BUFFERED_BODY_BYTES", 64 * 1024 * 1024),
            header_read_timeout: self.milliseconds("HEADER_READ_TIMEOUT_MS", 15_000),
            // Load balancers keep connections for 60 s, and have to be the ones that close them: else the next request
            // crosses with the end of its connection.
            idle_timeout: self.milliseconds("IDLE_TIMEOUT_MS", 75_000),
            body_read_timeout: self.milliseconds("BODY_READ_TIMEOUT_MS", 5_000),
        }
    }

    fn count(&mut self, name: &str, default: usize) -> usize {
        self.parsed(name, default, |count| (1..=1_000_000).contains(count), "must be a number from 1 to 1000000")
    }
}
