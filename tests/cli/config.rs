//! Settings: `contacts config check`, secrets in mounted files, and the key set of an issuer.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use nix::pty::openpty;
use tempfile::TempDir;

use super::{ACCOUNT, ChildGuard, SECRET, free_address, program, send_request, serve_command, stderr_lines, wait_for};

const URL: &str = "postgres://contacts:s3cret-of-the-database@127.0.0.1:1/contacts";

fn run_config_check(folder: &TempDir, variables: &[(&str, &str)]) -> Output {
    program(folder).args(["config", "check"]).envs(variables.iter().copied()).output().unwrap()
}

/// Returns the source and the value that `config check` printed for a setting.
fn printed_row(output: &Output, name: &str) -> (String, String) {
    let printed = String::from_utf8(output.stdout.clone()).unwrap();
    let mut rows = printed.lines().map(|line| line.trim_start_matches(['!', ' ']));
    let row = rows.find(|row| row.split_whitespace().next() == Some(name)).unwrap();
    let rest = row[name.len()..].trim_start();
    let (origin, value) = rest.split_once("  ").unwrap();
    (origin.to_owned(), value.trim().to_owned())
}

#[test]
fn config_check_prints_every_setting_and_its_source_but_no_secret() {
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
    let output = run_config_check(&folder, &variables);
    assert_eq!(output.status.code(), Some(0), "{:?}", stderr_lines(&output));
    let expect_row = |name: &str, origin: &str, value: &str| {
        assert_eq!(printed_row(&output, name), (origin.to_owned(), value.to_owned()), "{name}");
    };
    expect_row("BIND_ADDR", "environment", "127.0.0.1:9000");
    expect_row("LOG_FORMAT", ".env", "json");
    expect_row("JWT_SECRET", ".env", "[hidden]");
    expect_row("JWT_SECRET_PREVIOUS", "file of JWT_SECRET_PREVIOUS_FILE", "[hidden]");
    expect_row("DATABASE_URL", "environment", "postgres://contacts:hidden@127.0.0.1:1/contacts");
    expect_row("REQUEST_TIMEOUT_MS", "default", "10,000 ms");
    expect_row("CHANGE_RETENTION_DAYS", "default", "30 days");
    expect_row("MAX_BODY_BYTES", "default", "1,048,576 bytes");
    expect_row("JWT_ISSUER", "not set", "–");
    let reported = stderr_lines(&output);
    assert_eq!(reported, ["warning: unknown setting DATABASE_MAX_CONECTIONS: did you mean DATABASE_MAX_CONNECTIONS?"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    for secret in [SECRET, "s3cret-of-the-database", "that was used before"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    assert!(!printed.contains('\u{1b}'), "the output has colors although it is not a terminal");
    // The groups are separated by empty lines, and no row is marked as wrong.
    let groups: Vec<_> = printed.split("\n\n").filter_map(|group| group.lines().next()).collect();
    assert_eq!(groups[..7], ["HTTP", "Limits", "Database", "Tokens", "Log", "Traces", "contacts dev"]);
    assert!(!printed.lines().any(|line| line.starts_with('!')), "{printed}");
}

#[test]
fn config_check_reports_every_invalid_setting() {
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
    let reported = stderr_lines(&output);
    assert_eq!(reported.len(), variables.len() + 1, "{reported:?}");
    for (name, _) in variables.into_iter().chain([("JWT_AUDIENCE", "")]) {
        assert!(reported.iter().any(|line| line.starts_with(&format!("error: {name} "))), "{name}: {reported:?}");
    }
    assert!(!reported.iter().any(|line| line.contains("s3cret") || line.contains("too short")), "{reported:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!printed.contains("s3cret") && !printed.contains("too short"), "{printed}");
    assert_eq!(printed_row(&output, "REQUEST_TIMEOUT_MS"), ("environment".to_owned(), "soon".to_owned()));
    let marked = printed.lines().filter_map(|line| line.strip_prefix("! ")?.split(' ').next());
    let mut expected = [variables.map(|(name, _)| name).as_slice(), &["JWT_AUDIENCE"]].concat();
    expected.sort_unstable();
    assert_eq!(marked.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn word_in_the_log_filter_that_is_no_level_is_an_error() {
    let folder = TempDir::new().unwrap();
    let reported = |filter: &str| {
        let output = run_config_check(&folder, &[("DATABASE_URL", URL), ("JWT_SECRET", SECRET), ("RUST_LOG", filter)]);
        stderr_lines(&output)
    };
    for filter in ["info", "OFF", "warn,sqlx=debug", "contacts::http=trace,info", "contacts[request]=debug", "warn,"] {
        assert_eq!(reported(filter), [""; 0], "{filter}");
    }
    for filter in ["loud", "info,loud", "loud,sqlx=debug", " loud "] {
        let expected =
            "error: RUST_LOG has the word \"loud\", which is no level: use off, error, warn, info, debug or trace";
        assert_eq!(reported(filter), [expected], "{filter}");
    }
}

/// Returns what a command prints on standard error, which is a terminal.
fn errors_on_terminal(mut command: Command) -> String {
    let terminal = openpty(None, None).unwrap();
    assert!(!command.stderr(Stdio::from(terminal.slave)).status().unwrap().success());
    // Closes the last handle of the other side, so that reading ends.
    drop(command);
    let mut printed = vec![];
    // The end of a terminal is an error.
    let _ = fs::File::from(terminal.master).read_to_end(&mut printed);
    String::from_utf8(printed).unwrap()
}

#[test]
fn errors_are_red_on_a_terminal() {
    let folder = TempDir::new().unwrap();
    let command = || {
        let mut command = program(&folder);
        command.args(["config", "check"]).stdout(Stdio::null());
        command
    };
    let colored = errors_on_terminal(command());
    assert!(colored.contains("\u{1b}[1m\u{1b}[31merror:\u{1b}[0m JWT_SECRET is not set"), "{colored:?}");
    let mut without_color = command();
    without_color.env("NO_COLOR", "1");
    let plain = errors_on_terminal(without_color);
    assert!(plain.contains("error: JWT_SECRET is not set") && !plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn secrets_can_be_read_from_mounted_files() {
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    let file = secret.to_str().unwrap();
    let token = |variables: &[(&str, &str)]| {
        program(&folder).args(["token", "--account", ACCOUNT]).envs(variables.iter().copied()).output().unwrap()
    };
    fs::write(&secret, format!("{SECRET}\n")).unwrap();
    assert!(token(&[("JWT_SECRET_FILE", file)]).status.success());
    let both = token(&[("JWT_SECRET_FILE", file), ("JWT_SECRET", SECRET)]);
    assert_eq!(stderr_lines(&both), ["error: JWT_SECRET and JWT_SECRET_FILE are both set: unset one of them"]);
    fs::write(&secret, "\n").unwrap();
    assert_eq!(stderr_lines(&token(&[("JWT_SECRET_FILE", file)])), ["error: JWT_SECRET_FILE names an empty file"]);
}

#[test]
fn serve_logs_the_addresses_it_listens_on() {
    let folder = TempDir::new().unwrap();
    let mut command = serve_command(&folder, URL, "127.0.0.1:0");
    command.env("METRICS_ADDR", "127.0.0.1:0").env("LOG_FORMAT", "json");
    let running = command.spawn().map(ChildGuard).unwrap();
    let address = |message: &str| {
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        let line = log.lines().find(|line| line.contains(&format!("\"{message}\"")))?;
        Some(line.split("\"address\":\"").nth(1)?.split('"').next()?.to_owned())
    };
    for (message, path) in [("serving", "/healthz"), ("serving metrics", "/metrics")] {
        let address = wait_for(message, || address(message));
        let response = send_request(&address, &format!("GET {path}"), "").unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
    drop(running);
}

#[test]
fn serve_starts_while_the_key_set_of_the_issuer_is_unreachable() {
    let folder = TempDir::new().unwrap();
    let address = free_address();
    let mut command = serve_command(&folder, URL, &address);
    command.env_remove("JWT_SECRET").env("JWT_JWKS_URL", "http://user:s3cret-of-the-issuer@127.0.0.1:1/jwks");
    let running = command.spawn().map(ChildGuard).unwrap();
    wait_for("the start", || {
        send_request(&address, "GET /healthz", "").filter(|response| response.starts_with("HTTP/1.1 200"))
    });
    let response = send_request(&address, "GET /contacts", "").unwrap();
    assert!(response.starts_with("HTTP/1.1 401"), "{response}");
    let response = send_request(&address, "POST /oauth2/token", "").unwrap();
    assert!(response.starts_with("HTTP/1.1 404"), "{response}");
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    wait_for("the log line about the key set", || log().contains("could not read the key set").then_some(()));
    assert!(!log().contains("s3cret-of-the-issuer"), "{}", log());
    drop(running);
}

#[test]
fn key_set_url_over_plain_http_is_an_invalid_setting_unless_it_is_allowed() {
    let folder = TempDir::new().unwrap();
    let check = |settings: &[(&str, &str)]| {
        let required = [("DATABASE_URL", URL), ("JWT_JWKS_URL", "http://issuer.example/jwks")];
        run_config_check(&folder, &[&required[..], settings].concat())
    };
    let rejected = check(&[]);
    let reported = stderr_lines(&rejected);
    assert_eq!((rejected.status.code(), reported.len()), (Some(1), 1), "{reported:?}");
    assert!(reported[0].starts_with("error: JWT_JWKS_URL is not https"), "{reported:?}");
    assert!(reported[0].contains("JWT_JWKS_ALLOW_HTTP=true"), "{reported:?}");
    let output =
        program(&folder).arg("serve").env("DATABASE_URL", URL).env("JWT_JWKS_URL", "http://10.0.0.1/jwks").output();
    assert!(stderr_lines(&output.unwrap())[0].starts_with("error: JWT_JWKS_URL is not https"));
    for settings in [("JWT_JWKS_ALLOW_HTTP", "true"), ("JWT_JWKS_URL", "http://localhost:1/jwks")] {
        let accepted = check(&[settings]);
        assert_eq!(accepted.status.code(), Some(0), "{:?}", stderr_lines(&accepted));
        assert_eq!(printed_row(&accepted, "JWT_JWKS_MAX_STALE_MS"), ("default".to_owned(), "86,400,000 ms".to_owned()));
        assert_eq!(printed_row(&accepted, "JWT_SCOPE_CLAIM"), ("default".to_owned(), "scope".to_owned()));
        assert_eq!(printed_row(&accepted, "REQUIRE_SCOPE"), ("default".to_owned(), "false".to_owned()));
    }
}
