//! `/metrics` of a process of its own, where every number is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use contacts::embedded::Cluster;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::{ACCOUNT, Running, SECRET, database, free_address, is_ready, lines, request, serve, token, wait_for};

/// A service, and where its metrics are.
struct Measured {
    address: String,
    metrics: String,
    url: String,
    // Dropped in this order.
    _running: Running,
    _cluster: Cluster,
    folder: TempDir,
}

impl Measured {
    /// A service whose metrics are served elsewhere, so that asking for them counts as little as it can.
    fn new(name: &str) -> Self {
        let (cluster, url) = database(name);
        let (folder, address, metrics) = (TempDir::new().unwrap(), free_address(), free_address());
        let mut command = serve(&folder, &url, &address);
        // No one collects there: the counters of spans are told all the same.
        command.env("METRICS_ADDR", &metrics).env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        let running = command.spawn().map(Running).unwrap();
        wait_for("readiness", || is_ready(&address).then_some(()));
        Self { address, metrics, url, _running: running, _cluster: cluster, folder }
    }

    /// Sends a request; returns the status of its answer, and the rest.
    fn send(&self, head: &str, body: &str) -> (u16, String) {
        let answer = request(&self.address, head, body).unwrap();
        (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
    }

    fn create(&self) -> String {
        let (status, answer) = self.send("POST /contacts", r#"{"fields": {"first_name": "Ada"}}"#);
        assert_eq!(status, 201, "{answer}");
        answer.split("location: /contacts/").nth(1).unwrap().split('\r').next().unwrap().to_owned()
    }

    fn text(&self) -> String {
        let answer = request(&self.metrics, "GET /metrics", "").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// All series by name and labels.
    fn scrape(&self) -> Scrape {
        let text = self.text();
        let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parsed = series.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Scrape(parsed.collect())
    }
}

struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// The sum of the series of this name whose labels include these.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let has_all = |series: &str| labels.iter().all(|label| series.contains(label));
        let is_named = |series: &str| series == name || series.starts_with(&format!("{name}{{"));
        self.0.iter().filter(|(series, _)| is_named(series) && has_all(series)).map(|(_, value)| value).sum()
    }

    fn requests(&self, method: &str, route: &str, status: u16) -> f64 {
        let labels = [("method", method), ("route", route), ("status", &*status.to_string())];
        let counted = self.sum("contacts_http_requests_total", &labels);
        assert_eq!(counted, self.sum("contacts_http_request_duration_seconds_count", &labels), "{labels:?}");
        counted
    }
}

#[test]
fn tells_what_was_asked_and_what_came_of_it() {
    let service = Measured::new("metrics");
    let before = service.scrape();
    let id = service.create();
    for name in ["B", "C", "C"] {
        let body = format!(r#"{{"fields": {{"first_name": "{name}"}}}}"#);
        assert_eq!(service.send(&format!("PATCH /contacts/{id}?properties=phone"), &body).0, 200);
    }
    assert_eq!(service.send(&format!("GET /contacts/{id}"), "").0, 200);
    assert_eq!(service.send(&format!("HEAD /contacts/{id}"), "").0, 200);
    assert_eq!(service.send(&format!("PATCH /contacts/{id}"), "{").0, 400);
    assert_eq!(service.send("GET /contacts/nothing", "").0, 404);
    assert_eq!(service.send("BREW /contacts", "").0, 405);
    assert_eq!(service.send("GET /nowhere", "").0, 404);

    let after = service.scrape();
    let item = "/contacts/{contactId}";
    for (method, route, status, count) in [
        ("POST", "/contacts", 201, 1.0),
        ("PATCH", item, 200, 3.0),
        ("GET", item, 200, 1.0),
        ("HEAD", item, 200, 1.0),
        ("PATCH", item, 400, 1.0),
        ("GET", item, 404, 1.0),
        ("OTHER", "/contacts", 405, 1.0),
        ("GET", "none", 404, 1.0),
        ("PATCH", item, 500, 0.0),
    ] {
        assert_eq!(after.requests(method, route, status), count, "{method} {route} {status}");
    }
    for (code, count) in
        [("invalid_json", 1.0), ("not_found", 1.0), ("method_not_allowed", 1.0), ("route_not_found", 1.0)]
    {
        assert_eq!(after.sum("contacts_http_errors_total", &[("code", code)]), count, "{code}");
    }
    let grown = |name, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    assert_eq!(grown("contacts_queue_batch_size_sum", &[("queue", "writes")]), 4.0);
    assert_eq!(grown("contacts_queue_batch_size_sum", &[("queue", "reads")]), 2.0);
    // Once: the worker holds on to it.
    assert!(grown("contacts_database_connection_wait_seconds_count", &[("pool", "writer")]) >= 1.0);
    assert_eq!(grown("contacts_registry_loads_total", &[("cause", "first_use")]), 1.0);
    assert_eq!(after.sum("contacts_registries_cached", &[]), 1.0);
    assert_eq!(after.sum("contacts_http_requests_in_flight", &[]), 0.0);
    assert!(after.sum("contacts_database_connections", &[("state", "idle")]) >= 1.0);
    assert_eq!(after.sum("contacts_database_connections_max", &[]), 16.0);
    assert_eq!(after.sum("contacts_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(after.sum("process_resident_memory_bytes", &[]) > 1_000_000.0);
    assert!(after.sum("process_open_fds", &[]) > 5.0);
    let text = service.text();
    for private in [ACCOUNT, &*id, SECRET, &token()[..40], "nothing", "nowhere", "BREW"] {
        assert!(!text.contains(private), "the metrics hold {private}");
    }
}

#[test]
fn counts_tokens_that_are_not_good_by_what_is_wrong_with_them() {
    let service = Measured::new("metrics_tokens");
    let sign = |key: &str, claims: serde_json::Value| {
        let key = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let now = chrono::Utc::now().timestamp();
    let late = sign(SECRET, serde_json::json!({"exp": now - 60, "account_id": ACCOUNT}));
    let early = sign(SECRET, serde_json::json!({"exp": now + 60, "nbf": now + 50, "account_id": ACCOUNT}));
    let forged = sign("another secret", serde_json::json!({"exp": now + 60, "account_id": ACCOUNT}));
    let homeless = sign(SECRET, serde_json::json!({"exp": now + 60}));
    let endless = sign(SECRET, serde_json::json!({"account_id": ACCOUNT}));
    // Not /contacts: for that the test would send a good token.
    let call = |header: &str| request(&service.address, &format!("GET /fields HTTP/1.1\r\n{header}\r\nx-rest:"), "");
    for header in [
        "x-nothing: here".to_owned(),
        "authorization: Basic abc".to_owned(),
        "authorization: Bearer abc".to_owned(),
        format!("authorization: Bearer {late}"),
        format!("authorization: Bearer {early}"),
        format!("authorization: Bearer {forged}"),
        format!("authorization: Bearer {homeless}"),
        format!("authorization: Bearer {endless}"),
    ] {
        let answer = call(&header).unwrap();
        assert!(answer.starts_with("HTTP/1.1 401"), "{header}: {answer}");
    }
    let scrape = service.scrape();
    for reason in
        ["missing", "unreadable", "malformed", "expired", "not_yet_valid", "signature", "no_account", "claims"]
    {
        assert_eq!(scrape.sum("contacts_token_failures_total", &[("reason", reason)]), 1.0, "{reason}");
    }
    assert_eq!(scrape.sum("contacts_token_failures_total", &[]), 8.0);
}

/// A caller who makes up paths and methods adds nothing to what the metrics hold.
#[test]
fn hostile_callers_add_no_series() {
    let service = Measured::new("metrics_hostile");
    let hostile = |number: usize| {
        let calls = [
            format!("GET /hostile/{number}"),
            format!("HOSTILE{number} /contacts"),
            format!("HOSTILE{number} /hostile/{number}"),
            format!("GET /contacts/hostile-{number}?hostile={number}"),
        ];
        calls.iter().for_each(|call| assert!(matches!(service.send(call, "").0, 404 | 405), "{call}"));
    };
    hostile(0);
    service.scrape();
    let before: BTreeSet<_> = service.scrape().0.into_keys().collect();
    (1..=250).for_each(hostile);
    let after: BTreeSet<_> = service.scrape().0.into_keys().collect();
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(!service.text().to_lowercase().contains("hostile"));
}

#[test]
fn shows_who_waits_and_what_is_run_again() {
    let service = Measured::new("metrics_waits");
    let id = service.create();
    let target = service.address.clone();
    let poll = std::thread::spawn(move || request(&target, "GET /contacts/changes?after=now&wait=20", ""));
    wait_for("the long poll", || {
        let scrape = service.scrape();
        let waits = scrape.sum("contacts_feed_long_polls_waiting", &[]) == 1.0;
        (waits && scrape.sum("contacts_http_requests_in_flight", &[]) == 1.0).then_some(())
    });

    // Someone holds the contact's row.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut lock = runtime.block_on(async {
        let mut connection = PgConnection::connect(&service.url).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT 1 FROM contacts FOR UPDATE").execute(&mut connection).await.unwrap();
        connection
    });
    let (target, patch) = (service.address.clone(), format!("PATCH /contacts/{id}"));
    let patching = std::thread::spawn(move || request(&target, &patch, r#"{"fields": {"first_name": "B"}}"#));
    wait_for("the write that meets a lock", || {
        let again = service.scrape().sum("contacts_write_reruns_total", &[("reason", "locked")]);
        (again >= 1.0).then_some(())
    });
    runtime.block_on(async { sqlx::raw_sql("COMMIT").execute(&mut lock).await.unwrap() });
    assert!(patching.join().unwrap().unwrap().starts_with("HTTP/1.1 200"));
    // It woke the reader of the feed, too.
    assert!(poll.join().unwrap().unwrap().starts_with("HTTP/1.1 200"));
    let scrape = service.scrape();
    for gauge in [
        "contacts_feed_long_polls_waiting",
        "contacts_http_requests_in_flight",
        "contacts_write_lanes",
        "contacts_write_lanes_waiting",
        "contacts_queue_depth",
        "contacts_database_connections_waiting",
    ] {
        assert_eq!(scrape.sum(gauge, &[]), 0.0, "{gauge}");
    }
}

#[test]
fn has_an_address_of_its_own_where_one_is_set() {
    let service = Measured::new("metrics_addr");
    let (status, answer) = service.send("GET /metrics", "");
    assert!(status == 404 && answer.contains("route_not_found"), "{answer}");
    let there = |head: &str| request(&service.metrics, head, "").unwrap();
    let answer = there("GET /metrics");
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4") && answer.contains("\r\nx-request-id: "));
    assert!(there("GET /contacts").contains("route_not_found"));
    assert!(there("DELETE /metrics").starts_with("HTTP/1.1 405"));

    let taken = serve(&service.folder, &service.url, &free_address())
        .env("METRICS_ADDR", &service.metrics)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let lines = lines(&taken);
    assert!(!taken.status.success(), "{lines:?}");
    assert!(lines.last().unwrap().starts_with("error: METRICS_ADDR"), "{lines:?}");
}

/// The names of metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("contacts_") || word.starts_with("process_")).collect()
}

/// What the dashboard shows and the rules watch is there.
#[test]
fn the_dashboard_and_the_rules_ask_for_nothing_that_is_not_told() {
    let service = Measured::new("metrics_names");
    assert_eq!(service.send(&format!("GET /contacts/{}", service.create()), "").0, 200);
    assert_eq!(service.send("GET /nowhere", "").0, 404);
    let text = service.text();
    let told = metrics_in(&text);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["ops/grafana/dashboards/contacts.json", "ops/prometheus/rules.yml"] {
        let asked = fs::read_to_string(root.join(file)).unwrap();
        let asked = metrics_in(&asked);
        assert!(asked.len() > 5, "{file}: {asked:?}");
        let missing: Vec<_> = asked.difference(&told).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
}
