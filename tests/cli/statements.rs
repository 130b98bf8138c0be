//! What another tenant's thing costs is what nothing costs: the database is asked the same. Time itself is no measure
//! on a shared machine; the log of the database, which tells every statement, is one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::{ACCOUNT, Running, SECRET, database, free_address, is_ready, program, serve, wait_for};

const INTRUDER: &str = "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4f";

/// The status of an answer, how long it took, and what the database was asked meanwhile.
type Asked = (String, Duration, Vec<String>);

/// A service whose database logs what it is asked.
struct Overheard {
    address: String,
    log: PathBuf,
    /// What the service asks of its own accord, again and again.
    background: BTreeSet<String>,
}

impl Overheard {
    /// The statements that are logged from here on in the text, without the names that each connection gives them.
    fn statements(&self, from: usize) -> Vec<String> {
        let log = fs::read_to_string(&self.log).unwrap();
        let entries = log[from..].split("LOG:  ").skip(1);
        let statements = entries.filter_map(|entry| {
            let (kind, statement) = entry.split_once(": ")?;
            let is_statement = kind == "statement" || kind.starts_with("execute ");
            // Up to the line that tells its parameters, or that of the next entry.
            let lines = statement.lines().take_while(|line| !line.contains("DETAIL:  ") && !line.starts_with("20"));
            is_statement.then(|| lines.collect::<Vec<_>>().join("\n"))
        });
        // What a connection that has just been made begins with.
        let is_asked_for = |statement: &String| !statement.starts_with("SET ") && !self.background.contains(statement);
        statements.filter(is_asked_for).collect()
    }

    fn logged(&self) -> usize {
        usize::try_from(fs::metadata(&self.log).unwrap().len()).unwrap()
    }

    /// Sends a request.
    fn ask(&self, token: &str, method_and_path: &str, body: &str) -> Asked {
        let from = self.logged();
        let started = Instant::now();
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method_and_path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
             authorization: Bearer {token}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let took = started.elapsed();
        (answer.split(' ').nth(1).unwrap().to_owned(), took, self.statements(from))
    }
}

/// That both are answered the same, for the same statements. What the service does now and then by itself may come in
/// between, but not each time.
#[track_caller]
fn expect_same(request: &str, theirs: impl Fn() -> Asked, nothing: impl Fn() -> Asked) {
    for tries_left in (0..4).rev() {
        let (theirs, nothing) = (theirs(), nothing());
        assert!(!theirs.2.is_empty(), "{request}: the database was not asked at all");
        if (&theirs.0, &theirs.2) == (&nothing.0, &nothing.2) {
            return;
        }
        assert!(tries_left > 0, "{request}: {theirs:?} is not {nothing:?}");
    }
}

fn token(account: &str) -> String {
    let folder = TempDir::new().unwrap();
    let output = program(&folder).env("JWT_SECRET", SECRET).args(["token", "--account", account]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_database_is_asked_the_same_for_another_tenants_contact_as_for_none() {
    let (cluster, url) = database("statements");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("ALTER DATABASE contacts SET log_statement = 'all'").execute(&mut connection).await.unwrap();
    });
    let (folder, address) = (TempDir::new().unwrap(), free_address());
    let running = serve(&folder, &url, &address).spawn().map(Running).unwrap();
    wait_for("readiness", || is_ready(&address).then_some(()));
    let log = std::env::temp_dir().join(format!("contacts-cli-statements-{}/postgres.log", std::process::id()));
    let mut service = Overheard { address, log, background: BTreeSet::new() };
    let (owner, intruder) = (token(ACCOUNT), token(INTRUDER));

    let contact = r#"{"fields": {"first_name": "A", "external_id": "theirs"}}"#;
    assert_eq!(service.ask(&owner, "POST /contacts", contact).0, "201");
    let owned = service.ask(&owner, "PUT /contacts/theirs?id_property=external_id", contact);
    assert!(owned.0 == "200" && !owned.2.is_empty(), "{owned:?}");
    let id = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let id: Uuid = sqlx::query_scalar("SELECT id FROM contacts").fetch_one(&mut connection).await.unwrap();
        id.to_string()
    });
    // The intruder's own registry is read once.
    assert_eq!(service.ask(&intruder, &format!("GET /contacts/{id}"), "").0, "404");
    let idle_from = service.logged();
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
        let ask = |id: &str| service.ask(&intruder, &request.replace("{id}", id), &body(id));
        expect_same(request, || ask(&id), || ask(&Uuid::now_v7().to_string()));
    }
    for (request, body) in [
        ("GET /contacts/{value}?id_property=external_id", ""),
        ("PATCH /contacts/{value}?id_property=external_id", fields),
        ("DELETE /contacts/{value}?id_property=external_id", ""),
        ("GET /contacts?external_id={value}", ""),
    ] {
        let ask = |value: &str| service.ask(&intruder, &request.replace("{value}", value), body);
        expect_same(request, || ask("theirs"), || ask("nobody"));
    }

    // For those who want to know: not held, as the machine may be busy with anything.
    let [mut theirs, mut nothing] = [vec![], vec![]];
    for _ in 0..200 {
        for (id, times) in [(&id, &mut theirs), (&Uuid::now_v7().to_string(), &mut nothing)] {
            times.push(service.ask(&intruder, &format!("GET /contacts/{id}"), "").1);
        }
    }
    [&mut theirs, &mut nothing].into_iter().for_each(|times| times.sort());
    println!("median of 200: another tenant's contact {:?}, none {:?}", theirs[100], nothing[100]);
    drop(running);
    drop(cluster);
}
