//! The settings of sessions. They can belong to the role (`ops/database/30-role-settings.sql`). Those that the role lacks are set
//! after connecting, and not as startup parameters, which poolers reject.

use std::fmt::Write;
use std::time::Duration;

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::config::DatabaseSettings;

/// Settings of PostgreSQL with the values that sessions need.
#[derive(Debug, Clone, Default)]
pub(in crate::repository) struct SessionSettings(Vec<(&'static str, RequiredValue)>);

/// The value of a setting.
#[derive(Debug, Clone)]
enum RequiredValue {
    Exactly(&'static str),
    /// A time limit, which may be shorter.
    AtMost(Duration),
}

impl SessionSettings {
    /// Returns the settings of the connections in pools.
    pub(in crate::repository) fn of_pool(settings: &DatabaseSettings) -> Self {
        // The generic plan is the right plan for every statement. Planning a batch's statement anew costs more than
        // executing it.
        Self::default()
            .with("plan_cache_mode", "force_generic_plan")
            // A plan made while a table was small must not read the whole table once it is large.
            .with("enable_seqscan", "off")
            // A scan that cannot be avoided counts as very expensive then. Compiling its plan would take longer than the scan.
            .with("jit", "off")
            .with_time_limit("statement_timeout", settings.timeout)
            .with_time_limit("idle_in_transaction_session_timeout", settings.timeout * 2)
    }

    /// Returns the settings of a connection whose statements take as long as they need.
    pub(in crate::repository) fn without_time_limits() -> Self {
        Self::default().with("statement_timeout", "0").with("idle_in_transaction_session_timeout", "0")
    }

    /// Adds a setting.
    pub(in crate::repository) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.0.push((name, RequiredValue::Exactly(value)));
        self
    }

    fn with_time_limit(mut self, name: &'static str, limit: Duration) -> Self {
        self.0.push((name, RequiredValue::AtMost(limit)));
        self
    }

    /// Returns the settings that the session of a new connection lacks.
    pub(super) async fn read_missing(&self, connection: &mut PgConnection) -> sqlx::Result<Self> {
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("'{name}'")).collect();
        let read = format!("SELECT name, setting FROM pg_settings WHERE name IN ({})", names.join(", "));
        // As a simple query, which no pooler splits.
        let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(read))).await?;
        let current = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
        let current = current.collect::<sqlx::Result<Vec<(String, String)>>>()?;
        let is_missing = |(name, value): &&(&'static str, RequiredValue)| {
            !current.iter().any(|(other, setting)| other == name && value.accepts(setting))
        };
        Ok(Self(self.0.iter().filter(is_missing).cloned().collect()))
    }

    /// Whether there are no settings.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the statements that give the settings to a role, one a line. `role` is quoted if necessary.
    pub(super) fn role_statements(&self, role: &str) -> String {
        let statement =
            |(name, value): &(&str, RequiredValue)| format!("ALTER ROLE {role} SET {name} = '{}';", value.text());
        self.0.iter().map(statement).collect::<Vec<_>>().join("\n")
    }

    /// Applies the settings to a new connection.
    pub(in crate::repository) async fn apply(&self, connection: &mut PgConnection) -> sqlx::Result<()> {
        let statements = self.0.iter().fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, "SET {name} = '{}';", value.text());
            text
        });
        if !statements.is_empty() {
            connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await?;
        }
        Ok(())
    }
}

impl RequiredValue {
    fn text(&self) -> String {
        match self {
            Self::Exactly(value) => (*value).to_owned(),
            Self::AtMost(limit) => format!("{}ms", limit.as_millis()),
        }
    }

    /// Whether a value in `pg_settings`, where times are in milliseconds, meets this one.
    fn accepts(&self, setting: &str) -> bool {
        match self {
            Self::Exactly(value) => setting == *value,
            // 0 is no limit.
            Self::AtMost(limit) => setting.parse().is_ok_and(|time| (1..=limit.as_millis()).contains(&time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn script_for_roles_sets_what_the_service_needs_by_default() {
        let script = include_str!("../../../ops/database/30-role-settings.sql");
        let environment = Environment::from([("DATABASE_URL", "postgres://contacts_app@localhost/contacts")]);
        let settings = DatabaseSettings::read(&environment).expect("valid settings");
        for statement in SessionSettings::of_pool(&settings).role_statements("contacts_app").lines() {
            assert!(script.lines().any(|line| line == statement), "{statement}");
        }
    }

    #[test]
    fn time_limit_of_the_role_may_be_shorter() {
        let limit = RequiredValue::AtMost(Duration::from_secs(10));
        for (setting, is_accepted) in [("10000", true), ("1", true), ("0", false), ("10001", false), ("10s", false)] {
            assert_eq!(limit.accepts(setting), is_accepted, "{setting}");
        }
    }
}
