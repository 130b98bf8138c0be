//! Metrics: what the rooms count and measure is kept here, and told as Prometheus reads it.

use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

/// The bounds of durations, in seconds: from a write of a lone caller to the end of a long poll.
const SECONDS: [f64; 15] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// The bounds of sizes, in pieces.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];
/// How often measured values are added up. Each waits in memory until then.
const ADD_UP_EVERY: Duration = Duration::from_secs(2);

const BUILD: &str = "contacts_build_info";

static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();

/// Keeps what is counted and measured from now on, in this process. What was registered before is lost, so this comes
/// first. A second call does nothing.
pub fn install() {
    RECORDER.get_or_init(|| {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".to_owned()), &SIZES))
            .expect("there are buckets");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        // Only where something else in this process keeps metrics already: ours then stay empty.
        if metrics::set_global_recorder(recorder).is_err() {
            tracing::warn!("metrics are kept elsewhere");
        }
        describe_gauge!(BUILD, "Always 1; the labels say which build of the service this is.");
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION"), "revision" => revision()).set(1.0);
        Collector::default().describe();
        add_up(handle.clone());
        handle
    });
}

/// All metrics, in the text format of Prometheus. Takes some milliseconds, and blocks.
#[must_use]
pub fn text() -> String {
    let Some(recorder) = RECORDER.get() else { return String::new() };
    Collector::default().collect();
    recorder.render()
}

/// The commit that this was built from, where whoever built it has said so.
fn revision() -> &'static str {
    option_env!("CONTACTS_REVISION").filter(|revision| !revision.is_empty()).unwrap_or("unknown")
}

/// Adds up what was measured, for as long as the process lives: whether anyone asks for it or not, the memory that it
/// takes is bounded. On a thread of its own: it needs no runtime.
fn add_up(recorder: PrometheusHandle) {
    let adding = thread::Builder::new().name("metrics".to_owned()).spawn(move || {
        loop {
            thread::sleep(ADD_UP_EVERY);
            recorder.run_upkeep();
        }
    });
    if let Err(error) = adding {
        tracing::warn!(%error, "measured values are added up only when they are asked for");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_of_the_build_and_the_process_however_often_it_is_installed() {
        install();
        install();
        let text = text();
        assert!(text.contains(&format!("version=\"{}\"", env!("CARGO_PKG_VERSION"))), "{text}");
        for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
            assert!(text.lines().any(|line| line.starts_with(name)), "{name} is missing: {text}");
        }
    }
}
