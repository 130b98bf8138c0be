//! Runs every operation of the service once: all routes of the OpenAPI document, import, export, API clients and the
//! cleanup of old rows.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::{ACCOUNT, ChildGuard, free_address, is_ready, program, serve_command, stderr_lines, token, wait_for};

pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

/// Runs a command of the program on this database and returns its standard output.
fn run_command(folder: &TempDir, url: &str, arguments: &[&str]) -> String {
    let output = program(folder).env("DATABASE_URL", url).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {:?}", stderr_lines(&output));
    String::from_utf8(output.stdout).unwrap()
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
        for path in ["/fields", "/healthz", "/readyz", "/metrics", "/openapi.json", "/me"] {
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
        let changes = self.call(Method::GET, "/contacts/changes", "/contacts/changes", None, 200).await;
        let next = changes["next"].as_str().unwrap();
        for query in [
            "?after=now".to_owned(),
            format!("?after={next}&exclude_actor=me&wait=1"),
            "?since=2020-01-01T00:00:00Z&properties=*".to_owned(),
            "?since=2999-01-01T00:00:00Z".to_owned(),
        ] {
            self.call(Method::GET, "/contacts/changes", &format!("/contacts/changes{query}"), None, 200).await;
        }
        self.call_variants(id.as_str().unwrap()).await;

        let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
        let request = self.client.post(format!("http://{}/oauth2/token", self.address)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        assert_eq!(request.send().await.unwrap().status(), 200);
        self.called.insert(("/oauth2/token".to_owned(), "post".to_owned()));
    }

    /// Creates a contact with an idempotency key that has expired.
    async fn reuse_expired_key(&self, superuser: &str) {
        let create = async |name: &str| {
            let request = self.client.post(format!("http://{}/contacts", self.address)).bearer_auth(&self.token);
            let request = request.header("idempotency-key", "expired").json(&json!({"fields": {"first_name": name}}));
            assert_eq!(request.send().await.unwrap().status(), 201);
        };
        create("First").await;
        let expire = "UPDATE idempotency_keys SET created_at = now() - interval '2 days' WHERE key = 'expired'";
        sqlx::raw_sql(expire).execute(&mut connect(superuser).await).await.unwrap();
        create("Second").await;
    }

    /// Searches the account, which has enough contacts for a search index, in all forms that run other statements.
    async fn search_with_index(&mut self, superuser: &str) {
        let (mut database, account) = (connect(superuser).await, ACCOUNT.parse::<Uuid>().unwrap());
        let is_complete = "SELECT EXISTS (SELECT FROM search_indexes WHERE account_id = $1 AND is_complete)";
        while !sqlx::query_scalar::<_, bool>(is_complete).bind(account).fetch_one(&mut database).await.unwrap() {
            self.search(json!({"query": "a"})).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // For a second, a search does not look for an index that the account did not have.
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        for sort in ["last_name", "-last_name", "created_at", "-phone"] {
            let page = self.search(json!({"sorts": [sort], "limit": 1})).await;
            self.search(json!({"sorts": [sort], "limit": 1, "after": page["pagination"]["next"]})).await;
        }
        let filter = |property, operator, value| json!({"property": property, "operator": operator, "value": value});
        for body in [
            json!({"query": "n x", "sorts": ["-version"]}),
            json!({"filters": [filter("phone", "eq", "555")], "sorts": ["-company_name"]}),
            json!({"filters": [filter("created_at", "gte", "2020-01-01T00:00:00Z")], "sorts": ["version"]}),
            json!({"filters": [filter("updated_at", "gte", "2020-01-01T00:00:00Z")], "sorts": ["updated_at"]}),
        ] {
            self.search(body).await;
        }
    }

    async fn search(&mut self, body: Value) -> Value {
        self.call(Method::POST, "/contacts/search", "/contacts/search", Some(body), 200).await
    }

    /// Calls operations in further forms, which run other statements.
    async fn call_variants(&mut self, archived_id: &str) {
        let list = "/contacts";
        for query in ["?email=alan@example.com", "?external_id=x2&limit=1", "?archived=true&offset=1&limit=1"] {
            self.call(Method::GET, list, &format!("/contacts{query}"), None, 200).await;
        }
        let page = self.call(Method::GET, list, "/contacts?limit=1", None, 200).await;
        let next = page["pagination"]["next"].as_str().unwrap();
        self.call(Method::GET, list, &format!("/contacts?limit=1&after={next}"), None, 200).await;
        let by_key = "/contacts/x2?id_property=external_id";
        self.call(Method::GET, "/contacts/{contactId}", by_key, None, 200).await;
        let many: Vec<_> =
            (0..300).map(|n| json!({"fields": {"first_name": "N", "external_id": format!("n{n}")}})).collect();
        let create = "/contacts/batch/create";
        self.call(Method::POST, create, create, Some(json!({"inputs": many})), 200).await;
        let read = "/contacts/batch/read";
        for format in ["csv", "ndjson"] {
            let path = format!("/contacts/export?format={format}");
            self.call(Method::GET, "/contacts/export", &path, None, 200).await;
        }
        let timed = "/contacts/n5?id_property=external_id&on_archived=restore&source_updated_at=2026-05-01T10:00:00Z";
        for (method, path) in
            [(Method::PUT, timed), (Method::DELETE, "/contacts/n5?id_property=external_id"), (Method::PUT, timed)]
        {
            let body = Some(json!({"fields": {"last_name": "T"}}));
            self.call(method, "/contacts/{contactId}", path, body, 200).await;
        }
        let keys = json!({"id_property": "external_id", "inputs": [{"id": "n1"}, {"id": "n2"}]});
        self.call(Method::POST, read, read, Some(keys), 200).await;
        let restore = format!("/contacts/{archived_id}/restore");
        self.call(Method::POST, "/contacts/{contactId}/restore", &restore, Some(json!({})), 200).await;
        let search = "/contacts/search";
        let filters = json!({"filters": [{"property": "external_id", "operator": "eq", "value": "n3"}]});
        self.call(Method::POST, search, search, Some(filters), 200).await;
        for number in 0..250 {
            let patch = json!({"fields": {"last_name": format!("L{number}"), "external_id": "n4"}});
            self.call(Method::PATCH, "/contacts/{contactId}", "/contacts/n4?id_property=external_id", Some(patch), 200)
                .await;
        }
        let long =
            self.call(Method::GET, "/contacts/{contactId}", "/contacts/n4?id_property=external_id", None, 200).await;
        let path = format!("/contacts/{}", long["id"].as_str().unwrap());
        let history = format!("{path}/history?limit=1");
        let page = self.call(Method::GET, "/contacts/{contactId}/history", &history, None, 200).await;
        let history = format!("{history}&after={}", page["next"].as_str().unwrap());
        self.call(Method::GET, "/contacts/{contactId}/history", &history, None, 200).await;
        let purge = format!("{path}/purge");
        self.call(Method::POST, "/contacts/{contactId}/purge", &purge, Some(json!({})), 204).await;
    }
}

/// An account that is removed.
const ENDED_ACCOUNT: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d40";

/// Makes all stored data old enough for the background cleanup.
const MAKE_ROWS_OLD: &str = "UPDATE changes SET at = now() - interval '90 days'; \
                   UPDATE idempotency_keys SET created_at = now() - interval '90 days'; \
                   UPDATE fields SET deleted_at = deleted_at - interval '1 hour' WHERE deleted_at IS NOT NULL;";
/// Counts the rows that the cleanup has not deleted yet. It never deletes the newest entry of the feed.
const COUNT_OLD_ROWS: &str = "SELECT (SELECT count(*) - 1 FROM changes) + (SELECT count(*) FROM idempotency_keys) \
                             + (SELECT count(*) FROM fields WHERE deleted_at IS NOT NULL)";

/// Imports rows without a key: new ones, refused ones, and ones whose contact is archived.
fn import_rows_without_key(runtime: &Runtime, folder: &TempDir, app: &str, superuser: &str) {
    fs::write(folder.path().join("keyless.csv"), "first_name,phone\nKeyless,123\n,456\n").unwrap();
    for (arguments, expected) in [
        (&["--dry-run"][..], "1 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"),
        (&[], "1 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"),
        (&[], "0 created, 0 updated, 1 unchanged, 0 skipped, 1 refused"),
        (&["archive"], "1 created, 0 updated, 0 unchanged, 0 skipped, 1 refused"),
    ] {
        let mut command = program(folder);
        command.args(["import", "keyless.csv", "--account", ACCOUNT]).env("DATABASE_URL", app);
        if arguments == ["archive"] {
            let archive = "UPDATE contacts SET archived_at = now() WHERE first_name = 'Keyless'";
            runtime.block_on(async { sqlx::raw_sql(archive).execute(&mut connect(superuser).await).await.unwrap() });
        } else {
            command.args(arguments);
        }
        let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(printed.starts_with(expected), "{arguments:?}: {printed}");
    }
}

/// Runs every operation on the migrated database at `app`. `superuser` is a URL of the same database.
pub fn run_every_operation(runtime: &Runtime, folder: &TempDir, app: &str, superuser: &str) {
    let address = free_address();
    let running = serve_command(folder, app, &address)
        .envs([("MIGRATE_ON_START", "false"), ("SEARCH_INDEX_MIN_CONTACTS", "200")])
        .spawn()
        .map(ChildGuard)
        .unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    let created = run_command(folder, app, &["client", "create", "--account", ACCOUNT, "--name", "Sync"]);
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
        recorder.reuse_expired_key(superuser).await;
        recorder.search_with_index(superuser).await;
        for (route, operations) in recorder.document().await["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                assert!(recorder.called.contains(&(route.clone(), method.clone())), "{method} {route} was not called");
            }
        }
    });
    fs::write(folder.path().join("people.csv"), "external_id,first_name,tier\nx9,Mary,gold\n").unwrap();
    run_command(
        folder,
        app,
        &["import", "people.csv", "--account", ACCOUNT, "--match", "external_id", "--create-fields"],
    );
    import_rows_without_key(runtime, folder, app, superuser);
    assert!(run_command(folder, app, &["export", "--account", ACCOUNT, "--format", "csv"]).contains("Mary"));
    assert!(run_command(folder, app, &["client", "list"]).contains("Sync"));
    run_command(folder, app, &["client", "revoke", value("client_id: ")]);
    assert!(run_command(folder, app, &["account", "export", ACCOUNT]).contains("Mary"));
    run_command(folder, app, &["client", "create", "--account", ENDED_ACCOUNT, "--name", "Sync"]);
    // The first contact of an account.
    fs::write(folder.path().join("first.csv"), "external_id,first_name\nx1,Mary\n").unwrap();
    run_command(folder, app, &["import", "first.csv", "--account", ENDED_ACCOUNT, "--match", "external_id"]);
    run_command(folder, app, &["account", "purge", ENDED_ACCOUNT, "--yes"]);

    // The cleanup runs soon after the start of the service, so this restarts the service.
    drop(running);
    runtime.block_on(async { sqlx::raw_sql(MAKE_ROWS_OLD).execute(&mut connect(superuser).await).await.unwrap() });
    let running = serve_command(folder, app, &address).env("MIGRATE_ON_START", "true").spawn().map(ChildGuard).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    wait_for("the cleanup of old rows", || {
        let remaining = async {
            sqlx::query_scalar::<_, i64>(COUNT_OLD_ROWS).fetch_one(&mut connect(superuser).await).await.unwrap()
        };
        (runtime.block_on(remaining) == 0).then_some(())
    });
    drop(running);
}
