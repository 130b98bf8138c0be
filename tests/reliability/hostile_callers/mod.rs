//! Hostile callers: no caller can exhaust the memory of the service, and none can keep other accounts from being served.

mod connection;
mod exports;
mod fairness;
mod fixture;
mod many_connections;
mod memory;
mod shapes;
mod timings;
