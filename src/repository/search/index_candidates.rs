//! Lookups through indexes, whose results together contain every contact that a search matches. The conditions of the search
//! still apply.

use super::condition::push_condition;
use super::index::entry_column;
use super::sql_builder::{ACCOUNT, SearchContext, SqlBuilder};
use super::sql_type::{SqlType, push_values};
use crate::contacts::{Condition, Predicate, SearchCriteria, ValueSet};
use crate::fields::{Value, system};

/// A lookup through an index.
#[derive(Clone)]
pub(super) enum Lookup<'a> {
    /// The contacts with these ids.
    Ids(&'a [Value]),
    /// The contacts with these keys of a unique field.
    Keys { field: i32, keys: Vec<String> },
    /// The contacts whose entry in the search index meets a condition.
    Entries(&'a Condition),
    /// The contacts whose entry in the search index has these words: a text query of PostgreSQL.
    Words(String),
    /// The contacts that have changed at this position of the feed or later.
    ChangedFrom(i64),
}

/// The ways to find the contacts that meet some of the conditions which all must match.
pub(super) enum Branch<'a> {
    /// A lookup that finds few contacts.
    Exact(Lookup<'a>),
    /// Conditions that the search index can look up, one or several of them.
    Terms(Vec<Term<'a>>),
}

/// A condition that the search index can look up. It may match many contacts.
#[derive(Clone, Copy)]
pub(super) enum Term<'a> {
    /// A word of the query.
    Word(&'a str),
    /// A condition on a field.
    Condition(&'a Condition),
}

/// Returns the branches of a search: every contact that it matches meets the conditions of one of them. Returns `None` if no index
/// supports the search.
pub(super) fn branches(criteria: &SearchCriteria) -> Option<Vec<Branch<'_>>> {
    let words = || criteria.query_words.iter().map(|word| Term::Word(word)).filter(Term::has_word);
    let in_every_match = Branch::new(&criteria.conditions, words());
    let in_each_group = || {
        let groups = criteria.condition_groups.iter();
        let branches: Option<Vec<_>> = groups.map(|group| Branch::new(group, std::iter::empty())).collect();
        branches.filter(|branches| !branches.is_empty())
    };
    match in_every_match {
        Some(exact @ Branch::Exact(_)) => Some(vec![exact]),
        terms => {
            let is_exact = |branches: &Vec<_>| branches.iter().all(|branch| matches!(branch, Branch::Exact(_)));
            let exact_groups = in_each_group().filter(is_exact);
            exact_groups.or_else(|| Some(vec![terms?])).or_else(in_each_group)
        }
    }
}

impl<'a> Branch<'a> {
    /// Returns the branch of these conditions and words; `None` if no index supports any of them.
    fn new(conditions: &'a [Condition], words: impl Iterator<Item = Term<'a>>) -> Option<Self> {
        if let Some(lookup) = conditions.iter().find_map(Lookup::from_condition) {
            return Some(Self::Exact(lookup));
        }
        let terms: Vec<_> = words.chain(conditions.iter().filter_map(Term::from_condition)).collect();
        (!terms.is_empty()).then_some(Self::Terms(terms))
    }

    /// Returns the lookup of an exact branch.
    pub(super) fn into_exact(self) -> Option<Lookup<'a>> {
        match self {
            Self::Exact(lookup) => Some(lookup),
            Self::Terms(_) => None,
        }
    }

    /// Returns the terms; none of an exact branch.
    pub(super) fn terms(&self) -> &[Term<'a>] {
        match self {
            Self::Exact(_) => &[],
            Self::Terms(terms) => terms,
        }
    }
}

impl<'a> Term<'a> {
    fn from_condition(condition: &'a Condition) -> Option<Self> {
        entry_column(&condition.field)?;
        let is_supported = match &condition.predicate {
            // The entries have emails as they are written.
            Predicate::OneOf(set) => !set.includes_unset && condition.field.id != system::EMAIL,
            Predicate::Compared(_) => condition.field.id == system::CREATED_AT,
            Predicate::StartsWith(_) => true,
            _ => false,
        };
        let term = Self::Condition(condition);
        (is_supported && term.has_word()).then_some(term)
    }

    /// Returns the text with whose words a matching contact must have a word in common; `None` for other conditions.
    pub(super) fn text(&self) -> Option<&'a str> {
        match self {
            Self::Word(word) => Some(indexed_part(word)),
            Self::Condition(Condition { predicate: Predicate::StartsWith(text), .. }) => Some(text),
            Self::Condition(_) => None,
        }
    }

    /// Whether the text has a word, if there is a text.
    fn has_word(&self) -> bool {
        self.text().is_none_or(|text| text.contains(char::is_alphanumeric))
    }
}

/// Returns the part of a query word that begins with a word of the index. Other characters may be before it. If it is not
/// certain that PostgreSQL, too, treats the last of them as the end of a word, no part does.
fn indexed_part(word: &str) -> &str {
    let start = word.find(char::is_alphanumeric).unwrap_or(word.len());
    let (before, part) = word.split_at(start);
    if before.chars().next_back().is_none_or(|last| last.is_ascii()) { part } else { "" }
}

impl<'a> Lookup<'a> {
    /// Returns the lookup for a condition on the id or on a unique field.
    fn from_condition(condition: &'a Condition) -> Option<Self> {
        let Predicate::OneOf(ValueSet { values, includes_unset: false }) = &condition.predicate else {
            return None;
        };
        if condition.field.id == system::ID {
            return Some(Self::Ids(values));
        }
        condition.field.unique.then(|| {
            let keys = values.iter().map(|value| condition.field.kind.unique_key(value)).collect();
            Self::Keys { field: condition.field.id.0, keys }
        })
    }

    /// Appends the query for the ids of the contacts, in a column `contact_id`.
    pub(super) fn push(&self, sql: &mut SqlBuilder, context: SearchContext) {
        match self {
            Self::Ids(ids) => {
                sql.push("SELECT unnest(");
                push_values(sql, SqlType::Uuid, ids);
                sql.push(") AS contact_id");
            }
            Self::Keys { field, keys } => {
                push_key_holders(sql, *field, keys, " AND k.is_active");
                if context.include_archived {
                    sql.push(" UNION ALL ");
                    push_key_holders(sql, *field, keys, " AND NOT k.is_active");
                }
            }
            Self::Entries(condition) => {
                sql.push("SELECT c.contact_id FROM search_entries c WHERE c.account_id = ").push(ACCOUNT).push(" AND ");
                push_condition(sql, condition, context.collation);
            }
            // The condition on the account must not use an index: only the one of the words leads to few entries.
            Self::Words(query) => {
                sql.push("SELECT e.contact_id FROM search_entries e WHERE e.account_id");
                sql.push(context.unindexed_equality()).push(ACCOUNT);
                sql.push(" AND e.words @@ ").push_bind(query.clone()).push("::tsquery");
            }
            Self::ChangedFrom(position) => {
                sql.push("SELECT h.contact_id FROM changes h WHERE h.account_id = ").push(ACCOUNT);
                sql.push(" AND h.position >= ").push_bind(*position);
            }
        }
    }
}

/// Appends the query for the contacts with one of these keys: an index lookup for each key. `index_condition` selects the
/// index: active and archived contacts have one each.
fn push_key_holders(sql: &mut SqlBuilder, field: i32, keys: &[String], index_condition: &str) {
    sql.push("SELECT h.contact_id FROM unnest(").push_bind(keys.to_vec()).push("::text[]");
    sql.push(") AS v (key) CROSS JOIN LATERAL (SELECT k.contact_id FROM contact_keys k WHERE k.account_id = ");
    sql.push(ACCOUNT).push(" AND k.field_id = ").push_bind(field);
    sql.push(" AND k.key = v.key").push(index_condition).push(" OFFSET 0) h");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::SearchRequest;
    use crate::fields::registry_fixtures as fixtures;
    use crate::json::{self, Json};
    use uuid::Uuid;

    /// Returns the number of terms of each branch of a search, 0 for an exact one.
    fn term_counts(body: &str) -> Vec<usize> {
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        let request = SearchRequest::parse(&body, Uuid::nil(), &fixtures::registry()).expect("a search");
        branches(&request.criteria).unwrap_or_default().iter().map(|branch| branch.terms().len()).collect()
    }

    #[test]
    fn search_uses_indexes_that_find_every_match() {
        let filter = |property: &str, operator: &str, value: &str| {
            format!(r#"{{"property": "{property}", "operator": "{operator}", "value": {value}}}"#)
        };
        let key = filter("badge", "in", r#"["a", "b"]"#);
        let phone = filter("phone", "eq", r#""555""#);
        let name = filter("last_name", "starts_with", r#""A""#);
        let unindexed = filter("email", "neq", r#""a@b.cd""#);
        let group = |filters: &[&String]| {
            let filters: Vec<_> = filters.iter().map(|filter| filter.as_str()).collect();
            format!(r#"{{"filters": [{}]}}"#, filters.join(","))
        };
        let groups = |groups: &[String]| format!(r#"{{"filter_groups": [{}]}}"#, groups.join(","));
        for (body, expected) in [
            (group(&[&unindexed, &key]), vec![0]),
            (group(&[&unindexed]), vec![]),
            (group(&[&phone, &name, &unindexed]), vec![2]),
            (group(&[&phone, &key]), vec![0]),
            (groups(&[group(&[&key]), group(&[&unindexed, &key])]), vec![0, 0]),
            (groups(&[group(&[&key]), group(&[&name, &phone])]), vec![0, 2]),
            (groups(&[group(&[&key]), group(&[&unindexed])]), vec![]),
            (r#"{"query": "ada & @b"}"#.into(), vec![2]),
            (r#"{"query": "& +"}"#.into(), vec![]),
            (r#"{"query": "…ada"}"#.into(), vec![]),
            ("{}".into(), vec![]),
        ] {
            assert_eq!(term_counts(&body), expected, "{body}");
        }
    }
}
