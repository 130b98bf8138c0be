//! What a contact is: its values, how a change applies to it, how it is shown and listed (contract §5).
//!
//! Pure: no I/O, no axum, no sqlx.

mod change;
mod contact;
mod cursor;
mod draft;
mod feed;
mod keys;
mod listing;
mod precondition;
mod render;
#[cfg(test)]
mod replay;
mod search;
mod workspace;
mod write;

pub use change::{Change, ChangeKind};
pub use contact::{Archival, Contact, now, parse_id};
pub use draft::{Draft, missing_identity};
pub use feed::{Entry, FeedCursor, Scope, ShownEntry};
pub use keys::{Collision, KeyChanges, UniqueKey};
pub use listing::{Cursor, Filter, Listing, Page, Start};
pub use precondition::{Precondition, etag};
pub use render::Shown;
pub use search::{Choice, Comparison, Condition, Place, Search, SearchError, SearchRequest, Sort, Test};
pub use workspace::{Effects, Wanted, Workspace, WriteOutcome, Written};
pub use write::{Target, Upsert, Write, WriteRefusal};
