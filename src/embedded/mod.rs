//! A private PostgreSQL for `contacts dev` and the tests: from installed binaries, on a Unix socket that only
//! its user can open, gone when the process that started it is gone, however it went.

mod binaries;
mod cluster;
mod owner;

pub use cluster::{Cluster, Durability};

/// Why there is no database: a line for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EmbeddedError(String);

impl EmbeddedError {
    fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }

    /// An error of the file system, with what was being done.
    fn io(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self(format!("could not {doing} {}: {error}", path.display()))
    }
}
