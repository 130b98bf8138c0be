//! The SQL types and expressions of field values.

use super::sql_builder::SqlBuilder;
use crate::fields::{Field, Kind, Value, system};

/// The SQL type in which a field's values are compared. Values are bound as text and cast to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqlType {
    /// Text in code point order. Includes dates and custom datetimes: their format sorts in chronological order.
    Text,
    /// Text that is compared without regard to ASCII case.
    Email,
    Numeric,
    Boolean,
    Timestamp,
    Uuid,
    /// A jsonb array of option names, sorted.
    OptionSet,
}

impl SqlType {
    /// Returns the type of a field's values.
    pub(super) fn from_field(field: &Field) -> Self {
        match field.kind {
            Kind::Uuid => Self::Uuid,
            Kind::Archived => Self::Timestamp,
            Kind::Datetime if field.system => Self::Timestamp,
            Kind::Email => Self::Email,
            Kind::Number => Self::Numeric,
            Kind::Checkbox => Self::Boolean,
            Kind::MultiSelect => Self::OptionSet,
            Kind::Text | Kind::Phone | Kind::Url | Kind::Date | Kind::Datetime | Kind::Dropdown | Kind::User => {
                Self::Text
            }
        }
    }

    /// Returns the cast of a bound value.
    fn cast(self) -> &'static str {
        match self {
            Self::Text | Self::Email => "",
            Self::Numeric => "::numeric",
            Self::Boolean => "::boolean",
            Self::Timestamp => "::timestamptz",
            Self::Uuid => "::uuid",
            Self::OptionSet => "::jsonb",
        }
    }

    /// Returns the cast of a bound array of values.
    fn array_cast(self) -> &'static str {
        match self {
            Self::Text | Self::Email => "",
            Self::Numeric => "::numeric[]",
            Self::Boolean => "::boolean[]",
            Self::Timestamp => "::timestamptz[]",
            Self::Uuid => "::uuid[]",
            Self::OptionSet => "::jsonb[]",
        }
    }
}

/// Appends a field's value, which is NULL when it is unset.
pub(super) fn push_column(sql: &mut SqlBuilder, field: &Field) {
    if let Some(column) = system_column(field) {
        sql.push("c.").push(column);
        return;
    }
    // A value of another type counts as unset. The cast would fail.
    let (json_type, operator, cast) = match SqlType::from_field(field) {
        SqlType::Numeric => ("number", "->", "::numeric"),
        SqlType::Boolean => ("boolean", "->", "::boolean"),
        SqlType::OptionSet => ("array", "->", ""),
        SqlType::Text | SqlType::Email | SqlType::Timestamp | SqlType::Uuid => ("string", "->>", ""),
    };
    sql.push("CASE jsonb_typeof(c.custom->").push_bind(field.id.0.to_string());
    sql.push(") WHEN '").push(json_type).push("' THEN (c.custom").push(operator);
    sql.push_bind(field.id.0.to_string()).push(")").push(cast).push(" END");
}

/// Returns the column of a system field, `None` for a custom field.
fn system_column(field: &Field) -> Option<&str> {
    match field.id {
        // The value of `archived` is the time at which the contact was archived.
        system::ARCHIVED => Some("archived_at"),
        _ => field.system.then_some(field.internal_name.as_str()),
    }
}

/// Binds a value to compare with, and appends its parameter.
pub(super) fn push_value(sql: &mut SqlBuilder, sql_type: SqlType, value: &Value) {
    sql.push_bind(value_text(value)).push(sql_type.cast());
}

/// Binds an array of values to compare with, and appends its parameter.
pub(super) fn push_values(sql: &mut SqlBuilder, sql_type: SqlType, values: &[Value]) {
    sql.push_bind(values.iter().map(value_text).collect::<Vec<_>>()).push(sql_type.array_cast());
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Checkbox(checked) => checked.to_string(),
        Value::Options(names) => serde_json::to_string(&**names).unwrap_or_default(),
    }
}
