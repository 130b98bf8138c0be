//! Sends spans to a collector: OTLP, as protobuf over HTTP.
//!
//! The library's own exporter reads settings from the environment by itself, and refuses to work with some that are meant
//! for others. Its messages are used, and a client that the service has anyway.

use std::error::Error;
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
use reqwest::{Client, StatusCode};
use tokio::runtime::{self, Runtime};

use crate::config::{Secret, SettingsError, TraceSettings, problem};

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
        let refused = |error: &dyn std::fmt::Display| {
            problem("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("can't be sent anything: {error}"))
        };
        // A proxy of the environment is for what is far away; and redirects would take the credentials elsewhere.
        let client = Client::builder()
            .timeout(PATIENCE)
            .default_headers(headers(&settings.headers)?)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        describe_counter!(
            SPANS,
            "Spans of traces that were sent to the collector, or lost because it did not take them."
        );
        Ok(Self {
            client: client.build().map_err(|error| refused(&error))?,
            url: settings.url.clone(),
            runtime: runtime::Builder::new_current_thread().enable_all().build().map_err(|error| refused(&error))?,
            resource: ResourceAttributesWithSchema::default(),
            is_failing: AtomicBool::new(false),
            sent: counter!(SPANS, "outcome" => "sent"),
            lost: counter!(SPANS, "outcome" => "lost"),
        })
    }

    async fn send(&self, body: Vec<u8>) -> Result<StatusCode, reqwest::Error> {
        let request = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let sent = request.send().await.and_then(reqwest::Response::error_for_status);
        // Its URL may hold a password.
        Ok(sent.map_err(reqwest::Error::without_url)?.status())
    }

    /// Logs the first failure and the first success after it: an outage must not fill the log.
    fn note(&self, outcome: &Result<StatusCode, reqwest::Error>) {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !was_failing => {
                let cause = root_cause(error);
                tracing::warn!(%error, %cause, "the collector does not take spans: they are lost until it does");
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

fn root_cause(error: &dyn Error) -> &dyn Error {
    error.source().map_or(error, root_cause)
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
