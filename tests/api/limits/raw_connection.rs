//! TCP connections that bypass the HTTP client.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Account, Server};

/// A connection on which a test can send any bytes, at any speed.
pub struct RawConnection {
    pub stream: TcpStream,
}

impl RawConnection {
    pub fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self { stream }
    }

    /// Connects and sends the head of a request with a body of `length` bytes.
    pub fn start_request(account: &Account, method_and_path: &str, length: usize) -> Self {
        let mut connection = Self::connect(&account.server);
        connection.send(&format!(
            "{method_and_path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
            account.token
        ));
        connection
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until the service closes the connection. Returns everything it received.
    pub fn read_to_end(&mut self) -> String {
        let mut response = vec![];
        match self.stream.read_to_end(&mut response) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&response)),
        }
        String::from_utf8(response).unwrap()
    }

    /// Reads one response, with a body of the declared length.
    pub fn read_response(&mut self) -> String {
        let mut response = vec![];
        loop {
            let text = String::from_utf8_lossy(&response);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    return text.into_owned();
                }
            }
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).unwrap();
            assert!(count > 0, "the connection closed after {}", String::from_utf8_lossy(&response));
            response.extend_from_slice(&piece[..count]);
        }
    }
}
