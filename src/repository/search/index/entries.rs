//! The entries of the index: the values and words of a contact.

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::super::collation::Collation;
use super::super::sql_builder::{ACCOUNT, SqlBuilder, statement_about};
use super::words::{MARK, Words};
use crate::fields::{Field, FieldId, system};
use crate::repository::pool::DatabaseConnection;
use crate::repository::statement::{comma_separated, sql};

/// Returns the column of a field that searches look up and sort by, of the table `search_entries`; `None` if it has none.
pub(in crate::repository::search) fn entry_column(field: &Field) -> Option<&str> {
    let has_column = |id: FieldId| id == system::CREATED_AT || system::QUERIED.contains(&id);
    (field.system && has_column(field.id)).then_some(field.internal_name.as_str())
}

/// Returns the names of the columns with the values of a contact.
fn value_columns() -> impl Iterator<Item = &'static str> {
    system::all().iter().filter_map(|field| entry_column(field))
}

/// Returns the SQL expression for a text in which letters that a search treats as equal are the same letter. Two small letters can
/// have the same capital letter, as `ς` and `σ`.
fn folded(text: &str, collation: Collation) -> String {
    format!("translate(lower(upper(lower({text}{}))), E'\\x01', ' ')", collation.clause())
}

/// Writes the entries of contacts. An entry that exists is replaced.
pub(super) async fn write_entries(
    connection: &mut DatabaseConnection,
    account: Uuid,
    contacts: &[Uuid],
    collation: Collation,
) -> sqlx::Result<()> {
    let write = sql!(
        "INSERT INTO search_entries AS e (account_id, contact_id, {names}, words) SELECT c.account_id, c.id, {values}, \
         array_to_tsvector(string_to_array(n.words, E'\\x01')) FROM unnest($2::uuid[], $3::text[]) AS n (id, words) \
         CROSS JOIN LATERAL (SELECT * FROM contacts WHERE account_id = $1 AND id = n.id LIMIT 1) c \
         ON CONFLICT (account_id, contact_id) DO UPDATE SET {assignments}, words = excluded.words",
        names = comma_separated(value_columns().map(str::to_owned)),
        values = comma_separated(value_columns().map(|name| format!("c.{name}"))),
        assignments = comma_separated(value_columns().map(|name| format!("{name} = excluded.{name}")))
    );
    if contacts.is_empty() {
        return Ok(());
    }
    let (ids, words) = read_words(connection, account, contacts, collation).await?;
    sqlx::query(write).bind(account).bind(ids).bind(words).execute(connection).await?;
    Ok(())
}

/// Returns the contacts that exist with their words, separated by [`MARK`].
async fn read_words(
    connection: &mut DatabaseConnection,
    account: Uuid,
    contacts: &[Uuid],
    collation: Collation,
) -> sqlx::Result<(Vec<Uuid>, Vec<String>)> {
    // PostgreSQL decides where a word begins: at a letter or digit after any other character.
    let marked = system::queried().map(|field| {
        let text = folded(&format!("c.{}", field.internal_name), collation);
        format!("regexp_replace({text}, '(^|[^[:alnum:]])([[:alnum:]])', E'\\\\1\\x01\\\\2', 'g')")
    });
    let mut read = statement_about(account, &format!("SELECT c.id, {} FROM unnest(", comma_separated(marked)))?;
    read.push_bind(contacts).push("::uuid[]) AS n (id) CROSS JOIN LATERAL (SELECT * FROM contacts WHERE account_id = ");
    read.push(ACCOUNT).push(" AND id = n.id LIMIT 1) c");
    let rows = read.build().fetch_all(connection).await?;
    let words = Words::of_account(account);
    let words_of_row = |row: &PgRow| {
        let mut all = vec![];
        for column in 0..system::QUERIED.len() {
            all.extend(row.try_get::<Option<&str>, _>(column + 1)?.map(|text| words.in_marked_text(text)));
        }
        Ok((row.try_get(0)?, all.concat().join(&MARK.to_string())))
    };
    Ok(rows.iter().map(words_of_row).collect::<sqlx::Result<Vec<(Uuid, String)>>>()?.into_iter().unzip())
}

/// Deletes the entries of contacts.
pub(super) async fn delete_entries(
    connection: &mut DatabaseConnection,
    account: Uuid,
    contacts: &[Uuid],
) -> sqlx::Result<()> {
    const DELETE: &str = "DELETE FROM search_entries WHERE account_id = $1 AND contact_id = ANY ($2)";
    if !contacts.is_empty() {
        sqlx::query(DELETE).bind(account).bind(contacts).execute(connection).await?;
    }
    Ok(())
}

/// Appends the SQL expression for the text that a search looks up in the words of the index: from the first letter or digit of
/// `text` on. Empty if there is none.
pub(in crate::repository::search) fn push_word_text(sql: &mut SqlBuilder, text: &str, collation: Collation) {
    sql.push("(SELECT regexp_replace(").push(folded("t.text", collation)).push(", '^[^[:alnum:]]+', '') FROM (SELECT ");
    sql.push_bind(text.to_owned()).push("::text AS text) t)");
}
