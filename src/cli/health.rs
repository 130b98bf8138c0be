//! `contacts health`: whether the service on this machine is ready. An image without a shell has no other way to ask.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::CliError;
use crate::config::{Environment, HttpSettings};

const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn run(environment: &Environment) -> Result<(), CliError> {
    let address = reachable(HttpSettings::read(environment)?.bind_addr);
    let answer = ask(address).map_err(|error| CliError::Other(format!("{address} does not answer: {error}")))?;
    if answer.starts_with("HTTP/1.1 200") {
        return Ok(());
    }
    Err(CliError::Other(format!("{address} is not ready")))
}

fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Where a service can be asked that listens everywhere.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}
