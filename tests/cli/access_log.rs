//! The fields of the access log (`docs/operations.md#logs`).

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::{
    ACCOUNT, ChildGuard, SECRET, free_address, is_ready, program, send_request, serve_command, start_database, wait_for,
};

/// Returns the span of the line of the last answered request on this route.
fn last_request(folder: &TempDir, route: &str) -> Value {
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut answered = lines.filter(|line| line["message"] == "answered" && line["route"] == route);
    answered.next_back().unwrap_or_else(|| panic!("no request of {route} in {log}"))["span"].clone()
}

#[test]
fn successful_probes_are_only_in_the_log_for_debugging() {
    let folder = TempDir::new().unwrap();
    for (filter, expected) in [("info", 0), ("debug", 1)] {
        let address = free_address();
        let mut command = serve_command(&folder, "postgres://contacts@127.0.0.1:1/contacts", &address);
        let running = command.env("LOG_FORMAT", "json").env("RUST_LOG", filter).spawn().map(ChildGuard).unwrap();
        wait_for("the service", || send_request(&address, "GET /healthz", ""));
        // There is no database, so the service is not ready.
        let is_unavailable = |response: String| response.starts_with("HTTP/1.1 503").then_some(());
        wait_for("a check", || send_request(&address, "GET /readyz", "").and_then(is_unavailable));
        let log = fs::read_to_string(folder.path().join("log")).unwrap();
        let lines = |route: &str| log.lines().filter(|line| line.contains(&format!("\"route\":\"{route}\""))).count();
        assert_eq!(lines("/healthz").min(1), expected, "{log}");
        assert!(lines("/readyz") > 0, "{log}");
        drop(running);
    }
}

#[test]
fn access_log_has_the_peer_the_actor_and_the_client_id() {
    let (cluster, url) = start_database("access_log");
    let folder = TempDir::new().unwrap();
    let migrated = program(&folder).arg("migrate").env("DATABASE_URL", &url).output().unwrap();
    assert!(migrated.status.success());
    let created = program(&folder)
        .args(["client", "create", "--account", ACCOUNT, "--name", "Sync"])
        .env("DATABASE_URL", &url)
        .output()
        .unwrap();
    let printed = String::from_utf8(created.stdout).unwrap();
    let value = |name: &str| printed.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    let (client, secret) = (value("client_id: "), value("client_secret: "));
    for (trusted, peer) in [("", "127.0.0.1"), ("192.0.2.0/24", "127.0.0.1"), ("127.0.0.1,10.0.0.0/8", "198.51.100.7")]
    {
        let address = free_address();
        let mut command = serve_command(&folder, &url, &address);
        command.env("LOG_FORMAT", "json").env("TRUSTED_PROXIES", trusted);
        let running = command.spawn().map(ChildGuard).unwrap();
        wait_for("readiness", || is_ready(&address).then_some(()));
        let forwarded = "HTTP/1.1\r\nx-forwarded-for: 203.0.113.1, 198.51.100.7, 10.0.0.1";
        send_request(&address, &format!("GET /contacts {forwarded}\r\nx-rest:"), "").unwrap();
        let span = last_request(&folder, "/contacts");
        assert_eq!((&span["peer"], &span["account"], &span["actor"]), (&peer.into(), &ACCOUNT.into(), &"u1".into()));
        assert_eq!(span.get("client_id"), None, "{span}");

        let form = format!("grant_type=client_credentials&client_id={client}&client_secret={secret}");
        let head =
            format!("POST /oauth2/token {forwarded}\r\ncontent-type: application/x-www-form-urlencoded\r\nx-rest:");
        let response = send_request(&address, &head, &form).unwrap();
        let span = last_request(&folder, "/oauth2/token");
        assert_eq!((&span["peer"], &span["client_id"]), (&peer.into(), &(&*client).into()));
        let token = response.split(r#""access_token":""#).nth(1).unwrap().split('"').next().unwrap();
        // Not /contacts: for such a path `send_request` adds another token.
        let head = format!("GET /fields {forwarded}\r\nauthorization: Bearer {token}\r\nx-rest:");
        assert!(send_request(&address, &head, "").unwrap().starts_with("HTTP/1.1 200"));
        let span = last_request(&folder, "/fields");
        assert_eq!((&span["actor"], &span["client_id"]), (&(&*client).into(), &(&*client).into()));

        send_request(&address, "GET /openapi.json", "").unwrap();
        let span = last_request(&folder, "/openapi.json");
        assert_eq!((&span["peer"], span.get("actor"), span.get("client_id")), (&"127.0.0.1".into(), None, None));
        drop(running);
        assert!(!fs::read_to_string(folder.path().join("log")).unwrap().contains(SECRET));
    }
    drop(cluster);
}
