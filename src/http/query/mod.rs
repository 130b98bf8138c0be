//! Query strings (`docs/api-reference.md#requests-and-responses`): the decoding of parameters, and a type for the query
//! of each kind of request.

mod contact_query;
mod declared_parameters;
mod export_query;
mod feed_query;
mod list_query;
mod no_parameters;
mod query_issues;
mod query_string;

pub(super) use contact_query::{ContactLookup, ContactQuery, RouteParameters, unique_property};
pub(super) use declared_parameters::DeclaredParameters;
pub(super) use export_query::{ExportMediaType, ExportQuery};
pub(super) use feed_query::{FeedQuery, HistoryQuery, MAX_CHANGES_LIMIT, requested_wait};
pub(super) use list_query::{ListQuery, MAX_CONTACTS_LIMIT};
pub(super) use no_parameters::NoParameters;
pub(super) use query_string::{QueryString, decode_form_component};
