//! A request for another account's contact runs the same statements as a request for a contact that does not exist.
//! So response times reveal no other account's data. The test compares the statements in the database's log, because
//! times on a shared machine vary too much.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::{ACCOUNT, ChildGuard, SECRET, free_address, is_ready, program, serve_command, start_database, wait_for};

const INTRUDER: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4f";

/// The status of a response, its duration, and the statements that the database logged meanwhile.
type LoggedResponse = (String, Duration, Vec<String>);

/// A service whose database logs every statement.
struct LoggedService {
    address: String,
    log: PathBuf,
    /// The statements of the service's periodic background work.
    background: BTreeSet<String>,
}

impl LoggedService {
    /// Returns the statements in the log from this offset on, without the names of the prepared statements.
    fn statements(&self, from: usize) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap();
        let entries = log[from..].split("LOG:  ").skip(1);
        let statements = entries.filter_map(|entry| {
            let (kind, statement) = entry.split_once(": ")?;
            let is_statement = kind == "statement" || kind.starts_with("execute ");
            // The statement ends before the line of its parameters, or before the next entry.
            let lines = statement.lines().take_while(|line| !line.contains("DETAIL:  ") && !line.starts_with("20"));
            is_statement.then(|| lines.collect::<Vec<_>>().join("\n"))
        });
        // A new connection begins with SET statements.
        let is_of_request = |statement: &String| !statement.starts_with("SET ") && !self.background.contains(statement);
        statements.filter(is_of_request).collect()
    }

    /// Returns the length of the log in bytes.
    fn log_length(&self) -> usize {
        usize::try_from(fs::metadata(&self.log).unwrap().len()).unwrap()
    }

    /// Sends a request on a new connection.
    fn send(&self, token: &str, method_and_path: &str, body: &str) -> LoggedResponse {
        let from = self.log_length();
        let started = Instant::now();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method_and_path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
             authorization: Bearer {token}\r\n\r\n{body}"
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let took = started.elapsed();
        (response.split(' ').nth(1).unwrap().to_owned(), took, self.statements(from))
    }
}

/// Checks that both requests have the same status and run the same statements.
///
/// Background work of the service may add statements, so the comparison has four attempts.
#[track_caller]
fn expect_same_statements(request: &str, theirs: impl Fn() -> LoggedResponse, missing: impl Fn() -> LoggedResponse) {
    for tries_left in (0..4).rev() {
        let (theirs, missing) = (theirs(), missing());
        assert!(!theirs.2.is_empty(), "{request}: no statement was logged");
        if (&theirs.0, &theirs.2) == (&missing.0, &missing.2) {
            return;
        }
        assert!(tries_left > 0, "{request}: {theirs:?} differs from {missing:?}");
    }
}

fn issue_token(account: &str) -> String {
    let folder = TempDir::new().unwrap();
    let output = program(&folder).env("JWT_SECRET", SECRET).args(["token", "--account", account]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn requests_for_another_accounts_contact_run_the_same_statements_as_for_a_missing_one() {
    let (cluster, url) = start_database("statements");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("ALTER DATABASE contacts SET log_statement = 'all'").execute(&mut connection).await.unwrap();
    });
    let (folder, address) = (TempDir::new().unwrap(), free_address());
    let running = serve_command(&folder, &url, &address).spawn().map(ChildGuard).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    let log = std::env::temp_dir().join(format!("contacts-cli-statements-{}/postgres.log", std::process::id()));
    let mut service = LoggedService { address, log, background: BTreeSet::new() };
    let (owner, intruder) = (issue_token(ACCOUNT), issue_token(INTRUDER));

    let contact = r#"{"fields": {"first_name": "A", "external_id": "theirs"}}"#;
    assert_eq!(service.send(&owner, "POST /contacts", contact).0, "201");
    let owned = service.send(&owner, "PUT /contacts/theirs?id_property=external_id", contact);
    assert!(owned.0 == "200" && !owned.2.is_empty(), "{owned:?}");
    let id = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let id: Uuid = sqlx::query_scalar("SELECT id FROM contacts").fetch_one(&mut connection).await.unwrap();
        id.to_string()
    });
    // The first request of an account reads its field registry, so this one is not compared.
    assert_eq!(service.send(&intruder, &format!("GET /contacts/{id}"), "").0, "404");
    let idle_from = service.log_length();
    std::thread::sleep(Duration::from_secs(4));
    service.background = service.statements(idle_from).into_iter().collect();

    let fields = r#"{"fields": {"first_name": "B"}}"#;
    let inputs = |id: &str| format!(r#"{{"inputs": [{{"id": "{id}", "fields": {{"first_name": "B"}}}}]}}"#);
    type Request<'a> = (&'a str, &'a dyn Fn(&str) -> String);
    let requests: [Request<'_>; 9] = [
        ("GET /contacts/{id}", &|_| String::new()),
        ("GET /contacts/{id}/history", &|_| String::new()),
        ("PATCH /contacts/{id}", &|_| fields.to_owned()),
        ("DELETE /contacts/{id}", &|_| String::new()),
        ("POST /contacts/{id}/restore", &|_| String::new()),
        ("POST /contacts/{id}/purge", &|_| String::new()),
        ("POST /contacts/batch/read", &|id| format!(r#"{{"inputs": [{{"id": "{id}"}}]}}"#)),
        ("POST /contacts/batch/update", &inputs),
        ("POST /contacts/batch/archive", &|id| format!(r#"{{"inputs": [{{"id": "{id}"}}]}}"#)),
    ];
    for (request, body) in requests {
        let send = |id: &str| service.send(&intruder, &request.replace("{id}", id), &body(id));
        expect_same_statements(request, || send(&id), || send(&Uuid::now_v7().to_string()));
    }
    for (request, body) in [
        ("GET /contacts/{value}?id_property=external_id", ""),
        ("PATCH /contacts/{value}?id_property=external_id", fields),
        ("DELETE /contacts/{value}?id_property=external_id", ""),
        ("GET /contacts?external_id={value}", ""),
    ] {
        let send = |value: &str| service.send(&intruder, &request.replace("{value}", value), body);
        expect_same_statements(request, || send("theirs"), || send("nobody"));
    }

    // The times are only printed. They are not checked, because other processes may slow the machine.
    let [mut theirs, mut missing] = [vec![], vec![]];
    for _ in 0..200 {
        for (id, times) in [(&id, &mut theirs), (&Uuid::now_v7().to_string(), &mut missing)] {
            times.push(service.send(&intruder, &format!("GET /contacts/{id}"), "").1);
        }
    }
    [&mut theirs, &mut missing].into_iter().for_each(|times| times.sort());
    println!("median of 200: another account's contact {:?}, a missing contact {:?}", theirs[100], missing[100]);
    drop(running);
    drop(cluster);
}
