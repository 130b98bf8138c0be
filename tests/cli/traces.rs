//! Traces, as an OpenTelemetry collector receives them.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use contacts::embedded::Cluster;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::stopwatch::Stopwatch;
use super::{
    ACCOUNT, ChildGuard, SECRET, free_address, is_ready, send_request, serve_command, start_database, token, wait_for,
};

/// A collector that stores every request it receives.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    _runtime: Runtime,
}

impl Collector {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let received = Arc::new(Mutex::new(vec![]));
        let stored = Arc::clone(&received);
        let store = post(async move |headers: HeaderMap, body: Bytes| stored.lock().unwrap().push((headers, body)));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, axum::Router::new().route("/v1/traces", store)).await });
        Self { address, received, _runtime: runtime }
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let received = self.received.lock().unwrap();
        received.iter().map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    /// Returns all spans received so far, except the spans of `/readyz`, whose number depends on how often the tests poll
    /// it.
    fn spans(&self) -> Vec<Span> {
        let scopes = self.requests().into_iter().flat_map(|sent| sent.resource_spans).flat_map(|sent| sent.scope_spans);
        scopes.flat_map(|sent| sent.spans).filter(|span| span.name != "GET /readyz").collect()
    }

    /// Waits for a span that matches.
    fn wait_for(&self, condition: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        wait_for(condition, || self.spans().into_iter().find(&is_it))
    }
}

/// Returns the value of a text or integer attribute as text, or an empty text when the attribute is missing.
fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let value = attributes.iter().find(|attribute| attribute.key == name).and_then(|attribute| attribute.value.clone());
    match value.and_then(|AnyValue { value }| value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A service that sends its traces to a collector.
struct TracedService {
    address: String,
    running: ChildGuard,
    cluster: Option<Cluster>,
    folder: TempDir,
}

impl TracedService {
    fn new(name: &str, collector: &str, change: impl Fn(&mut Command)) -> Self {
        let (cluster, url) = start_database(name);
        let (folder, address) = (TempDir::new().unwrap(), free_address());
        let mut command = serve_command(&folder, &url, &address);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
        change(&mut command);
        let running = command.spawn().map(ChildGuard).unwrap();
        wait_for("readiness", || is_ready(&address).then_some(()));
        Self { address, running, cluster: Some(cluster), folder }
    }

    /// Sends a request with additional headers and returns the response.
    fn send(&self, call: &str, headers: &[(&str, &str)], body: &str) -> String {
        let headers: String = headers.iter().map(|(name, value)| format!("\r\n{name}: {value}")).collect();
        send_request(&self.address, &format!("{call} HTTP/1.1{headers}\r\nx-rest:"), body).unwrap()
    }

    fn create(&self, headers: &[(&str, &str)]) -> String {
        let response =
            self.send("POST /contacts?properties=phone", headers, r#"{"fields": {"first_name": "bodyvalue"}}"#);
        assert!(response.starts_with("HTTP/1.1 201"), "{response}");
        response.split("location: /contacts/").nth(1).unwrap().split('\r').next().unwrap().to_owned()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Stops the service with SIGTERM and returns its log.
    fn stop(mut self) -> String {
        self.running.signal(Signal::SIGTERM);
        assert_eq!(self.running.0.wait().unwrap().code(), Some(0));
        self.log()
    }
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

#[test]
fn request_span_joins_the_callers_trace_and_contains_no_private_values() {
    let collector = Collector::new();
    let service = TracedService::new("traced", &format!("http://{}", collector.address), |command| {
        command.env("OTEL_SERVICE_NAME", "crm").env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20abc");
    });
    let id = service.create(&[("traceparent", &*traceparent("01"))]);
    let span = collector.wait_for("the span", |span| span.name == "POST /contacts");
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(span.status.unwrap_or_default().code(), StatusCode::Unset);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/contacts"),
        ("http.response.status_code", "201"),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(&span.attributes, name), value, "{name}");
    }
    let write = collector.wait_for("the span of its write", |span| span.name == "write contacts");
    assert_eq!((&write.trace_id, &write.parent_span_id), (&span.trace_id, &span.span_id));
    assert_eq!((write.kind(), &*attribute(&write.attributes, "db.system.name")), (SpanKind::Client, "postgresql"));
    assert!(span.start_time_unix_nano <= write.start_time_unix_nano);
    assert!(write.end_time_unix_nano <= span.end_time_unix_nano);
    assert!(service.log().lines().any(|line| line.contains(TRACE) && line.contains("answered")), "{}", service.log());

    service.send(&format!("PATCH /contacts/{id}?properties=job_title"), &[], r#"{"fields": {"first_name": "B"}}"#);
    let patch = collector.wait_for("the span of the update", |span| span.name == "PATCH /contacts/{contactId}");
    assert!(patch.parent_span_id.is_empty());
    assert_ne!(patch.trace_id, span.trace_id);
    service.send("BREW /pathvalue", &[], "");
    let unknown = collector.wait_for("the span of the unknown route", |span| span.name == "HTTP");
    assert_eq!(attribute(&unknown.attributes, "http.request.method"), "_OTHER");
    assert_eq!(attribute(&unknown.attributes, "http.response.status_code"), "404");
    assert!(!unknown.attributes.iter().any(|attribute| attribute.key == "http.route"));

    for sent in collector.requests().iter().flat_map(|sent| &sent.resource_spans) {
        let resource = &sent.resource.as_ref().unwrap().attributes;
        assert_eq!(attribute(resource, "service.name"), "crm");
        assert_eq!(attribute(resource, "service.version"), env!("CARGO_PKG_VERSION"));
    }
    for (headers, body) in collector.received.lock().unwrap().iter() {
        assert_eq!(headers["content-type"], "application/x-protobuf");
        assert_eq!(headers["authorization"], "Basic abc");
        let text = String::from_utf8_lossy(body);
        for private in [ACCOUNT, &*id, "job_title", "bodyvalue", "pathvalue", SECRET, &token()[..40], "BREW"] {
            assert!(!text.contains(private), "a span contains {private}");
        }
    }
    assert!(!service.log().contains("Basic abc"));
}

#[test]
fn sampled_flag_of_a_valid_traceparent_decides_whether_a_span_is_recorded() {
    let collector = Collector::new();
    let service = TracedService::new("sampled", &format!("http://{}/", collector.address), |command| {
        command.env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    });
    service.send("GET /contacts", &[("traceparent", &*traceparent("00"))], "");
    service.send("GET /contacts", &[], "");
    // A malformed traceparent is ignored, so its sampled flag has no effect.
    for malformed in [
        format!("00-{TRACE}-{PARENT}"),
        format!("00-{TRACE}-{PARENT}-01-more"),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{PARENT}-0g"),
        format!("00-{}-{PARENT}-01", &TRACE[1..]),
        format!("00-+{}-{PARENT}-01", &TRACE[1..]),
        "nonsense".to_owned(),
        String::new(),
    ] {
        let response = service.send("GET /contacts", &[("traceparent", &*malformed)], "");
        assert!(response.starts_with("HTTP/1.1 200"), "{malformed}: {response}");
    }
    let twice = traceparent("01");
    service.send("GET /contacts", &[("traceparent", &*twice), ("traceparent", &*twice)], "");
    service.send("GET /fields", &[("traceparent", &*traceparent("01"))], "");
    // A later version of the header may have further parts.
    service.send("DELETE /fields", &[("traceparent", &*format!("01-{TRACE}-{PARENT}-01-more"))], "");
    collector.wait_for("the sampled spans", |span| span.name == "DELETE /fields");
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /fields", "DELETE /fields"]);
}

#[test]
fn only_server_errors_set_the_error_status_of_a_span() {
    let collector = Collector::new();
    let mut service = TracedService::new("faults", &format!("http://{}", collector.address), |_| {});
    service.send("GET /contacts?limit=none", &[], "");
    let refused = collector.wait_for("the span", |span| span.name == "GET /contacts");
    assert_eq!(refused.status.unwrap_or_default().code(), StatusCode::Unset);
    assert_eq!(attribute(&refused.attributes, "error.type"), "");
    service.cluster = None;
    assert!(
        service
            .send("PUT /contacts/a%40example.com?id_property=email", &[], r#"{"fields": {}}"#)
            .starts_with("HTTP/1.1 503")
    );
    let failed = collector.wait_for("the span of the failed request", |span| span.name == "PUT /contacts/{contactId}");
    assert_eq!(failed.status.unwrap_or_default().code(), StatusCode::Error);
    assert_eq!(attribute(&failed.attributes, "error.type"), "unavailable");
    assert_eq!(attribute(&failed.attributes, "http.response.status_code"), "503");
}

#[test]
fn sigterm_sends_the_remaining_spans_before_exit() {
    let collector = Collector::new();
    let service = TracedService::new("flushed", &format!("http://{}", collector.address), |_| {});
    service.create(&[]);
    service.stop();
    assert!(collector.spans().iter().any(|span| span.name == "POST /contacts"));
}

#[test]
fn http_collector_works_on_a_machine_without_certificates() {
    let collector = Collector::new();
    let service = TracedService::new("no_certificates", &format!("http://{}", collector.address), |command| {
        command.env("SSL_CERT_FILE", "/nowhere/certificates.pem").env("SSL_CERT_DIR", "/nowhere");
    });
    service.create(&[]);
    collector.wait_for("the span", |span| span.name == "POST /contacts");
    service.stop();
}

/// Covers a collector that refuses connections and one that never responds. Either is logged once.
#[test]
fn unavailable_collector_delays_no_request_and_is_logged_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, collector) in [("unreachable", free_address()), ("silent", silent.local_addr().unwrap().to_string())] {
        let service = TracedService::new(name, &format!("http://{collector}"), |_| {});
        let lost = || {
            let metrics = send_request(&service.address, "GET /metrics", "").unwrap();
            let lost =
                metrics.lines().find_map(|line| line.strip_prefix("contacts_trace_spans_total{outcome=\"lost\"} "));
            lost.unwrap().parse::<u64>().unwrap()
        };
        let started = Instant::now();
        wait_for("lost spans", || {
            let request_time = Stopwatch::start();
            service.create(&[]);
            assert!(request_time.elapsed() < Duration::from_secs(3), "{name}: a request waited for the collector");
            (lost() > 0 && started.elapsed() > Duration::from_secs(3)).then_some(())
        });
        let stopping = Stopwatch::start();
        let log = service.stop();
        assert!(stopping.elapsed() < Duration::from_secs(8), "{name}: {:?}", stopping.elapsed());
        assert_eq!(log.matches("the trace collector does not accept spans").count(), 1, "{name}: {log}");
    }
}
