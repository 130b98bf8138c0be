//! `contacts health`: checks whether the service on this machine is ready. Container images without a shell or `curl`
//! use it as their health check.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::error::CliError;
use crate::config::{Environment, HttpSettings};

const TIMEOUT: Duration = Duration::from_secs(3);

pub(super) fn run(environment: &Environment) -> Result<(), CliError> {
    let address = connectable_address(HttpSettings::read(environment)?.bind_addr);
    let response = get_readyz(address)
        .map_err(|error| CliError::Other(format!("no response from {address}: {error}. Is the service running?")))?;
    if response.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    let status = response.lines().next().unwrap_or("an empty response");
    Err(CliError::Other(format!("the service at {address} is not ready: GET /readyz returned {status}")))
}

/// Sends `GET /readyz` and returns the response as text.
fn get_readyz(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    Ok(response)
}

/// Returns an address to connect to: the loopback address if the service listens on all interfaces, otherwise its
/// address.
fn connectable_address(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}
