//! Which contacts a search need look at, where an index of keys tells.

use uuid::Uuid;

use super::Sql;
use super::column::{Form, push_values};
use crate::contacts::{Choice, Condition, Search, Test};
use crate::fields::{Value, system};

/// The contacts of these sources together; all others fail the search. Its conditions are checked nonetheless.
pub(super) struct Narrowing<'a>(Vec<Source<'a>>);

/// Where an index finds contacts.
enum Source<'a> {
    /// By these ids.
    Ids(&'a [Value]),
    /// By these keys of a unique field.
    Keys { field: i32, keys: Vec<String> },
}

impl<'a> Narrowing<'a> {
    /// A condition on ids or a unique field that every contact found must meet, or one in each group.
    pub(super) fn of(search: &'a Search) -> Option<Self> {
        let alone = Source::of(&search.conditions).map(|source| vec![source]);
        let in_groups = || search.groups.iter().map(|group| Source::of(group)).collect::<Option<Vec<_>>>();
        alone.or_else(in_groups).filter(|sources| !sources.is_empty()).map(Self)
    }

    /// The condition that a contact is one of them.
    pub(super) fn push(&self, sql: &mut Sql, account: Uuid, archived: bool) {
        for (index, source) in self.0.iter().enumerate() {
            sql.push(if index == 0 { " AND c.id IN (" } else { " UNION ALL " });
            match source {
                Source::Ids(ids) => {
                    sql.push("SELECT unnest(");
                    push_values(sql, Form::Id, ids);
                    sql.push(")");
                }
                Source::Keys { field, keys } => {
                    push_holders(sql, account, *field, keys, " AND k.active");
                    if archived {
                        sql.push(" UNION ALL ");
                        push_holders(sql, account, *field, keys, " AND NOT k.active");
                    }
                }
            }
        }
        sql.push(")");
    }
}

/// The contacts that hold one of these keys. `those` picks the index: active contacts and archived ones have one each.
fn push_holders(sql: &mut Sql, account: Uuid, field: i32, keys: &[String], those: &str) {
    sql.push("SELECT k.contact_id FROM contact_keys k WHERE k.account_id = ").push_bind(account);
    sql.push(" AND k.field_id = ").push_bind(field);
    sql.push(" AND k.key = ANY (").push_bind(keys.to_vec()).push(")").push(those);
}

impl<'a> Source<'a> {
    /// The first of these conditions that an index answers.
    fn of(conditions: &'a [Condition]) -> Option<Self> {
        conditions.iter().find_map(|condition| match &condition.test {
            Test::OneOf(Choice { values, unset: false }) if condition.field.id == system::ID => Some(Self::Ids(values)),
            Test::OneOf(Choice { values, unset: false }) if condition.field.unique => {
                let keys = values.iter().map(|value| condition.field.kind.unique_key(value)).collect();
                Some(Self::Keys { field: condition.field.id.0, keys })
            }
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contacts::SearchRequest;
    use crate::fields::registry_samples as samples;
    use crate::json::{self, Json};

    /// How many sources a search has.
    fn sources(body: &str) -> usize {
        let body = json::parse(body.as_bytes()).ok().and_then(Json::into_object).expect("an object");
        let request = SearchRequest::parse(&body, Uuid::nil(), &samples::registry()).expect("a search");
        Narrowing::of(&request.search).map_or(0, |narrowing| narrowing.0.len())
    }

    #[test]
    fn needs_a_key_that_every_contact_found_must_hold() {
        let key = r#"{"property": "badge", "operator": "in", "value": ["a", "b"]}"#;
        let other = r#"{"property": "email", "operator": "neq", "value": "a@b.cd"}"#;
        for (body, expected) in [
            (format!(r#"{{"filters": [{other}, {key}]}}"#), 1),
            (format!(r#"{{"filters": [{other}]}}"#), 0),
            (format!(r#"{{"filter_groups": [{{"filters": [{key}]}}, {{"filters": [{other}, {key}]}}]}}"#), 2),
            (format!(r#"{{"filter_groups": [{{"filters": [{key}]}}, {{"filters": [{other}]}}]}}"#), 0),
            ("{}".into(), 0),
        ] {
            assert_eq!(sources(&body), expected, "{body}");
        }
    }
}
