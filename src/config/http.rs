//! The settings of the HTTP server.

use std::net::SocketAddr;
use std::time::Duration;

use super::cors::AllowedOrigins;
use super::environment::Environment;
use super::limits::LimitSettings;
use super::settings_error::SettingsError;
use super::settings_reader::SettingsReader;
use super::trusted_proxies::TrustedProxies;

/// The settings of the HTTP server.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// The address that the server listens on.
    pub bind_addr: SocketAddr,
    /// The address that serves metrics, instead of `bind_addr`.
    pub metrics_addr: Option<SocketAddr>,
    /// The time after which a request is aborted: with 503, or with 408 while its body is incomplete.
    pub request_timeout: Duration,
    /// The maximum time that a shutdown waits for requests in flight.
    pub shutdown_timeout: Duration,
    /// The maximum size of a body, in bytes.
    pub max_body_bytes: usize,
    /// The maximum size of a body on `/contacts/batch/*`, in bytes.
    pub max_batch_body_bytes: usize,
    /// The proxies whose `X-Forwarded-For` header names the peer of a request.
    pub trusted_proxies: TrustedProxies,
    /// The limits on requests and connections.
    pub limits: LimitSettings,
    /// The origins whose pages may call the API from a browser. `None`: no other origin.
    pub cors: Option<AllowedOrigins>,
    /// Whether the API reference is served at `/docs`.
    pub docs_enabled: bool,
}

impl HttpSettings {
    /// Reads the settings of the HTTP server.
    ///
    /// # Errors
    /// Lists every setting of the server that is malformed.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        SettingsReader::read_group(environment, SettingsReader::read_http_settings)
    }
}

impl SettingsReader<'_> {
    pub(super) fn read_http_settings(&mut self) -> HttpSettings {
        let rule = "must be an IP address, not a name, and a port, such as 127.0.0.1:8080";
        HttpSettings {
            bind_addr: self.read_parsed("BIND_ADDR", SocketAddr::from(([127, 0, 0, 1], 8080)), |_| true, rule),
            metrics_addr: self
                .read_optional("METRICS_ADDR", "must be an IP address, not a name, and a port, such as 127.0.0.1:9464"),
            request_timeout: self.read_milliseconds("REQUEST_TIMEOUT_MS", 10_000),
            shutdown_timeout: self.read_milliseconds("SHUTDOWN_TIMEOUT_MS", 30_000),
            max_body_bytes: self.read_bytes("MAX_BODY_BYTES", 1024 * 1024),
            max_batch_body_bytes: self.read_bytes("MAX_BATCH_BODY_BYTES", 16 * 1024 * 1024),
            trusted_proxies: self.read_trusted_proxies(),
            limits: self.in_group("Limits", Self::read_limit_settings),
            cors: self.read_allowed_origins(),
            docs_enabled: self.read_bool("DOCS_ENABLED", true),
        }
    }
}
