//! The conditions of a search in SQL. An unset value is NULL, and a condition that is NULL does not match.

use super::collation::Collation;
use super::sql_builder::SqlBuilder;
use super::sql_type::{SqlType, push_column, push_value, push_values};
use crate::contacts::{Comparison, Condition, Predicate, ValueSet};
use crate::fields::{Field, Value, system};
use crate::repository::statement::{comma_separated, sql};

/// Appends conditions that must all match.
pub(super) fn push_conditions(sql: &mut SqlBuilder, conditions: &[Condition], collation: Collation) {
    for (index, condition) in conditions.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " AND " });
        push_condition(sql, condition, collation);
    }
    sql.push(if conditions.is_empty() { "TRUE" } else { ")" });
}

/// Appends one condition.
pub(super) fn push_condition(sql: &mut SqlBuilder, condition: &Condition, collation: Collation) {
    let field = &condition.field;
    match &condition.predicate {
        Predicate::IsSet => {
            push_column(sql, field);
            sql.push(" IS NOT NULL");
        }
        Predicate::IsUnset => {
            push_column(sql, field);
            sql.push(" IS NULL");
        }
        Predicate::OneOf(set) => push_one_of(sql, field, set),
        Predicate::NoneOf(set) => {
            push_one_of(sql, field, set);
            sql.push(" IS NOT TRUE");
        }
        Predicate::Compared(comparisons) => push_comparisons(sql, field, comparisons),
        Predicate::Contains(part) => push_text_match(sql, field, "strpos(", part, " > 0", collation),
        Predicate::StartsWith(part) => push_text_match(sql, field, "starts_with(", part, "", collation),
        Predicate::ContainsOption(option) => {
            push_column(sql, field);
            sql.push(" ? ").push_bind(option.clone());
        }
    }
}

/// Appends the condition that the value is in a set.
fn push_one_of(sql: &mut SqlBuilder, field: &Field, set: &ValueSet) {
    let sql_type = SqlType::from_field(field);
    sql.push("(");
    push_comparable(sql, field, sql_type);
    sql.push(" = ANY (");
    push_values(sql, sql_type, &set.values);
    sql.push(")");
    if set.includes_unset {
        sql.push(" OR ");
        push_column(sql, field);
        sql.push(" IS NULL");
    }
    sql.push(")");
}

/// Appends a field's value in the form in which it is compared: an email in lower case, texts by code point.
fn push_comparable(sql: &mut SqlBuilder, field: &Field, sql_type: SqlType) {
    let (before, after) = match sql_type {
        SqlType::Email => ("lower(", " COLLATE \"C\")"),
        SqlType::Text => ("", " COLLATE \"C\""),
        _ => ("", ""),
    };
    sql.push(before);
    push_column(sql, field);
    sql.push(after);
}

/// Appends comparisons that must all match.
fn push_comparisons(sql: &mut SqlBuilder, field: &Field, comparisons: &[(Comparison, Value)]) {
    let sql_type = SqlType::from_field(field);
    for (index, (comparison, value)) in comparisons.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " AND " });
        push_comparable(sql, field, sql_type);
        sql.push(match comparison {
            Comparison::Less => " < ",
            Comparison::AtMost => " <= ",
            Comparison::Greater => " > ",
            Comparison::AtLeast => " >= ",
        });
        push_value(sql, sql_type, value);
    }
    sql.push(")");
}

/// Appends a call of `strpos` or `starts_with` that ignores case. Unlike in a `LIKE` pattern, no character of the
/// searched text is special.
fn push_text_match(
    sql: &mut SqlBuilder,
    field: &Field,
    function: &str,
    text: &str,
    after_call: &str,
    collation: Collation,
) {
    let collate = collation.clause();
    sql.push(function).push("lower(");
    push_column(sql, field);
    sql.push(collate).push("), lower(").push_bind(text.to_owned()).push(collate).push("))").push(after_call);
}

/// Appends the condition that a word of the contact starts with `word`.
pub(super) fn push_word(sql: &mut SqlBuilder, word: &str, collation: Collation) {
    sql.push(queried_text()).push(collation.clause()).push(" ~* ").push_bind(word_pattern(word));
}

/// Returns the SQL expression for the text of a contact `c` in which queries search.
fn queried_text() -> &'static str {
    sql!("concat_ws(E'\\n', {})", comma_separated(system::queried().map(|field| format!("c.{}", field.internal_name))))
}

/// Returns a regular expression that matches where a word starts with `word`.
///
/// A letter or digit starts a word at the beginning of a value and after any other character. Every other character
/// starts a word wherever it is: `@example.com` finds an address.
fn word_pattern(word: &str) -> String {
    let mut pattern = String::new();
    if word.starts_with(char::is_alphanumeric) {
        pattern.push_str("(^|[^[:alnum:]])");
    }
    for character in word.chars() {
        // A backslash makes ASCII punctuation literal. Before a letter or digit it would start an escape sequence.
        if character.is_ascii() && !character.is_ascii_alphanumeric() {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_pattern_matches_every_character_literally() {
        assert_eq!(word_pattern("a.b\\d*(ß"), "(^|[^[:alnum:]])a\\.b\\\\d\\*\\(ß");
        assert_eq!(word_pattern("@a"), "\\@a");
    }
}
