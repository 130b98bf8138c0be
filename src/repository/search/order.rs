//! The order of search results, and the condition for the contacts after a cursor.

use super::sql_builder::SqlBuilder;
use super::sql_type::{SqlType, push_column, push_value};
use crate::contacts::Sort;
use crate::fields::{Field, Kind, Value, system};

/// Appends the sort keys as columns `key_0`, `key_1`, …
pub(super) fn push_sort_keys(sql: &mut SqlBuilder, sorts: &[Sort]) {
    for (index, sort) in sorts.iter().enumerate() {
        sql.push(if index == 0 { "" } else { ", " });
        push_sort_key(sql, &sort.field);
        sql.push(" AS key_").push(index);
    }
}

/// Appends the sort key of a field. An option sorts by its position among the field's options, a set of options by the
/// sorted positions of its members.
fn push_sort_key(sql: &mut SqlBuilder, field: &Field) {
    match field.kind {
        Kind::Dropdown => {
            sql.push("array_position(").push_bind(option_names(field)).push("::text[], ");
            push_column(sql, field);
            sql.push(")");
        }
        Kind::MultiSelect => {
            sql.push("(SELECT array_agg(option_position ORDER BY option_position) FROM (SELECT array_position(");
            sql.push_bind(option_names(field)).push("::text[], name) FROM jsonb_array_elements_text(");
            push_column(sql, field);
            sql.push(") AS chosen (name)) AS positions (option_position))");
        }
        _ => {
            push_column(sql, field);
            sql.push(if is_text(field) { " COLLATE \"C\"" } else { "" });
        }
    }
}

/// Appends the `ORDER BY` clause.
pub(super) fn push_order_by(sql: &mut SqlBuilder, sorts: &[Sort]) {
    for (index, sort) in sorts.iter().enumerate() {
        sql.push(if index == 0 { " ORDER BY " } else { ", " });
        sql.push("sort.key_").push(index);
        // For a key that is never NULL, NULLS LAST would only prevent the backward scan of an index.
        sql.push(match (sort.descending, is_always_set(&sort.field)) {
            (false, _) => "",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        });
    }
}

/// Appends the condition that a contact follows the one with these sort keys.
pub(super) fn push_after(sql: &mut SqlBuilder, sorts: &[Sort], sort_keys: &[Option<Value>]) {
    push_after_from(sql, 0, sorts, sort_keys);
}

/// Appends the condition for the sorts from `index` on: the contact follows by the first of these sorts, or it is equal
/// by the first and follows by the others. When no sort is left, the contact does not follow.
fn push_after_from(sql: &mut SqlBuilder, index: usize, sorts: &[Sort], sort_keys: &[Option<Value>]) {
    let Some((sort, key)) = sorts.get(index).zip(sort_keys.get(index)) else {
        sql.push("FALSE");
        return;
    };
    sql.push("(");
    match key {
        Some(key) => {
            push_follows(sql, index, sort, key);
            sql.push(" OR sort.key_").push(index).push(" = ");
            push_sort_key_value(sql, &sort.field, key);
        }
        // An unset value is the last in the order: no value follows it.
        None => {
            sql.push("sort.key_").push(index).push(" IS NULL");
        }
    }
    sql.push(" AND ");
    push_after_from(sql, index + 1, sorts, sort_keys);
    sql.push(")");
}

/// Appends the condition that a contact follows the one with this key by a single sort.
fn push_follows(sql: &mut SqlBuilder, index: usize, sort: &Sort, key: &Value) {
    sql.push("sort.key_").push(index).push(if sort.descending { " < " } else { " > " });
    push_sort_key_value(sql, &sort.field, key);
    if !is_always_set(&sort.field) {
        sql.push(" OR sort.key_").push(index).push(" IS NULL");
    }
}

/// Binds a value in the form of [`push_sort_key`], and appends its parameter.
fn push_sort_key_value(sql: &mut SqlBuilder, field: &Field, value: &Value) {
    let position = |name: &str| {
        let index = field.options.iter().position(|option| option.internal_name == name);
        // PostgreSQL counts from 1.
        index.and_then(|index| i32::try_from(index + 1).ok())
    };
    match (field.kind, value) {
        (Kind::Dropdown, Value::Text(name)) => {
            sql.push_bind(position(name));
        }
        (Kind::MultiSelect, Value::Options(names)) => {
            let mut positions: Vec<_> = names.iter().filter_map(|name| position(name)).collect();
            positions.sort_unstable();
            sql.push_bind(positions);
        }
        _ => push_value(sql, SqlType::from_field(field), value),
    }
}

fn option_names(field: &Field) -> Vec<String> {
    field.options.iter().map(|option| option.internal_name.clone()).collect()
}

fn is_text(field: &Field) -> bool {
    matches!(SqlType::from_field(field), SqlType::Text | SqlType::Email)
}

fn is_always_set(field: &Field) -> bool {
    [system::ID, system::CREATED_AT, system::UPDATED_AT, system::VERSION].contains(&field.id)
}
