//! Connections without a client's manners.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Account, Server};

/// A connection on which anything can be sent, at any pace.
pub struct Raw(pub TcpStream);

impl Raw {
    pub fn to(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(stream)
    }

    /// Sends the head of a request that has a body of this size.
    pub fn begin(account: &Account, method_and_path: &str, length: usize) -> Self {
        let mut raw = Self::to(&account.server);
        raw.send(&format!(
            "{method_and_path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {length}\r\n\r\n",
            account.token
        ));
        raw
    }

    pub fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// All that comes until the service closes the connection.
    pub fn read_to_end(&mut self) -> String {
        let mut answer = vec![];
        match self.0.read_to_end(&mut answer) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&answer)),
        }
        String::from_utf8(answer).unwrap()
    }

    /// One answer of the length that it declares.
    pub fn read_answer(&mut self) -> String {
        let mut answer = vec![];
        loop {
            let text = String::from_utf8_lossy(&answer);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
                if body.len() >= length.unwrap_or(0) {
                    return text.into_owned();
                }
            }
            let mut piece = [0; 4096];
            let count = self.0.read(&mut piece).unwrap();
            assert!(count > 0, "closed after {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&piece[..count]);
        }
    }
}
