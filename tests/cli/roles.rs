//! The database roles of the docker compose file (`ops/database`): `contacts_owner` migrates and `contacts_app` serves.
//! Neither role has any further right.

use std::fs;
use std::path::Path;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::every_operation::{connect, run_every_operation};
use super::{program, start_database, stderr_lines};

const ROLES: &str = include_str!("../../ops/database/10-roles.sql");
const ROLE_SETTINGS: &str = include_str!("../../ops/database/30-role-settings.sql");
/// The SQLSTATE `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Returns the URL of the same database for another role.
fn as_role(url: &str, role: &str) -> String {
    url.replacen("//contacts@", &format!("//{role}@"), 1)
}

fn migrate(url: &str) {
    let folder = TempDir::new().unwrap();
    let output = program(&folder).arg("migrate").env("DATABASE_URL", url).output().unwrap();
    assert!(output.status.success(), "{:?}", stderr_lines(&output));
}

/// Checks that the role has no right to run any of these statements.
async fn assert_forbidden(url: &str, statements: &[&str]) {
    let mut connection = connect(url).await;
    for statement in statements {
        let refused = sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut connection).await;
        let code = refused.err().and_then(|error| error.as_database_error()?.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some(INSUFFICIENT_PRIVILEGE), "{statement}");
    }
}

#[test]
fn application_role_runs_every_operation_and_may_only_read_and_write_rows() {
    let (cluster, url) = start_database("roles");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for script in [ROLES, ROLE_SETTINGS] {
            sqlx::raw_sql(script).execute(&mut connect(&url).await).await.unwrap();
        }
    });
    let (owner, app) = (as_role(&url, "contacts_owner"), as_role(&url, "contacts_app"));
    migrate(&owner);

    let folder = TempDir::new().unwrap();
    run_every_operation(&runtime, &folder, &app, &url);
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("the schema is up to date"), "{log}");
    for message in ["permission denied", "could not", "WARN", "ERROR"] {
        assert!(!log.contains(message), "{log}");
    }
    runtime.block_on(assert_forbidden(&app, &OWNER_STATEMENTS));
    runtime.block_on(assert_forbidden(&app, &SUPERUSER_STATEMENTS));
    runtime.block_on(assert_forbidden(&owner, &SUPERUSER_STATEMENTS));
    drop(cluster);
}

/// Statements that the application role may not run.
const OWNER_STATEMENTS: [&str; 16] = [
    "CREATE TABLE mine (id integer)",
    "CREATE TABLE public.mine (id integer)",
    "CREATE VIEW public.mine AS SELECT 1",
    "CREATE FUNCTION public.mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE contacts ADD COLUMN mine integer",
    "ALTER TABLE contacts DISABLE TRIGGER ALL",
    "DROP TABLE contacts",
    "TRUNCATE contacts",
    "CREATE INDEX ON contacts (email)",
    "CREATE TRIGGER mine AFTER INSERT ON contacts EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "INSERT INTO _sqlx_migrations VALUES (9999, 'mine', now(), true, '', 0)",
    "UPDATE _sqlx_migrations SET success = false",
    "DELETE FROM _sqlx_migrations",
    "DROP TABLE _sqlx_migrations",
    "SET ROLE contacts_owner",
    "ALTER DEFAULT PRIVILEGES FOR ROLE contacts_owner GRANT ALL ON TABLES TO PUBLIC",
];

/// Statements that neither role may run.
const SUPERUSER_STATEMENTS: [&str; 14] = [
    "CREATE TEMPORARY TABLE mine (id integer)",
    "CREATE SCHEMA mine",
    "CREATE DATABASE mine",
    "CREATE ROLE mine",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE contacts PASSWORD 'mine'",
    "SET ROLE contacts",
    "GRANT pg_read_server_files TO CURRENT_USER",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_read_file('PG_VERSION')",
    "COPY contacts TO PROGRAM 'cat'",
    "COPY contacts FROM '/etc/passwd'",
    "ALTER SYSTEM SET fsync = off",
    "SELECT lo_export(0, '/tmp/mine')",
];

#[test]
fn roles_script_transfers_an_existing_database_to_the_roles() {
    let (cluster, url) = start_database("handover");
    migrate(&url);
    let (owner, app) = (as_role(&url, "contacts_owner"), as_role(&url, "contacts_app"));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let mut superuser = connect(&url).await;
        sqlx::raw_sql("CREATE ROLE stranger LOGIN").execute(&mut superuser).await.unwrap();
        for _ in 0..2 {
            sqlx::raw_sql(ROLES).execute(&mut superuser).await.unwrap();
        }
        let refused = PgConnection::connect(&as_role(&url, "stranger")).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), INSUFFICIENT_PRIVILEGE);
        let not_transferred =
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tableowner <> 'contacts_owner'";
        let not_transferred: Vec<String> = sqlx::query_scalar(not_transferred).fetch_all(&mut superuser).await.unwrap();
        assert_eq!(not_transferred, [""; 0]);
        // A later migration: the owner can create tables, and the application role can read and write them.
        let next =
            "CREATE TABLE next (id integer); ALTER TABLE contacts ADD COLUMN next integer; DROP TABLE idempotency_key_contacts";
        sqlx::raw_sql(next).execute(&mut connect(&owner).await).await.unwrap();
        let work =
            "INSERT INTO next VALUES (1); SELECT * FROM next FOR UPDATE; UPDATE next SET id = 2; DELETE FROM next";
        sqlx::raw_sql(work).execute(&mut connect(&app).await).await.unwrap();
    });
    runtime.block_on(assert_forbidden(&app, &OWNER_STATEMENTS));
    drop(cluster);
}

/// Checks that the compose file uses the roles that the tests above use.
#[test]
fn docker_compose_serves_and_migrates_with_these_roles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compose = fs::read_to_string(root.join("docker-compose.yml")).unwrap();
    let service = |name: &str| compose.split(&format!("\n  {name}:\n")).nth(1).unwrap().split("\n\n").next().unwrap();
    let (serves, migrates, database) = (service("contacts"), service("migrate"), service("database"));
    assert!(serves.contains("postgres://contacts_app:${CONTACTS_APP_PASSWORD:?") && !serves.contains("contacts_owner"));
    assert!(serves.contains("MIGRATE_ON_START: \"false\"") && serves.contains("CONTACTS_OWNER_PASSWORD: \"\""));
    assert!(migrates.contains("postgres://contacts_owner:${CONTACTS_OWNER_PASSWORD:?"));
    assert!(
        database.contains("./ops/database:/ops:ro") && database.contains("cp /ops/*.sql /docker-entrypoint-initdb.d/")
    );
    assert!(!database.contains("POSTGRES_USER"));
}
