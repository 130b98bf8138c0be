//! Rows of the database as contacts and fields, and back.

use sqlx::postgres::PgRow;
use sqlx::types::Json as Jsonb;
use sqlx::{Row, types::chrono::DateTime};
use uuid::Uuid;

use crate::contacts::{Archival, Contact};
use crate::fields::{Field, FieldId, FieldOption, Kind, Value, Values, system};
use crate::json::{self, Json};

/// The columns that [`contact`] reads, in its order; those of system fields in the order of [`system::STORED`].
macro_rules! contact_columns {
    () => {
        "c.id, c.version, c.first_name, c.last_name, c.email, c.contact_owner, c.external_id, c.phone, \
         c.mobile_phone, c.job_title, c.company_name, c.website, c.custom, c.archived_at, c.archived_by, \
         c.created_at, c.updated_at, c.position"
    };
}
pub(super) use contact_columns;

/// The columns that [`field`] reads.
macro_rules! field_columns {
    () => {
        "f.id, f.internal_name, f.label, f.kind, f.is_unique, f.options, f.created_at, f.updated_at"
    };
}
pub(super) use field_columns;

const FIRST_STORED: usize = 2;

/// A contact from the columns of `contact_columns!`.
pub(super) fn contact(row: &PgRow) -> sqlx::Result<Contact> {
    let mut values = Values::default();
    for (index, field) in system::STORED.into_iter().enumerate() {
        let text: Option<String> = row.try_get(FIRST_STORED + index)?;
        values.set(field, text.map(Value::Text));
    }
    let after = FIRST_STORED + system::STORED.len();
    read_custom(row.try_get::<Jsonb<Box<serde_json::value::RawValue>>, _>(after)?.0.get(), &mut values)?;
    let archived_at: Option<DateTime<_>> = row.try_get(after + 1)?;
    let by: Option<String> = row.try_get(after + 2)?;
    Ok(Contact {
        id: row.try_get(0)?,
        version: row.try_get(1)?,
        values,
        archival: archived_at.map(|at| Archival { at, by }),
        created_at: row.try_get(after + 3)?,
        updated_at: row.try_get(after + 4)?,
        position: row.try_get(after + 5)?,
    })
}

/// The values of custom fields: `{"100": 38, …}`.
fn read_custom(text: &str, values: &mut Values) -> sqlx::Result<()> {
    let malformed = || sqlx::Error::Decode("malformed custom values".into());
    if text == "{}" {
        return Ok(());
    }
    let Ok(Json::Object(members)) = json::parse(text.as_bytes()) else { return Err(malformed()) };
    for (name, json) in members {
        let id = name.parse().map(FieldId).map_err(|_| malformed())?;
        values.set(id, Some(Value::from_stored(json).ok_or_else(malformed)?));
    }
    Ok(())
}

/// A custom field from the columns of `field_columns!`.
pub(super) fn field(row: &PgRow) -> sqlx::Result<Field> {
    let kind: String = row.try_get("kind")?;
    let kind = Kind::custom_from_str(&kind).ok_or_else(|| sqlx::Error::Decode("unknown kind of field".into()))?;
    let unique = row.try_get("is_unique")?;
    Ok(Field {
        id: FieldId(row.try_get("id")?),
        internal_name: row.try_get("internal_name")?,
        label: row.try_get("label")?,
        kind,
        system: false,
        default: false,
        writable: true,
        unique,
        max_length: Field::max_length_of(kind, unique),
        options: row.try_get::<Jsonb<Vec<FieldOption>>, _>("options")?.0,
        created_at: Some(row.try_get("created_at")?),
        updated_at: Some(row.try_get("updated_at")?),
    })
}

/// The account of a row that carries it.
pub(super) fn account(row: &PgRow) -> sqlx::Result<Uuid> {
    row.try_get("account_id")
}
