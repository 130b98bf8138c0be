//! The query of a request for one contact, or for a batch of contacts.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::query_issues::QueryIssues;
use super::query_string::{QueryString, parse_bool};
use crate::contacts::OnArchived;
use crate::fields::{Field, InvalidValue, IssueCode, Registry, Selection, parse_instant, system};
use crate::http::error::ApiError;

/// The query parameters that a route for one contact supports.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct RouteParameters {
    /// How the route identifies its contact.
    pub lookup: ContactLookup,
    /// Whether the route returns a contact, and so supports `properties`.
    pub has_properties: bool,
    /// Whether the route writes, and so supports `dry_run`.
    pub has_dry_run: bool,
    /// Whether the route changes values, and so supports `source_updated_at`.
    pub has_source_time: bool,
}

/// How a route identifies its contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum ContactLookup {
    /// By id. Also for routes that create a contact.
    Id,
    /// By id, or by the unique property that `id_property` names.
    IdOrProperty,
    /// By the unique property that `id_property` names.
    Property,
}

/// The query of a request for one contact.
#[derive(Debug, Clone)]
pub(in crate::http) struct ContactQuery {
    /// The unique property whose value is in the path. `None`: the path holds an id.
    pub id_property: Option<Arc<Field>>,
    /// The fields to return.
    pub selection: Selection,
    /// Whether the write is a dry run, which is validated but not saved.
    pub is_dry_run: bool,
    /// The time that the caller's system gave the change.
    pub source_updated_at: Option<DateTime<Utc>>,
    /// What an upsert does if only an archived contact has its key.
    pub on_archived: OnArchived,
}

impl ContactQuery {
    /// Parses the query of a route with these parameters.
    pub(in crate::http) fn parse(
        query: &QueryString,
        registry: &Registry,
        parameters: RouteParameters,
    ) -> Result<Self, ApiError> {
        let mut issues = QueryIssues::for_query(query);
        let is_dry_run = parameters.has_dry_run && issues.or_default(false, query.single("dry_run", parse_bool));
        let id_property = match parameters.lookup {
            ContactLookup::Id => None,
            ContactLookup::IdOrProperty => {
                let property = issues.optional(query.single("id_property", |name| unique_property(registry, name)));
                // `id_property=id` is the same as no parameter.
                property.filter(|field| field.id != system::ID)
            }
            ContactLookup::Property => {
                let property = query.single("id_property", |name| property_other_than_id(registry, name));
                issues.required("id_property", "is required, for example ?id_property=external_id", property)
            }
        };
        let source_updated_at = query.single("source_updated_at", |text| parse_time(query, "source_updated_at", text));
        let source_updated_at = issues.optional(source_updated_at).filter(|_| parameters.has_source_time);
        let on_archived = issues.or_default(OnArchived::Create, query.single("on_archived", parse_on_archived));
        let selection = if parameters.has_properties { query.selection(registry) } else { Ok(Selection::default()) };
        let selection = issues.into_result_with(selection)?;
        Ok(Self { id_property, selection, is_dry_run, source_updated_at, on_archived })
    }
}

impl QueryString {
    /// Parses the query of a batch, which supports only `dry_run`. Returns whether the batch is a dry run.
    pub(in crate::http) fn parse_dry_run(&self) -> Result<bool, ApiError> {
        let mut issues = QueryIssues::for_query(self);
        let is_dry_run = issues.or_default(false, self.single("dry_run", parse_bool));
        issues.into_result().map(|()| is_dry_run)
    }
}

/// Parses a time in the format of RFC 3339. A raw `+` in a query is a space.
pub(super) fn parse_time(query: &QueryString, name: &str, text: &str) -> Result<DateTime<Utc>, InvalidValue> {
    parse_instant(text).map_err(|invalid| match query.has_plus(name) {
        true => InvalidValue::new(IssueCode::InvalidFormat, "contains a space: send the + of the offset as %2B"),
        false => invalid,
    })
}

/// Parses `on_archived`.
pub(in crate::http) fn parse_on_archived(text: &str) -> Result<OnArchived, InvalidValue> {
    let message = "must be create, restore or refuse";
    OnArchived::from_name(text).ok_or_else(|| InvalidValue::new(IssueCode::InvalidOption, message))
}

/// Returns the unique field with this name.
pub(in crate::http) fn unique_property(registry: &Registry, name: &str) -> Result<Arc<Field>, InvalidValue> {
    let message = "must be the name of a unique property: id, email, external_id or a unique custom field";
    let field = registry.get(name).filter(|field| field.unique);
    field.cloned().ok_or_else(|| InvalidValue::new(IssueCode::InvalidFormat, message))
}

fn property_other_than_id(registry: &Registry, name: &str) -> Result<Arc<Field>, InvalidValue> {
    let field = unique_property(registry, name)?;
    if field.id == system::ID {
        let message = "must not be id: the service assigns ids. Use email, external_id or a unique custom field";
        return Err(InvalidValue::new(IssueCode::InvalidFormat, message));
    }
    Ok(field)
}
