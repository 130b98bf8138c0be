//! Parameters of the statements that store a batch: an array for each column, with an element for each row.

use std::collections::HashSet;
use std::hash::Hash;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{Postgres, types::Uuid};

use super::account_batch::AccountBatch;
use crate::contacts::{Change, Contact, UniqueKey};
use crate::fields::{Values, system};
use crate::repository::error::StorageError;
use crate::repository::statement::ArrayColumn;

type Statement<'a> = Query<'a, Postgres, PgArguments>;

/// The columns that [`ContactColumns::bind_archival`] binds.
pub(super) const ARCHIVAL_COLUMNS: [ArrayColumn; 2] = [("archived_at", "timestamptz"), ("archived_by", "text")];

/// The columns that [`ChangeColumns::bind`] binds.
pub(super) const CHANGE_COLUMNS: [ArrayColumn; 8] = [
    ("account_id", "uuid"),
    ("position", "bigint"),
    ("contact_id", "uuid"),
    ("previous_position", "bigint"),
    ("kind", "text"),
    ("actor", "text"),
    ("at", "timestamptz"),
    ("changed", "text"),
];

/// Returns the columns that [`ContactColumns::bind_values`] binds. `base` is the version that is replaced. `custom_set` is
/// a JSON text of the custom fields that get a value, `custom_removed` lists those that are cleared, separated by commas.
/// Both are NULL for a contact whose custom fields do not change. `custom_size` is the value of [`stored_custom_size`].
pub(super) fn contact_value_columns() -> Vec<ArrayColumn> {
    let mut columns = vec![
        ("account_id", "uuid"),
        ("id", "uuid"),
        ("base", "bigint"),
        ("version", "bigint"),
        ("position", "bigint"),
        ("updated_at", "timestamptz"),
        ("custom_set", "text"),
        ("custom_removed", "text"),
        ("custom_size", "integer"),
    ];
    columns.extend(system::stored().iter().map(|field| (field.internal_name.as_str(), "text")));
    columns
}

/// Returns the upper bound of the size of a contact's custom values that is stored with it.
pub(super) fn stored_custom_size(contact: &Contact) -> Option<i32> {
    contact.custom_bytes().and_then(|bytes| i32::try_from(bytes).ok())
}

/// A contact to store, with its account. `before` is the stored contact that it replaces.
pub(super) struct ContactRow<'a> {
    pub(super) account: Uuid,
    pub(super) before: Option<&'a Contact>,
    pub(super) contact: &'a Contact,
}

impl ContactRow<'_> {
    /// Returns the memory of the custom values that change, in bytes.
    pub(super) fn changed_bytes(&self) -> usize {
        let unset = Values::default();
        let before = self.before.map_or(&unset, |before| &before.values);
        self.contact.values.custom_changes(before).memory_bytes()
    }
}

/// Contacts to insert or update.
pub(super) struct ContactColumns<'a> {
    rows: Vec<ContactRow<'a>>,
    custom_set: Vec<Option<String>>,
    custom_removed: Vec<Option<String>>,
}

impl<'a> ContactColumns<'a> {
    pub(super) fn new(rows: Vec<ContactRow<'a>>) -> Result<Self, StorageError> {
        let (mut custom_set, mut custom_removed) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        let unset = Values::default();
        for ContactRow { before, contact, .. } in &rows {
            let before = before.map_or(&unset, |before| &before.values);
            let changes = contact.values.custom_changes(before);
            custom_set.push(changes.set().map(|set| to_json_text(&set)).transpose()?);
            custom_removed.push(
                changes
                    .removed()
                    .map(|fields| fields.iter().map(|field| field.0.to_string()).collect::<Vec<_>>().join(",")),
            );
        }
        Ok(Self { rows, custom_set, custom_removed })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn map_contacts<T>(&self, column: impl Fn(&'a Contact) -> T) -> Vec<T> {
        self.rows.iter().map(|row| column(row.contact)).collect()
    }

    /// Binds the columns of [`contact_value_columns`].
    pub(super) fn bind_values<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        let query = query
            .bind(self.rows.iter().map(|row| row.account).collect::<Vec<_>>())
            .bind(self.map_contacts(|contact| contact.id))
            .bind(self.rows.iter().map(|row| row.before.map_or(0, |before| before.version)).collect::<Vec<_>>())
            .bind(self.map_contacts(|contact| contact.version))
            .bind(self.map_contacts(|contact| contact.position))
            .bind(self.map_contacts(|contact| contact.updated_at))
            .bind(&self.custom_set)
            .bind(&self.custom_removed)
            .bind(self.map_contacts(stored_custom_size));
        system::stored()
            .iter()
            .fold(query, |query, field| query.bind(self.map_contacts(|contact| contact.values.text(field.id))))
    }

    /// Binds the columns of [`ARCHIVAL_COLUMNS`].
    pub(super) fn bind_archival<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.map_contacts(|contact| contact.archival.as_ref().map(|archival| archival.at)))
            .bind(self.map_contacts(|contact| contact.archival.as_ref().and_then(|archival| archival.by.as_deref())))
    }

    /// Returns the creation time of each contact.
    pub(super) fn created_at(&self) -> Vec<DateTime<Utc>> {
        self.map_contacts(|contact| contact.created_at)
    }
}

/// Unique keys, each with its account and contact.
pub(super) struct KeyColumns<'a>(Vec<(Uuid, Uuid, &'a UniqueKey)>);

impl<'a> KeyColumns<'a> {
    pub(super) fn new(rows: impl Iterator<Item = (Uuid, Uuid, &'a UniqueKey)>) -> Self {
        Self(rows.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Binds account, contact, field and key.
    pub(super) fn bind<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.0.iter().map(|(account, _, _)| *account).collect::<Vec<_>>())
            .bind(self.0.iter().map(|(_, contact, _)| *contact).collect::<Vec<_>>())
            .bind(self.0.iter().map(|(_, _, key)| key.field.0).collect::<Vec<_>>())
            .bind(self.0.iter().map(|(_, _, key)| key.key.as_str()).collect::<Vec<_>>())
    }
}

/// Entries of the change feed.
pub(super) struct ChangeColumns<'a> {
    batches: &'a [&'a AccountBatch],
    changed: Vec<String>,
}

impl<'a> ChangeColumns<'a> {
    pub(super) fn new(batches: &'a [&'a AccountBatch]) -> Result<Self, StorageError> {
        let changes = batches.iter().flat_map(|batch| batch.unit_of_work.changes());
        let changed = changes.map(|change| to_json_text(&change.changed_values())).collect::<Result<_, _>>()?;
        Ok(Self { batches, changed })
    }

    fn map_changes<T>(&self, column: impl Fn(Uuid, &'a Change) -> T) -> Vec<T> {
        let column = &column;
        let columns_of_batch = |batch: &&'a AccountBatch| {
            let account = batch.account;
            batch.unit_of_work.changes().iter().map(move |change| column(account, change))
        };
        self.batches.iter().flat_map(columns_of_batch).collect()
    }

    /// Binds the columns of [`CHANGE_COLUMNS`].
    pub(super) fn bind<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.map_changes(|account, _| account))
            .bind(self.map_changes(|_, change| change.position))
            .bind(self.map_changes(|_, change| change.contact_id))
            .bind(self.map_changes(|_, change| change.previous_position))
            .bind(self.map_changes(|_, change| change.kind.as_str()))
            .bind(self.map_changes(|_, change| change.actor.as_deref()))
            .bind(self.map_changes(|_, change| change.at))
            .bind(&self.changed)
    }
}

fn to_json_text(value: &impl serde::Serialize) -> Result<String, StorageError> {
    Ok(serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))?)
}

/// Returns the set of the values that `read` returns for the rows.
pub(super) fn collect_rows<T: Eq + Hash>(
    rows: Vec<PgRow>,
    read: impl Fn(&PgRow) -> sqlx::Result<T>,
) -> Result<HashSet<T>, StorageError> {
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}
