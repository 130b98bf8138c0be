//! The metrics of the process, rendered in the text format of Prometheus.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

/// The histogram buckets of durations, in seconds: from a single write on an idle service to the end of a long poll.
const DURATION_BUCKETS: [f64; 15] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// The histogram buckets of sizes, in items.
const SIZE_BUCKETS: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// How often histogram samples are aggregated. Until then, each sample stays in memory.
const AGGREGATION_INTERVAL: Duration = Duration::from_secs(2);

const BUILD: &str = "contacts_build_info";

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Installs the metrics recorder of this process.
///
/// Call this before anything registers a metric, because metrics registered earlier are lost. Further calls do nothing.
pub fn install() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZE_BUCKETS))
            .expect("the bucket lists are not empty");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Fails only if other code in this process has installed a recorder. The metrics rendered here then stay empty.
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("another metrics recorder is installed; /metrics stays empty");
        }
        describe_gauge!(BUILD, "Always 1. The labels hold the version and the revision of the build.");
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION"), "revision" => revision()).set(1.0);
        Collector::default().describe();
        aggregate_in_background(handle.clone());
        handle
    });
}

/// Renders all metrics in the text format of Prometheus. Blocks for some milliseconds.
#[must_use]
pub fn render() -> String {
    let Some(recorder) = RECORDER.get() else { return String::new() };
    Collector::default().collect();
    recorder.render()
}

/// Returns the commit of the build, if it was set at build time.
fn revision() -> &'static str {
    option_env!("CONTACTS_REVISION").filter(|revision| !revision.is_empty()).unwrap_or("unknown")
}

/// Starts a thread that aggregates histogram samples until the process ends. This bounds their memory even if nothing
/// scrapes the metrics. It is a plain thread, because it needs no async runtime.
fn aggregate_in_background(recorder: PrometheusHandle) {
    let thread = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        loop {
            thread::sleep(AGGREGATION_INTERVAL);
            recorder.run_upkeep();
        }
    });
    if let Err(error) = thread {
        tracing::warn!(%error, "could not start the metrics thread; samples are aggregated only when /metrics is read");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_include_build_and_process_after_repeated_installs() {
        install();
        install();
        let text = render();
        assert!(text.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{text}");
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing: {text}");
        }
    }
}
