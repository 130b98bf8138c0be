//! Where a field's values are, and of which SQL type.

use super::Sql;
use crate::fields::{Field, FieldId, Kind, Value, system};

/// The SQL type in which a field's values are compared. Values are bound as text and cast to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By code point. Dates and (custom) times as well: their form is such that this is their order.
    Text,
    /// A text that is equal in any (ASCII) case.
    Email,
    Number,
    Flag,
    Time,
    Id,
    /// A jsonb array of option names, sorted.
    Set,
}

impl Form {
    /// The form of a field's values.
    pub(super) fn of(field: &Field) -> Self {
        match field.kind {
            Kind::Uuid => Self::Id,
            Kind::Archived => Self::Time,
            Kind::Datetime if field.system => Self::Time,
            Kind::Email => Self::Email,
            Kind::Number => Self::Number,
            Kind::Checkbox => Self::Flag,
            Kind::MultiSelect => Self::Set,
            Kind::Text | Kind::Phone | Kind::Url | Kind::Date | Kind::Datetime | Kind::Dropdown | Kind::User => {
                Self::Text
            }
        }
    }

    /// The cast that follows one value, and that which follows an array of them.
    fn casts(self) -> (&'static str, &'static str) {
        match self {
            Self::Text | Self::Email => ("", ""),
            Self::Number => ("::numeric", "::numeric[]"),
            Self::Flag => ("::boolean", "::boolean[]"),
            Self::Time => ("::timestamptz", "::timestamptz[]"),
            Self::Id => ("::uuid", "::uuid[]"),
            Self::Set => ("::jsonb", "::jsonb[]"),
        }
    }
}

/// A field's value, NULL where it is unset.
pub(super) fn push_column(sql: &mut Sql, field: &Field) {
    if let Some(column) = column_of(field.id) {
        sql.push(column);
        return;
    }
    let (before, after) = match Form::of(field) {
        Form::Number => ("(c.custom->", ")::numeric"),
        Form::Flag => ("(c.custom->", ")::boolean"),
        Form::Set => ("(c.custom->", ")"),
        Form::Text | Form::Email | Form::Time | Form::Id => ("(c.custom->>", ")"),
    };
    sql.push(before).push_bind(field.id.0.to_string()).push(after);
}

/// The column of a system field.
fn column_of(field: FieldId) -> Option<&'static str> {
    Some(match field {
        system::ID => "c.id",
        system::FIRST_NAME => "c.first_name",
        system::LAST_NAME => "c.last_name",
        system::EMAIL => "c.email",
        system::CONTACT_OWNER => "c.contact_owner",
        system::EXTERNAL_ID => "c.external_id",
        system::ARCHIVED => "c.archived_at",
        system::CREATED_AT => "c.created_at",
        system::UPDATED_AT => "c.updated_at",
        system::ARCHIVED_BY => "c.archived_by",
        system::PHONE => "c.phone",
        system::MOBILE_PHONE => "c.mobile_phone",
        system::JOB_TITLE => "c.job_title",
        system::COMPANY_NAME => "c.company_name",
        system::WEBSITE => "c.website",
        _ => return None,
    })
}

/// A value to compare with.
pub(super) fn push_value(sql: &mut Sql, form: Form, value: &Value) {
    sql.push_bind(text_of(value)).push(form.casts().0);
}

/// An array of values to compare with.
pub(super) fn push_values(sql: &mut Sql, form: Form, values: &[Value]) {
    sql.push_bind(values.iter().map(text_of).collect::<Vec<_>>()).push(form.casts().1);
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Checkbox(checked) => checked.to_string(),
        Value::Options(names) => serde_json::to_string(names).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_field_has_its_column() {
        for field in system::all() {
            let expected = if field.id == system::ARCHIVED { "archived_at" } else { &field.internal_name };
            assert_eq!(column_of(field.id).and_then(|column| column.strip_prefix("c.")), Some(expected));
        }
        assert_eq!(column_of(FieldId(FieldId::FIRST_CUSTOM)), None);
    }
}
