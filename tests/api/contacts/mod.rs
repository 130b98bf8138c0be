//! `/contacts`

mod archive;
mod batching;
mod bodies;
mod conditional;
mod create;
mod hot_updates;
mod list;
mod races;
mod read;
mod restore;
mod search;
mod update;
mod values;
