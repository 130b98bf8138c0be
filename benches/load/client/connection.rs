//! A persistent HTTP/1.1 connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A persistent HTTP/1.1 connection.
pub struct HttpConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl HttpConnection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 8 * 1024] }
    }

    /// Sends a request and returns the response.
    ///
    /// # Errors
    /// Returns a description unless the response is a success that contains `expected`.
    pub async fn exchange(&mut self, request: &str, expected: &str) -> Result<&str, String> {
        self.stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await.map_err(|error| error.to_string())?;
            if read == 0 {
                return Err(format!("{request}\nthe connection was closed"));
            }
            filled += read;
            if let Some(length) = complete_length(&self.buffer[..filled]) {
                assert_eq!(length, filled, "more than one response");
                break;
            }
        }
        let response = std::str::from_utf8(&self.buffer[..filled]).unwrap();
        if response.starts_with("HTTP/1.1 20") && response.contains(expected) {
            Ok(response)
        } else {
            Err(format!("{request}\n{response}"))
        }
    }
}

/// Returns the length of the response once it is complete.
fn complete_length(response: &[u8]) -> Option<usize> {
    let head = response.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&response[..head]).unwrap();
    if text.starts_with("HTTP/1.1 204") {
        return Some(head);
    }
    let length = text.split("content-length: ").nth(1)?.split('\r').next()?.parse::<usize>().ok()?;
    (response.len() >= head + length).then_some(head + length)
}
