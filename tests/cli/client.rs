//! `contacts client`: makes, lists and revokes API clients.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use tempfile::TempDir;

use super::{ACCOUNT, Running, database, free_address, is_ready, program, serve, wait_for};

/// `contacts client …`: whether it succeeded, and the lines of its standard output.
fn client(folder: &TempDir, url: &str, arguments: &[&str]) -> (bool, Vec<String>) {
    let output = program(folder).env("DATABASE_URL", url).arg("client").args(arguments).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    (output.status.success(), printed)
}

/// What `POST /oauth2/token` answers to this form.
fn post_form(address: &str, form: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST /oauth2/token HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
         content-type: application/x-www-form-urlencoded\r\n\r\n{form}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn makes_lists_and_revokes() {
    let (cluster, url) = database("client");
    let folder = TempDir::new().unwrap();
    let (done, _) = client(&folder, &url, &["create", "--account", ACCOUNT, "--name", "Too early"]);
    assert!(!done, "there is no table yet");
    assert!(program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap().status.success());
    let address = free_address();
    let running = serve(&folder, &url, &address).env("RUST_LOG", "debug").spawn().map(Running).unwrap();

    let create = ["create", "--account", ACCOUNT, "--name", "Sync", "--scope", "contacts:read  fields:write"];
    let (done, printed) = client(&folder, &url, &create);
    assert!(done && printed.len() == 2, "{printed:?}");
    let id = printed[0].strip_prefix("client_id: ").unwrap();
    let secret = printed[1].strip_prefix("client_secret: ").unwrap();
    assert!(secret.len() >= 43 && !secret.contains(' '), "{secret}");
    let (_, listed) = client(&folder, &url, &["list", "--account", ACCOUNT]);
    assert!(listed.len() == 1 && !listed[0].contains(secret), "{listed:?}");
    for part in [id, ACCOUNT, "active", "contacts:read fields:write", "Sync"] {
        assert!(listed[0].split('\t').any(|shown| shown == part), "{part}: {listed:?}");
    }
    assert_eq!(client(&folder, &url, &["list"]).1, listed);
    assert_eq!(client(&folder, &url, &["list", "--account", "0198c0de-7a3b-7c11-9d2e-5f0a1b2c3d4f"]), (true, vec![]));

    wait_for("readiness", || is_ready(&address).then_some(()));
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let ask = || post_form(&address, &form);
    let answer = ask();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let token = answer.split("\"access_token\":\"").nth(1).unwrap().split('"').next().unwrap();

    assert!(client(&folder, &url, &["revoke", id]).0 && client(&folder, &url, &["revoke", id]).0);
    let (_, listed) = client(&folder, &url, &["list"]);
    assert!(listed[0].contains("\trevoked "), "{listed:?}");
    assert!(ask().starts_with("HTTP/1.1 401"));
    for unknown in [&id[..id.len() - 1], "client_nobody", &id.replace("client_", "client_A")[..id.len()]] {
        assert!(!client(&folder, &url, &["revoke", unknown]).0, "{unknown}");
    }
    drop(running);
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("/oauth2/token") && log.contains(ACCOUNT), "{log}");
    for hidden in [secret, id, token, "client_secret"] {
        assert!(!log.contains(hidden), "the log holds {hidden}");
    }
    drop(cluster);
}

#[test]
fn refuses_what_makes_no_sense_before_it_asks_the_database() {
    let folder = TempDir::new().unwrap();
    for (arguments, complaint) in [
        (&["--account", ACCOUNT, "--name", "x", "--scope", "contacts:read contacts:delete"][..], "contacts:delete"),
        (&["--account", ACCOUNT, "--name", "x", "--scope", ""], "at least one scope"),
        (&["--account", ACCOUNT, "--name", " "], "a name has"),
        (&["--account", ACCOUNT, "--name", "a\nb"], "a name has"),
        (&["--account", "acme", "--name", "x"], "--account"),
        (&["--account", ACCOUNT], "--name"),
        (&["--account", ACCOUNT, "--name", "x"], "DATABASE_URL is not set"),
    ] {
        let output = program(&folder).args(["client", "create"]).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && output.stdout.is_empty() && said.contains(complaint), "{said}");
    }
}
