//! Traces, as a collector gets them.

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
use super::{ACCOUNT, Running, SECRET, database, free_address, is_ready, request, serve, token, wait_for};

/// A collector that keeps what it is sent.
struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    _runtime: Runtime,
}

impl Collector {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let received = Arc::new(Mutex::new(vec![]));
        let kept = Arc::clone(&received);
        let keep = post(async move |headers: HeaderMap, body: Bytes| kept.lock().unwrap().push((headers, body)));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, axum::Router::new().route("/v1/traces", keep)).await });
        Self { address, received, _runtime: runtime }
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let received = self.received.lock().unwrap();
        received.iter().map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    /// All spans so far, but for those of `/readyz`, which the tests ask for as often as they like.
    fn spans(&self) -> Vec<Span> {
        let scopes = self.requests().into_iter().flat_map(|sent| sent.resource_spans).flat_map(|sent| sent.scope_spans);
        scopes.flat_map(|sent| sent.spans).filter(|span| span.name != "GET /readyz").collect()
    }

    /// The span of a request that has been sent.
    fn wait_for(&self, what: &str, is_it: impl Fn(&Span) -> bool) -> Span {
        wait_for(what, || self.spans().into_iter().find(&is_it))
    }
}

/// The text of an attribute, or of a number that it is; empty when there is none.
fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name).and_then(|found| found.value.clone());
    match found.and_then(|AnyValue { value }| value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A service that is traced.
struct Traced {
    address: String,
    running: Running,
    cluster: Option<Cluster>,
    folder: TempDir,
}

impl Traced {
    fn new(name: &str, collector: &str, change: impl Fn(&mut Command)) -> Self {
        let (cluster, url) = database(name);
        let (folder, address) = (TempDir::new().unwrap(), free_address());
        let mut command = serve(&folder, &url, &address);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
        change(&mut command);
        let running = command.spawn().map(Running).unwrap();
        wait_for("readiness", || is_ready(&address).then_some(()));
        Self { address, running, cluster: Some(cluster), folder }
    }

    /// Sends a request with further headers; returns its answer.
    fn send(&self, call: &str, headers: &[(&str, &str)], body: &str) -> String {
        let headers: String = headers.iter().map(|(name, value)| format!("\r\n{name}: {value}")).collect();
        request(&self.address, &format!("{call} HTTP/1.1{headers}\r\nx-rest:"), body).unwrap()
    }

    fn create(&self, headers: &[(&str, &str)]) -> String {
        let answer =
            self.send("POST /contacts?properties=phone", headers, r#"{"fields": {"first_name": "bodyvalue"}}"#);
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        answer.split("location: /contacts/").nth(1).unwrap().split('\r').next().unwrap().to_owned()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Ends it, and returns its log.
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
fn a_request_is_a_span_of_its_callers_trace_and_says_nothing_private() {
    let collector = Collector::new();
    let service = Traced::new("traced", &format!("http://{}", collector.address), |command| {
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

    service.send(&format!("PATCH /contacts/{id}?x=queryvalue"), &[], r#"{"fields": {"first_name": "B"}}"#);
    let patch = collector.wait_for("the next", |span| span.name == "PATCH /contacts/{contactId}");
    assert!(patch.parent_span_id.is_empty());
    assert_ne!(patch.trace_id, span.trace_id);
    service.send("BREW /pathvalue", &[], "");
    let unknown = collector.wait_for("that of nothing", |span| span.name == "HTTP");
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
        for private in [ACCOUNT, &*id, "queryvalue", "bodyvalue", "pathvalue", SECRET, &token()[..40], "BREW"] {
            assert!(!text.contains(private), "a span holds {private}");
        }
    }
    assert!(!service.log().contains("Basic abc"));
}

#[test]
fn who_takes_part_in_a_trace_decides_whether_it_is_recorded() {
    let collector = Collector::new();
    let service = Traced::new("sampled", &format!("http://{}/", collector.address), |command| {
        command.env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    });
    service.send("GET /contacts", &[("traceparent", &*traceparent("00"))], "");
    service.send("GET /contacts", &[], "");
    // Malformed: as good as none, whatever their flag says.
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
        let answer = service.send("GET /contacts", &[("traceparent", &*malformed)], "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{malformed}: {answer}");
    }
    let twice = traceparent("01");
    service.send("GET /contacts", &[("traceparent", &*twice), ("traceparent", &*twice)], "");
    service.send("GET /fields", &[("traceparent", &*traceparent("01"))], "");
    // A later version may say more.
    service.send("DELETE /fields", &[("traceparent", &*format!("01-{TRACE}-{PARENT}-01-more"))], "");
    collector.wait_for("what was to be recorded", |span| span.name == "DELETE /fields");
    let names: Vec<_> = collector.spans().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["GET /fields", "DELETE /fields"]);
}

#[test]
fn only_what_is_our_fault_makes_a_span_an_error() {
    let collector = Collector::new();
    let mut service = Traced::new("faults", &format!("http://{}", collector.address), |_| {});
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
    let failed = collector.wait_for("the failure", |span| span.name == "PUT /contacts/{contactId}");
    assert_eq!(failed.status.unwrap_or_default().code(), StatusCode::Error);
    assert_eq!(attribute(&failed.attributes, "error.type"), "unavailable");
    assert_eq!(attribute(&failed.attributes, "http.response.status_code"), "503");
}

#[test]
fn sends_the_last_spans_before_it_ends() {
    let collector = Collector::new();
    let service = Traced::new("flushed", &format!("http://{}", collector.address), |_| {});
    service.create(&[]);
    service.stop();
    assert!(collector.spans().iter().any(|span| span.name == "POST /contacts"));
}

#[test]
fn a_collector_that_needs_no_certificates_is_sent_to_where_there_are_none() {
    let collector = Collector::new();
    let service = Traced::new("no_certificates", &format!("http://{}", collector.address), |command| {
        command.env("SSL_CERT_FILE", "/nowhere/certificates.pem").env("SSL_CERT_DIR", "/nowhere");
    });
    service.create(&[]);
    collector.wait_for("the span", |span| span.name == "POST /contacts");
    service.stop();
}

/// Nobody waits for a collector, whether it is away or never answers, and the log is not filled with it.
#[test]
fn a_collector_that_does_not_take_spans_is_no_concern_of_callers() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (name, collector) in [("away", free_address()), ("silent", silent.local_addr().unwrap().to_string())] {
        let service = Traced::new(name, &format!("http://{collector}"), |_| {});
        let lost = || {
            let metrics = request(&service.address, "GET /metrics", "").unwrap();
            let lost =
                metrics.lines().find_map(|line| line.strip_prefix("contacts_trace_spans_total{outcome=\"lost\"} "));
            lost.unwrap().parse::<u64>().unwrap()
        };
        let started = Instant::now();
        wait_for("spans that are lost", || {
            let asked = Stopwatch::start();
            service.create(&[]);
            assert!(asked.elapsed() < Duration::from_secs(3), "{name}: a caller had to wait");
            (lost() > 0 && started.elapsed() > Duration::from_secs(3)).then_some(())
        });
        let stopping = Stopwatch::start();
        let log = service.stop();
        assert!(stopping.elapsed() < Duration::from_secs(8), "{name}: {:?}", stopping.elapsed());
        assert_eq!(log.matches("the collector does not take spans").count(), 1, "{name}: {log}");
    }
}
