//! The collation of comparisons that ignore case.

use sqlx::PgExecutor;

/// A `COLLATE` clause with a leading blank, for a collation that can change the case of all letters. Empty when the
/// database has no such collation: the default collation may change the case of ASCII letters only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Collation {
    name: &'static str,
    clause: &'static str,
}

impl Collation {
    const ICU: &str = "und-x-icu";

    /// The names and clauses of the collations to choose from, in order of preference. ICU is last: it lowercases a
    /// sigma at the end of a word to a different letter than elsewhere, so a prefix may not match the whole word.
    const CANDIDATES: [(&'static str, &'static str); 4] = [
        ("pg_c_utf8", " COLLATE pg_c_utf8"),
        ("C.utf8", " COLLATE \"C.utf8\""),
        ("C.UTF-8", " COLLATE \"C.UTF-8\""),
        (Self::ICU, " COLLATE \"und-x-icu\""),
    ];

    /// Returns the best collation that this database has.
    pub(super) async fn detect(executor: impl PgExecutor<'_>) -> sqlx::Result<Self> {
        const LIST: &str = "SELECT collname::text FROM pg_catalog.pg_collation \
                            WHERE collnamespace = 'pg_catalog'::regnamespace AND collencoding IN (-1, 6)";
        let available: Vec<String> = sqlx::query_scalar(LIST).fetch_all(executor).await?;
        let best = Self::CANDIDATES.into_iter().find(|(name, _)| available.iter().any(|existing| existing == name));
        let (name, clause) = best.unwrap_or_default();
        Ok(Self { name, clause })
    }

    /// Returns the clause.
    pub(super) fn clause(self) -> &'static str {
        self.clause
    }

    /// Returns the name.
    pub(super) fn name(self) -> &'static str {
        self.name
    }

    /// Whether the collation changes each character on its own. Only then can an index find a word by its beginning.
    pub(super) fn supports_index(self) -> bool {
        !self.name.is_empty() && self.name != Self::ICU
    }
}
