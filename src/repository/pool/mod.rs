//! Connection pools, and the connections that workers keep between batches.

mod connection_pool;
mod dedicated_connection;
mod health_epoch;

pub(super) use connection_pool::{AdmittedConnection, Pool, connect_options, open_pool, with_batch_timeouts};
pub(super) use dedicated_connection::{DedicatedConnection, DedicatedConnections};
pub(super) use health_epoch::HealthEpoch;
