//! Sends spans to a collector: OTLP, as protobuf over HTTP.
//!
//! The library's own exporter reads settings from the environment by itself, and refuses to work with some that are meant
//! for others. Its messages are used, and a client that the service has anyway.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::{Counter, counter, describe_counter};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, StatusCode};
use tokio::runtime::{self, Runtime};

use crate::config::{Secret, SettingsError, TraceSettings, problem};
use crate::outward;

/// How long a collector may take. Meanwhile spans wait, and when too many wait they are dropped.
const PATIENCE: Duration = Duration::from_secs(5);

const SPANS: &str = "contacts_trace_spans_total";

/// Where spans are sent. Whether it is there or not is no matter of those whose spans they are.
#[derive(Debug)]
pub(super) struct Exporter {
    client: Client,
    url: String,
    /// Of its own, and run by the thread that sends: it takes nothing from the runtime that answers requests.
    runtime: Runtime,
    resource: ResourceAttributesWithSchema,
    is_failing: AtomicBool,
    sent: Counter,
    lost: Counter,
}

impl Exporter {
    /// # Errors
    /// A URL or headers that can't be sent to.
    pub(super) fn new(settings: &TraceSettings) -> Result<Self, SettingsError> {
        let refused =
            |reason: String| problem("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("can't be sent anything: {reason}"));
        let headers = headers(&settings.headers)?;
        // Redirects would take the credentials elsewhere.
        let bounded = |builder: ClientBuilder| {
            builder.timeout(PATIENCE).default_headers(headers.clone()).redirect(Policy::none())
        };
        let client = outward::client(bounded).map_err(|error| refused(outward::reason(error)))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        describe_counter!(
            SPANS,
            "Spans of traces that were sent to the collector, or lost because it did not take them."
        );
        Ok(Self {
            client,
            url: settings.url.clone(),
            runtime: runtime.map_err(|error| refused(error.to_string()))?,
            resource: ResourceAttributesWithSchema::default(),
            is_failing: AtomicBool::new(false),
            sent: counter!(SPANS, "outcome" => "sent"),
            lost: counter!(SPANS, "outcome" => "lost"),
        })
    }

    /// # Errors
    /// Why the collector has not taken it.
    async fn send(&self, body: Vec<u8>) -> Result<StatusCode, String> {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let sent = request.send().await.and_then(reqwest::Response::error_for_status);
        sent.map(|answer| answer.status()).map_err(outward::reason)
    }

    /// Logs the first failure and the first success after it: an outage must not fill the log.
    fn note(&self, outcome: &Result<StatusCode, String>) {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the collector does not take spans: they are lost until it does");
            }
            Ok(_) if was_failing => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }
}

impl SpanExporter for Exporter {
    /// Called by the thread of the processor, and by nothing else.
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let count = spans.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let outcome = self.runtime.block_on(self.send(body));
        self.note(&outcome);
        if outcome.is_ok() { &self.sent } else { &self.lost }.increment(count);
        // A failure is ours to report, once.
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

fn headers(settings: &[(String, Secret)]) -> Result<HeaderMap, SettingsError> {
    let header = |(name, value): &(String, Secret)| {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    let malformed = || problem("OTEL_EXPORTER_OTLP_HEADERS", "holds what can't be the name or the value of a header");
    settings.iter().map(header).collect::<Option<_>>().ok_or_else(malformed)
}
