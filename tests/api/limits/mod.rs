//! The limits of the service and its responses when a limit is reached (`docs/api-reference.md#limits`).

mod bodies;
mod connections;
mod fairness;
mod overload;
mod rate;
mod raw_connection;
mod responses;

pub use raw_connection::RawConnection;
