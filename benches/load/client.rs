//! A load generator with little overhead. Each connection has one task that writes HTTP/1.1 directly and checks every
//! response.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use contacts::auth::Signer;
use contacts::config::{Secret, TokenSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::data::{self, DataSize, SECRET};
use crate::report::Measurement;

/// A kind of request to the service.
#[derive(Clone, Copy, PartialEq)]
pub enum Workload {
    /// Reads `/healthz`. Shows the cost of a request that uses neither authentication nor the database.
    Healthz,
    /// Updates a system field of a random contact.
    Patch,
    /// Updates a custom field of a random contact.
    PatchCustom,
    /// Updates a unique field of a random contact.
    PatchKey,
    /// Reads a random contact.
    Get,
    /// Creates a contact with an email.
    Post,
    /// Lists a hundred contacts after a cursor.
    List,
    /// Searches for the first hundred results.
    Search,
    /// Searches for the last hundred results.
    SearchEnd,
    /// Upserts a contact by its external id.
    Upsert,
    /// Upserts a thousand contacts in one call.
    UpsertBatch,
}

/// The number of contacts in a batch.
const BATCH_SIZE: u64 = 1_000;

impl Workload {
    /// Returns the number of contacts in a request.
    fn contact_count(self) -> u64 {
        if self == Self::UpsertBatch { BATCH_SIZE } else { 1 }
    }
}

/// The time that each connection runs before its requests are measured.
const WARM_UP: Duration = Duration::from_millis(500);

/// Sends requests over this many concurrent connections for `time`, after the warm-up.
pub async fn run_load(
    address: SocketAddr,
    workload: Workload,
    connections: usize,
    time: Duration,
    size: DataSize,
) -> Measurement {
    let secret = Secret::new(SECRET);
    let signer = Signer::new(&secret, &TokenSettings::with_secret(secret.clone()));
    let hour = Duration::from_secs(3_600);
    let tokens: Vec<_> =
        (0..size.accounts).map(|number| signer.sign(data::account(number), Some("bench"), hour).unwrap()).collect();
    let tokens = Arc::new(tokens);
    let cursors = Arc::new(match workload {
        Workload::List => fetch_list_cursors(address, &tokens).await,
        Workload::SearchEnd => vec![fetch_last_page_cursor(address, &tokens[0]).await],
        _ => vec![],
    });
    let (begin, end) = (Instant::now() + WARM_UP, Instant::now() + WARM_UP + time);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (tokens, cursors) = (Arc::clone(&tokens), Arc::clone(&cursors));
        tasks.spawn(async move {
            let mut connection = HttpConnection::open(address).await;
            let mut latencies = Vec::with_capacity(65_536);
            while Instant::now() < end {
                let (request, expected) = build_request(workload, size, &tokens, &cursors);
                let started = Instant::now();
                connection.exchange(&request, &expected).await;
                if started >= begin && Instant::now() < end {
                    latencies.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
                }
            }
            latencies
        });
    }
    let mut latencies: Vec<u32> = tasks.join_all().await.into_iter().flatten().collect();
    latencies.sort_unstable();
    let quantile = |share: f64| f64::from(latencies[((latencies.len() - 1) as f64 * share) as usize]) / 1_000.0;
    Measurement {
        rate: (latencies.len() as u64 * workload.contact_count()) as f64 / time.as_secs_f64(),
        p50: quantile(0.5),
        p99: quantile(0.99),
        ..Measurement::default()
    }
}

/// Returns a cursor into the list of each account.
async fn fetch_list_cursors(address: SocketAddr, tokens: &[String]) -> Vec<String> {
    let mut cursors = vec![];
    let mut connection = HttpConnection::open(address).await;
    for token in tokens {
        let request = format!("GET /contacts?limit=100 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        let response = connection.exchange(&request, "\"next\":\"").await;
        cursors.push(response.split("\"next\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned());
    }
    cursors
}

/// Returns the request of a search that finds every contact of an account.
fn search_request(token: &str, after: Option<&str>) -> String {
    let after = after.map(|cursor| format!(r#","after":"{cursor}""#)).unwrap_or_default();
    let body = format!(r#"{{"filters":[{{"property":"first_name","operator":"has_value"}}],"limit":100{after}}}"#);
    let head = format!("POST /contacts/search HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Reads all pages of the search and returns the cursor of the last page.
async fn fetch_last_page_cursor(address: SocketAddr, token: &str) -> String {
    let mut connection = HttpConnection::open(address).await;
    let mut cursor: Option<String> = None;
    loop {
        let response = connection.exchange(&search_request(token, cursor.as_deref()), "\"data\"").await;
        match response.split("\"next\":\"").nth(1) {
            Some(next) => cursor = Some(next.split('"').next().unwrap().to_owned()),
            None => return cursor.unwrap(),
        }
    }
}

/// Returns a pseudo-random number. No two calls return the same number.
fn next_number() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut number = COUNTER.fetch_add(1, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    // The output function of SplitMix64.
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Returns a request, and a text that its response must contain.
fn build_request(workload: Workload, size: DataSize, tokens: &[String], cursors: &[String]) -> (String, String) {
    let random = next_number();
    let number = random % size.rows;
    let account = usize::try_from(number % size.accounts).unwrap();
    if matches!(workload, Workload::Search | Workload::SearchEnd) {
        return (search_request(&tokens[0], cursors.first().map(String::as_str)), "\"data\":[{".to_owned());
    }
    let path = format!("/contacts/{}", data::contact(number));
    let (line, body, expected) = match workload {
        Workload::Patch => (
            format!("PATCH {path}?properties=job_title"),
            format!(r#"{{"fields":{{"job_title":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Workload::PatchCustom => (
            format!("PATCH {path}?properties=field_0"),
            format!(r#"{{"fields":{{"field_0":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Workload::PatchKey => (
            format!("PATCH {path}"),
            format!(r#"{{"fields":{{"external_id":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Workload::Healthz => ("GET /healthz".to_owned(), String::new(), "ok".to_owned()),
        Workload::Get => (format!("GET {path}"), String::new(), data::contact(number).to_string()),
        Workload::Post => (
            "POST /contacts".to_owned(),
            format!(r#"{{"fields":{{"first_name":"N","email":"n{random}@example.com"}}}}"#),
            format!("n{random}@"),
        ),
        Workload::Upsert => (
            format!("PUT /contacts/x-{number}?id_property=external_id&properties=job_title"),
            format!(r#"{{"fields":{{"job_title":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Workload::UpsertBatch => {
            // Consecutive contacts of one account.
            let input = |step: u64| {
                let number = (number + step * size.accounts) % size.rows;
                format!(r#"{{"id":"x-{number}","fields":{{"job_title":"T{random}"}}}}"#)
            };
            let inputs = (0..BATCH_SIZE).map(input).collect::<Vec<_>>().join(",");
            let body = format!(r#"{{"id_property":"external_id","inputs":[{inputs}]}}"#);
            ("POST /contacts/batch/upsert".to_owned(), body, format!("\"succeeded\":{BATCH_SIZE}"))
        }
        Workload::Search | Workload::SearchEnd => unreachable!("returned above"),
        Workload::List => {
            (format!("GET /contacts?limit=100&after={}", cursors[account]), String::new(), "\"next\":\"".to_owned())
        }
    };
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n", tokens[account]);
    let request = if body.is_empty() {
        format!("{head}\r\n")
    } else {
        format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    (request, expected)
}

/// A persistent HTTP/1.1 connection.
struct HttpConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl HttpConnection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 1024 * 1024] }
    }

    /// Sends a request and reads the response. Panics unless it is a success that contains `expected`.
    async fn exchange(&mut self, request: &str, expected: &str) -> &str {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(read > 0, "the connection was closed");
            filled += read;
            if let Some(length) = complete_length(&self.buffer[..filled]) {
                assert_eq!(length, filled, "more than one response");
                break;
            }
        }
        let response = std::str::from_utf8(&self.buffer[..filled]).unwrap();
        assert!(response.starts_with("HTTP/1.1 20") && response.contains(expected), "{request}\n{response}");
        response
    }
}

/// Returns the length of the response once it is complete.
fn complete_length(response: &[u8]) -> Option<usize> {
    let head = response.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&response[..head]).unwrap();
    let length = text.split("content-length: ").nth(1)?.split('\r').next()?.parse::<usize>().ok()?;
    (response.len() >= head + length).then_some(head + length)
}
