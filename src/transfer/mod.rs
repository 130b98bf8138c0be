//! Contacts as rows of text, and back: what a CSV file's columns mean, what its cells hold, why a row is refused
//! (contract §8).
//!
//! Pure: no I/O, no SQL. The rules of values and writes are those of `fields` and `contacts`.

mod cell;
mod columns;
mod refusal;
mod sheet;

pub use columns::{Columns, HeaderError, Naming};
pub use refusal::Refusal;
pub use sheet::{cells, header};
