//! Connection pools, and the connections that workers keep between batches.

mod connection;
mod connection_pool;
mod database_health;
mod dedicated_connection;
mod pooler;
mod probe;
mod session_settings;

pub(super) use connection::{DatabaseConnection, Transaction};
pub(super) use connection_pool::{AdmittedConnection, Pool, connect_options, open_pool};
pub(super) use database_health::DatabaseHealth;
pub(super) use dedicated_connection::{DedicatedConnection, DedicatedConnections};
pub(super) use pooler::share_sessions;
pub(super) use probe::DatabaseProbe;
pub(super) use session_settings::SessionSettings;
