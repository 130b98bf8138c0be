//! The statements of a search.

use super::collation::Collation;
use super::condition::{push_condition, push_conditions, push_word};
use super::index::push_word_text;
use super::index_candidates::{Branch, Lookup, Term};
use super::index_order::{EntryWalk, IndexOrder, push_first_contacts_by_id};
use super::order::{push_after, push_order_by, push_sort_keys};
use super::source::{Found, MAX_CHANGES, SAMPLE_SIZE, Source};
use super::sql_builder::{ACCOUNT, SearchContext, SqlBuilder, statement_about};
use super::sql_type::{SqlType, push_value};
use crate::contacts::{SearchCriteria, SearchCursor, SearchRequest};
use crate::repository::row_mapping::{contact_columns, custom_parameter};
use crate::repository::statement::sql;

/// Returns the statement that reads a page of a search, and one contact more if more follow.
pub(super) fn page_statement(
    context: SearchContext,
    request: &SearchRequest,
    source: &Source<'_>,
) -> sqlx::Result<SqlBuilder> {
    let (sorts, needed) = (&request.criteria.sorts, request.limit + 1);
    let order = IndexOrder::from_sorts(sorts);
    let mut sql = statement_about(context.account, "")?;
    if source.uses_entries() {
        // Fails with a division by zero if the index is not complete any more.
        sql.push("WITH i AS MATERIALIZED (SELECT coalesce(max(position), 1) / count(*) AS position FROM ");
        push_complete_index(&mut sql, context.collation);
        sql.push(")");
        if let Some((order, max_walk)) = source.walk() {
            sql.push(", w AS MATERIALIZED (");
            push_walk(&mut sql, context, request, order, max_walk);
            sql.push(")");
        }
        if let Some(Found { lookups, max: Some(max) }) = source.found() {
            sql.push(", l AS MATERIALIZED (SELECT contact_id FROM (");
            push_lookups(&mut sql, context, lookups);
            // With "OFFSET 0", PostgreSQL chooses the same index as without the limit.
            sql.push(" OFFSET 0) l LIMIT ").push_bind(max + 1).push(")");
        }
        sql.push(" ");
    }
    sql.push(sql!("SELECT {} FROM ", contact_columns("selected.fields")));
    let is_found = push_source(&mut sql, context, request, source, order);
    sql.push(" CROSS JOIN LATERAL (SELECT ");
    push_sort_keys(&mut sql, sorts);
    sql.push(") AS sort CROSS JOIN (SELECT ").push_bind(custom_parameter(&request.custom_fields()));
    sql.push("::text AS fields) AS selected");
    push_where(&mut sql, request, context.collation);
    if let Some(cursor) = &request.cursor {
        sql.push(" AND ");
        push_after(&mut sql, sorts, &cursor.sort_keys);
    }
    match order {
        // The ids are sorted already, so the page is complete before all contacts are looked up.
        Some(IndexOrder::Id { descending }) if is_found => {
            sql.push(" ORDER BY k.contact_id").push(if descending { " DESC" } else { "" });
        }
        _ => push_order_by(&mut sql, sorts),
    }
    sql.push(" LIMIT ").push_bind(needed);
    Ok(sql)
}

/// Appends the query for the ids of the first matching contacts in the order of a search, as many as it needs. With `max_read`, it
/// reads at most this number of contacts.
fn push_walk(
    sql: &mut SqlBuilder,
    context: SearchContext,
    request: &SearchRequest,
    order: IndexOrder<'_>,
    max_read: Option<i64>,
) {
    let (needed, cursor) = (request.limit + 1, request.cursor.as_ref());
    match order {
        IndexOrder::Id { descending } => {
            sql.push("SELECT c.id AS contact_id FROM ");
            push_first_contacts_by_id(sql, descending, cursor, max_read.unwrap_or(i64::MAX));
            push_where(sql, request, context.collation);
            sql.push(" LIMIT ").push_bind(needed);
        }
        IndexOrder::Entry { field, descending } => {
            let push_where = |sql: &mut SqlBuilder| {
                push_where(sql, request, context.collation);
                // The entry of a contact that has changed since can have other values.
                sql.push(" AND c.position <= (SELECT position FROM i)");
            };
            EntryWalk { field, descending, cursor }.push_contact_ids(sql, needed, max_read, push_where);
        }
    }
}

/// Appends the items of the `FROM` clause with the contacts `c`. Returns whether their ids come from a subquery `k`.
fn push_source(
    sql: &mut SqlBuilder,
    context: SearchContext,
    request: &SearchRequest,
    source: &Source<'_>,
    order: Option<IndexOrder<'_>>,
) -> bool {
    if matches!(source, Source::All) {
        sql.push("contacts c");
        return false;
    }
    let walk = source.walk().map(|(order, _)| order);
    sql.push("(SELECT DISTINCT f.contact_id FROM (");
    sql.push(if walk.is_some() { "SELECT contact_id FROM w" } else { "" });
    let push_unless_full = |sql: &mut SqlBuilder| {
        if walk.is_some() {
            sql.push(" WHERE (SELECT count(*) FROM w) < ").push_bind(request.limit + 1);
        }
    };
    if let Some(found) = source.found() {
        sql.push(if walk.is_some() { " UNION ALL " } else { "" });
        match found.max {
            Some(max) => push_found(sql, max, walk.is_some().then_some(request.limit + 1)),
            None => push_lookups(sql, context, &found.lookups),
        }
    }
    if source.uses_entries() {
        sql.push(" UNION ALL SELECT contact_id FROM (SELECT h.contact_id FROM changes h WHERE h.account_id = ");
        sql.push(ACCOUNT).push(" AND h.position > (SELECT position FROM i)) h");
        // A walk by id has read the changed contacts, too.
        if let Some(IndexOrder::Id { .. }) = walk {
            push_unless_full(sql);
        }
    }
    sql.push(") f");
    if let Some(IndexOrder::Id { descending }) = order {
        push_ids_after(sql, descending, request.cursor.as_ref());
    }
    sql.push(") k CROSS JOIN LATERAL (SELECT * FROM contacts WHERE account_id = ").push(ACCOUNT);
    sql.push(" AND id = k.contact_id LIMIT 1) c");
    true
}

fn push_lookups(sql: &mut SqlBuilder, context: SearchContext, lookups: &[Lookup<'_>]) {
    for (index, lookup) in lookups.iter().enumerate() {
        sql.push(if index == 0 { "" } else { " UNION ALL " });
        lookup.push(sql, context);
    }
}

/// Appends the query for the ids that the lookups have found, unless a walk has found as many contacts as are `needed`. It fails
/// with a division by zero if they have found more than `max`.
fn push_found(sql: &mut SqlBuilder, max: i64, needed: Option<i64>) {
    sql.push("SELECT contact_id FROM l WHERE CASE WHEN ");
    match needed {
        Some(needed) => sql.push("(SELECT count(*) FROM w) < ").push_bind(needed),
        None => sql.push("TRUE"),
    };
    sql.push(" THEN (SELECT 1 / (count(*) <= ").push_bind(max).push(")::integer FROM l) = 1 ELSE FALSE END");
}

/// Appends the order by id of the contacts of a subquery `f`, and the condition that they are after the cursor.
fn push_ids_after(sql: &mut SqlBuilder, descending: bool, cursor: Option<&SearchCursor>) {
    if let Some(Some(id)) = cursor.and_then(|cursor| cursor.sort_keys.first()) {
        sql.push(" WHERE f.contact_id").push(if descending { " < " } else { " > " });
        push_value(sql, SqlType::Uuid, id);
    }
    sql.push(" ORDER BY f.contact_id").push(if descending { " DESC" } else { "" });
}

/// Appends the table and the conditions of the row in `search_indexes` of a complete index.
fn push_complete_index(sql: &mut SqlBuilder, collation: Collation) {
    sql.push("search_indexes WHERE account_id = ").push(ACCOUNT);
    sql.push(" AND is_complete AND collation_name = ").push_bind(collation.name());
    // Changes that the index has not seen may have been deleted because of their age.
    sql.push(" AND position >= (SELECT trimmed_position FROM accounts WHERE account_id = ").push(ACCOUNT).push(")");
}

/// Appends the conditions of a search on a contact `c`, without its cursor.
fn push_where(sql: &mut SqlBuilder, request: &SearchRequest, collation: Collation) {
    let SearchCriteria { conditions, condition_groups, query_words, include_archived, .. } = &request.criteria;
    sql.push(" WHERE c.account_id = ").push(ACCOUNT);
    if !include_archived {
        sql.push(" AND c.archived_at IS NULL");
    }
    for condition in conditions {
        sql.push(" AND ");
        push_condition(sql, condition, collation);
    }
    for (index, group) in condition_groups.iter().enumerate() {
        sql.push(if index == 0 { " AND (" } else { " OR " });
        push_conditions(sql, group, collation);
    }
    if !condition_groups.is_empty() {
        sql.push(")");
    }
    for word in query_words {
        sql.push(" AND ");
        push_word(sql, word, collation);
    }
}

/// Returns the statement that probes the account of a search. `order` is the order of the sample, and `cursor` its start.
/// The statement returns no row if the account has no complete index.
pub(super) fn probe_statement(
    context: SearchContext,
    request: &SearchRequest,
    branches: &[Branch<'_>],
    order: Option<IndexOrder<'_>>,
) -> sqlx::Result<SqlBuilder> {
    let terms: Vec<_> = branches.iter().flat_map(Branch::terms).copied().collect();
    let mut sql = statement_about(context.account, "SELECT s.*, (SELECT count(*) FROM (SELECT FROM changes h ")?;
    sql.push("WHERE h.account_id = ").push(ACCOUNT).push(" AND h.position > i.position ORDER BY h.position LIMIT ");
    sql.push_bind(MAX_CHANGES + 1).push(") h) AS changes, ");
    push_array(&mut sql, "text", &terms, |sql, _, term| match term.text() {
        Some(text) => push_word_text(sql, text, context.collation),
        None => {
            sql.push("NULL");
        }
    });
    sql.push(" AS texts FROM (SELECT position FROM ");
    push_complete_index(&mut sql, context.collation);
    sql.push(") i CROSS JOIN LATERAL (SELECT count(*) AS sampled, count(*) FILTER (");
    push_where(&mut sql, request, context.collation);
    sql.push(" AND ");
    push_branches(&mut sql, branches);
    sql.push(") AS matching, ");
    push_array(&mut sql, "bigint", &terms, |sql, index, _| {
        sql.push("count(*) FILTER (WHERE c.met[").push(index + 1).push("])");
    });
    // Each condition is checked once: "OFFSET 0" makes the subquery a step of its own.
    sql.push(" AS counts FROM (SELECT c.*, ");
    push_array(&mut sql, "boolean", &terms, |sql, _, term| match term {
        Term::Word(word) => push_word(sql, word, context.collation),
        Term::Condition(condition) => push_condition(sql, condition, context.collation),
    });
    sql.push(" AS met FROM ");
    match order {
        Some(IndexOrder::Entry { field, descending }) => {
            let walk = EntryWalk { field, descending, cursor: request.cursor.as_ref() };
            walk.push_first_contacts(&mut sql, SAMPLE_SIZE);
        }
        Some(IndexOrder::Id { descending }) => {
            push_first_contacts_by_id(&mut sql, descending, request.cursor.as_ref(), SAMPLE_SIZE);
        }
        None => push_first_contacts_by_id(&mut sql, false, None, SAMPLE_SIZE),
    }
    sql.push(" OFFSET 0) c) s");
    Ok(sql)
}

/// Appends the condition that a contact `c` of the sample meets all terms of a branch.
fn push_branches(sql: &mut SqlBuilder, branches: &[Branch<'_>]) {
    let mut number = 0;
    for (index, branch) in branches.iter().enumerate() {
        sql.push(if index == 0 { "(TRUE" } else { " OR TRUE" });
        for _ in branch.terms() {
            number += 1;
            sql.push(" AND c.met[").push(number).push("]");
        }
    }
    sql.push(if branches.is_empty() { "TRUE" } else { ")" });
}

/// Appends an array with an element for each term.
fn push_array(
    sql: &mut SqlBuilder,
    element_type: &str,
    terms: &[Term<'_>],
    push_element: impl Fn(&mut SqlBuilder, usize, &Term<'_>),
) {
    sql.push("ARRAY[");
    for (index, term) in terms.iter().enumerate() {
        sql.push(if index == 0 { "" } else { ", " });
        push_element(sql, index, term);
    }
    sql.push("]::").push(element_type).push("[]");
}
