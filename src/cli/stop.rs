//! How the process is told to stop: SIGTERM, or Ctrl-C at a terminal.

use tokio::signal::unix::{SignalKind, signal};

/// Done when the process is told to stop.
pub(super) async fn told_to_stop() {
    let received = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = received(SignalKind::terminate()) => {}
        () = received(SignalKind::interrupt()) => {}
    }
}
