//! The order of a search, and what follows a place in it.

use super::Sql;
use super::column::{Form, push_column, push_value};
use crate::contacts::Sort;
use crate::fields::{Field, Kind, Value, system};

/// What the sorts compare, as columns `key_0`, `key_1`, … of their own.
pub(super) fn push_keys(sql: &mut Sql, sorts: &[Sort]) {
    for (index, sort) in sorts.iter().enumerate() {
        sql.push(if index == 0 { "" } else { ", " });
        push_key(sql, &sort.field);
        sql.push(" AS key_").push(index);
    }
}

/// What a sort compares: an option by where it stands among the field's options, a set of them by those of its
/// members in their order.
fn push_key(sql: &mut Sql, field: &Field) {
    match field.kind {
        Kind::Dropdown => {
            sql.push("array_position(").push_bind(option_names(field)).push("::text[], ");
            push_column(sql, field);
            sql.push(")");
        }
        Kind::MultiSelect => {
            sql.push("(SELECT array_agg(place ORDER BY place) FROM (SELECT array_position(");
            sql.push_bind(option_names(field)).push("::text[], name) FROM jsonb_array_elements_text(");
            push_column(sql, field);
            sql.push(") AS chosen (name)) AS places (place))");
        }
        _ => {
            push_column(sql, field);
            sql.push(if is_text(field) { " COLLATE \"C\"" } else { "" });
        }
    }
}

/// The order itself.
pub(super) fn push_order(sql: &mut Sql, sorts: &[Sort]) {
    for (index, sort) in sorts.iter().enumerate() {
        sql.push(if index == 0 { " ORDER BY " } else { ", " });
        sql.push("sort.key_").push(index);
        // Said of a key that is never NULL it would only keep an index from being read backwards.
        sql.push(match (sort.descending, is_always_set(&sort.field)) {
            (false, _) => "",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        });
    }
}

/// The condition that a contact follows the one with these keys.
pub(super) fn push_after(sql: &mut Sql, sorts: &[Sort], keys: &[Option<Value>]) {
    push_after_from(sql, 0, sorts, keys);
}

/// It comes later by this sort, or is equal by it and follows by those after it. By none it does not.
fn push_after_from(sql: &mut Sql, index: usize, sorts: &[Sort], keys: &[Option<Value>]) {
    let Some((sort, key)) = sorts.get(index).zip(keys.get(index)) else {
        sql.push("FALSE");
        return;
    };
    sql.push("(");
    match key {
        Some(key) => {
            push_later(sql, index, sort, key);
            sql.push(" OR sort.key_").push(index).push(" = ");
            push_place(sql, &sort.field, key);
        }
        // Nothing comes later than what is unset.
        None => {
            sql.push("sort.key_").push(index).push(" IS NULL");
        }
    }
    sql.push(" AND ");
    push_after_from(sql, index + 1, sorts, keys);
    sql.push(")");
}

fn push_later(sql: &mut Sql, index: usize, sort: &Sort, key: &Value) {
    sql.push("sort.key_").push(index).push(if sort.descending { " < " } else { " > " });
    push_place(sql, &sort.field, key);
    if !is_always_set(&sort.field) {
        sql.push(" OR sort.key_").push(index).push(" IS NULL");
    }
}

/// A key to compare with, in the form of [`push_key`].
fn push_place(sql: &mut Sql, field: &Field, key: &Value) {
    let place = |name: &str| {
        let place = field.options.iter().position(|option| option.internal_name == name);
        // PostgreSQL counts from 1.
        place.and_then(|place| i32::try_from(place + 1).ok())
    };
    match (field.kind, key) {
        (Kind::Dropdown, Value::Text(name)) => {
            sql.push_bind(place(name));
        }
        (Kind::MultiSelect, Value::Options(names)) => {
            let mut places: Vec<_> = names.iter().filter_map(|name| place(name)).collect();
            places.sort_unstable();
            sql.push_bind(places);
        }
        _ => push_value(sql, Form::of(field), key),
    }
}

fn option_names(field: &Field) -> Vec<String> {
    field.options.iter().map(|option| option.internal_name.clone()).collect()
}

fn is_text(field: &Field) -> bool {
    matches!(Form::of(field), Form::Text | Form::Email)
}

fn is_always_set(field: &Field) -> bool {
    [system::ID, system::CREATED_AT, system::UPDATED_AT].contains(&field.id)
}
