//! Reads of contacts by id, by unique key, and as lists. (`batched_reads.rs` reads single contacts by id.)

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use uuid::Uuid;

use super::Repository;
use super::error::StorageError;
use super::pool::DatabaseConnection;
use super::row_mapping::{self, contact_columns, custom_parameter};
use super::row_stream::{RowStream, read_optional, stream_rows};
use super::statement::sql;
use crate::contacts::{Contact, ListFilter, ListRequest, ListStart, UniqueKey};
use crate::fields::{CustomSelection, Kind, Value, system};

/// Returns the SQL condition for the contacts with a unique key, active or archived. It reads the indexes of the keys.
///
/// The parameters from `first` on are the field, the key, and an external id. If the external id is not NULL, the
/// contact must have it, too.
fn key_condition_sql(first: usize) -> String {
    let [field, key, external_id] = [first, first + 1, first + 2];
    // There is one index for the keys of active contacts and one for the keys of archived contacts.
    let contact_ids = |index_condition: &str| {
        format!(
            "SELECT k.contact_id FROM contact_keys k \
             WHERE k.account_id = $1 AND k.field_id = ${field} AND k.key = ${key} AND {index_condition}"
        )
    };
    format!(
        "c.id IN ({} UNION ALL {}) AND (${external_id}::text IS NULL OR c.external_id = ${external_id})",
        contact_ids("k.is_active"),
        contact_ids("NOT k.is_active")
    )
}

impl Repository {
    /// Reads the contact with each id, active or archived, in the order of `ids`. `None`: there is no such contact.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    #[tracing::instrument(
        name = "read contacts",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub async fn contacts_by_id(
        &self,
        account: Uuid,
        ids: &[Uuid],
        custom: &CustomSelection,
    ) -> Result<RowStream<Option<Contact>>, StorageError> {
        let select = sql!(
            "SELECT {}, k.number FROM unnest($2::uuid[]) WITH ORDINALITY AS k (id, number) \
             LEFT JOIN LATERAL (SELECT * FROM contacts WHERE account_id = $1 AND id = k.id LIMIT 1) c ON true",
            contact_columns("$3::text")
        );
        let select = sqlx::query(select).bind(account).bind(ids).bind(custom_parameter(custom));
        Ok(stream_rows(self.pool.admit(account).await?, select, in_input_order()))
    }

    /// Reads the active contact that holds each unique key, in the order of `keys`. `None`: there is no such contact.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    #[tracing::instrument(
        name = "read contacts",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub async fn contacts_by_key(
        &self,
        account: Uuid,
        keys: &[UniqueKey],
        custom: &CustomSelection,
    ) -> Result<RowStream<Option<Contact>>, StorageError> {
        let select = sql!(
            "SELECT {}, k.number FROM unnest($2::integer[], $3::text[]) WITH ORDINALITY AS k (field_id, key, number) \
             LEFT JOIN LATERAL (SELECT contact_id FROM contact_keys \
             WHERE account_id = $1 AND field_id = k.field_id AND key = k.key AND is_active LIMIT 1) h ON true \
             LEFT JOIN LATERAL (SELECT * FROM contacts WHERE account_id = $1 AND id = h.contact_id LIMIT 1) c ON true",
            contact_columns("$4::text")
        );
        let (fields, texts): (Vec<_>, Vec<_>) = keys.iter().map(|key| (key.field.0, key.key.as_str())).unzip();
        let select = sqlx::query(select).bind(account).bind(fields).bind(texts).bind(custom_parameter(custom));
        Ok(stream_rows(self.pool.admit(account).await?, select, in_input_order()))
    }

    /// Returns the active contact that holds a unique key.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    pub async fn contact_by_key(
        &self,
        account: Uuid,
        key: UniqueKey,
        custom: &CustomSelection,
    ) -> Result<Option<Contact>, StorageError> {
        let contacts = self.contacts_by_key(account, &[key], custom).await?;
        Ok(read_optional(contacts).await?.flatten())
    }

    /// Reads a page of a list of contacts, in order of creation.
    ///
    /// # Errors
    /// Returns a [`StorageError`] if the database fails or is overloaded.
    #[tracing::instrument(
        name = "list contacts",
        skip_all,
        fields(otel.kind = "client", db.system.name = "postgresql")
    )]
    pub async fn list_contacts(&self, account: Uuid, request: &ListRequest) -> Result<ListPage, StorageError> {
        let (after, offset) = match request.start {
            ListStart::After(id) => (id, 0),
            ListStart::Offset(offset) => (Uuid::nil(), offset),
        };
        let mut connection = self.pool.admit(account).await?;
        let count = match request.start {
            ListStart::After(_) => None,
            ListStart::Offset(_) => Some(self.count_contacts(&mut connection, account, &request.filter).await?),
        };
        let select = select_page(account, request, after, offset);
        Ok(ListPage { contacts: stream_rows(connection, select, row_mapping::contact_from_row), count })
    }

    /// Counts all contacts that match a filter.
    async fn count_contacts(
        &self,
        connection: &mut DatabaseConnection,
        account: Uuid,
        filter: &ListFilter,
    ) -> sqlx::Result<i64> {
        let by_key = sql!(
            "SELECT count(*) FROM contacts c WHERE c.account_id = $1 AND (c.archived_at IS NULL OR $2) AND {}",
            key_condition_sql(3)
        );
        let Some(FilterKey { field, key, external_id }) = FilterKey::from_filter(filter) else {
            return self.contact_counts.count(connection, account, filter.include_archived).await;
        };
        let count = sqlx::query_scalar(by_key).bind(account).bind(filter.include_archived);
        count.bind(field).bind(key).bind(external_id).fetch_one(connection).await
    }
}

/// A page of a list of contacts.
pub struct ListPage {
    /// The contacts of the page, and one more if more contacts follow.
    pub contacts: RowStream<Contact>,
    /// The total number of contacts; `None` for a page that starts at a cursor.
    pub count: Option<i64>,
}

/// Returns a function that reads contacts from rows that also have the column `number`, which counts from 1. The
/// rows arrive in this order, because the bound rows are joined in a loop; a sort would first collect all of them.
fn in_input_order() -> impl FnMut(&PgRow) -> sqlx::Result<Option<Contact>> {
    let mut numbers = 1_i64..;
    move |row| {
        if numbers.next() != Some(row.try_get("number")?) {
            return Err(sqlx::Error::Decode("rows are not in the order of their numbers".into()));
        }
        row_mapping::optional_contact_from_row(row)
    }
}

/// Selects the contacts of a page with ids greater than `after`, after skipping `offset` of them, and one more, which shows
/// whether more contacts follow.
fn select_page(
    account: Uuid,
    request: &ListRequest,
    after: Uuid,
    offset: i64,
) -> Query<'static, Postgres, PgArguments> {
    let all = sql!(
        "SELECT {} FROM contacts c WHERE c.account_id = $1 AND c.id > $2 AND (c.archived_at IS NULL OR $3) \
         ORDER BY c.id OFFSET $4 LIMIT $5",
        contact_columns("$6::text")
    );
    let by_key = sql!(
        "SELECT {} FROM contacts c WHERE c.account_id = $1 AND c.id > $2 AND (c.archived_at IS NULL OR $3) AND {} \
         ORDER BY c.id OFFSET $4 LIMIT $5",
        contact_columns("$6::text"),
        key_condition_sql(7)
    );
    let ListRequest { filter, limit, custom_fields, .. } = request;
    let key = FilterKey::from_filter(filter);
    let query = sqlx::query(if key.is_some() { by_key } else { all });
    let mut query = query.bind(account).bind(after).bind(filter.include_archived).bind(offset);
    query = query.bind(limit + 1).bind(custom_parameter(custom_fields));
    if let Some(key) = key {
        query = query.bind(key.field).bind(key.key).bind(key.external_id);
    }
    query
}

/// The unique key that selects the contacts of a filter.
struct FilterKey<'a> {
    field: i32,
    key: String,
    /// The external id that the contact with the key must also have; `None` when the filter does not require one.
    external_id: Option<&'a str>,
}

impl<'a> FilterKey<'a> {
    /// Returns the key of a filter; `None` when it has neither an email nor an external id.
    fn from_filter(filter: &'a ListFilter) -> Option<Self> {
        let external_id = filter.external_id.as_deref();
        if let Some(email) = &filter.email {
            let key = Kind::Email.unique_key(&Value::Text(email.as_str().into()));
            return Some(Self { field: system::EMAIL.0, key, external_id });
        }
        external_id.map(|id| Self { field: system::EXTERNAL_ID.0, key: id.to_owned(), external_id: None })
    }
}
