//! Contacts: their values, the rules of each write, unique keys, responses, cursors and searches
//! (`docs/api-reference.md#contacts`).
//!
//! This module has no I/O and uses neither axum nor sqlx.

mod archived_holders;
mod change;
mod change_feed;
mod contact;
mod contact_patch;
mod contact_size;
mod cursor_fingerprint;
mod entity_tag;
mod incomplete_contacts;
mod last_change;
mod list_request;
mod precondition;
mod render;
mod search;
mod source_times;
mod unique_keys;
mod unit_of_work;
mod write;
mod write_rules;

pub use archived_holders::MAX_ARCHIVED_HOLDERS;
pub use change::{Change, ChangeKind};
pub use change_feed::{FeedCursor, FeedEntry, FeedScope, RenderedEntry};
pub use contact::{Archival, Contact, now, parse_id};
pub use contact_patch::{ContactPatch, PatchedValue, missing_identity_issues};
pub use contact_size::{MAX_CONTACT_BYTES, contact_too_large_issue};
pub use entity_tag::{EntityTag, version_part};
pub use last_change::LastChange;
pub use list_request::{ListCursor, ListFilter, ListRequest, ListStart};
pub use precondition::{Precondition, Preconditions, UnmetPrecondition};
pub use render::{RenderedContact, max_rendered_bytes};
pub use search::{
    Comparison, Condition, Predicate, SearchCriteria, SearchCursor, SearchError, SearchRequest, Sort, ValueSet,
};
pub use source_times::{SourceKey, SourceTimes};
pub use unique_keys::{Collision, KeyChanges, UniqueKey};
pub use unit_of_work::{Effects, Lookups, UnitOfWork, UpdatedContact};
pub use write::{
    ContactTarget, OnArchived, RejectedWrite, Upsert, Write, WriteOutcome, WriteRejection, WrittenContact,
};
