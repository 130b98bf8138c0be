//! What must hold of a contact, in SQL. A value that is unset is NULL: what then gives NULL does not hold.

use sqlx::PgExecutor;

use super::Sql;
use super::column::{Form, push_column, push_value, push_values};
use crate::contacts::{Choice, Comparison, Condition, Test};
use crate::fields::{Field, Value};

/// The collation that knows the cases of all letters. A database may have been made with one that knows those of
/// ASCII only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Folding(&'static str);

impl Folding {
    /// Those that PostgreSQL may have, the best first. ICU's is the last: it writes a sigma at the end of a word in
    /// another way, so that the beginning of a word may not be found.
    const KNOWN: [(&'static str, &'static str); 4] = [
        ("pg_c_utf8", " COLLATE pg_c_utf8"),
        ("C.utf8", " COLLATE \"C.utf8\""),
        ("C.UTF-8", " COLLATE \"C.UTF-8\""),
        ("und-x-icu", " COLLATE \"und-x-icu\""),
    ];

    /// The best that this database has, or its own.
    pub(super) async fn of(executor: impl PgExecutor<'_>) -> sqlx::Result<Self> {
        const FIND: &str = "SELECT collname::text FROM pg_catalog.pg_collation \
                            WHERE collnamespace = 'pg_catalog'::regnamespace AND collencoding IN (-1, 6)";
        let there: Vec<String> = sqlx::query_scalar(FIND).fetch_all(executor).await?;
        let best = Self::KNOWN.into_iter().find(|(name, _)| there.iter().any(|known| known == name));
        Ok(Self(best.map_or("", |(_, collate)| collate)))
    }
}

/// All of these hold.
pub(super) fn push_conditions(sql: &mut Sql, conditions: &[Condition], folding: Folding) {
    for (index, condition) in conditions.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " AND " });
        push_condition(sql, condition, folding);
    }
    sql.push(if conditions.is_empty() { "TRUE" } else { ")" });
}

/// This one holds.
pub(super) fn push_condition(sql: &mut Sql, condition: &Condition, folding: Folding) {
    let field = &condition.field;
    match &condition.test {
        Test::IsSet => {
            push_column(sql, field);
            sql.push(" IS NOT NULL");
        }
        Test::IsUnset => {
            push_column(sql, field);
            sql.push(" IS NULL");
        }
        Test::OneOf(choice) => push_choice(sql, field, choice),
        Test::NoneOf(choice) => {
            push_choice(sql, field, choice);
            sql.push(" IS NOT TRUE");
        }
        Test::Compared(bounds) => push_bounds(sql, field, bounds),
        Test::Contains(part) => push_part(sql, field, "strpos(", part, " > 0", folding),
        Test::StartsWith(part) => push_part(sql, field, "starts_with(", part, "", folding),
        Test::Holds(option) => {
            push_column(sql, field);
            sql.push(" ? ").push_bind(option.clone());
        }
    }
}

fn push_choice(sql: &mut Sql, field: &Field, choice: &Choice) {
    let form = Form::of(field);
    sql.push("(");
    push_equal_form(sql, field, form);
    sql.push(" = ANY (");
    push_values(sql, form, &choice.values);
    sql.push(")");
    if choice.unset {
        sql.push(" OR ");
        push_column(sql, field);
        sql.push(" IS NULL");
    }
    sql.push(")");
}

/// A value as it is compared for being equal.
fn push_equal_form(sql: &mut Sql, field: &Field, form: Form) {
    let (before, after) = match form {
        Form::Email => ("lower(", " COLLATE \"C\")"),
        Form::Text => ("", " COLLATE \"C\""),
        _ => ("", ""),
    };
    sql.push(before);
    push_column(sql, field);
    sql.push(after);
}

fn push_bounds(sql: &mut Sql, field: &Field, bounds: &[(Comparison, Value)]) {
    let form = Form::of(field);
    for (index, (comparison, value)) in bounds.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { " AND " });
        push_equal_form(sql, field, form);
        sql.push(match comparison {
            Comparison::Less => " < ",
            Comparison::AtMost => " <= ",
            Comparison::Greater => " > ",
            Comparison::AtLeast => " >= ",
        });
        push_value(sql, form, value);
    }
    sql.push(")");
}

/// No pattern: in a part of a text no sign has a meaning of its own.
fn push_part(sql: &mut Sql, field: &Field, function: &str, part: &str, holds: &str, folding: Folding) {
    sql.push(function).push("lower(");
    push_column(sql, field);
    sql.push(folding.0).push("), lower(").push_bind(part.to_owned()).push(folding.0).push("))").push(holds);
}

/// The word begins a word of a contact.
pub(super) fn push_word(sql: &mut Sql, word: &str, folding: Folding) {
    const TEXT: &str = "concat_ws(E'\\n', c.first_name, c.last_name, c.email, c.phone, c.mobile_phone, c.company_name)";
    sql.push(TEXT).push(folding.0).push(" ~* ").push_bind(pattern(word));
}

/// A letter or digit begins a word at a beginning, and after anything else. Any other sign begins one wherever it
/// stands: `@example.com` is found in an address.
fn pattern(word: &str) -> String {
    let mut pattern = String::new();
    if word.starts_with(char::is_alphanumeric) {
        pattern.push_str("(^|[^[:alnum:]])");
    }
    for character in word.chars() {
        // Before a sign of ASCII a backslash takes its meaning away; before a letter or digit it would give one.
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
    fn a_pattern_takes_every_sign_as_it_is() {
        assert_eq!(pattern("a.b\\d*(ß"), "(^|[^[:alnum:]])a\\.b\\\\d\\*\\(ß");
        assert_eq!(pattern("@a"), "\\@a");
    }
}
