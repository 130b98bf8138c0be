//! The servers: they accept connections, serve HTTP/1.1 and HTTP/2 on them with timeouts, and shut down gracefully.

mod accept;
mod connection;
mod connection_state;
mod graceful_shutdown;
mod listen;
mod observed_stream;
#[cfg(test)]
mod tests;
mod tracked_body;

pub use listen::{listen, listen_for_metrics};
