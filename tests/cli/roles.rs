//! The database roles of the docker compose file (`ops/database`): `contacts_owner` migrates and `contacts_app` serves.
//! Neither role has any further right.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::{
    ACCOUNT, ChildGuard, free_address, is_ready, program, serve_command, start_database, stderr_lines, token, wait_for,
};

const ROLES: &str = include_str!("../../ops/database/10-roles.sql");
/// The SQLSTATE `insufficient_privilege`.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Returns the URL of the same database for another role.
fn as_role(url: &str, role: &str) -> String {
    url.replacen("//contacts@", &format!("//{role}@"), 1)
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

fn migrate(url: &str) {
    let folder = TempDir::new().unwrap();
    let output = program(&folder).arg("migrate").env("DATABASE_URL", url).output().unwrap();
    assert!(output.status.success(), "{:?}", stderr_lines(&output));
}

/// Runs a command of the program on this database and returns its standard output.
fn run_command(folder: &TempDir, url: &str, arguments: &[&str]) -> String {
    let output = program(folder).env("DATABASE_URL", url).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {:?}", stderr_lines(&output));
    String::from_utf8(output.stdout).unwrap()
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

/// A client that records which operations of the OpenAPI document it has called.
struct OperationRecorder {
    client: Client,
    address: String,
    token: String,
    called: BTreeSet<(String, String)>,
    calls: usize,
}

impl OperationRecorder {
    async fn document(&self) -> Value {
        let url = format!("http://{}/openapi.json", self.address);
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// Calls an operation at this path and checks the status of the response.
    async fn call(&mut self, method: Method, route: &str, path: &str, body: Option<Value>, status: u16) -> Value {
        self.called.insert((route.to_owned(), method.as_str().to_ascii_lowercase()));
        self.calls += 1;
        let mut request = self.client.request(method.clone(), format!("http://{}{path}", self.address));
        request = request.bearer_auth(&self.token);
        if let Some(body) = &body {
            request = request.json(body).header("idempotency-key", path.replace('/', "-") + &self.calls.to_string());
        }
        let response = request.send().await.unwrap();
        let got = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(got, status, "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Calls every operation of the document, in an order in which each finds data to work on.
    async fn call_everything(&mut self, client_id: &str, client_secret: &str) {
        for field in ["size", "gone"] {
            let definition = json!({"internal_name": field, "label": field, "type": "text", "unique": true});
            self.call(Method::POST, "/fields", "/fields", Some(definition), 201).await;
        }
        for path in ["/fields", "/healthz", "/readyz", "/metrics", "/openapi.json"] {
            self.call(Method::GET, path, path, None, 200).await;
        }
        let field = "/fields/{internalName}";
        self.call(Method::GET, field, "/fields/size", None, 200).await;
        self.call(Method::PATCH, field, "/fields/size", Some(json!({"label": "Size"})), 200).await;

        let fields = json!({"fields": {"email": "ada@example.com", "size": "38", "gone": "soon"}});
        let created = self.call(Method::POST, "/contacts", "/contacts", Some(fields), 201).await;
        let path = format!("/contacts/{}", created["id"].as_str().unwrap());
        let contact = "/contacts/{contactId}";
        self.call(Method::GET, "/contacts", "/contacts", None, 200).await;
        self.call(Method::GET, contact, &path, None, 200).await;
        self.call(Method::PATCH, contact, &path, Some(json!({"fields": {"size": "39"}})), 200).await;
        self.call(Method::DELETE, contact, &path, None, 200).await;
        for (action, status) in [("restore", 200), ("purge", 204)] {
            let route = format!("{contact}/{action}");
            self.call(Method::POST, &route, &format!("{path}/{action}"), Some(json!({})), status).await;
        }
        let upsert = Some(json!({"fields": {"first_name": "Grace", "gone": "soon"}}));
        let upserted = self.call(Method::PUT, contact, "/contacts/x1?id_property=external_id", upsert, 201).await;
        let id = upserted["id"].clone();
        let history = format!("/contacts/{}/history", id.as_str().unwrap());
        self.call(Method::GET, "/contacts/{contactId}/history", &history, None, 200).await;
        self.call(Method::DELETE, field, "/fields/gone", None, 204).await;

        let search = Some(json!({"query": "grace", "filters": [{"property": "size", "operator": "has_no_value"}]}));
        self.call(Method::POST, "/contacts/search", "/contacts/search", search, 200).await;
        for (action, input) in [
            ("create", json!({"fields": {"email": "alan@example.com"}})),
            ("read", json!({"id": id})),
            ("update", json!({"id": id, "fields": {"last_name": "Hopper"}})),
            ("upsert", json!({"id": "x2", "fields": {"first_name": "Alan"}})),
            ("archive", json!({"id": id})),
        ] {
            let route = format!("/contacts/batch/{action}");
            let mut body = json!({"inputs": [input]});
            if action == "upsert" {
                body["id_property"] = "external_id".into();
            }
            self.call(Method::POST, &route, &route, Some(body), 200).await;
        }
        self.call(Method::GET, "/contacts/changes", "/contacts/changes", None, 200).await;

        let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
        let request = self.client.post(format!("http://{}/oauth2/token", self.address)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(request.send().await.unwrap().status(), 200);
        self.called.insert(("/oauth2/token".to_owned(), "post".to_owned()));
    }
}

/// Makes all stored data old enough for the background cleanup.
const MAKE_ROWS_OLD: &str = "UPDATE changes SET at = now() - interval '90 days'; \
                   UPDATE idempotency_keys SET created_at = now() - interval '90 days'; \
                   UPDATE fields SET deleted_at = deleted_at - interval '1 hour' WHERE deleted_at IS NOT NULL;";
/// Counts the rows that the cleanup has not deleted yet. It never deletes the newest entry of the feed.
const COUNT_OLD_ROWS: &str = "SELECT (SELECT count(*) - 1 FROM changes) + (SELECT count(*) FROM idempotency_keys) \
                             + (SELECT count(*) FROM fields WHERE deleted_at IS NOT NULL)";

#[test]
fn application_role_runs_every_operation_and_may_only_read_and_write_rows() {
    let (cluster, url) = start_database("roles");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async { sqlx::raw_sql(ROLES).execute(&mut connect(&url).await).await.unwrap() });
    let (owner, app) = (as_role(&url, "contacts_owner"), as_role(&url, "contacts_app"));
    migrate(&owner);

    let folder = TempDir::new().unwrap();
    let address = free_address();
    let running =
        serve_command(&folder, &app, &address).env("MIGRATE_ON_START", "false").spawn().map(ChildGuard).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    let created = run_command(&folder, &app, &["client", "create", "--account", ACCOUNT, "--name", "Sync"]);
    let value = |name: &str| created.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let mut recorder = OperationRecorder {
        client: Client::new(),
        address: address.clone(),
        token: token(),
        called: BTreeSet::new(),
        calls: 0,
    };
    runtime.block_on(async {
        recorder.call_everything(value("client_id: "), value("client_secret: ")).await;
        for (route, operations) in recorder.document().await["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                assert!(recorder.called.contains(&(route.clone(), method.clone())), "{method} {route} was not called");
            }
        }
    });
    fs::write(folder.path().join("people.csv"), "external_id,first_name,tier\nx9,Mary,gold\n").unwrap();
    run_command(
        &folder,
        &app,
        &["import", "people.csv", "--account", ACCOUNT, "--match", "external_id", "--create-fields"],
    );
    assert!(run_command(&folder, &app, &["export", "--account", ACCOUNT, "--format", "csv"]).contains("Mary"));
    assert!(run_command(&folder, &app, &["client", "list"]).contains("Sync"));
    run_command(&folder, &app, &["client", "revoke", value("client_id: ")]);

    // The cleanup runs soon after the start of the service, so this restarts the service.
    drop(running);
    runtime.block_on(async { sqlx::raw_sql(MAKE_ROWS_OLD).execute(&mut connect(&url).await).await.unwrap() });
    let running =
        serve_command(&folder, &app, &address).env("MIGRATE_ON_START", "true").spawn().map(ChildGuard).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    wait_for("the cleanup of old rows", || {
        let remaining =
            async { sqlx::query_scalar::<_, i64>(COUNT_OLD_ROWS).fetch_one(&mut connect(&url).await).await.unwrap() };
        (runtime.block_on(remaining) == 0).then_some(())
    });
    drop(running);
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
    assert!(database.contains("./ops/database:/docker-entrypoint-initdb.d:ro") && !database.contains("POSTGRES_USER"));
}
