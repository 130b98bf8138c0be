//! The builder of search statements.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments, Postgres, QueryBuilder};
use uuid::Uuid;

use super::collation::Collation;

/// A statement that is being built.
pub(super) type SqlBuilder = QueryBuilder<Postgres>;

/// The parameter of the account, in statements of [`statement_about`].
pub(super) const ACCOUNT: &str = "$1";

/// Returns a statement about an account, which starts with this text.
pub(super) fn statement_about(account: Uuid, text: &str) -> sqlx::Result<SqlBuilder> {
    let mut arguments = PgArguments::default();
    arguments.add(account).map_err(sqlx::Error::Encode)?;
    Ok(SqlBuilder::with_arguments(text, arguments))
}

/// What all statements of a search depend on.
#[derive(Clone, Copy)]
pub(super) struct SearchContext {
    pub(super) account: Uuid,
    pub(super) collation: Collation,
    /// Whether the search includes archived contacts.
    pub(super) include_archived: bool,
    /// Whether the tables are distributed.
    pub(super) is_distributed: bool,
}

impl SearchContext {
    /// Returns the operator that compares accounts in a condition that must not use an index: another one leads to fewer rows.
    /// Citus needs the plain comparison.
    pub(super) fn unindexed_equality(self) -> &'static str {
        if self.is_distributed { " = " } else { " IS NOT DISTINCT FROM " }
    }
}
