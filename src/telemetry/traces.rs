//! Traces: the spans of requests, sent to an OpenTelemetry collector.
//!
//! A span belongs to a trace if it has the field `otel.kind`; the log ignores these spans. Without a collector, this
//! layer is not installed and such spans cost nothing.

use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanLimits};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::otlp_exporter::OtlpExporter;
use crate::config::{Sampling, SettingsError, TraceSettings};

/// The maximum number of queued spans, of about a kilobyte each. More spans are dropped. The log reports the first
/// drop, and at shutdown the number of dropped spans.
const MAX_QUEUED_SPANS: usize = 8_192;
/// The maximum number of spans in one export request.
const MAX_EXPORT_BATCH: usize = 1_024;
const EXPORT_INTERVAL: Duration = Duration::from_secs(1);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Returns whether the metadata describes a span of a trace, which the log ignores.
pub(super) fn is_trace_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().field("otel.kind").is_some()
}

/// Creates the layer that collects trace spans and exports them.
///
/// # Errors
/// Fails if the exporter cannot be created with these settings.
pub(super) fn trace_layer<S>(settings: &TraceSettings) -> Result<impl Layer<S> + use<S>, SettingsError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let provider = build_provider(settings)?;
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        // No code reads the current OpenTelemetry context.
        .with_context_activation(false)
        // These attributes do not help readers of traces.
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false);
    let _ = PROVIDER.set(provider);
    Ok(layer.with_filter(filter_fn(is_trace_span)))
}

/// Exports the queued spans, for at most `time_limit`. Spans that end later are lost.
pub(super) fn flush(time_limit: Duration) {
    if let Some(provider) = PROVIDER.get()
        && let Err(error) = provider.shutdown_with_timeout(time_limit)
    {
        tracing::warn!(%error, "some spans were not sent before the shutdown");
    }
}

/// Builds the tracer provider. Sets everything that the library would otherwise read from the environment, because only
/// the module `config` reads the environment.
fn build_provider(settings: &TraceSettings) -> Result<SdkTracerProvider, SettingsError> {
    let batch_config = BatchConfigBuilder::default()
        .with_max_queue_size(MAX_QUEUED_SPANS)
        .with_max_export_batch_size(MAX_EXPORT_BATCH)
        .with_scheduled_delay(EXPORT_INTERVAL)
        .build();
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", settings.service_name.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ]);
    let processor = BatchSpanProcessor::builder(OtlpExporter::new(settings)?).with_batch_config(batch_config).build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(build_sampler(settings.sampling))
        .with_span_limits(SpanLimits::default())
        .with_resource(resource.build())
        .build())
}

fn build_sampler(Sampling { is_parent_based, ratio }: Sampling) -> Sampler {
    let own = Sampler::TraceIdRatioBased(ratio);
    if is_parent_based { Sampler::ParentBased(Box::new(own)) } else { own }
}
