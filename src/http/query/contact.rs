//! What the query of a request for one contact, or a batch of them, asks.

use std::sync::Arc;

use super::{Found, Query, flag};
use crate::fields::{Field, IssueCode, Refusal, Registry, Selection, system};
use crate::http::error::ApiError;

/// What a route for one contact takes.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Takes {
    /// Whether it writes, and so can be tried.
    pub dry_run: bool,
    /// How it names its contact.
    pub addressing: Addressing,
    /// Whether it shows a contact, and so `properties`.
    pub shows: bool,
    /// Whether its body is `{"fields": {…}}`.
    pub fields: bool,
}

/// How a route names its contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Addressing {
    /// By id, or not at all.
    Id,
    /// By id, or by the property that `id_property` names.
    Either,
    /// By the property that `id_property` names.
    Property,
}

/// What the query of a request for one contact asks.
#[derive(Debug, Clone)]
pub(in crate::http) struct Asked {
    /// The unique property that the path holds a value of; `None` for an id.
    pub property: Option<Arc<Field>>,
    /// What to show.
    pub selection: Selection,
    /// Whether the write is only tried.
    pub dry_run: bool,
}

impl Query {
    /// What a request for one contact asks: how the contact is named, what to show of it, whether to write at all.
    pub(in crate::http) fn contact(&self, registry: &Registry, takes: Takes) -> Result<Asked, ApiError> {
        let mut found = Found::default();
        let dry_run =
            if takes.dry_run { found.or(false, self.one("dry_run", flag)) } else { self.no_dry_run(&mut found) };
        let property = match takes.addressing {
            Addressing::Id => None,
            Addressing::Either => {
                let property = found.optional(self.one("id_property", |name| unique_property(registry, name)));
                // By id is what it is without the parameter.
                property.filter(|field| field.id != system::ID)
            }
            Addressing::Property => found.needed(
                "id_property",
                self.one("id_property", |name| {
                    unique_property(registry, name).and_then(|field| match field.id {
                        system::ID => {
                            Err(Refusal::new(IssueCode::InvalidFormat, "must not be id: ids are given by us"))
                        }
                        _ => Ok(field),
                    })
                }),
            ),
        };
        let selection = if takes.shows { self.selection(registry) } else { Ok(Selection::default()) };
        let selection = found.finish(selection)?;
        Ok(Asked { property, selection, dry_run })
    }

    /// Whether a batch is only to be tried.
    pub(in crate::http) fn batch(&self) -> Result<bool, ApiError> {
        let mut found = Found::default();
        let dry_run = found.or(false, self.one("dry_run", flag));
        found.finish(Ok(())).map(|()| dry_run)
    }
}

/// The unique field of this name.
pub(in crate::http) fn unique_property(registry: &Registry, name: &str) -> Result<Arc<Field>, Refusal> {
    let message = "must be the name of a unique property: id, email, external_id or a unique custom field";
    let field = registry.get(name).filter(|field| field.unique);
    field.cloned().ok_or_else(|| Refusal::new(IssueCode::InvalidFormat, message))
}
