//! Reads of contacts.

use std::collections::HashMap;

use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::rows::{self, contact_columns};
use super::{Repository, StorageError};
use crate::contacts::{Contact, Filter, Listing, Page, Start, UniqueKey};
use crate::fields::{Kind, Value, system};

/// The part of a condition that finds contacts by the index of unique keys: those that hold (or as archived ones
/// held) this key of this field and, where given, this external id.
macro_rules! holds_keys {
    ($field:literal, $key:literal, $external_id:literal) => {
        concat!(
            "AND c.id IN (SELECT k.contact_id FROM contact_keys k WHERE k.account_id = $1 AND k.field_id = ",
            $field,
            " AND k.key = ",
            $key,
            " AND k.active UNION ALL \
             SELECT k.contact_id FROM contact_keys k WHERE k.account_id = $1 AND k.field_id = ",
            $field,
            " AND k.key = ",
            $key,
            " AND NOT k.active) AND (",
            $external_id,
            "::text IS NULL OR c.external_id = ",
            $external_id,
            ")"
        )
    };
}

impl Repository {
    /// The contacts with these ids, active or archived, in the order asked for.
    ///
    /// # Errors
    /// The database.
    #[tracing::instrument(name = "read contacts", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn contacts_by_id(&self, account: Uuid, ids: &[Uuid]) -> Result<Vec<Option<Contact>>, StorageError> {
        const FIND: &str =
            concat!("SELECT ", contact_columns!(), " FROM contacts c WHERE c.account_id = $1 AND c.id = ANY ($2)");
        let rows = sqlx::query(FIND).bind(account).bind(ids).fetch_all(&mut *self.pool.admit().await?).await?;
        let found = rows.iter().map(rows::contact).map(|contact| contact.map(|contact| (contact.id, contact)));
        let found = found.collect::<sqlx::Result<HashMap<_, _>>>()?;
        Ok(ids.iter().map(|id| found.get(id).cloned()).collect())
    }

    /// The active contacts that hold these keys, in the order asked for.
    ///
    /// # Errors
    /// The database.
    #[tracing::instrument(name = "read contacts", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn contacts_by_key(
        &self,
        account: Uuid,
        keys: &[UniqueKey],
    ) -> Result<Vec<Option<Contact>>, StorageError> {
        const FIND: &str = concat!(
            "SELECT ",
            contact_columns!(),
            ", k.number FROM unnest($2::integer[], $3::text[]) WITH ORDINALITY AS k (field_id, key, number) \
             JOIN contact_keys h ON h.account_id = $1 AND h.field_id = k.field_id AND h.key = k.key AND h.active \
             JOIN contacts c ON c.account_id = $1 AND c.id = h.contact_id"
        );
        let (fields, texts): (Vec<_>, Vec<_>) = keys.iter().map(|key| (key.field.0, key.key.as_str())).unzip();
        let mut found = vec![None; keys.len()];
        let find = sqlx::query(FIND).bind(account).bind(fields).bind(texts);
        let rows = find.fetch_all(&mut *self.pool.admit().await?).await?;
        for row in rows {
            let number: i64 = row.try_get("number")?;
            if let Some(place) = usize::try_from(number - 1).ok().and_then(|index| found.get_mut(index)) {
                *place = Some(rows::contact(&row)?);
            }
        }
        Ok(found)
    }

    /// One page of a list, in order of creation.
    ///
    /// # Errors
    /// The database.
    #[tracing::instrument(name = "list contacts", skip_all, fields(otel.kind = "client", db.system.name = "postgresql"))]
    pub async fn contacts(&self, account: Uuid, listing: &Listing) -> Result<Page, StorageError> {
        let (after, offset) = match listing.start {
            Start::After(id) => (id, 0),
            Start::Offset(offset) => (Uuid::nil(), offset),
        };
        let mut connection = self.pool.admit().await?;
        let count = match listing.start {
            Start::After(_) => None,
            Start::Offset(_) => Some(count(&mut connection, account, &listing.filter).await?),
        };
        // One more than asked for tells whether more follow.
        let found = page(&mut connection, account, &listing.filter, after, offset, listing.limit + 1).await?;
        let mut contacts = found.iter().map(rows::contact).collect::<sqlx::Result<Vec<_>>>()?;
        let more = contacts.len() as i64 > listing.limit;
        contacts.truncate(usize::try_from(listing.limit).unwrap_or(usize::MAX));
        Ok(Page { contacts, count, more })
    }
}

async fn page(
    connection: &mut PgConnection,
    account: Uuid,
    filter: &Filter,
    after: Uuid,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<PgRow>> {
    const ALL: &str = concat!(
        "SELECT ",
        contact_columns!(),
        " FROM contacts c WHERE c.account_id = $1 AND c.id > $2 AND (c.archived_at IS NULL OR $3) \
         ORDER BY c.id OFFSET $4 LIMIT $5"
    );
    const BY_KEY: &str = concat!(
        "SELECT ",
        contact_columns!(),
        " FROM contacts c WHERE c.account_id = $1 AND c.id > $2 AND (c.archived_at IS NULL OR $3) ",
        holds_keys!("$6", "$7", "$8"),
        " ORDER BY c.id OFFSET $4 LIMIT $5"
    );
    let keys = Keys::of(filter);
    let query = sqlx::query(if keys.is_some() { BY_KEY } else { ALL });
    let mut query = query.bind(account).bind(after).bind(filter.archived).bind(offset).bind(limit);
    if let Some(keys) = keys {
        query = query.bind(keys.field).bind(keys.key).bind(keys.external_id);
    }
    query.fetch_all(connection).await
}

async fn count(connection: &mut PgConnection, account: Uuid, filter: &Filter) -> sqlx::Result<i64> {
    const ALL: &str = "SELECT count(*) FROM contacts c WHERE c.account_id = $1 AND (c.archived_at IS NULL OR $2)";
    const BY_KEY: &str = concat!(
        "SELECT count(*) FROM contacts c WHERE c.account_id = $1 AND (c.archived_at IS NULL OR $2) ",
        holds_keys!("$3", "$4", "$5")
    );
    let keys = Keys::of(filter);
    let mut query = sqlx::query_scalar(if keys.is_some() { BY_KEY } else { ALL }).bind(account).bind(filter.archived);
    if let Some(keys) = keys {
        query = query.bind(keys.field).bind(keys.key).bind(keys.external_id);
    }
    query.fetch_one(connection).await
}

/// The key by which a filter finds its contacts, and what is left to compare.
struct Keys<'a> {
    field: i32,
    key: String,
    external_id: Option<&'a str>,
}

impl<'a> Keys<'a> {
    /// `None` for a filter without keys.
    fn of(filter: &'a Filter) -> Option<Self> {
        let external_id = filter.external_id.as_deref();
        if let Some(email) = &filter.email {
            let key = Kind::Email.unique_key(&Value::Text(email.clone()));
            return Some(Self { field: system::EMAIL.0, key, external_id });
        }
        external_id.map(|id| Self { field: system::EXTERNAL_ID.0, key: id.to_owned(), external_id: None })
    }
}
