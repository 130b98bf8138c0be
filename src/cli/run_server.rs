//! Runs the server for `contacts serve` and `contacts dev`: binds the listeners, starts the background tasks, and
//! serves until shutdown.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::error::CliError;
use super::graceful_shutdown;
use crate::http::{self, App};

/// The number of ports that are tried to suggest a free one.
const PORTS_TO_TRY: u16 = 100;

/// Binds a listener, and returns it with its address. A port of 0 selects any free port.
///
/// `setting` is the name of the setting that holds the address, and `command` the command that needs it.
pub(super) async fn bind(
    setting: &str,
    address: SocketAddr,
    command: &str,
) -> Result<(TcpListener, SocketAddr), CliError> {
    let failed = |error: io::Error| bind_error((setting, command), address, &error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn bind_error((setting, command): (&str, &str), address: SocketAddr, error: &io::Error) -> CliError {
    CliError::Other(match error.kind() {
        ErrorKind::AddrInUse => {
            let change = match next_free_address(address) {
                Some(free) => format!("run: {setting}={free} {command}"),
                None => format!("set {setting} to another address"),
            };
            format!("Port {} is already in use. Stop the other process, or {change}", address.port())
        }
        _ => format!("{setting}={address}: cannot listen on this address: {error}"),
    })
}

/// Returns this address with the next port that is free at the moment.
fn next_free_address(address: SocketAddr) -> Option<SocketAddr> {
    let ports = (1..=PORTS_TO_TRY).map_while(|offset| address.port().checked_add(offset));
    let mut candidates = ports.map(|port| SocketAddr::new(address.ip(), port));
    candidates.find(|candidate| std::net::TcpListener::bind(candidate).is_ok())
}

/// Serves until the process receives SIGTERM or SIGINT, and then shuts down gracefully.
///
/// `command` is the command that serves.
pub(super) async fn serve_until_shutdown(app: App, listener: TcpListener, command: &str) -> Result<(), CliError> {
    serve_metrics(&app, command).await?;
    let repository = app.repository().clone();
    let repository_tasks = tokio::spawn(async move { repository.run_background_work().await });
    let key_refresh = tokio::spawn({
        let app = app.clone();
        async move { app.verifier().run_key_refresh().await }
    });
    let (stop_server, stopped) = oneshot::channel::<()>();
    let mut server = tokio::spawn(http::listen(app.clone(), listener, async move { drop(stopped.await) }));
    tokio::select! {
        ended = &mut server => return Err(CliError::Other(format!("the server stopped unexpectedly: {ended:?}"))),
        () = graceful_shutdown::wait_for_shutdown_signal() => {}
    }
    graceful_shutdown::drain_and_stop(&app, server, stop_server).await;
    repository_tasks.abort();
    key_refresh.abort();
    graceful_shutdown::close_connections(&app).await;
    Ok(())
}

/// Serves the metrics at `METRICS_ADDR`, if it is set, until the process exits.
async fn serve_metrics(app: &App, command: &str) -> Result<(), CliError> {
    if let Some(address) = app.settings().metrics_addr {
        let (listener, address) = bind("METRICS_ADDR", address, command).await?;
        tokio::spawn(http::listen_for_metrics(app.clone(), listener));
        tracing::info!(%address, "serving metrics");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bind_of_a_used_port_suggests_a_free_one() {
        let (_listener, address) =
            bind("BIND_ADDR", ([127, 0, 0, 1], 0).into(), "contacts dev").await.expect("a free port");
        let message = bind("BIND_ADDR", address, "contacts dev").await.expect_err("the port is in use").to_string();
        assert!(message.starts_with(&format!("Port {} is already in use. Stop the other process", address.port())));
        let suggests = message.contains(", or run: BIND_ADDR=127.0.0.1:") && message.ends_with(" contacts dev");
        assert!(suggests || address.port() == u16::MAX, "{message}");
    }
}
