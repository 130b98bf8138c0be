//! A private PostgreSQL for `contacts dev` and the tests.
//!
//! PostgreSQL runs from installed or downloaded binaries, and listens only on a Unix socket that only its user can
//! open. It stops when the process that started it ends, even after SIGKILL.

mod binaries;
mod cluster;
mod error;
mod owner;

pub use cluster::{Cluster, Durability};
pub use error::EmbeddedError;
