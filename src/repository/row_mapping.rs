//! Conversion of database rows to contacts, fields and client ids.

use sqlx::postgres::PgRow;
use sqlx::types::Json as Jsonb;
use sqlx::{Row, types::chrono::DateTime};
use uuid::Uuid;

use super::statement::comma_separated;
use crate::clients::ClientId;
use crate::contacts::{Archival, Contact};
use crate::fields::{CustomSelection, Field, FieldId, FieldOption, Kind, UnsupportedField, Value, Values, system};
use crate::json::{self, Json};

/// The number of columns before the stored system fields in [`contact_columns`].
const COLUMNS_BEFORE_STORED: usize = 2;

/// The number of custom fields up to which only their values are read. More are read with the whole document, which
/// PostgreSQL would otherwise decompress once for each field.
const MAX_SINGLE_FIELDS: usize = 3;

/// Returns the columns that [`contact_from_row`] reads, in its order, of a table with the alias `c`. `selected` is an SQL
/// expression for the custom fields to read, with a value of [`custom_parameter`].
pub(super) fn contact_columns(selected: &str) -> String {
    let stored = comma_separated(system::stored().iter().map(|field| format!("c.{}", field.internal_name)));
    // The document is stored out of line when it is large. `c.custom` is read only where the expression needs it.
    let custom = format!(
        "CASE {selected} WHEN '' THEN NULL WHEN '*' THEN c.custom ELSE (SELECT jsonb_object_agg(f.id, f.value) \
         FROM (SELECT s.id, c.custom -> s.id AS value FROM unnest(string_to_array({selected}, ',')) AS s (id) OFFSET 0) f \
         WHERE f.value IS NOT NULL) END"
    );
    format!(
        "c.id, c.version, {stored}, {custom}, c.archived_at, c.archived_by, c.created_at, c.updated_at, c.position, c.tag"
    )
}

/// The parameter that selects all custom fields in [`contact_columns`].
pub(super) const ALL_CUSTOM_FIELDS: &str = "*";

/// Returns the parameter that selects custom fields in [`contact_columns`]: empty for none, [`ALL_CUSTOM_FIELDS`], or their
/// ids, separated by commas.
pub(super) fn custom_parameter(selection: &CustomSelection) -> String {
    match selection {
        CustomSelection::Only(fields) if fields.len() <= MAX_SINGLE_FIELDS => {
            fields.iter().map(|field| field.0.to_string()).collect::<Vec<_>>().join(",")
        }
        CustomSelection::Only(_) | CustomSelection::All => ALL_CUSTOM_FIELDS.to_owned(),
    }
}

/// The columns that [`field_from_row`] reads, of a table with the alias `f`.
pub(super) const FIELD_COLUMNS: &str =
    "f.id, f.internal_name, f.label, f.kind, f.is_unique, f.options, f.created_at, f.updated_at";

/// Returns the contact in a row with the columns of [`contact_columns`]. Its values contain the selected custom fields
/// only.
pub(super) fn contact_from_row(row: &PgRow) -> sqlx::Result<Contact> {
    let stored = system::stored();
    let mut values = Values::default();
    for (index, field) in stored.iter().enumerate() {
        let text: Option<&str> = row.try_get(COLUMNS_BEFORE_STORED + index)?;
        values.set(field.id, text.map(|text| Value::Text(text.into())));
    }
    let first_after_stored = COLUMNS_BEFORE_STORED + stored.len();
    let custom: Option<Jsonb<Box<serde_json::value::RawValue>>> = row.try_get(first_after_stored)?;
    if let Some(custom) = custom {
        set_custom_values(custom.0.get(), &mut values)?;
    }
    let archived_at: Option<DateTime<_>> = row.try_get(first_after_stored + 1)?;
    let archived_by: Option<String> = row.try_get(first_after_stored + 2)?;
    Ok(Contact {
        id: row.try_get(0)?,
        version: row.try_get(1)?,
        values,
        unloaded_bytes: None,
        archival: archived_at.map(|at| Archival { at, by: archived_by }),
        created_at: row.try_get(first_after_stored + 3)?,
        updated_at: row.try_get(first_after_stored + 4)?,
        position: row.try_get(first_after_stored + 5)?,
        tag: row.try_get(first_after_stored + 6)?,
    })
}

/// Returns the contact in a row of an outer join with the columns of [`contact_columns`]. Returns `None` if there is no
/// contact.
pub(super) fn optional_contact_from_row(row: &PgRow) -> sqlx::Result<Option<Contact>> {
    let id: Option<Uuid> = row.try_get(0)?;
    id.map(|_| contact_from_row(row)).transpose()
}

/// Sets the values of custom fields from their JSON by field id: `{"100": 38, …}`.
fn set_custom_values(text: &str, values: &mut Values) -> sqlx::Result<()> {
    let malformed = || sqlx::Error::Decode("malformed custom values".into());
    if text == "{}" {
        return Ok(());
    }
    let Ok(Json::Object(members)) = json::parse(text.as_bytes()) else { return Err(malformed()) };
    for (name, json) in members {
        let id = name.parse().map(FieldId).map_err(|_| malformed())?;
        // A value that this version cannot read belongs to a field of a type that it does not know. Writes keep it.
        values.set(id, Value::from_stored(json));
    }
    Ok(())
}

/// A stored custom field.
pub(super) enum StoredField {
    /// A field of a type that this version knows.
    Supported(Field),
    /// A field of a type that only a newer version knows.
    Unsupported(UnsupportedField),
}

/// Returns the custom field in a row with the columns of [`FIELD_COLUMNS`].
pub(super) fn field_from_row(row: &PgRow) -> sqlx::Result<StoredField> {
    let kind: String = row.try_get("kind")?;
    let unique = row.try_get("is_unique")?;
    let Some(kind) = Kind::custom_from_str(&kind) else {
        let (id, internal_name) = (FieldId(row.try_get("id")?), row.try_get("internal_name")?);
        return Ok(StoredField::Unsupported(UnsupportedField { id, internal_name, kind, unique }));
    };
    Ok(StoredField::Supported(Field {
        id: FieldId(row.try_get("id")?),
        internal_name: row.try_get("internal_name")?,
        label: row.try_get("label")?,
        kind,
        system: false,
        default: false,
        writable: true,
        unique,
        max_length: Field::default_max_length(kind, unique),
        options: row.try_get::<Jsonb<Vec<FieldOption>>, _>("options")?.0,
        created_at: Some(row.try_get("created_at")?),
        updated_at: Some(row.try_get("updated_at")?),
    }))
}

/// Returns the account of a row with the column `account_id`.
pub(super) fn account_from_row(row: &PgRow) -> sqlx::Result<Uuid> {
    row.try_get("account_id")
}

/// Returns the id of the client in a row with the columns `account_id` and `id`.
pub(super) fn client_id_from_row(row: &PgRow) -> sqlx::Result<ClientId> {
    Ok(ClientId { account: account_from_row(row)?, client: row.try_get("id")? })
}
