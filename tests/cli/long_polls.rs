//! What a waiting long poll costs: its reads of the feed, and its database connection. A separate process, so that all
//! reads are counted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use uuid::Uuid;

use super::metrics::MeteredService;
use super::{ACCOUNT, SECRET, program, wait_for};

/// Returns a token for this account and actor.
fn token(account: &str, actor: &str) -> String {
    let folder = TempDir::new().unwrap();
    let mut command = program(&folder);
    command.env("JWT_SECRET", SECRET).args(["token", "--account", account, "--sub", actor]);
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
}

/// Sends a request on a new connection. `head` may contain headers after the path.
fn start_request(service: &MeteredService, token: &str, head: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let (target, headers) = head.split_once('\n').unwrap_or((head, ""));
    let length = body.len();
    write!(
        stream,
        "{target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\
         authorization: Bearer {token}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    stream
}

/// Returns the status and the text of the response.
fn read_response(mut stream: TcpStream) -> (u16, String) {
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    (response.split(' ').nth(1).unwrap().parse().unwrap(), response)
}

/// Sends a request, checks the status of the response, and returns the response.
fn call(service: &MeteredService, token: &str, head: &str, body: &str, status: u16) -> String {
    let (actual, response) = read_response(start_request(service, token, head, body));
    assert_eq!(actual, status, "{head}: {response}");
    response
}

/// Returns the number of reads by long polls so far.
fn read_count(service: &MeteredService) -> f64 {
    service.scrape().sum("contacts_feed_long_poll_reads_total", &[])
}

/// Waits until this many long polls are waiting.
fn wait_for_polls(service: &MeteredService, count: f64) {
    wait_for("the long polls", || {
        (service.scrape().sum("contacts_feed_long_polls_waiting", &[]) == count).then_some(())
    });
}

/// Waits for two queries for changes of other instances.
fn wait_for_queries() {
    std::thread::sleep(Duration::from_millis(1_300));
}

#[test]
fn long_poll_reads_the_feed_only_after_a_change_of_its_own_account() {
    const CREATE_ONCE: &str = "POST /contacts\nidempotency-key: once\r\n";
    let service = MeteredService::new("long_poll_reads");
    let (owner, stranger) = (token(ACCOUNT, "u1"), token(&Uuid::now_v7().to_string(), "u2"));
    let grace = r#"{"fields": {"first_name": "Grace", "email": "grace@example.com"}}"#;
    let id = service.create();
    call(&service, &owner, CREATE_ONCE, grace, 201);
    let poll = start_request(&service, &owner, "GET /contacts/changes?after=now&wait=30", "");
    wait_for_polls(&service, 1.0);
    assert_eq!(read_count(&service), 1.0);

    for number in 0..30 {
        call(&service, &stranger, "POST /contacts", &format!(r#"{{"fields": {{"first_name": "{number}"}}}}"#), 201);
    }
    let patch = format!("PATCH /contacts/{id}");
    let missing = format!("PATCH /contacts/{}", Uuid::now_v7());
    for (head, body, status) in [
        // A replay, a rejected write, one of a missing contact, one with a precondition that is not met.
        (CREATE_ONCE, grace, 201),
        ("POST /contacts", grace, 409),
        (&*missing, r#"{"fields": {"first_name": "Ada"}}"#, 404),
        (&*format!("{patch}\nif-match: \"other\"\r\n"), r#"{"fields": {"first_name": "Eve"}}"#, 412),
        // Dry runs, and a write that changes nothing.
        ("POST /contacts?dry_run=true", r#"{"fields": {"first_name": "Eve"}}"#, 201),
        (&*format!("{patch}?dry_run=true"), r#"{"fields": {"first_name": "Eve"}}"#, 200),
        (&*patch, r#"{"fields": {"first_name": "Ada"}}"#, 200),
        (&*format!("POST /contacts/{id}/restore"), "", 200),
    ] {
        call(&service, &owner, head, body, status);
    }
    wait_for_queries();
    assert_eq!(read_count(&service), 1.0);

    let purge = format!("POST /contacts/{id}/purge");
    call(&service, &owner, &purge, "", 204);
    let (status, page) = read_response(poll);
    assert!(status == 200 && page.contains(r#""type":"purged""#), "{page}");
    assert_eq!(read_count(&service), 2.0);
}

#[test]
fn burst_of_excluded_changes_causes_at_most_one_read_every_100_ms() {
    let service = MeteredService::new("long_poll_burst");
    let (owner, other_actor) = (token(ACCOUNT, "u1"), token(ACCOUNT, "u2"));
    let patch = format!("PATCH /contacts/{}", service.create());
    let poll = start_request(&service, &owner, "GET /contacts/changes?after=now&wait=30&exclude_actor=me", "");
    wait_for_polls(&service, 1.0);
    let started = Instant::now();
    for number in 0..200 {
        call(&service, &owner, &patch, &format!(r#"{{"fields": {{"first_name": "{number}"}}}}"#), 200);
    }
    wait_for_queries();
    let (reads, intervals) = (read_count(&service), started.elapsed().as_millis() / 100);
    // One read before the burst, and one at its end.
    assert!(reads <= 2.0 + intervals as f64, "{reads} reads in {intervals} intervals");
    assert!(reads >= 2.0);
    // The last change has been read: the poll is idle again.
    wait_for_queries();
    assert_eq!(read_count(&service), reads);
    call(&service, &other_actor, &patch, r#"{"fields": {"first_name": "Ada"}}"#, 200);
    let (status, page) = read_response(poll);
    assert!(status == 200 && page.matches(r#""type":"updated""#).count() == 1, "{page}");
}

#[test]
fn waiting_long_polls_hold_no_database_connection_and_more_than_the_limit_are_503() {
    // A single account can have three quarters of them.
    let service = MeteredService::with_setting("long_poll_limit", ("MAX_LONG_POLLS", "133"));
    let owner = token(ACCOUNT, "u1");
    let poll = || start_request(&service, &owner, "GET /contacts/changes?after=now&wait=30", "");
    let polls: Vec<_> = std::iter::repeat_with(poll).take(100).collect();
    wait_for_polls(&service, 100.0);
    // The service's own queries use a connection for a moment now and then. A poll that held one would never return it.
    wait_for("all connections to be free", || {
        let in_use = service.scrape().sum("contacts_database_connections", &[("state", "in_use")]);
        (in_use == 0.0).then_some(())
    });
    let rejected = call(&service, &owner, "GET /contacts/changes?after=now&wait=30", "", 503);
    assert!(rejected.contains("retry-after: 1"), "{rejected}");
    service.create();
    for poll in polls {
        assert_eq!(read_response(poll).0, 200);
    }
}
