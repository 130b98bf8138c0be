//! `contacts client`: creates, lists and revokes API clients.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use tempfile::TempDir;

use super::{ACCOUNT, ChildGuard, free_address, is_ready, program, serve_command, start_database, wait_for};

/// Runs `contacts client …`. Returns whether it succeeded, and the lines of its standard output.
fn run_client(folder: &TempDir, url: &str, arguments: &[&str]) -> (bool, Vec<String>) {
    let output = program(folder).env("DATABASE_URL", url).arg("client").args(arguments).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    (output.status.success(), printed)
}

/// Sends a form to `POST /oauth2/token` and returns the response.
fn post_form(address: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST /oauth2/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}"
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn client_command_creates_lists_and_revokes_clients() {
    let (cluster, url) = start_database("client");
    let folder = TempDir::new().unwrap();
    let (succeeded, _) = run_client(&folder, &url, &["create", "--account", ACCOUNT, "--name", "Too early"]);
    assert!(!succeeded, "a client was created before the migration");
    assert!(program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap().status.success());
    let address = free_address();
    let running = serve_command(&folder, &url, &address).env("RUST_LOG", "debug").spawn().map(ChildGuard).unwrap();

    let create = ["create", "--account", ACCOUNT, "--name", "Sync", "--scope", "contacts:read  fields:write"];
    let (succeeded, printed) = run_client(&folder, &url, &create);
    assert!(succeeded && printed.len() == 2, "{printed:?}");
    let id = printed[0].strip_prefix("client_id: ").unwrap();
    let secret = printed[1].strip_prefix("client_secret: ").unwrap();
    assert!(secret.len() >= 43 && !secret.contains(' '), "{secret}");
    let (_, listed) = run_client(&folder, &url, &["list", "--account", ACCOUNT]);
    assert!(listed.len() == 1 && !listed[0].contains(secret), "{listed:?}");
    for part in [id, ACCOUNT, "active", "contacts:read fields:write", "Sync"] {
        assert!(listed[0].split('\t').any(|column| column == part), "{part}: {listed:?}");
    }
    assert_eq!(run_client(&folder, &url, &["list"]).1, listed);
    assert_eq!(
        run_client(&folder, &url, &["list", "--account", "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4f"]),
        (true, vec![])
    );

    wait_for("readiness", || is_ready(&address).then_some(()));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let request_token = || post_form(&address, &form);
    let response = request_token();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let token = response.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap();

    assert!(run_client(&folder, &url, &["revoke", id]).0 && run_client(&folder, &url, &["revoke", id]).0);
    let (_, listed) = run_client(&folder, &url, &["list"]);
    assert!(listed[0].contains("\trevoked "), "{listed:?}");
    assert!(request_token().starts_with("HTTP/1.1 401"));
    for unknown in [&id[..id.len() - 1], "client_nobody", &id.replace("client_", "client_A")[..id.len()]] {
        assert!(!run_client(&folder, &url, &["revoke", unknown]).0, "{unknown}");
    }
    drop(running);
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("/oauth2/token") && log.contains(ACCOUNT) && log.contains(id), "{log}");
    for hidden in [secret, token, "client_secret"] {
        assert!(!log.contains(hidden), "the log contains {hidden}");
    }
    drop(cluster);
}

#[test]
fn client_create_rejects_invalid_arguments_before_it_connects() {
    let folder = TempDir::new().unwrap();
    for (arguments, message) in [
        (&["--account", ACCOUNT, "--name", "x", "--scope", "contacts:read contacts:delete"][..], "contacts:delete"),
        (&["--account", ACCOUNT, "--name", "x", "--scope", ""], "at least one scope"),
        (&["--account", ACCOUNT, "--name", " "], "a name must have"),
        (&["--account", ACCOUNT, "--name", "a\nb"], "a name must have"),
        (&["--account", "acme", "--name", "x"], "--account"),
        (&["--account", ACCOUNT], "--name"),
        (&["--account", ACCOUNT, "--name", "x"], "DATABASE_URL is not set"),
    ] {
        let output = program(&folder).args(["client", "create"]).args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty() && stderr.contains(message), "{stderr}");
    }
}
