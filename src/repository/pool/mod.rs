//! Connection pools, and the connections that workers keep between batches.

mod connection;
mod connection_pool;
mod database_health;
mod dedicated_connection;
mod probe;
mod session_settings;
mod sessions;

pub(super) use connection::{DatabaseConnection, Transaction};
pub(super) use connection_pool::{Pool, connect_options, open_pool};
pub(super) use database_health::DatabaseHealth;
pub(super) use dedicated_connection::{DedicatedConnection, DedicatedConnections};
pub(super) use probe::DatabaseProbe;
pub(super) use session_settings::SessionSettings;
pub(super) use sessions::Sessions;
pub use sessions::UnsupportedPooler;
