//! `GET /contacts/changes` and `GET /contacts/{contactId}/history` (`docs/api-reference.md#change-feed` and `#history`)

mod concurrent_writers;
mod cursors;
mod entries;
mod erasure;
mod history;
mod interfering_transactions;
mod long_poll;
mod replay;
mod retention;
mod since;
mod values;
