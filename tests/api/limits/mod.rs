//! What the service bears with at most, and how it says so.

mod bodies;
mod heads;
mod overload;
mod rate;
mod raw;
