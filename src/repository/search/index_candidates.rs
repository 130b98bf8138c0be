//! Contacts that an index finds, so that a search does not have to read all contacts of the account.

use uuid::Uuid;

use super::sql_builder::SqlBuilder;
use super::sql_type::{SqlType, push_values};
use crate::contacts::{Condition, Predicate, SearchCriteria, ValueSet};
use crate::fields::{Value, system};

/// Sources whose union contains every contact that the search matches. The conditions of the search still apply.
pub(super) struct IndexCandidates<'a>(Vec<CandidateSource<'a>>);

/// A lookup through an index.
enum CandidateSource<'a> {
    /// The contacts with these ids.
    Ids(&'a [Value]),
    /// The contacts with these keys of a unique field.
    Keys { field: i32, keys: Vec<String> },
}

impl<'a> IndexCandidates<'a> {
    /// Returns the candidates of a search with a condition on the id or on a unique field. Either every match must meet
    /// the condition, or each group of conditions has such a condition. Returns `None` for other searches.
    pub(super) fn from_criteria(criteria: &'a SearchCriteria) -> Option<Self> {
        let in_every_match = CandidateSource::from_conditions(&criteria.conditions).map(|source| vec![source]);
        let in_each_group = || {
            let groups = criteria.condition_groups.iter();
            groups.map(|group| CandidateSource::from_conditions(group)).collect::<Option<Vec<_>>>()
        };
        in_every_match.or_else(in_each_group).filter(|sources| !sources.is_empty()).map(Self)
    }

    /// Appends the condition that a contact is a candidate.
    pub(super) fn push(&self, sql: &mut SqlBuilder, account: Uuid, include_archived: bool) {
        for (index, source) in self.0.iter().enumerate() {
            sql.push(if index == 0 { " AND c.id IN (" } else { " UNION ALL " });
            match source {
                CandidateSource::Ids(ids) => {
                    sql.push("SELECT unnest(");
                    push_values(sql, SqlType::Uuid, ids);
                    sql.push(")");
                }
                CandidateSource::Keys { field, keys } => {
                    push_key_holders(sql, account, *field, keys, " AND k.is_active");
                    if include_archived {
                        sql.push(" UNION ALL ");
                        push_key_holders(sql, account, *field, keys, " AND NOT k.is_active");
                    }
                }
            }
        }
        sql.push(")");
    }
}

/// Appends the query for the contacts with one of these keys: an index lookup for each key. `index_condition` selects the
/// index: active and archived contacts have one each.
fn push_key_holders(sql: &mut SqlBuilder, account: Uuid, field: i32, keys: &[String], index_condition: &str) {
    sql.push("SELECT h.contact_id FROM unnest(").push_bind(keys.to_vec()).push("::text[]");
    sql.push(") AS v (key) CROSS JOIN LATERAL (SELECT k.contact_id FROM contact_keys k WHERE k.account_id = ");
    sql.push_bind(account).push(" AND k.field_id = ").push_bind(field);
    sql.push(" AND k.key = v.key").push(index_condition).push(" OFFSET 0) h");
}

impl<'a> CandidateSource<'a> {
    /// Returns the source for the first of these conditions that an index supports.
    fn from_conditions(conditions: &'a [Condition]) -> Option<Self> {
        conditions.iter().find_map(|condition| {
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::SearchRequest;
    use crate::fields::registry_fixtures as fixtures;
    use crate::json::{self, Json};

    /// Returns the number of candidate sources of a search.
    fn source_count(body: &str) -> usize {
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        let request = SearchRequest::parse(&body, Uuid::nil(), &fixtures::registry()).expect("a search");
        IndexCandidates::from_criteria(&request.criteria).map_or(0, |candidates| candidates.0.len())
    }

    #[test]
    fn search_uses_an_index_when_every_match_must_have_a_unique_key() {
        let key = r#"{"property": "badge", "operator": "in", "value": ["a", "b"]}"#;
        let other = r#"{"property": "email", "operator": "neq", "value": "a@b.cd"}"#;
        for (body, expected) in [
            (format!(r#"{{"filters": [{other}, {key}]}}"#), 1),
            (format!(r#"{{"filters": [{other}]}}"#), 0),
            (format!(r#"{{"filter_groups": [{{"filters": [{key}]}}, {{"filters": [{other}, {key}]}}]}}"#), 2),
            (format!(r#"{{"filter_groups": [{{"filters": [{key}]}}, {{"filters": [{other}]}}]}}"#), 0),
            ("{}".into(), 0),
        ] {
            assert_eq!(source_count(&body), expected, "{body}");
        }
    }
}
