//! The builder of search statements.

use sqlx::{Postgres, QueryBuilder};

/// A statement that is being built. Its first parameter is the account.
pub(super) type SqlBuilder = QueryBuilder<Postgres>;
