//! Settings: `contacts config check`, mounted secrets, and keys of an issuer.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Output;

use tempfile::TempDir;

use super::{ACCOUNT, Running, SECRET, free_address, lines, program, request, serve, wait_for};

const URL: &str = "postgres://contacts:s3cret-of-the-database@127.0.0.1:1/contacts";

fn check(folder: &TempDir, variables: &[(&str, &str)]) -> Output {
    program(folder).args(["config", "check"]).envs(variables.iter().copied()).output().unwrap()
}

/// The row of a setting: where it comes from, and its value.
fn row(output: &Output, name: &str) -> (String, String) {
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let row = printed.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap().to_owned();
    let rest = row[name.len()..].trim_start();
    let (origin, value) = rest.split_once("  ").unwrap();
    (origin.to_owned(), value.trim().to_owned())
}

#[test]
fn check_shows_every_setting_and_where_it_comes_from_but_no_secret() {
    let folder = TempDir::new().unwrap();
    let mounted = folder.path().join("previous");
    fs::write(&mounted, "the secret that was used before this\n").unwrap();
    fs::write(folder.path().join(".env"), format!("JWT_SECRET='{SECRET}'\nLOG_FORMAT=json\nBIND_ADDR=[::1]:1\n"))
        .unwrap();
    let variables = [
        ("DATABASE_URL", URL),
        ("BIND_ADDR", "127.0.0.1:9000"),
        ("JWT_SECRET_PREVIOUS_FILE", mounted.to_str().unwrap()),
        ("JWT_ISSUER", ""),
        ("DATABASE_MAX_CONECTIONS", "4"),
    ];
    let output = check(&folder, &variables);
    assert_eq!(output.status.code(), Some(0), "{:?}", lines(&output));
    let is = |name: &str, origin: &str, value: &str| {
        assert_eq!(row(&output, name), (origin.to_owned(), value.to_owned()), "{name}");
    };
    is("BIND_ADDR", "environment", "127.0.0.1:9000");
    is("LOG_FORMAT", ".env", "json");
    is("JWT_SECRET", ".env", "[hidden]");
    is("JWT_SECRET_PREVIOUS", "file of JWT_SECRET_PREVIOUS_FILE", "[hidden]");
    is("DATABASE_URL", "environment", "postgres://contacts:hidden@127.0.0.1:1/contacts");
    is("REQUEST_TIMEOUT_MS", "default", "10000");
    is("CHANGE_RETENTION_DAYS", "default", "30");
    is("JWT_ISSUER", "not set", "–");
    let said = lines(&output);
    assert_eq!(said, ["warning: DATABASE_MAX_CONECTIONS is no setting: is DATABASE_MAX_CONNECTIONS meant?"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    for secret in [SECRET, "s3cret-of-the-database", "that was used before"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(!printed.contains('\u{1b}'), "colours, but no terminal");
}

#[test]
fn check_says_all_that_is_wrong() {
    let folder = TempDir::new().unwrap();
    let variables = [
        ("DATABASE_URL", "mysql://contacts:s3cret-of-the-database@db/contacts"),
        ("JWT_SECRET", "too short"),
        ("JWT_PUBLIC_KEY", "/nowhere/key.pem"),
        ("JWT_JWKS_FILE", "/nowhere/keys.json"),
        ("JWT_ALGORITHM", "none"),
        ("RUST_LOG", "info=what=ever"),
        ("LOG_FORMAT", "xml"),
        ("REQUEST_TIMEOUT_MS", "soon"),
    ];
    let mut command = program(&folder);
    command.args(["config", "check"]).envs(variables).env("JWT_AUDIENCE", OsStr::from_bytes(b"\xff"));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = lines(&output);
    assert_eq!(said.len(), variables.len() + 1, "{said:?}");
    for (name, _) in variables.into_iter().chain([("JWT_AUDIENCE", "")]) {
        assert!(said.iter().any(|line| line.starts_with(&format!("error: {name} "))), "{name}: {said:?}");
    }
    assert!(!said.iter().any(|line| line.contains("s3cret") || line.contains("too short")), "{said:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!printed.contains("s3cret") && !printed.contains("too short"), "{printed}");
    assert_eq!(row(&output, "REQUEST_TIMEOUT_MS"), ("environment".to_owned(), "soon".to_owned()));
}

#[test]
fn a_secret_may_be_mounted() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    let file = secret.to_str().unwrap();
    let token = |variables: &[(&str, &str)]| {
        program(&folder).args(["token", "--account", ACCOUNT]).envs(variables.iter().copied()).output().unwrap()
    };
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    assert!(token(&[("JWT_SECRET_FILE", file)]).status.success());
    let both = token(&[("JWT_SECRET_FILE", file), ("JWT_SECRET", SECRET)]);
    assert_eq!(lines(&both), ["error: JWT_SECRET and JWT_SECRET_FILE are both set: unset one of them"]);
    fs::write(&secret, "\n").unwrap();
    assert_eq!(lines(&token(&[("JWT_SECRET_FILE", file)])), ["error: JWT_SECRET_FILE names an empty file"]);
}

#[test]
fn serve_tells_on_which_ports_it_listens() {
    let folder = TempDir::new().unwrap();
    let mut command = serve(&folder, URL, "127.0.0.1:0");
    command.env("METRICS_ADDR", "127.0.0.1:0").env("LOG_FORMAT", "json");
    let running = command.spawn().map(Running).unwrap();
    let address = |message: &str| {
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        let line = log.lines().find(|line| line.contains(&format!("\"{message}\"")))?;
        Some(line.split("\"address\":\"").nth(1)?.split('"').next()?.to_owned())
    };
    for (message, path) in [("serving", "/healthz"), ("serving metrics", "/metrics")] {
        let address = wait_for(message, || address(message));
        let answer = request(&address, &format!("GET {path}"), "").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(running);
}

#[test]
fn serve_starts_with_the_keys_of_an_issuer_that_is_away() {
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let mut command = serve(&folder, URL, &address);
    command.env_remove("JWT_SECRET").env("JWT_JWKS_URL", "http://user:s3cret-of-the-issuer@127.0.0.1:1/jwks");
    let running = command.spawn().map(Running).unwrap();
    wait_for("the start", || request(&address, "GET /healthz", "").filter(|answer| answer.starts_with("HTTP/1.1 200")));
    let answer = request(&address, "GET /contacts", "").unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    let answer = request(&address, "POST /oauth2/token", "").unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait_for("a line about the keys", || log().contains("could not read the key set").then_some(()));
    assert!(!log().contains("s3cret-of-the-issuer"), "{}", log());
    drop(running);
}
