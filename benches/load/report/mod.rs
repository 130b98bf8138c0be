//! Measurements of the binaries under test, and their tables.

mod figures;
mod measurement;
mod requests;

pub use figures::FigureTable;
pub use measurement::Measurement;
pub use requests::RequestTable;
