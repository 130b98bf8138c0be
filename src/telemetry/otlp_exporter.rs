//! Exports spans to a collector with OTLP: protobuf over HTTP.
//!
//! The exporter of the OpenTelemetry library reads settings from the environment itself, and fails on settings that are
//! meant for other programs. This exporter uses the library's message types and the HTTP client of the service.

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

use crate::config::{Secret, SettingsError, TraceSettings};
use crate::http_client;

/// The time limit for a request to the collector. During the request, new spans are queued. A full queue drops them.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

const SPANS: &str = "contacts_trace_spans_total";

/// Sends spans to a collector. A collector that is unreachable does not affect requests.
#[derive(Debug)]
pub(super) struct OtlpExporter {
    client: Client,
    url: String,
    /// A separate runtime, driven by the thread that exports, so that exports take no time from requests.
    runtime: Runtime,
    resource: ResourceAttributesWithSchema,
    is_failing: AtomicBool,
    sent: Counter,
    lost: Counter,
}

impl OtlpExporter {
    /// Creates an exporter for the configured collector.
    ///
    /// # Errors
    /// Fails if the headers are not valid or the HTTP client cannot be created.
    pub(super) fn new(settings: &TraceSettings) -> Result<Self, SettingsError> {
        let unusable = |reason: String| {
            SettingsError::new("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("cannot be used to send traces: {reason}"))
        };
        let headers = parse_headers(&settings.headers)?;
        // Follows no redirects: they would send the credentials to another server.
        let configure = |builder: ClientBuilder| {
            builder.timeout(SEND_TIMEOUT).default_headers(headers.clone()).redirect(Policy::none())
        };
        let client = http_client::build(configure).map_err(|error| unusable(http_client::describe_error(error)))?;
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        describe_counter!(
            SPANS,
            "Spans sent to the trace collector, or lost because the collector did not accept them."
        );
        Ok(Self {
            client,
            url: settings.url.clone(),
            runtime: runtime.map_err(|error| unusable(error.to_string()))?,
            resource: ResourceAttributesWithSchema::default(),
            is_failing: AtomicBool::new(false),
            sent: counter!(SPANS, "outcome" => "sent"),
            lost: counter!(SPANS, "outcome" => "lost"),
        })
    }

    /// Sends an export request.
    ///
    /// # Errors
    /// Returns the reason for which the collector did not accept the request.
    async fn send(&self, body: Vec<u8>) -> Result<StatusCode, String> {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let response = request.send().await.and_then(reqwest::Response::error_for_status);
        response.map(|response| response.status()).map_err(http_client::describe_error)
    }

    /// Logs the first failure and the first success after it, so that an outage does not fill the log.
    fn log_state_change(&self, outcome: &Result<StatusCode, String>) {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "the trace collector does not accept spans; they are lost until it does");
            }
            Ok(_) if was_failing => tracing::info!("the trace collector accepts spans again"),
            _ => {}
        }
    }
}

impl SpanExporter for OtlpExporter {
    /// Exports spans. Blocks its thread: only the thread of the batch processor calls it.
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        let count = spans.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(spans, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let outcome = self.runtime.block_on(self.send(body));
        self.log_state_change(&outcome);
        if outcome.is_ok() { &self.sent } else { &self.lost }.increment(count);
        // The failure is already logged. The library would log it again for every batch.
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

fn parse_headers(settings: &[(String, Secret)]) -> Result<HeaderMap, SettingsError> {
    let parse_header = |(name, value): &(String, Secret)| {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::try_from(name).ok()?, value))
    };
    let malformed =
        || SettingsError::new("OTEL_EXPORTER_OTLP_HEADERS", "contains an invalid name or value of an HTTP header");
    settings.iter().map(parse_header).collect::<Option<_>>().ok_or_else(malformed)
}
