//! How the server listens and what it bears with.

use std::net::SocketAddr;
use std::time::Duration;

use super::reader::Reader;
use super::{Environment, LimitSettings, Origins, SettingsError};

/// How the server listens and what it bears with.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Where it listens.
    pub bind_addr: SocketAddr,
    /// Where metrics are served, instead of there.
    pub metrics_addr: Option<SocketAddr>,
    /// After which a request is given up with 503.
    pub request_timeout: Duration,
    /// How long a shutdown waits for requests in flight.
    pub shutdown_timeout: Duration,
    /// The largest body that is read, in bytes.
    pub max_body_bytes: usize,
    /// The same on `/contacts/batch/*`.
    pub max_batch_body_bytes: usize,
    /// What it bears with at most.
    pub limits: LimitSettings,
    /// Whose pages may call it from a browser.
    pub cors: Option<Origins>,
    /// Whether the API reference is served at `/docs`.
    pub docs_enabled: bool,
}

impl HttpSettings {
    /// Reads the server's part alone.
    ///
    /// # Errors
    /// Every setting of it that is malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        Reader::read(environment, Reader::http)
    }
}

impl Reader<'_> {
    pub(super) fn http(&mut self) -> HttpSettings {
        let rule = "must be an address and a port, such as 127.0.0.1:8080";
        HttpSettings {
            bind_addr: self.parsed("BIND_ADDR", SocketAddr::from(([127, 0, 0, 1], 8080)), |_| true, rule),
            metrics_addr: self.optional("METRICS_ADDR", "must be an address and a port, such as 127.0.0.1:9464"),
            request_timeout: self.milliseconds("REQUEST_TIMEOUT_MS", 10_000),
            shutdown_timeout: self.milliseconds("SHUTDOWN_TIMEOUT_MS", 30_000),
            max_body_bytes: self.bytes("MAX_BODY_BYTES", 1024 * 1024),
            max_batch_body_bytes: self.bytes("MAX_BATCH_BODY_BYTES", 16 * 1024 * 1024),
            limits: self.limits(),
            cors: self.origins(),
            docs_enabled: self.parsed("DOCS_ENABLED", true, |_| true, "must be true or false"),
        }
    }
}
