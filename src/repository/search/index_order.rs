//! Contacts in the order of a search, read from an index: a search that needs only the first ones does not read the others.

use super::index::entry_column;
use super::sql_builder::{ACCOUNT, SqlBuilder};
use super::sql_type::{SqlType, push_value};
use crate::contacts::{SearchCursor, Sort};
use crate::fields::{Field, Value, system};

/// The order of a search that an index supports.
#[derive(Clone, Copy)]
pub(super) enum IndexOrder<'a> {
    /// By id.
    Id { descending: bool },
    /// By a value of the entries in the search index, and then by id.
    Entry { field: &'a Field, descending: bool },
}

impl<'a> IndexOrder<'a> {
    /// Returns the order of these sorts; `None` if no index has it.
    pub(super) fn from_sorts(sorts: &'a [Sort]) -> Option<Self> {
        match sorts {
            [Sort { field, descending }] if field.id == system::ID => Some(Self::Id { descending: *descending }),
            [Sort { field, descending }, Sort { field: last, descending: false }] if last.id == system::ID => {
                entry_column(field)?;
                Some(Self::Entry { field, descending: *descending })
            }
            _ => None,
        }
    }
}

/// Appends an item of a `FROM` clause with the first contacts `c` by id, up to this number.
pub(super) fn push_first_contacts_by_id(
    sql: &mut SqlBuilder,
    descending: bool,
    cursor: Option<&SearchCursor>,
    limit: i64,
) {
    sql.push("(SELECT * FROM contacts WHERE account_id = ").push(ACCOUNT);
    if let Some(Some(id)) = cursor.and_then(|cursor| cursor.sort_keys.first()) {
        sql.push(if descending { " AND id < " } else { " AND id > " });
        push_value(sql, SqlType::Uuid, id);
    }
    sql.push(" ORDER BY id").push(if descending { " DESC" } else { "" });
    sql.push(" LIMIT ").push_bind(limit).push(") c");
}

/// The contacts in the order of a value of their entries, from the first one after a cursor on.
pub(super) struct EntryWalk<'a> {
    pub(super) field: &'a Field,
    pub(super) descending: bool,
    pub(super) cursor: Option<&'a SearchCursor>,
}

impl EntryWalk<'_> {
    /// Appends items of a `FROM` clause with the first contacts `c`, up to this number: those with a value, or those without one
    /// if the cursor is among them.
    pub(super) fn push_first_contacts(&self, sql: &mut SqlBuilder, limit: i64) {
        sql.push("(SELECT * FROM ");
        if self.cursor_value() == Some(None) {
            self.push_entries_without_value(sql);
        } else {
            self.push_entries_with_value(sql);
        }
        sql.push(" e LIMIT ").push_bind(limit).push(") e ");
        push_contact_of_entry(sql);
    }

    /// Appends the query for the ids of the first contacts that match, up to this number, in a column `contact_id`. `push_where`
    /// appends the conditions on a contact `c`. With `max_read`, the query reads only [`Self::push_first_contacts`] of this number.
    /// Otherwise it reads those without a value, too, which follow.
    pub(super) fn push_contact_ids(
        &self,
        sql: &mut SqlBuilder,
        limit: i64,
        max_read: Option<i64>,
        push_where: impl Fn(&mut SqlBuilder),
    ) {
        let push_query = |sql: &mut SqlBuilder, push_contacts: &dyn Fn(&mut SqlBuilder)| {
            sql.push("(SELECT c.id AS contact_id FROM ");
            push_contacts(sql);
            push_where(sql);
            sql.push(" LIMIT ").push_bind(limit).push(")");
        };
        let push_all = |sql: &mut SqlBuilder, push_entries: fn(&Self, &mut SqlBuilder)| {
            push_entries(self, sql);
            sql.push(" e ");
            push_contact_of_entry(sql);
        };
        if let Some(max_read) = max_read {
            return push_query(sql, &|sql| self.push_first_contacts(sql, max_read));
        }
        // The limit around both queries ends the second one as soon as the page is full.
        sql.push("SELECT contact_id FROM (");
        if self.cursor_value() != Some(None) {
            push_query(sql, &|sql| push_all(sql, Self::push_entries_with_value));
            sql.push(" UNION ALL ");
        }
        push_query(sql, &|sql| push_all(sql, Self::push_entries_without_value));
        sql.push(") w LIMIT ").push_bind(limit);
    }

    /// Returns the value in the cursor by which the contacts are sorted; `None` without a cursor.
    fn cursor_value(&self) -> Option<Option<&Value>> {
        self.cursor.map(|cursor| cursor.sort_keys.first().and_then(Option::as_ref))
    }

    /// Appends a subquery for the entries with a value, in order.
    fn push_entries_with_value(&self, sql: &mut SqlBuilder) {
        let after = self.cursor_value().flatten().zip(self.cursor_id());
        if self.descending {
            return push_entries_descending(sql, self.field, after);
        }
        let column = self.column();
        sql.push("(SELECT e.contact_id FROM search_entries e WHERE e.account_id = ").push(ACCOUNT);
        match after {
            Some((value, id)) => {
                sql.push(" AND (e.").push(column).push(", e.contact_id) > (");
                push_value(sql, SqlType::from_field(self.field), value);
                sql.push(", ");
                push_value(sql, SqlType::Uuid, id);
                sql.push(")");
            }
            None => {
                sql.push(" AND e.").push(column).push(" IS NOT NULL");
            }
        }
        sql.push(" ORDER BY e.").push(column).push(", e.contact_id)");
    }

    /// Appends a subquery for the entries without a value, in order.
    fn push_entries_without_value(&self, sql: &mut SqlBuilder) {
        let column = self.column();
        sql.push("(SELECT e.contact_id FROM search_entries e WHERE e.account_id = ").push(ACCOUNT);
        sql.push(" AND e.").push(column).push(" IS NULL");
        if let (Some(None), Some(id)) = (self.cursor_value(), self.cursor_id()) {
            sql.push(" AND e.contact_id > ");
            push_value(sql, SqlType::Uuid, id);
        }
        sql.push(" ORDER BY e.").push(column).push(", e.contact_id)");
    }

    fn column(&self) -> &str {
        entry_column(self.field).unwrap_or_default()
    }

    fn cursor_id(&self) -> Option<&Value> {
        self.cursor?.sort_keys.get(1)?.as_ref()
    }
}

/// Appends a subquery for the entries with a value, from the greatest value on. The index has the ids of equal values in ascending
/// order, so it cannot be read backward: each value is looked up from the one before.
fn push_entries_descending(sql: &mut SqlBuilder, field: &Field, after: Option<(&Value, &Value)>) {
    let (column, sql_type) = (entry_column(field).unwrap_or_default(), SqlType::from_field(field));
    let push_entries = |sql: &mut SqlBuilder, selected: &str| {
        sql.push("SELECT e.").push(selected).push(" FROM search_entries e WHERE e.account_id = ").push(ACCOUNT);
        sql.push(" AND e.").push(column);
    };
    let push_greatest = |sql: &mut SqlBuilder| {
        sql.push(" ORDER BY e.").push(column).push(" DESC LIMIT 1)");
    };
    sql.push("(WITH RECURSIVE v (value) AS ((");
    push_entries(sql, column);
    match after {
        Some((value, _)) => {
            sql.push(" <= ");
            push_value(sql, sql_type, value);
        }
        None => {
            sql.push(" IS NOT NULL");
        }
    }
    push_greatest(sql);
    sql.push(" UNION ALL SELECT (");
    push_entries(sql, column);
    sql.push(" < v.value");
    push_greatest(sql);
    sql.push(" FROM v WHERE v.value IS NOT NULL) SELECT e.contact_id FROM v CROSS JOIN LATERAL (");
    push_entries(sql, "contact_id");
    // With "= v.value", PostgreSQL could read all entries of the account in the order of their contacts.
    sql.push(" >= v.value AND e.").push(column).push(" <= v.value");
    if let Some((value, id)) = after {
        sql.push(" AND (v.value < ");
        push_value(sql, sql_type, value);
        sql.push(" OR e.contact_id > ");
        push_value(sql, SqlType::Uuid, id);
        sql.push(")");
    }
    sql.push(" ORDER BY e.").push(column).push(", e.contact_id) e)");
}

/// Appends the join of the contact `c` of an entry `e`.
fn push_contact_of_entry(sql: &mut SqlBuilder) {
    sql.push("CROSS JOIN LATERAL (SELECT * FROM contacts WHERE account_id = ").push(ACCOUNT);
    sql.push(" AND id = e.contact_id LIMIT 1) c");
}
