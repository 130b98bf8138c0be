//! What is anyone's stays out of the log (contract §7), whatever is called, whatever goes wrong, and however much is
//! logged: every value is planted, and looked for in all that is said.

mod calls;

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

use super::{ACCOUNT, Running, database, free_address, is_ready, program, start_dev, wait_for};
use calls::{call, call_badly_over_http_2, call_over_http_2, send};

/// What every planted value begins with. It says nothing, so that no word of the log is like it.
const MARK: &str = "qZ7vX3kW";

/// Planted values: a word each for what they are.
fn planted(what: &str) -> String {
    format!("{MARK}-{what}-with-a-length-of-a-secret")
}

/// The texts that must not be found in what is said.
struct Secrets(Vec<String>);

impl Secrets {
    /// The mark in all the ways that it may be written.
    fn marks() -> Self {
        let mut writings = vec![MARK.to_owned(), MARK.to_lowercase()];
        writings.push(MARK.bytes().map(|byte| format!("%{byte:02X}")).collect());
        writings.push(MARK.bytes().map(|byte| format!("{byte:02x}")).collect());
        writings.push(MARK.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", "));
        // What stands before it in the same text shifts what base64 makes of it.
        for before in 0..3 {
            let encoded = STANDARD.encode([&vec![b'-'; before], MARK.as_bytes()].concat());
            writings.push(encoded[before * 4 / 3 + usize::from(before > 0)..MARK.len() * 4 / 3].to_owned());
        }
        Self(writings)
    }

    /// This text too, from here on.
    fn add(&mut self, secret: &str) {
        assert!(secret.len() >= 16, "{secret} may be there by chance");
        self.0.push(secret.to_owned());
        self.0.push(utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string());
        self.0.push(STANDARD.encode(secret));
    }

    #[track_caller]
    fn expect_none_in(&self, said: &str, place: &str) {
        for secret in &self.0 {
            let line = said.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{place} holds {secret}");
        }
    }
}

/// Answers each connection to it with one of these, the last one again and again.
fn answers(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let last = answers.last().cloned().into_iter().cycle();
        for (stream, answer) in listener.incoming().zip(answers.into_iter().chain(last)) {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// An issuer that has moved, and then is broken.
fn issuer() -> String {
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let length = keys.len();
    let moved = format!("HTTP/1.1 302 Found\r\nlocation: /moved?{0}\r\ncontent-length: 0\r\n\r\n", planted("moved"));
    let found = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{keys}");
    let broken = format!("HTTP/1.1 500 {0}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", planted("reason"));
    answers(vec![moved.replace("content-length", "connection: close\r\ncontent-length"), found, broken])
}

/// A database that asks for a password, and takes none.
fn strict_database() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = [0; 4096];
            let refusal = b"SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed for user \"x\"\0\0";
            let length = u32::try_from(refusal.len() + 4).unwrap().to_be_bytes();
            // No TLS; the password, please; not that one.
            for answer in [b"N".to_vec(), b"R\0\0\0\x08\0\0\0\x03".to_vec(), [b"E", &length[..], refusal].concat()] {
                let _ = stream.read(&mut asked);
                let _ = stream.write_all(&answer);
            }
        }
    });
    address
}

/// Settings that are all secret.
fn with_secrets(command: &mut Command) -> &mut Command {
    command
        .env("JWT_SECRET", planted("jwt"))
        .env("JWT_SECRET_PREVIOUS", planted("previous"))
        .env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization={}", planted("collector")))
}

/// A database with our tables, its address with a password that is planted, and a folder for the program.
fn prepared(name: &str) -> (Cluster, String, TempDir) {
    let (cluster, url) = database(name);
    let mut url = url::Url::parse(&url).unwrap();
    url.set_password(Some(&planted("database"))).unwrap();
    let (url, folder) = (String::from(url), TempDir::new().unwrap());
    assert!(program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap().status.success());
    (cluster, url, folder)
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn token(folder: &TempDir, ttl: &str) -> String {
    let mut command = program(folder);
    command.args(["token", "--account", ACCOUNT, "--ttl", ttl, "--sub", &planted("subject")]).env("RUST_LOG", "trace");
    let (token, log) = said(&with_secrets(&mut command).output().unwrap());
    assert_eq!(log, "");
    token.trim().to_owned()
}

/// A client of the account: its id and its secret.
fn client(folder: &TempDir, url: &str, secrets: &mut Secrets) -> (String, String) {
    let mut command = program(folder);
    command.args(["client", "create", "--account", ACCOUNT, "--name", &planted("client")]);
    let (printed, log) = said(&command.env("DATABASE_URL", url).env("RUST_LOG", "trace").output().unwrap());
    let value = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (id, secret) = (value("client_id: "), value("client_secret: "));
    secrets.add(&secret);
    secrets.expect_none_in(&log, "the log of `client create`");
    (id, secret)
}

/// Everything that one can say to the service, and most of what goes wrong with it.
fn use_it(address: &str, folder: &TempDir, credentials: &(String, String), secrets: &mut Secrets) {
    let (good, expired) = (token(folder, "600"), token(folder, "1"));
    let [good, expired] = [&good, &expired].map(|token| {
        secrets.add(token);
        secrets.add(token.split('.').next_back().unwrap());
        format!("Bearer {token}")
    });
    let value = planted("value");
    let fields = format!(
        r#"{{"fields": {{"first_name": "{value}", "email": "{value}@example.com", "external_id": "{value}"}}}}"#
    );
    let created = call(address, "POST /contacts", &good, &fields);
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
    let unknown = planted("unknown");
    let lower = planted("field").to_lowercase().replace('-', "_");
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
        for authorization in [&*good, &*expired, &*planted("scheme"), &format!("Bearer {}", planted("token"))] {
            assert!(call(address, &head, authorization, body).starts_with("HTTP/1.1 "), "{head}");
        }
    }
    call_over_http_2(address, &format!("/contacts?email={value}"), &good);
    call_badly_over_http_2(address);
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
        call(address, "GET /contacts", &format!("Bearer {}.{}.{}", encode(&header), encode(&claims), encode("x")), "");
    }
    let (client, secret) = credentials;
    let grant = "grant_type=client_credentials";
    for secret in [secret, &planted("wrong")] {
        let basic = STANDARD.encode(format!("{client}:{secret}"));
        secrets.add(&basic);
        call(address, "POST /oauth2/token", &format!("Basic {basic}"), grant);
        let form = format!("{grant}&client_id={client}&client_secret={secret}&scope={unknown}&{unknown}={unknown}");
        call(address, "POST /oauth2/token", "", &form);
    }
    for malformed in [
        format!("{unknown}\r\n\r\n"),
        format!("GET /{unknown} HTTP/1.1\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{unknown}\r\n\r\n"),
    ] {
        assert!(send(address, &malformed).contains("malformed_request"));
    }
}

#[test]
fn nothing_of_anyone_is_in_the_log_of_the_service_however_much_is_logged() {
    let (cluster, url, folder) = prepared("secrets");
    let mut secrets = Secrets::marks();
    let credentials = client(&folder, &url, &mut secrets);
    for format in ["text", "json"] {
        let address = free_address();
        let mut command = super::serve(&folder, &url, &address);
        with_secrets(&mut command).env("RUST_LOG", "trace").env("LOG_FORMAT", format);
        command.env(
            "JWT_JWKS_URL",
            format!("http://user:{}@{}/{}?k={}", planted("a"), issuer(), planted("b"), planted("c")),
        );
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://user:{}@127.0.0.1:1/{}", planted("d"), planted("e")));
        let mut running = command.spawn().map(Running).unwrap();
        wait_for("readiness", || is_ready(&address).then_some(()));
        use_it(&address, &folder, &credentials, &mut secrets);
        running.signal(Signal::SIGTERM);
        assert_eq!(running.0.wait().unwrap().code(), Some(0));
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        fs::remove_file(folder.path().join("log")).unwrap();
        assert!(
            log.matches("answered").count() > 90 && log.contains("token refused") && log.contains("DEBUG"),
            "{log}"
        );
        assert!(log.contains("could not read the key set") || log.contains("the key set has changed"), "{log}");
        secrets.expect_none_in(&log, &format!("the log as {format}"));
    }
    drop(cluster);
}

#[test]
fn no_setting_is_told_to_whom_it_does_not_concern() {
    let folder = TempDir::new().unwrap();
    let secrets = Secrets::marks();
    let password = planted("database");
    for url in [
        format!("postgres://x:{password}@{}/x", strict_database()),
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
            let (printed, log) = said(&with_secrets(&mut command).output().unwrap());
            secrets.expect_none_in(&(printed + &log), &format!("{arguments:?} with {url}"));
        }
    }
    // One that waits for its database logs why, again and again.
    let address = free_address();
    let url = format!("postgres://x:{password}@{}/x", strict_database());
    let mut command = super::serve(&folder, &url, &address);
    let running = with_secrets(&mut command).env("RUST_LOG", "trace").spawn().map(Running).unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait_for("the refusal", || log().contains("password authentication failed").then_some(()));
    assert!(super::request(&address, "GET /readyz", "").unwrap().starts_with("HTTP/1.1 503"));
    drop(running);
    secrets.expect_none_in(&log(), "the log");
}

#[test]
fn files_come_and_go_without_a_word_of_what_is_in_them() {
    let (cluster, url, folder) = prepared("secret_files");
    let secrets = Secrets::marks();
    let value = planted("value");
    let rows = format!(
        "external_id,email,first_name\n{value},{value}@example.com,{value}\n{value},no address {value},{value}\n"
    );
    fs::write(folder.path().join("people.csv"), rows).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = program(&folder);
        command.args(arguments).env("DATABASE_URL", &url).env("RUST_LOG", "trace");
        said(&with_secrets(&mut command).output().unwrap())
    };
    let (printed, log) = run(&["import", "people.csv", "--account", ACCOUNT, "--match", "external_id"]);
    secrets.expect_none_in(&(printed + &log), "import");
    secrets.expect_none_in(&fs::read_to_string(folder.path().join("people.refused.csv")).unwrap(), "the report");
    for format in ["csv", "ndjson"] {
        let (printed, log) = run(&["export", "--account", ACCOUNT, "--format", format]);
        assert!(printed.contains(&value), "{printed}");
        secrets.expect_none_in(&log, format);
    }
    drop(cluster);
}

#[test]
fn dev_prints_its_token_and_logs_none() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let log = folder.path().join("log");
    let mut command = program(&folder);
    command.env("RUST_LOG", "trace");
    let dev = start_dev(command, &data, fs::File::create(&log).unwrap().into());
    let mut secrets = Secrets::marks();
    let key = fs::read_to_string(data.join("dev.key")).unwrap();
    assert!(!dev.curl.contains(key.trim()));
    let token = dev.curl.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap();
    secrets.add(key.trim());
    secrets.add(token);
    let fields = format!(r#"{{"fields": {{"first_name": "{}"}}}}"#, planted("value"));
    assert!(call(&dev.address, "POST /contacts", &format!("Bearer {token}"), &fields).starts_with("HTTP/1.1 201"));
    let mut running = dev.running;
    running.signal(Signal::SIGINT);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("answered"), "{log}");
    secrets.expect_none_in(&log, "the log");
}
