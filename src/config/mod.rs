//! The settings (`docs/api-reference.md#settings`): plain structs, read from the environment and a `.env` file.
//!
//! Only this module reads the environment. Secrets are hidden in all output.

mod cors;
mod data_folders;
mod database;
mod database_url;
mod environment;
mod http;
mod limits;
mod log;
mod redaction;
mod secret;
mod serve;
mod settings_error;
mod settings_reader;
mod settings_report;
mod tokens;
mod traces;
mod trusted_proxies;

pub use cors::AllowedOrigins;
pub use data_folders::{EmbeddedSettings, data_dir};
pub use database::{
    DEFAULT_CHANGE_RETENTION, DEFAULT_SEARCH_INDEX_MIN_CONTACTS, DEFAULT_WRITE_BATCH, DatabaseSettings,
};
pub use database_url::DatabaseUrl;
pub use environment::{Environment, SettingOrigin};
pub use http::HttpSettings;
pub use limits::LimitSettings;
pub use log::LogSettings;
pub use secret::Secret;
pub use serve::ServeSettings;
pub use settings_error::SettingsError;
pub use settings_reader::Setting;
pub use settings_report::SettingsReport;
pub use tokens::{KeySetSource, TokenSettings, is_https_or_loopback, requires_scope};
pub use traces::{Sampling, TraceSettings};
pub use trusted_proxies::TrustedProxies;
