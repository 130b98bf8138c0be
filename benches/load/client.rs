//! A load generator that costs little: one task a connection, HTTP/1.1 written by hand, every answer checked.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use contacts::auth::Signer;
use contacts::config::{Secret, TokenSettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::data::{self, SECRET};
use crate::report::Figures;
use crate::stage::Shape;

/// What is asked of the service.
#[derive(Clone, Copy, PartialEq)]
pub enum Work {
    /// Nothing: what a request costs before it is about anything.
    Healthz,
    /// A change of a system field of a random contact.
    Patch,
    /// A change of a custom field.
    PatchCustom,
    /// A change of a unique key.
    PatchKey,
    /// A random contact.
    Get,
    /// A new contact with an email.
    Post,
    /// A hundred contacts, from a cursor on.
    List,
    /// The first hundred contacts of a search, and the last hundred of it.
    Search,
    SearchEnd,
    /// An upsert of a contact by its external id.
    Upsert,
    /// A thousand of them in one call.
    UpsertBatch,
}

/// How many contacts a batch is about.
const BATCH: u64 = 1_000;

impl Work {
    /// How many contacts a request is about.
    fn size(self) -> u64 {
        if self == Self::UpsertBatch { BATCH } else { 1 }
    }
}

/// How long each connection runs before what it does counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Does work from this many connections at once, for `time`.
pub async fn drive(address: SocketAddr, work: Work, connections: usize, time: Duration, shape: Shape) -> Figures {
    let secret = Secret::new(SECRET);
    let signer = Signer::new(&secret, &TokenSettings::with_secret(secret.clone()));
    let hour = Duration::from_secs(3_600);
    let tokens: Vec<_> =
        (0..shape.accounts).map(|number| signer.sign(data::account(number), Some("bench"), hour).unwrap()).collect();
    let tokens = Arc::new(tokens);
    let cursors = Arc::new(match work {
        Work::List => cursors(address, &tokens).await,
        Work::SearchEnd => vec![last_page(address, &tokens[0]).await],
        _ => vec![],
    });
    let (begin, end) = (Instant::now() + WARM_UP, Instant::now() + WARM_UP + time);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (tokens, cursors) = (Arc::clone(&tokens), Arc::clone(&cursors));
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await;
            let mut latencies = Vec::with_capacity(65_536);
            while Instant::now() < end {
                let (request, expected) = request(work, shape, &tokens, &cursors);
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
    Figures {
        rate: (latencies.len() as u64 * work.size()) as f64 / time.as_secs_f64(),
        p50: quantile(0.5),
        p99: quantile(0.99),
        ..Figures::default()
    }
}

/// A cursor into the list of each account.
async fn cursors(address: SocketAddr, tokens: &[String]) -> Vec<String> {
    let mut cursors = vec![];
    let mut connection = Connection::open(address).await;
    for token in tokens {
        let request = format!("GET /contacts?limit=100 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        let answer = connection.exchange(&request, "\"next\":\"").await;
        cursors.push(answer.split("\"next\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned());
    }
    cursors
}

/// A search that finds every contact of an account.
fn search(token: &str, after: Option<&str>) -> String {
    let after = after.map(|cursor| format!(r#","after":"{cursor}""#)).unwrap_or_default();
    let body = format!(r#"{{"filters":[{{"property":"first_name","operator":"has_value"}}],"limit":100{after}}}"#);
    let head = format!("POST /contacts/search HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
    format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// The cursor of the last page of that search, which all pages before it lead to.
async fn last_page(address: SocketAddr, token: &str) -> String {
    let mut connection = Connection::open(address).await;
    let mut cursor: Option<String> = None;
    loop {
        let answer = connection.exchange(&search(token, cursor.as_deref()), "\"data\"").await;
        match answer.split("\"next\":\"").nth(1) {
            Some(next) => cursor = Some(next.split('"').next().unwrap().to_owned()),
            None => return cursor.unwrap(),
        }
    }
}

/// Numbers that no two callers share: random enough for a load, and for free.
fn next_number() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut number = COUNTER.fetch_add(1, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
    // splitmix64
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A request, and what its answer must hold.
fn request(work: Work, shape: Shape, tokens: &[String], cursors: &[String]) -> (String, String) {
    let random = next_number();
    let number = random % shape.rows;
    let account = usize::try_from(number % shape.accounts).unwrap();
    if matches!(work, Work::Search | Work::SearchEnd) {
        return (search(&tokens[0], cursors.first().map(String::as_str)), "\"data\":[{".to_owned());
    }
    let path = format!("/contacts/{}", data::contact(number));
    let (line, body, expected) = match work {
        Work::Patch => (
            format!("PATCH {path}?properties=job_title"),
            format!(r#"{{"fields":{{"job_title":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Work::PatchCustom => (
            format!("PATCH {path}?properties=field_0"),
            format!(r#"{{"fields":{{"field_0":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Work::PatchKey => (
            format!("PATCH {path}"),
            format!(r#"{{"fields":{{"external_id":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Work::Healthz => ("GET /healthz".to_owned(), String::new(), "ok".to_owned()),
        Work::Get => (format!("GET {path}"), String::new(), data::contact(number).to_string()),
        Work::Post => (
            "POST /contacts".to_owned(),
            format!(r#"{{"fields":{{"first_name":"N","email":"n{random}@example.com"}}}}"#),
            format!("n{random}@"),
        ),
        Work::Upsert => (
            format!("PUT /contacts/x-{number}?id_property=external_id&properties=job_title"),
            format!(r#"{{"fields":{{"job_title":"T{random}"}}}}"#),
            format!("\"T{random}\""),
        ),
        Work::UpsertBatch => {
            // Contacts of the same account, one after another.
            let input = |step: u64| {
                let number = (number + step * shape.accounts) % shape.rows;
                format!(r#"{{"id":"x-{number}","fields":{{"job_title":"T{random}"}}}}"#)
            };
            let inputs = (0..BATCH).map(input).collect::<Vec<_>>().join(",");
            let body = format!(r#"{{"id_property":"external_id","inputs":[{inputs}]}}"#);
            ("POST /contacts/batch/upsert".to_owned(), body, format!("\"succeeded\":{BATCH}"))
        }
        Work::Search | Work::SearchEnd => unreachable!("made above"),
        Work::List => {
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

/// A kept-alive connection.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 1024 * 1024] }
    }

    /// Sends a request and reads its answer, which must be a success and hold what is expected.
    async fn exchange(&mut self, request: &str, expected: &str) -> &str {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(read > 0, "the connection was closed");
            filled += read;
            if let Some(length) = whole(&self.buffer[..filled]) {
                assert_eq!(length, filled, "more than one answer");
                break;
            }
        }
        let answer = std::str::from_utf8(&self.buffer[..filled]).unwrap();
        assert!(answer.starts_with("HTTP/1.1 20") && answer.contains(expected), "{request}\n{answer}");
        answer
    }
}

/// The length of an answer that is there to its end.
fn whole(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).unwrap();
    let length = text.split("content-length: ").nth(1)?.split('\r').next()?.parse::<usize>().ok()?;
    (answer.len() >= head + length).then_some(head + length)
}
