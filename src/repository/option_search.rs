//! The search for contacts that have options of a field, which can then not be removed.
//!
//! It reads all contacts of the account before the registry is locked, and only the contacts that have changed since after that:
//! every write of the account waits for the lock.

use uuid::Uuid;

use super::last_changes::last_position_sql;
use super::pool::DatabaseConnection;
use super::statement::sql;
use crate::fields::{Field, FieldId, Kind};

/// A search in all contacts of an account.
#[derive(Default)]
pub(super) struct OptionSearch {
    /// The field and its options that were searched for; `None` if nothing was.
    searched: Option<(FieldId, Vec<String>)>,
    /// The options that contacts have.
    used: Vec<String>,
    /// The position of the newest change before the search.
    position: i64,
}

/// The contacts that are searched.
enum Searched {
    All,
    /// The contacts that have changed after this position of the feed.
    ChangedAfter(i64),
}

impl OptionSearch {
    /// Searches all contacts of an account, also archived ones, for options of a field.
    pub(super) async fn run(
        connection: &mut DatabaseConnection,
        account: Uuid,
        field: &Field,
        options: &[&str],
    ) -> sqlx::Result<Self> {
        let newest = sql!("SELECT {} FROM accounts s WHERE s.account_id = $1", last_position_sql("account_id = $1"));
        let position = sqlx::query_scalar(newest).bind(account).fetch_one(&mut *connection).await?;
        let used = used_options(connection, account, field, options, Searched::All).await?;
        let names = options.iter().map(|option| (*option).to_owned()).collect();
        Ok(Self { searched: Some((field.id, names)), used, position })
    }

    /// Returns the members of `options` that contacts have, or had during the search. No contact may change meanwhile.
    pub(super) async fn complete(
        self,
        connection: &mut DatabaseConnection,
        account: Uuid,
        field: &Field,
        options: &[&str],
    ) -> sqlx::Result<Vec<String>> {
        let is_searched = |option: &&str| {
            self.searched.as_ref().is_some_and(|(id, names)| *id == field.id && names.iter().any(|name| name == option))
        };
        let searched = match options.iter().all(is_searched) {
            true if self.used.iter().any(|used| options.contains(&used.as_str())) => return Ok(self.used),
            true => Searched::ChangedAfter(self.position),
            // The field has been changed since the search.
            false => Searched::All,
        };
        used_options(connection, account, field, options, searched).await
    }
}

/// Returns the members of `options` that contacts have in the field.
async fn used_options(
    connection: &mut DatabaseConnection,
    account: Uuid,
    field: &Field,
    options: &[&str],
    searched: Searched,
) -> sqlx::Result<Vec<String>> {
    const ALL: &str = "contacts c";
    const CHANGED: &str = "(SELECT DISTINCT contact_id FROM changes WHERE account_id = $1 AND position > $4) h \
         CROSS JOIN LATERAL (SELECT * FROM contacts WHERE account_id = $1 AND id = h.contact_id LIMIT 1) c";
    if options.is_empty() {
        return Ok(vec![]);
    }
    let is_multiple = field.kind == Kind::MultiSelect;
    let (select, position) = match (is_multiple, searched) {
        (false, Searched::All) => (sql!("{}", in_dropdown(ALL)), None),
        (true, Searched::All) => (sql!("{}", in_multi_select(ALL)), None),
        (false, Searched::ChangedAfter(position)) => (sql!("{}", in_dropdown(CHANGED)), Some(position)),
        (true, Searched::ChangedAfter(position)) => (sql!("{}", in_multi_select(CHANGED)), Some(position)),
    };
    let query = sqlx::query_scalar(select).bind(account).bind(field.id.0.to_string()).bind(options);
    match position {
        Some(position) => query.bind(position),
        None => query,
    }
    .fetch_all(connection)
    .await
}

fn in_dropdown(contacts: &str) -> String {
    format!(
        "SELECT DISTINCT c.custom ->> $2 FROM {contacts} WHERE c.account_id = $1 AND c.custom ->> $2 = ANY ($3) ORDER BY 1"
    )
}

fn in_multi_select(contacts: &str) -> String {
    format!(
        "SELECT DISTINCT chosen FROM {contacts}, \
         jsonb_array_elements_text(CASE jsonb_typeof(c.custom -> $2) WHEN 'array' THEN c.custom -> $2 END) AS chosen \
         WHERE c.account_id = $1 AND c.custom -> $2 ?| $3 AND chosen = ANY ($3) ORDER BY 1"
    )
}
