//! The limits on requests and connections, for each account and for all callers together.

use std::num::NonZeroU32;
use std::time::Duration;

use super::settings_reader::SettingsReader;

/// The limits on requests and connections.
#[derive(Debug, Clone)]
pub struct LimitSettings {
    /// The maximum number of requests per account and minute, on this instance. `None`: no limit.
    pub rate_per_minute: Option<NonZeroU32>,
    /// The maximum number of concurrent requests, except long polls.
    pub concurrent_requests: usize,
    /// The maximum number of long polls at a time.
    pub long_polls: usize,
    /// The maximum number of open connections.
    pub connections: usize,
    /// The memory for large bodies, in bytes.
    pub buffered_body_bytes: usize,
    /// The memory for responses, in bytes.
    pub buffered_response_bytes: usize,
    /// The time limit for the head of a request, from its first byte.
    pub header_read_timeout: Duration,
    /// How long a connection may stay idle between two requests.
    pub idle_timeout: Duration,
    /// How long a body may pause between two chunks.
    pub body_read_timeout: Duration,
}

impl SettingsReader<'_> {
    pub(super) fn read_limit_settings(&mut self) -> LimitSettings {
        LimitSettings {
            rate_per_minute: self.read_optional("RATE_LIMIT_PER_MINUTE", "must be a number of requests above 0"),
            // A request uses little memory except for its body. The database serves far fewer at once, so more requests
            // than this would queue for longer than their callers wait.
            concurrent_requests: self.read_count("MAX_CONCURRENT_REQUESTS", 1_024),
            // A waiting long poll only takes memory.
            long_polls: self.read_count("MAX_LONG_POLLS", 4_096),
            connections: self.read_count("MAX_CONNECTIONS", 8_192),
            buffered_body_bytes: self.read_bytes("MAX_BUFFERED_BODY_BYTES", 64 * 1024 * 1024),
            buffered_response_bytes: self.read_bytes("MAX_BUFFERED_RESPONSE_BYTES", 64 * 1024 * 1024),
            header_read_timeout: self.read_milliseconds("HEADER_READ_TIMEOUT_MS", 15_000),
            // Load balancers close idle connections after 60 s. The server must not close first: it could close a
            // connection while the load balancer sends the next request on it.
            idle_timeout: self.read_milliseconds("IDLE_TIMEOUT_MS", 75_000),
            body_read_timeout: self.read_milliseconds("BODY_READ_TIMEOUT_MS", 5_000),
        }
    }

    fn read_count(&mut self, name: &str, default: usize) -> usize {
        self.read_parsed(name, default, |count| (1..=1_000_000).contains(count), "must be a number from 1 to 1000000")
    }
}
