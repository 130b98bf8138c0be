//! Concurrent requests over many connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::connection::HttpConnection;
use super::workload::RequestBuilder;
use crate::report::Measurement;

/// The time that each connection runs before its requests are measured.
const WARM_UP: Duration = Duration::from_millis(300);

/// A request that succeeded.
#[derive(Clone, Copy)]
pub struct Sample {
    pub started: Instant,
    pub latency: Duration,
}

impl Sample {
    pub fn ended(self) -> Instant {
        self.started + self.latency
    }
}

/// Connections that send requests until they are stopped.
pub struct RunningLoad {
    tasks: JoinSet<Vec<Sample>>,
    is_stopping: Arc<AtomicBool>,
}

impl RunningLoad {
    /// Starts sending requests over this many concurrent connections.
    pub fn start(address: SocketAddr, builder: RequestBuilder, connections: usize) -> Self {
        let (builder, is_stopping) = (Arc::new(builder), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (builder, is_stopping) = (Arc::clone(&builder), Arc::clone(&is_stopping));
            tasks.spawn(async move {
                let mut connection = HttpConnection::open(address).await;
                let mut samples = Vec::with_capacity(1_024);
                while !is_stopping.load(Ordering::Relaxed) {
                    let (request, expected) = builder.build();
                    let started = Instant::now();
                    while let Err(reason) = connection.exchange(&request, &expected).await {
                        assert!(builder.repeats_unavailable() && reason.contains("\nHTTP/1.1 503"), "{reason}");
                    }
                    let latency = started.elapsed();
                    samples.push(Sample { started, latency });
                }
                samples
            });
        }
        Self { tasks, is_stopping }
    }

    /// Stops sending requests, and returns all requests. Panics if one has failed.
    pub async fn stop(self) -> Vec<Sample> {
        self.is_stopping.store(true, Ordering::Relaxed);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

/// Sends requests for `time`, after the warm-up. Returns the measurement of the requests that ended after the
/// warm-up, and the number of all requests.
pub async fn run(
    address: SocketAddr,
    builder: RequestBuilder,
    connections: usize,
    time: Duration,
) -> (Measurement, usize) {
    let begin = Instant::now() + WARM_UP;
    let end = begin + time;
    let load = RunningLoad::start(address, builder, connections);
    tokio::time::sleep(WARM_UP + time).await;
    let samples = load.stop().await;
    let measured = samples.iter().filter(|sample| sample.ended() >= begin && sample.ended() < end);
    let mut latencies: Vec<f64> = measured.map(|sample| sample.latency.as_secs_f64() * 1e3).collect();
    latencies.sort_unstable_by(f64::total_cmp);
    let quantile = |share: f64| {
        let index = (latencies.len().saturating_sub(1) as f64 * share) as usize;
        latencies.get(index).copied().unwrap_or(f64::NAN)
    };
    let rate = latencies.len() as f64 / time.as_secs_f64();
    (Measurement { rate, p50: quantile(0.5), p99: quantile(0.99), ..Measurement::default() }, samples.len())
}
