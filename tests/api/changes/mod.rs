//! `/contacts/changes` and `/contacts/{contactId}/history` (contract §6)

mod cursors;
mod entries;
mod erasure;
mod history;
mod long_poll;
mod obstacles;
mod pipeline;
mod replay;
mod retention;
mod storm;
