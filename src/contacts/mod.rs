//! What a contact is: its values, how a change applies to it, how it is shown and listed (contract §5).
//!
//! Pure: no I/O, no axum, no sqlx.

mod contact;
mod cursor;
mod draft;
mod keys;
mod listing;
mod precondition;
mod render;
mod search;

pub use contact::{Archival, Contact, now, parse_id};
pub use draft::Draft;
pub use keys::{Collision, KeyChanges, UniqueKey};
pub use listing::{Cursor, Filter, Listing, Page, Start};
pub use precondition::{Precondition, etag};
pub use search::{Choice, Comparison, Condition, Place, Search, SearchError, SearchRequest, Sort, Test};
