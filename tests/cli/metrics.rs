//! `/metrics` of a separate process, so that the expected value of every counter is known.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use contacts::embedded::Cluster;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::{
    ACCOUNT, ChildGuard, SECRET, free_address, is_ready, send_request, serve_command, start_database, stderr_lines,
    token, wait_for,
};

/// A service that serves its metrics on a separate address.
pub(super) struct MeteredService {
    pub(super) address: String,
    metrics: String,
    url: String,
    // Fields are dropped in order of declaration: the service stops before its database.
    _running: ChildGuard,
    _cluster: Cluster,
    folder: TempDir,
}

impl MeteredService {
    /// Starts a service with `METRICS_ADDR`, so that scrapes hardly change the counters.
    pub(super) fn new(name: &str) -> Self {
        // No collector listens at this endpoint. The counters of spans are exported anyway.
        Self::with_setting(name, ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"))
    }

    /// Starts a service with `METRICS_ADDR` and another setting, and without traces unless that setting enables them.
    pub(super) fn with_setting(name: &str, (setting, value): (&str, &str)) -> Self {
        let (cluster, url) = start_database(name);
        let (folder, address, metrics) = (TempDir::new().unwrap(), free_address(), free_address());
        let mut command = serve_command(&folder, &url, &address);
        command.env("METRICS_ADDR", &metrics).env(setting, value);
        let running = command.spawn().map(ChildGuard).unwrap();
        wait_for("readiness", || is_ready(&address).then_some(()));
        Self { address, metrics, url, _running: running, _cluster: cluster, folder }
    }

    /// Sends a request. Returns the status and the whole response.
    pub(super) fn send(&self, head: &str, body: &str) -> (u16, String) {
        let response = send_request(&self.address, head, body).unwrap();
        (response.split(' ').nth(1).unwrap().parse().unwrap(), response)
    }

    pub(super) fn create(&self) -> String {
        let (status, response) = self.send("POST /contacts", r#"{"fields": {"first_name": "Ada"}}"#);
        assert_eq!(status, 201, "{response}");
        response.split("location: /contacts/").nth(1).unwrap().split('\r').next().unwrap().to_owned()
    }

    fn metrics_text(&self) -> String {
        let response = send_request(&self.metrics, "GET /metrics", "").unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        response.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Returns the value of every series, by name and labels, after the text of an earlier scrape has expired.
    pub(super) fn scrape(&self) -> Scrape {
        std::thread::sleep(Duration::from_millis(550));
        let text = self.metrics_text();
        let series = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let parsed = series.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Scrape(parsed.collect())
    }
}

/// The values of one scrape, by name and labels of the series.
pub(super) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Returns the sum of all series with this name whose labels include the given ones.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let has_all = |series: &str| labels.iter().all(|label| series.contains(label));
        let is_named = |series: &str| series == name || series.starts_with(&format!("{name}{{"));
        self.0.iter().filter(|(series, _)| is_named(series) && has_all(series)).map(|(_, value)| value).sum()
    }

    /// Returns the number of requests with this method, route and status.
    fn request_count(&self, method: &str, route: &str, status: u16) -> f64 {
        let labels = [("method", method), ("route", route), ("status", &*status.to_string())];
        let counted = self.sum("contacts_http_requests_total", &labels);
        assert_eq!(counted, self.sum("contacts_http_request_duration_seconds_count", &labels), "{labels:?}");
        counted
    }
}

#[test]
fn metrics_count_requests_by_method_route_and_status() {
    let service = MeteredService::new("metrics");
    let before = service.scrape();
    for name in ["contacts_jwks_age_seconds", "contacts_jwks_fetch_failures_total"] {
        assert_eq!(before.0.get(name), Some(&0.0), "{name} without a key set");
    }
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
        assert_eq!(after.request_count(method, route, status), count, "{method} {route} {status}");
    }
    for (code, count) in
        [("invalid_json", 1.0), ("not_found", 1.0), ("method_not_allowed", 1.0), ("route_not_found", 1.0)]
    {
        assert_eq!(after.sum("contacts_http_errors_total", &[("code", code)]), count, "{code}");
    }
    let increase = |name, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);
    assert_eq!(increase("contacts_queue_batch_size_sum", &[("queue", "writes")]), 4.0);
    assert_eq!(increase("contacts_queue_batch_size_sum", &[("queue", "reads")]), 2.0);
    // At least one wait: the writer keeps its connection afterwards.
    assert!(increase("contacts_database_connection_wait_seconds_count", &[("pool", "writer")]) >= 1.0);
    assert_eq!(increase("contacts_registry_loads_total", &[("cause", "first_use")]), 1.0);
    assert_eq!(after.sum("contacts_registries_cached", &[]), 1.0);
    assert_eq!(after.sum("contacts_http_requests_in_flight", &[]), 0.0);
    assert!(after.sum("contacts_database_connections", &[("state", "idle")]) >= 1.0);
    assert_eq!(after.sum("contacts_database_connections_max", &[]), 16.0);
    assert_eq!(after.sum("contacts_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert!(after.sum("process_resident_memory_bytes", &[]) > 1_000_000.0);
    assert!(after.sum("process_open_fds", &[]) > 5.0);
    let text = service.metrics_text();
    for private in [ACCOUNT, &*id, SECRET, &token()[..40], "nothing", "nowhere", "BREW"] {
        assert!(!text.contains(private), "the metrics contain {private}");
    }
}

#[test]
fn rejected_tokens_are_counted_by_reason() {
    let service = MeteredService::new("metrics_tokens");
    let sign = |key: &str, claims: serde_json::Value| {
        let key = jsonwebtoken::EncodingKey::from_secret(key.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let now = chrono::Utc::now().timestamp();
    let expired = sign(SECRET, serde_json::json!({"exp": now - 60, "account_id": ACCOUNT}));
    let not_yet_valid = sign(SECRET, serde_json::json!({"exp": now + 60, "nbf": now + 50, "account_id": ACCOUNT}));
    let forged = sign("another secret", serde_json::json!({"exp": now + 60, "account_id": ACCOUNT}));
    let without_account = sign(SECRET, serde_json::json!({"exp": now + 60}));
    let without_expiry = sign(SECRET, serde_json::json!({"account_id": ACCOUNT}));
    // Not /contacts: for such a path `send_request` adds a valid token.
    let call =
        |header: &str| send_request(&service.address, &format!("GET /fields HTTP/1.1\r\n{header}\r\nx-rest:"), "");
    for header in [
        "x-nothing: here".to_owned(),
        "authorization: Basic abc".to_owned(),
        "authorization: Bearer abc".to_owned(),
        format!("authorization: Bearer {expired}"),
        format!("authorization: Bearer {not_yet_valid}"),
        format!("authorization: Bearer {forged}"),
        format!("authorization: Bearer {without_account}"),
        format!("authorization: Bearer {without_expiry}"),
    ] {
        let response = call(&header).unwrap();
        assert!(response.starts_with("HTTP/1.1 401"), "{header}: {response}");
    }
    let scrape = service.scrape();
    for reason in
        ["missing", "unreadable", "malformed", "expired", "not_yet_valid", "signature", "no_account", "claims"]
    {
        assert_eq!(scrape.sum("contacts_token_failures_total", &[("reason", reason)]), 1.0, "{reason}");
    }
    assert_eq!(scrape.sum("contacts_token_failures_total", &[]), 8.0);
}

#[test]
fn invented_paths_and_methods_add_no_series() {
    let service = MeteredService::new("metrics_hostile");
    let hostile = |number: usize| {
        let calls = [
            format!("GET /hostile/{number}"),
            format!("HOSTILE{number} /contacts"),
            format!("HOSTILE{number} /hostile/{number}"),
            format!("GET /contacts/hostile-{number}?hostile={number}"),
        ];
        calls.iter().for_each(|call| assert!(matches!(service.send(call, "").0, 400 | 404 | 405), "{call}"));
    };
    hostile(0);
    service.scrape();
    let before: BTreeSet<_> = service.scrape().0.into_keys().collect();
    (1..=250).for_each(hostile);
    let after: BTreeSet<_> = service.scrape().0.into_keys().collect();
    assert_eq!(after.difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(!service.metrics_text().to_lowercase().contains("hostile"));
}

#[test]
fn gauges_show_waiting_requests_and_counters_show_write_retries() {
    let service = MeteredService::new("metrics_waits");
    let id = service.create();
    let target = service.address.clone();
    let poll = std::thread::spawn(move || send_request(&target, "GET /contacts/changes?after=now&wait=20", ""));
    wait_for("the long poll", || {
        let scrape = service.scrape();
        let waits = scrape.sum("contacts_feed_long_polls_waiting", &[]) == 1.0;
        (waits && scrape.sum("contacts_http_requests_in_flight", &[]) == 1.0).then_some(())
    });

    // Another transaction locks the contact's row.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut lock = runtime.block_on(async {
        let mut connection = PgConnection::connect(&service.url).await.unwrap();
        sqlx::raw_sql("BEGIN; SELECT 1 FROM contacts FOR UPDATE").execute(&mut connection).await.unwrap();
        connection
    });
    let (target, patch) = (service.address.clone(), format!("PATCH /contacts/{id}"));
    let patching = std::thread::spawn(move || send_request(&target, &patch, r#"{"fields": {"first_name": "B"}}"#));
    wait_for("the write that meets a lock", || {
        let retries = service.scrape().sum("contacts_write_reruns_total", &[("reason", "locked")]);
        (retries >= 1.0).then_some(())
    });
    runtime.block_on(async { sqlx::raw_sql("COMMIT").execute(&mut lock).await.unwrap() });
    assert!(patching.join().unwrap().unwrap().starts_with("HTTP/1.1 200"));
    // The write also ends the long poll.
    assert!(poll.join().unwrap().unwrap().starts_with("HTTP/1.1 200"));
    let scrape = service.scrape();
    for gauge in [
        "contacts_feed_long_polls_waiting",
        "contacts_http_requests_in_flight",
        "contacts_write_account_queues",
        "contacts_write_account_queues_waiting",
        "contacts_queue_depth",
        "contacts_database_connections_waiting",
    ] {
        assert_eq!(scrape.sum(gauge, &[]), 0.0, "{gauge}");
    }
}

#[test]
fn metrics_addr_serves_only_metrics_and_removes_them_from_the_public_port() {
    let service = MeteredService::new("metrics_addr");
    let (status, response) = service.send("GET /metrics", "");
    assert!(status == 404 && response.contains("route_not_found"), "{response}");
    let send_to_metrics = |head: &str| send_request(&service.metrics, head, "").unwrap();
    let response = send_to_metrics("GET /metrics");
    assert!(
        response.contains("\r\ncontent-type: text/plain; version=0.0.4") && response.contains("\r\nx-request-id: ")
    );
    assert!(send_to_metrics("GET /contacts").contains("route_not_found"));
    assert!(send_to_metrics("DELETE /metrics").starts_with("HTTP/1.1 405"));

    let second = serve_command(&service.folder, &service.url, &free_address())
        .env("METRICS_ADDR", &service.metrics)
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let lines = stderr_lines(&second);
    assert!(!second.status.success(), "{lines:?}");
    assert!(
        lines.last().unwrap().contains("is already in use. Stop the other process, or run: METRICS_ADDR="),
        "{lines:?}"
    );
}

/// Returns the metric names that occur in a text.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("contacts_") || word.starts_with("process_")).collect()
}

#[test]
fn every_metric_of_the_dashboard_and_the_rules_is_exported() {
    let service = MeteredService::new("metrics_names");
    assert_eq!(service.send(&format!("GET /contacts/{}", service.create()), "").0, 200);
    assert_eq!(service.send("GET /nowhere", "").0, 404);
    let text = service.metrics_text();
    let exported = metrics_in(&text);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["ops/grafana/dashboards/contacts.json", "ops/prometheus/rules.yml"] {
        let content = fs::read_to_string(root.join(file)).unwrap();
        let used = metrics_in(&content);
        assert!(used.len() > 5, "{file}: {used:?}");
        let missing: Vec<_> = used.difference(&exported).collect();
        assert!(missing.is_empty(), "{file} uses metrics that are not exported: {missing:?}");
    }
}
