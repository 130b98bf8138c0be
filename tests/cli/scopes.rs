//! Commands that make tokens, and what they say about tokens without scopes.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tempfile::TempDir;

use super::{ACCOUNT, ChildGuard, SECRET, program, start_database, stderr_lines};

/// Runs `contacts token` with these settings and arguments.
fn run_token(settings: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = program(&TempDir::new().unwrap());
    command.current_dir(std::env::temp_dir()).env("JWT_SECRET", SECRET).envs(settings.iter().copied());
    command.args(["token", "--account", ACCOUNT]).args(arguments).output().unwrap()
}

/// Returns the claims of a token.
fn claims(token: &str) -> Value {
    let claims = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&claims).unwrap()
}

#[test]
fn token_command_sets_the_scopes_in_the_configured_claim() {
    let scopes = ["--scope", "fields:write contacts:read"];
    let output = run_token(&[], &scopes);
    assert!(output.status.success() && output.stderr.is_empty(), "{:?}", stderr_lines(&output));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!((printed.lines().count(), &claims(&printed)["scope"]), (1, &"contacts:read fields:write".into()));
    let output = run_token(&[("JWT_SCOPE_CLAIM", "scp"), ("REQUIRE_SCOPE", "true")], &scopes);
    let claims = claims(&String::from_utf8(output.stdout.clone()).unwrap());
    assert_eq!((&claims["scp"], &claims["scope"]), (&"contacts:read fields:write".into(), &Value::Null));
    assert!(output.stderr.is_empty(), "{:?}", stderr_lines(&output));
    for (scope, message) in [("contacts:delete", "unknown scope"), (" ", "at least one scope")] {
        let output = run_token(&[], &["--scope", scope]);
        let reported = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty() && reported.contains(message), "{reported}");
    }
}

#[test]
fn commands_say_that_a_token_without_scopes_may_do_everything_or_nothing() {
    let output = run_token(&[], &[]);
    assert!(claims(&String::from_utf8_lossy(&output.stdout)).get("scope").is_none());
    assert_eq!(
        stderr_lines(&output),
        ["note: the token has no scope: every call is allowed, or none where REQUIRE_SCOPE is true"]
    );
    let output = run_token(&[("REQUIRE_SCOPE", "true")], &[]);
    assert!(output.status.success(), "{:?}", stderr_lines(&output));
    let warning = "warning: the token has no scope, and REQUIRE_SCOPE is true: every call is 403. \
                   Set scopes with --scope";
    assert_eq!(stderr_lines(&output), [warning]);

    let (_cluster, url) = start_database("client_scopes");
    let folder = TempDir::new().unwrap();
    assert!(program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap().status.success());
    let create = |require_scope: &str, arguments: &[&str]| {
        let mut command = program(&folder);
        command.env("DATABASE_URL", &url).env("REQUIRE_SCOPE", require_scope).env("RUST_LOG", "error");
        command.args(["client", "create", "--account", ACCOUNT, "--name", "Sync"]).args(arguments).output().unwrap()
    };
    for (require_scope, start) in [("true", "warning: "), ("false", "note: ")] {
        let output = create(require_scope, &[]);
        let reported = stderr_lines(&output);
        assert!(output.status.success() && reported.len() == 1, "{reported:?}");
        assert!(reported[0].starts_with(start) && reported[0].contains("have no scope"), "{reported:?}");
        let output = create(require_scope, &["--scope", "contacts:read"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{:?}", stderr_lines(&output));
    }
}

#[test]
fn dev_names_the_scopes_of_its_token_and_gives_it_all_scopes_where_they_are_required() {
    for (require_scope, named) in
        [("false", "none: the token may do everything"), ("true", "contacts:read contacts:write")]
    {
        let folder = TempDir::new().unwrap();
        let mut command = program(&folder);
        command.env("CONTACTS_DATA_DIR", folder.path().join("data")).env("BIND_ADDR", "127.0.0.1:0");
        command.env("REQUIRE_SCOPE", require_scope).env("JWT_SCOPE_CLAIM", "scp");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map(ChildGuard).unwrap();
        let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let scopes = lines.find(|line| line.trim_start().starts_with("scopes ")).unwrap();
        assert!(scopes.contains(named), "{scopes}");
        let curl = lines.find(|line| line.starts_with("curl ")).unwrap();
        let token = curl.split("Bearer ").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        assert_eq!(claims(&token)["scp"].is_string(), require_scope == "true");
        // Keeps reading: the pipe must stay open while the process runs.
        std::thread::spawn(move || lines.for_each(drop));
        // `contacts token` names the scopes in the same claim.
        let mut signer = program(&folder);
        signer.env("CONTACTS_DATA_DIR", folder.path().join("data")).env("JWT_SCOPE_CLAIM", "scp");
        let signed = signer.args(["token", "--scope", "contacts:read"]).output().unwrap();
        assert_eq!(claims(String::from_utf8(signed.stdout).unwrap().trim())["scp"], "contacts:read");
        let response = super::dev::run_curl(&curl);
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}
