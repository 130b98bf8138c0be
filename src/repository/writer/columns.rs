//! What a batch stores, as the columns that its statements take: an array a column, an element a row.

use std::hash::Hash;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::types::chrono::{DateTime, Utc};
use sqlx::{Postgres, types::Uuid};

use super::group::Group;
use crate::contacts::{Change, Contact, UniqueKey};
use crate::fields::system;
use crate::repository::StorageError;

type Statement<'a> = Query<'a, Postgres, PgArguments>;

/// Contacts as rows, from the parameters 1 to 17 that [`ContactColumns::bind_values`] binds, and those of `more`.
macro_rules! contact_rows {
    ($more:literal, $names:literal) => {
        concat!(
            "unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::timestamptz[], $7::text[], \
             $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], \
             $16::text[], $17::text[]",
            $more,
            ") AS n (account_id, id, base, version, position, updated_at, custom, first_name, last_name, email, \
             contact_owner, external_id, phone, mobile_phone, job_title, company_name, website",
            $names,
            ")"
        )
    };
}
pub(super) use contact_rows;

/// Contacts, each with its account and the version that it is stored over.
pub(super) struct ContactColumns<'a> {
    rows: Vec<(Uuid, i64, &'a Contact)>,
    custom: Vec<String>,
}

impl<'a> ContactColumns<'a> {
    pub(super) fn of(rows: impl Iterator<Item = (Uuid, i64, &'a Contact)>) -> Result<Self, StorageError> {
        let rows: Vec<_> = rows.collect();
        let custom = rows.iter().map(|(_, _, contact)| json(&contact.values.custom())).collect::<Result<_, _>>()?;
        Ok(Self { rows, custom })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn each<T>(&self, column: impl Fn(&'a Contact) -> T) -> Vec<T> {
        self.rows.iter().map(|(_, _, contact)| column(contact)).collect()
    }

    /// Binds account, id, base, version, position, `updated_at`, custom values, and the stored system fields.
    pub(super) fn bind_values<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        let query = query
            .bind(self.rows.iter().map(|(account, _, _)| *account).collect::<Vec<_>>())
            .bind(self.each(|contact| contact.id))
            .bind(self.rows.iter().map(|(_, base, _)| *base).collect::<Vec<_>>())
            .bind(self.each(|contact| contact.version))
            .bind(self.each(|contact| contact.position))
            .bind(self.each(|contact| contact.updated_at))
            .bind(&self.custom);
        system::STORED
            .into_iter()
            .fold(query, |query, field| query.bind(self.each(|contact| contact.values.text(field))))
    }

    /// Binds when and by whom they were archived.
    pub(super) fn bind_archival<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.each(|contact| contact.archival.as_ref().map(|archival| archival.at)))
            .bind(self.each(|contact| contact.archival.as_ref().and_then(|archival| archival.by.as_deref())))
    }

    pub(super) fn created_at(&self) -> Vec<DateTime<Utc>> {
        self.each(|contact| contact.created_at)
    }
}

/// Keys, each with its account and contact.
pub(super) struct KeyColumns<'a>(Vec<(Uuid, Uuid, &'a UniqueKey)>);

impl<'a> KeyColumns<'a> {
    pub(super) fn of(rows: impl Iterator<Item = (Uuid, Uuid, &'a UniqueKey)>) -> Self {
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

/// Entries of the feed.
pub(super) struct ChangeColumns<'a> {
    groups: &'a [&'a Group],
    changed: Vec<String>,
}

impl<'a> ChangeColumns<'a> {
    pub(super) fn of(groups: &'a [&'a Group]) -> Result<Self, StorageError> {
        let changes = groups.iter().flat_map(|group| group.workspace.changes());
        Ok(Self { groups, changed: changes.map(|change| json(&change.changed())).collect::<Result<_, _>>()? })
    }

    fn each<T>(&self, column: impl Fn(Uuid, &'a Change) -> T) -> Vec<T> {
        let column = &column;
        let of_group = |group: &&'a Group| {
            let account = group.account;
            group.workspace.changes().iter().map(move |change| column(account, change))
        };
        self.groups.iter().flat_map(of_group).collect()
    }

    /// Binds account, position, contact, previous position, kind, actor, time and what changed.
    pub(super) fn bind<'q>(&self, query: Statement<'q>) -> Statement<'q> {
        query
            .bind(self.each(|account, _| account))
            .bind(self.each(|_, change| change.position))
            .bind(self.each(|_, change| change.contact_id))
            .bind(self.each(|_, change| change.previous))
            .bind(self.each(|_, change| change.kind.as_str()))
            .bind(self.each(|_, change| change.actor.as_deref()))
            .bind(self.each(|_, change| change.at))
            .bind(&self.changed)
    }
}

fn json(value: &impl serde::Serialize) -> Result<String, StorageError> {
    Ok(serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))?)
}

/// The values that a statement returned, a row each.
pub(super) fn rows_of<T: Eq + Hash>(
    rows: Vec<PgRow>,
    read: impl Fn(&PgRow) -> sqlx::Result<T>,
) -> Result<std::collections::HashSet<T>, StorageError> {
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}
