//! A load generator with little overhead. Each connection has one task that writes HTTP/1.1 directly and checks every
//! response.

pub mod connection;
pub mod load;
mod random;
pub mod search_requests;
pub mod workload;
