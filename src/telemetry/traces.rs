//! Traces: the spans of requests, sent by OTLP to whoever collects them.
//!
//! A span belongs to a trace when it has a field `otel.kind`; the log knows nothing of these. Without a collector none of
//! this is installed, and such spans cost nothing.

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

use super::export::Exporter;
use crate::config::{Sampling, SettingsError, TraceSettings};

/// How many finished spans wait to be sent, at most: about a kilobyte each. More are dropped; the log says so the first
/// time, and at the end how many.
const MAX_WAITING: usize = 8_192;
/// How many are sent together, at most.
const MAX_BATCH: usize = 1_024;
const SEND_EVERY: Duration = Duration::from_secs(1);

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Whether something is a span of a trace, and no matter of the log.
pub(super) fn is_of_trace(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().field("otel.kind").is_some()
}

/// Makes traces of the spans that are of one, and sends them.
///
/// # Errors
/// A collector that nothing can be sent to.
pub(super) fn start<S>(settings: &TraceSettings) -> Result<impl Layer<S> + use<S>, SettingsError>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let provider = provider(settings)?;
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(env!("CARGO_PKG_NAME")))
        // Nobody asks the library for its current context, and readers of traces have no use for the rest.
        .with_context_activation(false)
        .with_tracked_inactivity(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false);
    let _ = PROVIDER.set(provider);
    Ok(layer.with_filter(filter_fn(is_of_trace)))
}

/// Sends what still waits, for as long as this at most. Spans that end later are lost.
pub(super) fn finish(limit: Duration) {
    if let Some(provider) = PROVIDER.get()
        && let Err(error) = provider.shutdown_with_timeout(limit)
    {
        tracing::warn!(%error, "stopped with spans unsent");
    }
}

/// Everything that the library would read from the environment is set here: only `config` reads that.
fn provider(settings: &TraceSettings) -> Result<SdkTracerProvider, SettingsError> {
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(MAX_WAITING)
        .with_max_export_batch_size(MAX_BATCH)
        .with_scheduled_delay(SEND_EVERY)
        .build();
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", settings.service_name.clone()),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ]);
    let processor = BatchSpanProcessor::builder(Exporter::new(settings)?).with_batch_config(batches).build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(sampler(settings.sampling))
        .with_span_limits(SpanLimits::default())
        .with_resource(resource.build())
        .build())
}

fn sampler(Sampling { honours_parent, ratio }: Sampling) -> Sampler {
    let own = Sampler::TraceIdRatioBased(ratio);
    if honours_parent { Sampler::ParentBased(Box::new(own)) } else { own }
}
