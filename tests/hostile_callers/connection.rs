//! An HTTP/1 connection that reads responses without storing them, at any speed.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// The size of a part of a body that is sent or read at once.
const PART_BYTES: usize = 64 * 1024;
/// The receive buffer of a client that reads slowly. A large buffer would take a part of the response from the service.
const SLOW_RECEIVE_BUFFER: u32 = 16 * 1024;

/// A request as bytes.
#[derive(Clone)]
pub struct RawRequest {
    pub head: String,
    pub body: std::sync::Arc<str>,
}

impl RawRequest {
    /// Builds a request with a token.
    pub fn new(method_and_path: &str, token: &str, body: impl Into<std::sync::Arc<str>>) -> Self {
        let body = body.into();
        let head = format!(
            "{method_and_path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        Self { head, body }
    }

    /// Adds a header.
    pub fn with_header(mut self, header: &str) -> Self {
        self.head.push_str(header);
        self.head.push_str("\r\n");
        self
    }
}

/// A response whose body was discarded.
#[derive(Debug, Clone, Copy)]
pub struct ResponseSummary {
    pub status: u16,
    pub body_bytes: usize,
    /// Whether the service closes the connection after this response.
    pub is_closing: bool,
}

/// A connection to the service.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Ok(Self { stream: TcpStream::connect(address).await?, received: vec![] })
    }

    /// Opens a connection with a small receive buffer.
    pub async fn open_slow(address: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SLOW_RECEIVE_BUFFER)?;
        Ok(Self { stream: socket.connect(address).await?, received: vec![] })
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Sends a request and reads its response.
    pub async fn exchange(&mut self, request: &RawRequest) -> Result<ResponseSummary> {
        self.send_bytes(format!("{}\r\n", request.head).as_bytes()).await?;
        let (mut reader, mut writer) = self.stream.split();
        // The service may respond before it has read the whole body, and then close the connection.
        let send = writer.write_all(request.body.as_bytes());
        let read = read_response(&mut reader, &mut self.received, None);
        tokio::join!(send, read).1
    }

    /// Sends a request and reads `bytes_per_second` of its response, until the end or the deadline.
    pub async fn exchange_slowly(&mut self, request: &RawRequest, bytes_per_second: usize) -> Result<ResponseSummary> {
        self.send_bytes(format!("{}\r\n{}", request.head, request.body).as_bytes()).await?;
        read_response(&mut self.stream, &mut self.received, Some(bytes_per_second)).await
    }

    /// Sends a request whose body arrives slowly: in parts of this size, ten times a second.
    pub async fn send_slowly(&mut self, request: &RawRequest, part_bytes: usize) -> Result<ResponseSummary> {
        self.send_bytes(format!("{}\r\n", request.head).as_bytes()).await?;
        let (mut reader, mut writer) = self.stream.split();
        let send = async {
            for part in request.body.as_bytes().chunks(part_bytes) {
                writer.write_all(part).await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<Result<()>>().await
        };
        tokio::select! {
            response = read_response(&mut reader, &mut self.received, None) => response,
            sent = send => Err(sent.err().unwrap_or(ErrorKind::UnexpectedEof.into())),
        }
    }
}

/// Reads one response and discards its body.
async fn read_response(
    stream: &mut (impl AsyncReadExt + Unpin),
    received: &mut Vec<u8>,
    bytes_per_second: Option<usize>,
) -> Result<ResponseSummary> {
    let part_bytes = bytes_per_second.map_or(PART_BYTES, |bytes| bytes.div_ceil(10).min(PART_BYTES));
    let mut part = vec![0; part_bytes];
    let head_end = loop {
        if let Some(start) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break start + 4;
        }
        read_part(stream, &mut part, received).await?;
    };
    let head = String::from_utf8_lossy(&received[..head_end]).to_lowercase();
    let malformed = || Error::new(ErrorKind::InvalidData, head.clone());
    let status = head.get(9..12).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let length: usize = length.ok_or_else(malformed)?;
    let mut missing = length.saturating_sub(received.len() - head_end);
    received.clear();
    while missing > 0 {
        let paced_at = Instant::now();
        let limit = part.len().min(missing);
        missing -= read_some(stream, &mut part[..limit]).await?;
        if bytes_per_second.is_some() {
            tokio::time::sleep(Duration::from_millis(100).saturating_sub(paced_at.elapsed())).await;
        }
    }
    Ok(ResponseSummary { status, body_bytes: length, is_closing: head.contains("connection: close") })
}

async fn read_part(stream: &mut (impl AsyncReadExt + Unpin), part: &mut [u8], received: &mut Vec<u8>) -> Result<()> {
    let count = read_some(stream, part).await?;
    received.extend_from_slice(&part[..count]);
    Ok(())
}

async fn read_some(stream: &mut (impl AsyncReadExt + Unpin), part: &mut [u8]) -> Result<usize> {
    match stream.read(part).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => Ok(count),
    }
}
