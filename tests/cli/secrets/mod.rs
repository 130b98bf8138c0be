//! The log holds no path values, query values, bodies, tokens or secrets (`docs/api-reference.md#operations`), at any
//! log level and for any error. The tests send values that contain a mark, and search all output for that mark.

mod requests;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contacts::embedded::Cluster;
use nix::sys::signal::Signal;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::TempDir;

use super::dev::start_dev_command;
use super::{ACCOUNT, ChildGuard, free_address, is_ready, program, start_database, wait_for};
use requests::{send_malformed_over_http_2, send_marked, send_over_http_2, send_raw};

/// The prefix of every marked value. It is meaningless text, so it cannot occur in a log by chance.
const MARK: &str = "qZ7vX3kW";

/// Returns a marked value that also contains the name of its kind.
fn marked_value(kind: &str) -> String {
    format!("{MARK}-{kind}-with-a-length-of-a-secret")
}

/// The texts that no output may contain.
struct Secrets(Vec<String>);

impl Secrets {
    /// Returns the mark in every encoding in which it may be logged.
    fn marks() -> Self {
        let mut encodings = vec![MARK.to_owned(), MARK.to_lowercase()];
        encodings.push(MARK.bytes().map(|byte| format!("%{byte:02X}")).collect());
        encodings.push(MARK.bytes().map(|byte| format!("{byte:02x}")).collect());
        encodings.push(MARK.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
        // The base64 encoding depends on the number of bytes before the mark.
        for before in 0..3 {
            let encoded = STANDARD.encode([&vec![b'-'; before], MARK.as_bytes()].concat());
            encodings.push(encoded[before * 4 / 3 + usize::from(before > 0)..MARK.len() * 4 / 3].to_owned());
        }
        Self(encodings)
    }

    /// Adds a text, also percent-encoded and as base64.
    fn add(&mut self, secret: &str) {
        assert!(secret.len() >= 16, "{secret} is too short: it may occur by chance");
        self.0.push(secret.to_owned());
        self.0.push(utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string());
        self.0.push(STANDARD.encode(secret));
    }

    #[track_caller]
    fn expect_none_in(&self, output: &str, source: &str) {
        for secret in &self.0 {
            let line = output.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{source} contains {secret}");
        }
    }
}

/// Starts a server that sends these responses in order, one for each connection, and then repeats the last one.
///
/// Returns its address.
fn serve_responses(responses: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let last = responses.last().cloned().into_iter().cycle();
        for (stream, response) in listener.incoming().zip(responses.into_iter().chain(last)) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(response.as_bytes());
        }
    });
    address
}

/// Starts an issuer that first redirects, then returns its key set, and then fails. Returns its address.
fn start_issuer() -> String {
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let length = keys.len();
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: /moved?{0}\r\ncontent-length: 0\r\n\r\n", marked_value("moved"));
    let keys_response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{keys}");
    let broken = format!("HTTP/1.1 500 {0}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", marked_value("reason"));
    serve_responses(vec![
        redirect.replace("content-length", "connection: close\r\ncontent-length"),
        keys_response,
        broken,
    ])
}

/// Starts a database server that asks for a password and rejects every password. Returns its address.
fn start_rejecting_database() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = [0; 4096];
            let refusal = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"x\"\0\0";
            let length = u32::try_from(refusal.len() + 4).unwrap().to_be_bytes();
            // No TLS, then a request for the password, then the error.
            for response in [b"N".to_vec(), b"R\0\0\0\x08\0\0\0\x03".to_vec(), [b"E", &length[..], refusal].concat()] {
                let _ = stream.read(&mut buffer);
                let _ = stream.write_all(&response);
            }
        }
    });
    address
}

/// Adds every setting that is a secret.
fn with_secrets(command: &mut Command) -> &mut Command {
    command
        .env("JWT_SECRET", marked_value("jwt"))
        .env("JWT_SECRET_PREVIOUS", marked_value("previous"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={}", marked_value("collector")))
}

/// Returns a migrated database, its URL with a marked password, and a folder for the program.
fn migrated_database(name: &str) -> (Cluster, String, TempDir) {
    let (cluster, url) = start_database(name);
    let mut url = url::Url::parse(&url).unwrap();
    url.set_password(Some(&marked_value("database"))).unwrap();
    let (url, folder) = (String::from(url), TempDir::new().unwrap());
    assert!(program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap().status.success());
    (cluster, url, folder)
}

/// Returns standard output and standard error.
fn output_texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Runs `contacts token`, checks that it logs nothing but its note about scopes, and returns the token.
fn run_token_command(folder: &TempDir, ttl: &str) -> String {
    let mut command = program(folder);
    command.args(["token", "--account", ACCOUNT, "--ttl", ttl, "--sub", "u1"]).env("RUST_LOG", "trace");
    let (token, log) = output_texts(&with_secrets(&mut command).output().unwrap());
    assert!(log.starts_with("note: the token has no scope") && log.lines().count() == 1, "{log}");
    token.trim().to_owned()
}

/// Creates an API client of the account and returns its id and its secret.
fn create_client(folder: &TempDir, url: &str, secrets: &mut Secrets) -> (String, String) {
    let mut command = program(folder);
    command.args(["client", "create", "--account", ACCOUNT, "--name", &marked_value("client")]);
    let (printed, log) = output_texts(&command.env("DATABASE_URL", url).env("RUST_LOG", "trace").output().unwrap());
    let value = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (id, secret) = (value("client_id: "), value("client_secret: "));
    secrets.add(&secret);
    secrets.expect_none_in(&log, "the log of `client create`");
    (id, secret)
}

/// Sends requests of every kind, most of which fail.
fn send_all_requests(address: &str, folder: &TempDir, credentials: &(String, String), secrets: &mut Secrets) {
    let (good, expired) = (run_token_command(folder, "600"), run_token_command(folder, "1"));
    let [good, expired] = [&good, &expired].map(|token| {
        secrets.add(token);
        secrets.add(token.split('.').next_back().unwrap());
        format!("Bearer {token}")
    });
    let value = marked_value("value");
    let fields = format!(
        r#"{{"fields": {{"first_name": "{value}", "email": "{value}@example.com", "external_id": "{value}"}}}}"#
    );
    let created = send_marked(address, "POST /contacts", &good, &fields);
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    let id = created.split("location: /contacts/").nth(1).unwrap().split('\r').next().unwrap().to_owned();
    secrets.add(&id);
    let search = format!(
        r#"{{"filters": [{{"property": "email", "operator": "eq", "value": "{value}"}}], "query": "{value}"}}"#
    );
    let batch = format!(
        r#"{{"inputs": [{{"id": "{id}", "fields": {{"last_name": "{value}", "{value}": 1}}}}, {{"id": "{value}"}}]}}"#
    );
    let define = format!(r#"{{"label": "{value}", "type": "dropdown", "options": [{{"label": "{value}"}}]}}"#);
    let unknown = marked_value("unknown");
    let lower = marked_value("field").to_lowercase().replace('-', "_");
    for (head, body) in [
        ("POST /contacts".to_owned(), fields.as_str()),
        (format!("GET /contacts/{id}?properties={unknown}"), ""),
        (format!("GET /contacts/{value}?id_property=external_id&x={unknown}"), ""),
        (format!("GET /contacts/{unknown}"), ""),
        (format!("GET /{unknown}"), ""),
        (format!("PATCH /contacts/{id}?dry_run={unknown}"), r#"{"fields": {}}"#),
        (format!("PATCH /contacts/{id}"), r#"{"fields": {"email": "qZ7vX3kW no address"}}"#),
        (format!("PATCH /contacts/{id}"), r#"{"fields": {"qZ7vX3kW": "qZ7vX3kW"}"#),
        (format!("PATCH /contacts/{id}"), "qZ7vX3kW"),
        (format!("PUT /contacts/{unknown}?id_property=external_id"), fields.as_str()),
        (format!("GET /contacts?email={value}%40example.com&external_id={value}&after={unknown}"), ""),
        (format!("GET /contacts/changes?after={unknown}&exclude_actor={unknown}"), ""),
        ("GET /contacts/changes".to_owned(), ""),
        (format!("GET /contacts/{id}/history?after={unknown}"), ""),
        ("POST /contacts/search".to_owned(), search.as_str()),
        ("POST /contacts/batch/update".to_owned(), batch.as_str()),
        ("POST /fields".to_owned(), define.as_str()),
        (format!("GET /fields/{lower}"), ""),
        (format!("BREW /contacts/{unknown}?{unknown}"), ""),
        ("GET /openapi.json".to_owned(), ""),
        (format!("POST /contacts/{id}/purge"), ""),
    ] {
        for authorization in [&*good, &*expired, &*marked_value("scheme"), &format!("Bearer {}", marked_value("token"))]
        {
            assert!(send_marked(address, &head, authorization, body).starts_with("HTTP/1.1 "), "{head}");
        }
    }
    // The marked `If-Match` does not match. This purge erases the contact, so that the requests can be sent again.
    let head = format!("POST /contacts/{id}/purge HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0");
    let purged = send_raw(address, &format!("{head}\r\nauthorization: {good}\r\n\r\n"));
    assert!(purged.starts_with("HTTP/1.1 204"), "{purged}");
    send_over_http_2(address, &format!("/contacts?email={value}"), &good);
    send_malformed_over_http_2(address);
    for (header, claims) in [
        (format!(r#"{{"alg":"{unknown}"}}"#), "{}".to_owned()),
        (
            format!(r#"{{"alg":"HS256","kid":"{unknown}","jku":"http://{unknown}"}}"#),
            format!(r#"{{"exp":"{unknown}"}}"#),
        ),
        (format!(r#"{{"alg":"EdDSA","kid":"{unknown}"}}"#), "{}".to_owned()),
        (unknown.clone(), unknown.clone()),
    ] {
        let encode = |part: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(part);
        send_marked(
            address,
            "GET /contacts",
            &format!("Bearer {}.{}.{}", encode(&header), encode(&claims), encode("x")),
            "",
        );
    }
    let (client, secret) = credentials;
    let grant = "grant_type=client_credentials";
    for secret in [secret, &marked_value("wrong")] {
        let basic = STANDARD.encode(format!("{client}:{secret}"));
        secrets.add(&basic);
        send_marked(address, "POST /oauth2/token", &format!("Basic {basic}"), grant);
        let form = format!("{grant}&client_id={client}&client_secret={secret}&scope={unknown}&{unknown}={unknown}");
        send_marked(address, "POST /oauth2/token", "", &form);
    }
    let without_host = format!("GET /{unknown} HTTP/1.1\r\n\r\n");
    assert!(send_raw(address, &without_host).contains("malformed_request"));
    // The HTTP parser rejects these. Its response has no body.
    for malformed in [format!("{unknown}\r\n\r\n"), format!("GET / HTTP/1.1\r\n{unknown}\r\n\r\n")] {
        assert!(send_raw(address, &malformed).starts_with("HTTP/1.1 400"));
    }
}

#[test]
fn serve_at_trace_level_logs_no_private_value() {
    let (cluster, url, folder) = migrated_database("secrets");
    let mut secrets = Secrets::marks();
    let credentials = create_client(&folder, &url, &mut secrets);
    for format in ["text", "json"] {
        let address = free_address();
        let mut command = super::serve_command(&folder, &url, &address);
        with_secrets(&mut command).env("RUST_LOG", "trace").env("LOG_FORMAT", format);
        command.env(
            "JWT_JWKS_URL",
            format!(
                "http://user:{}@{}/{}?k={}",
                marked_value("a"),
                start_issuer(),
                marked_value("b"),
                marked_value("c")
            ),
        );
        command.env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://user:{}@127.0.0.1:1/{}", marked_value("d"), marked_value("e")),
        );
        let mut running = command.spawn().map(ChildGuard).unwrap();
        wait_for("readiness", || is_ready(&address).then_some(()));
        send_all_requests(&address, &folder, &credentials, &mut secrets);
        running.signal(Signal::SIGTERM);
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        fs::remove_file(folder.path().join("log")).unwrap();
        assert!(
            log.matches("answered").count() > 90 && log.contains("token rejected") && log.contains("DEBUG"),
            "{log}"
        );
        assert!(log.contains("could not read the key set") || log.contains("the key set has changed"), "{log}");
        secrets.expect_none_in(&log, &format!("the log as {format}"));
    }
    drop(cluster);
}

#[test]
fn commands_print_and_log_no_secret_setting() {
    let folder = TempDir::new().unwrap();
    let secrets = Secrets::marks();
    let password = marked_value("database");
    for url in [
        format!("postgres://x:{password}@{}/x", start_rejecting_database()),
        format!("postgres://x:{password}@127.0.0.1:1/x?password={password}"),
        format!("postgres://x:{password}@[broken/x"),
        format!("mysql://x:{password}@x/x"),
        format!("{password}@x"),
    ] {
        for arguments in [
            &["config", "check"][..],
            &["migrate"],
            &["client", "list"],
            &["export", "--account", ACCOUNT, "--format", "csv"],
        ] {
            let mut command = program(&folder);
            command.args(arguments).env("DATABASE_URL", &url).env("RUST_LOG", "trace");
            let (printed, log) = output_texts(&with_secrets(&mut command).output().unwrap());
            secrets.expect_none_in(&(printed + &log), &format!("{arguments:?} with {url}"));
        }
    }
    // While the service waits for its database, it logs the reason repeatedly.
    let address = free_address();
    let url = format!("postgres://x:{password}@{}/x", start_rejecting_database());
    let mut command = super::serve_command(&folder, &url, &address);
    let running = with_secrets(&mut command).env("RUST_LOG", "trace").spawn().map(ChildGuard).unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait_for("the refusal", || log().contains("password authentication failed").then_some(()));
    assert!(super::send_request(&address, "GET /readyz", "").unwrap().starts_with("HTTP/1.1 503"));
    drop(running);
    secrets.expect_none_in(&log(), "the log");
}

#[test]
fn import_and_export_log_no_values_of_the_file() {
    let (cluster, url, folder) = migrated_database("secret_files");
    let secrets = Secrets::marks();
    let value = marked_value("value");
    let rows = format!(
        "external_id,email,first_name\n{value},{value}@example.com,{value}\n{value},no address {value},{value}\n"
    );
    fs::write(folder.path().join("people.csv"), rows).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program(&folder);
        command.args(arguments).env("DATABASE_URL", &url).env("RUST_LOG", "trace");
        output_texts(&with_secrets(&mut command).output().unwrap())
    };
    let (printed, log) = run(&["import", "people.csv", "--account", ACCOUNT, "--match", "external_id"]);
    secrets.expect_none_in(&printed, "import");
    // The plan and the summary show values of the file, in indented lines. The log, whose lines are not indented, must not.
    let (shown, logged): (Vec<_>, Vec<_>) = log.lines().partition(|line| line.starts_with("  "));
    assert!(shown.iter().any(|line| line.contains(&value[..20])), "{log}");
    secrets.expect_none_in(&logged.join("\n"), "the log of the import");
    for format in ["csv", "ndjson"] {
        let (printed, log) = run(&["export", "--account", ACCOUNT, "--format", format]);
        assert!(printed.contains(&value), "{printed}");
        secrets.expect_none_in(&log, format);
    }
    drop(cluster);
}

#[test]
fn dev_prints_its_token_but_does_not_log_it() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let mut command = program(&folder);
    command.env("RUST_LOG", "trace");
    let dev = start_dev_command(command, &data, fs::File::create(&log).unwrap().into());
    let mut secrets = Secrets::marks();
    let key = fs::read_to_string(data.join("dev.key")).unwrap();
    assert!(!dev.curl.contains(key.trim()));
    let token = dev.curl.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
    secrets.add(key.trim());
    secrets.add(token);
    let fields = format!(r#"{{"fields": {{"first_name": "{}"}}}}"#, marked_value("value"));
    assert!(
        send_marked(&dev.address, "POST /contacts", &format!("Bearer {token}"), &fields).starts_with("HTTP/1.1 201")
    );
    let mut running = dev.running;
    running.signal(Signal::SIGINT);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("answered"), "{log}");
    secrets.expect_none_in(&log, "the log");
}
