//! Parameters of the statements that store a batch: an array for each column, with an element for each row.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{Postgres, types::Uuid};

use super::account_batch::AccountBatch;
use crate::contacts::{Change, Contact, LastChange, UniqueKey, UpdatedContact};
use crate::fields::{Values, system};
use crate::repository::error::StorageError;
use crate::repository::statement::{ArrayColumn, comma_separated};

pub(super) type Statement<'a> = Query<'a, Postgres, PgArguments>;

/// The columns that [`ContactColumns::bind_archival`] binds.
pub(super) const ARCHIVAL_COLUMNS: [ArrayColumn; 2] = [("archived_at", "timestamptz"), ("archived_by", "text")];

/// The columns that [`KeyColumns::bind`] binds.
pub(super) const KEY_COLUMNS: [ArrayColumn; 4] =
    [("account_id", "uuid"), ("contact_id", "uuid"), ("field_id", "integer"), ("key", "text")];

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
        ("tag", "integer"),
    ];
    columns.extend(system::stored().iter().map(|field| (field.internal_name.as_str(), "text")));
    columns
}

/// The assignment of the custom fields. A document without a change keeps its value, which is not copied then: a large
/// document stays where it is.
const CUSTOM_ASSIGNMENT: &str = "custom = CASE \
    WHEN n.custom_removed IS NOT NULL \
    THEN (c.custom - string_to_array(n.custom_removed, ',')) || coalesce(n.custom_set::jsonb, '{}') \
    WHEN n.custom_set IS NOT NULL THEN c.custom || n.custom_set::jsonb ELSE c.custom END";

/// Returns the assignments of every update of a contact, from rows `n`. The position and the time are expressions.
pub(super) fn assignments_sql(position: &str, updated_at: &str) -> String {
    let stored = system::stored().iter().map(|field| format!("{0} = n.{0}", field.internal_name));
    format!(
        "version = n.version, position = {position}, updated_at = {updated_at}, {CUSTOM_ASSIGNMENT}, \
         custom_size = n.custom_size, custom_size_version = n.version, tag = n.tag, {}",
        comma_separated(stored)
    )
}

/// Returns the upper bound of the size of a contact's custom values that is stored with it.
pub(super) fn stored_custom_size(contact: &Contact) -> Option<i32> {
    contact.custom_bytes().and_then(|bytes| i32::try_from(bytes).ok())
}

/// A contact to store, with its account. `before` is the stored contact that it replaces. `last` is the change of the
/// account after which it is placed; if it is `None`, its position and times are bound as they are.
pub(super) struct ContactRow<'a> {
    pub(super) account: Uuid,
    pub(super) before: Option<&'a Contact>,
    pub(super) contact: &'a Contact,
    pub(super) last: Option<LastChange>,
}

impl ContactRow<'_> {
    /// Returns the position of its last change.
    pub(super) fn position(&self) -> i64 {
        place_position(self.last, self.contact.position)
    }

    /// Returns the final time for a time of this change.
    pub(super) fn placed(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        place_time(self.last, at)
    }

    /// Returns the memory of the custom values that change, in bytes.
    pub(super) fn changed_bytes(&self) -> usize {
        let unset = Values::default();
        let before = self.before.map_or(&unset, |before| &before.values);
        self.contact.values.custom_changes(before).memory_bytes()
    }
}

/// Returns the updated contacts, each with the change of its account after which it is placed, if that is known.
pub(super) fn updated_contacts<'a>(
    batches: &[&'a AccountBatch],
    last: impl Fn(&AccountBatch) -> Option<LastChange>,
) -> impl Iterator<Item = ContactRow<'a>> {
    batches.iter().flat_map(move |batch| {
        let (account, last) = (batch.account, last(batch));
        batch.effects.updated.iter().map(move |UpdatedContact { before, now }| ContactRow {
            account,
            before: Some(before),
            contact: now,
            last,
        })
    })
}

/// Returns the new contacts, each with the change of its account after which it is placed, if that is known.
pub(super) fn created_contacts<'a>(
    batches: &[&'a AccountBatch],
    last: impl Fn(&AccountBatch) -> Option<LastChange>,
) -> impl Iterator<Item = ContactRow<'a>> {
    batches.iter().flat_map(move |batch| {
        let (account, last) = (batch.account, last(batch));
        batch.effects.created.iter().map(move |contact| ContactRow { account, before: None, contact, last })
    })
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

    fn map_rows<T>(&self, column: impl Fn(&ContactRow<'a>) -> T) -> Vec<T> {
        self.rows.iter().map(column).collect()
    }

    /// Binds the columns of [`contact_value_columns`].
    pub(super) fn bind_values<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        let query = query
            .bind(self.map_rows(|row| row.account))
            .bind(self.map_contacts(|contact| contact.id))
            .bind(self.map_rows(|row| row.before.map_or(0, |before| before.version)))
            .bind(self.map_contacts(|contact| contact.version))
            .bind(self.map_rows(ContactRow::position))
            .bind(self.map_rows(|row| row.placed(row.contact.updated_at)))
            .bind(&self.custom_set)
            .bind(&self.custom_removed)
            .bind(self.map_contacts(stored_custom_size))
            .bind(self.map_contacts(|contact| contact.tag));
        system::stored()
            .iter()
            .fold(query, |query, field| query.bind(self.map_contacts(|contact| contact.values.text(field.id))))
    }

    /// Binds the columns of [`ARCHIVAL_COLUMNS`].
    pub(super) fn bind_archival<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.map_rows(|row| Some(row.placed(row.contact.archival.as_ref()?.at))))
            .bind(self.map_contacts(|contact| contact.archival.as_ref().and_then(|archival| archival.by.as_deref())))
    }

    /// Returns the creation time of each contact.
    pub(super) fn created_at(&self) -> Vec<DateTime<Utc>> {
        self.map_rows(|row| row.placed(row.contact.created_at))
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

/// Returns the keys that contacts no longer have.
pub(super) fn removed_keys<'a>(batches: &[&'a AccountBatch]) -> impl Iterator<Item = (Uuid, Uuid, &'a UniqueKey)> {
    let keys_of_batch = |batch: &&'a AccountBatch| {
        let account = batch.account;
        batch.effects.keys_removed.iter().map(move |(contact, key)| (account, *contact, key))
    };
    batches.iter().flat_map(keys_of_batch)
}

/// Returns the new keys of contacts, each with whether the contact is active.
pub(super) fn added_keys<'a>(batches: &[&'a AccountBatch]) -> Vec<(Uuid, Uuid, &'a UniqueKey, bool)> {
    let keys_of_batch = |batch: &&'a AccountBatch| {
        let account = batch.account;
        batch.effects.keys_added.iter().map(move |(contact, key, is_active)| (account, *contact, key, *is_active))
    };
    batches.iter().flat_map(keys_of_batch).collect()
}

/// Binds the columns of [`KEY_COLUMNS`], and whether the contact is active.
pub(super) fn bind_added_keys<'q>(query: Statement<'q>, added: &[(Uuid, Uuid, &UniqueKey, bool)]) -> Statement<'q> {
    let columns = KeyColumns::new(added.iter().map(|(account, contact, key, _)| (*account, *contact, *key)));
    columns.bind(query).bind(added.iter().map(|(.., is_active)| *is_active).collect::<Vec<_>>())
}

/// Entries of the change feed.
pub(super) struct ChangeColumns<'a> {
    rows: Vec<ChangeRow<'a>>,
    changed: Vec<String>,
}

/// An entry of the change feed, with its account, and the change of the account after which it is placed, if that is
/// known.
#[derive(Clone, Copy)]
pub(super) struct ChangeRow<'a> {
    pub(super) account: Uuid,
    pub(super) change: &'a Change,
    last: Option<LastChange>,
}

impl<'a> ChangeRow<'a> {
    /// Returns the changes of batches.
    pub(super) fn all(batches: &[&'a AccountBatch], last: impl Fn(&AccountBatch) -> Option<LastChange>) -> Vec<Self> {
        let rows_of_batch = |batch: &&'a AccountBatch| {
            let (account, last) = (batch.account, last(batch));
            batch.unit_of_work.changes().iter().map(move |change| Self { account, change, last })
        };
        batches.iter().flat_map(rows_of_batch).collect()
    }

    pub(super) fn position(&self) -> i64 {
        place_position(self.last, self.change.position)
    }

    pub(super) fn previous_position(&self) -> i64 {
        place_position(self.last, self.change.previous_position)
    }

    pub(super) fn at(&self) -> DateTime<Utc> {
        place_time(self.last, self.change.at)
    }

    /// Returns the change with the final times of its contacts: the changed values can include the time of an archiving.
    pub(super) fn placed_change(&self) -> Cow<'a, Change> {
        let placed = self.last.and_then(|last| self.change.place_times(last));
        placed.map_or(Cow::Borrowed(self.change), Cow::Owned)
    }
}

fn place_position(last: Option<LastChange>, position: i64) -> i64 {
    last.map_or(position, |last| last.place_position(position))
}

fn place_time(last: Option<LastChange>, at: DateTime<Utc>) -> DateTime<Utc> {
    last.map_or(at, |last| last.place_time(at))
}

impl<'a> ChangeColumns<'a> {
    pub(super) fn new(
        batches: &[&'a AccountBatch],
        last: impl Fn(&AccountBatch) -> Option<LastChange>,
    ) -> Result<Self, StorageError> {
        let rows = ChangeRow::all(batches, last);
        let changed =
            rows.iter().map(|row| to_json_text(&row.placed_change().changed_values())).collect::<Result<_, _>>()?;
        Ok(Self { rows, changed })
    }

    fn map_rows<T>(&self, column: impl Fn(&ChangeRow<'a>) -> T) -> Vec<T> {
        self.rows.iter().map(column).collect()
    }

    /// Binds the columns of [`CHANGE_COLUMNS`].
    pub(super) fn bind<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.map_rows(|row| row.account))
            .bind(self.map_rows(ChangeRow::position))
            .bind(self.map_rows(|row| row.change.contact_id))
            .bind(self.map_rows(ChangeRow::previous_position))
            .bind(self.map_rows(|row| row.change.kind.as_str()))
            .bind(self.map_rows(|row| row.change.actor.as_deref()))
            .bind(self.map_rows(ChangeRow::at))
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
