//! The kinds of requests, and their text.

use std::net::SocketAddr;
use std::time::Duration;

use contacts::auth::Signer;
use contacts::config::{Secret, TokenSettings};

use super::connection::HttpConnection;
use super::random::next_number;
use super::search_requests::SearchKind;
use crate::data::{DataSet, SECRET};

/// A kind of request to the service.
#[derive(Clone, Copy, PartialEq)]
pub enum Workload {
    /// Reads `/healthz`. Shows the cost of a request that uses neither authentication nor the database.
    Healthz,
    /// Updates a system field of a random contact.
    Patch,
    /// The same, with an `Idempotency-Key`.
    PatchWithKey,
    /// Updates a custom field of a random contact.
    PatchCustom,
    /// Updates a unique field of a random contact.
    PatchUnique,
    /// Reads a random contact.
    Get,
    /// Lists a hundred contacts after a cursor.
    List,
    /// Searches for the first hundred results.
    Search,
    /// Searches for the last hundred results.
    SearchEnd,
    /// Reads a hundred entries of the change feed after a cursor.
    Feed,
    /// Creates a contact with an email.
    Post,
    /// The same, with an `Idempotency-Key`.
    PostWithKey,
    /// Creates a contact with an email and an external id.
    PostTwoUnique,
    /// Upserts an existing contact by its external id.
    UpsertExisting,
    /// Upserts a new contact by its external id.
    UpsertNew,
    /// Updates one contact in a batch.
    SmallBatch,
    /// The same, with an `Idempotency-Key`.
    SmallBatchWithKey,
    /// Upserts a thousand contacts in one call.
    UpsertBatch,
    /// Searches an account with many contacts.
    Find(SearchKind),
    /// Reads the first hundred contacts and their number.
    ListWithCount,
    /// Updates `last_name`, which the search index contains.
    PatchLastName,
    /// Updates `job_title`, which it does not contain.
    PatchJobTitle,
}

/// The number of contacts in a large batch.
const BATCH_SIZE: u64 = 1_000;

impl Workload {
    /// Returns the number of contacts in a request.
    pub fn contact_count(self) -> u64 {
        if self == Self::UpsertBatch { BATCH_SIZE } else { 1 }
    }
}

/// A request without its token, and a text that the response must contain.
struct RequestParts {
    line: String,
    has_key: bool,
    body: String,
    expected: String,
}

impl RequestParts {
    fn get(line: String, expected: &str) -> Self {
        Self { line, has_key: false, body: String::new(), expected: expected.to_owned() }
    }

    fn write(line: String, body: String, expected: String) -> Self {
        Self { line, has_key: false, body, expected }
    }

    /// A write of one field of a contact.
    fn patch(line: String, field: &str, value: &str) -> Self {
        Self::write(line, format!(r#"{{"fields":{{"{field}":"{value}"}}}}"#), format!("\"{value}\""))
    }

    fn into_text(self, token: &str) -> (String, String) {
        let Self { line, has_key, body, expected } = self;
        let key = if has_key { format!("idempotency-key: k-{}\r\n", next_number()) } else { String::new() };
        let head = format!("{line} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{key}");
        let request = if body.is_empty() {
            format!("{head}\r\n")
        } else {
            format!("{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        };
        (request, expected)
    }
}

/// Builds the requests of a workload on a data set.
pub struct RequestBuilder {
    workload: Workload,
    set: DataSet,
    /// A token for each account.
    tokens: Vec<String>,
    /// A cursor for each account, if the workload uses cursors.
    cursors: Vec<String>,
}

impl RequestBuilder {
    /// Creates a builder. Reads the cursors from the service if the workload needs them.
    ///
    /// # Errors
    /// Returns a description if the service does not support the requests.
    pub async fn new(address: SocketAddr, workload: Workload, set: DataSet) -> Result<Self, String> {
        let mut builder = Self { workload, set, tokens: account_tokens(set), cursors: vec![] };
        builder.cursors = match workload {
            Workload::List => builder.fetch_cursors(address, "/contacts?limit=100").await?,
            Workload::Feed => builder.fetch_cursors(address, "/contacts/changes?limit=1").await?,
            Workload::SearchEnd => vec![builder.fetch_last_search_cursor(address).await?],
            _ => vec![],
        };
        Ok(builder)
    }

    /// Returns the `next` of each account's response.
    async fn fetch_cursors(&self, address: SocketAddr, path: &str) -> Result<Vec<String>, String> {
        let mut cursors = vec![];
        let mut connection = HttpConnection::open(address).await;
        for token in &self.tokens {
            let (request, _) = RequestParts::get(format!("GET {path}"), "").into_text(token);
            let response = connection.exchange(&request, NEXT).await?;
            cursors.push(next_cursor(response).ok_or("the list has no next page")?);
        }
        Ok(cursors)
    }

    /// Reads all pages of the search and returns the cursor of the last page.
    async fn fetch_last_search_cursor(&self, address: SocketAddr) -> Result<String, String> {
        let mut connection = HttpConnection::open(address).await;
        let mut cursor: Option<String> = None;
        loop {
            let (request, expected) = search(cursor.as_deref()).into_text(&self.tokens[0]);
            let response = connection.exchange(&request, &expected).await?;
            match next_cursor(response) {
                Some(next) => cursor = Some(next),
                None => return cursor.ok_or("the search has one page only".to_owned()),
            }
        }
    }

    /// Returns a request, and a text that its response must contain.
    pub fn build(&self) -> (String, String) {
        let random = next_number();
        let contact = random % self.set.rows;
        // Searches all read the same account, because the cursor of the last page is that of one account.
        let is_search = matches!(self.workload, Workload::Search | Workload::SearchEnd);
        let account = if is_search { 0 } else { self.set.account_of_contact(contact) };
        let account = usize::try_from(account).unwrap();
        self.parts(random, contact, account).into_text(&self.tokens[account])
    }

    /// Whether a request that is answered with 503 is sent again. Its latency includes that.
    pub fn repeats_unavailable(&self) -> bool {
        matches!(self.workload, Workload::Find(_))
    }

    fn parts(&self, random: u64, contact: u64, account: usize) -> RequestParts {
        let id = self.set.contact(contact);
        let value = format!("T{random}");
        match self.workload {
            Workload::Healthz => RequestParts::get("GET /healthz".to_owned(), "ok"),
            Workload::Patch => RequestParts::patch(format!("PATCH /contacts/{id}"), "first_name", &value),
            Workload::PatchWithKey => RequestParts {
                has_key: true,
                ..RequestParts::patch(format!("PATCH /contacts/{id}"), "first_name", &value)
            },
            Workload::PatchCustom => {
                RequestParts::patch(format!("PATCH /contacts/{id}?properties=field_0"), "field_0", &value)
            }
            Workload::PatchUnique => RequestParts::patch(format!("PATCH /contacts/{id}"), "external_id", &value),
            Workload::Get => RequestParts::get(format!("GET /contacts/{id}"), &id.to_string()),
            Workload::List => {
                RequestParts::get(format!("GET /contacts?limit=100&after={}", self.cursors[account]), NEXT)
            }
            Workload::Feed => {
                RequestParts::get(format!("GET /contacts/changes?limit=100&after={}", self.cursors[account]), "\"old\"")
            }
            Workload::Search | Workload::SearchEnd => search(self.cursors.first().map(String::as_str)),
            Workload::Post => post(random, false),
            Workload::PostWithKey => RequestParts { has_key: true, ..post(random, false) },
            Workload::PostTwoUnique => post(random, true),
            Workload::UpsertExisting => upsert(&format!("x-{contact}"), &value),
            Workload::UpsertNew => upsert(&format!("new-{random}"), &value),
            Workload::SmallBatch => small_batch(&id.to_string(), &value),
            Workload::SmallBatchWithKey => RequestParts { has_key: true, ..small_batch(&id.to_string(), &value) },
            Workload::UpsertBatch => self.upsert_batch(contact, &value),
            Workload::Find(kind) => RequestParts::write(
                "POST /contacts/search".to_owned(),
                kind.body(random, self.set.rows),
                "\"data\":[".to_owned(),
            ),
            Workload::ListWithCount => RequestParts::get("GET /contacts?limit=100".to_owned(), "\"count\":"),
            Workload::PatchLastName => RequestParts::patch(format!("PATCH /contacts/{id}"), "last_name", &value),
            Workload::PatchJobTitle => {
                RequestParts::patch(format!("PATCH /contacts/{id}?properties=job_title"), "job_title", &value)
            }
        }
    }

    /// An upsert of consecutive contacts of one account.
    fn upsert_batch(&self, first: u64, value: &str) -> RequestParts {
        let input = |step: u64| {
            let number = (first + step * self.set.accounts) % self.set.rows;
            format!(r#"{{"id":"x-{number}","fields":{{"job_title":"{value}"}}}}"#)
        };
        let inputs = (0..BATCH_SIZE).map(input).collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"id_property":"external_id","inputs":[{inputs}]}}"#);
        let expected = format!("\"succeeded\":{BATCH_SIZE}");
        RequestParts::write("POST /contacts/batch/upsert".to_owned(), body, expected)
    }
}

/// Returns a token for each account of a data set.
pub fn account_tokens(set: DataSet) -> Vec<String> {
    let secret = Secret::new(SECRET);
    let signer = Signer::new(&secret, &TokenSettings::with_secret(secret.clone()));
    let lifetime = Duration::from_secs(3_600);
    (0..set.accounts).map(|number| signer.sign(set.account(number), Some("bench"), lifetime).unwrap()).collect()
}

const NEXT: &str = "\"next\":\"";

/// Returns the `next` of a response. `None` if it is null.
pub fn next_cursor(response: &str) -> Option<String> {
    Some(response.split(NEXT).nth(1)?.split('"').next()?.to_owned())
}

/// A search that finds every contact of an account.
fn search(after: Option<&str>) -> RequestParts {
    let after = after.map(|cursor| format!(r#","after":"{cursor}""#)).unwrap_or_default();
    let body = format!(r#"{{"filters":[{{"property":"first_name","operator":"has_value"}}],"limit":100{after}}}"#);
    RequestParts::write("POST /contacts/search".to_owned(), body, "\"data\":[{".to_owned())
}

/// A creation with an email, and with an external id if `has_external_id`.
fn post(random: u64, has_external_id: bool) -> RequestParts {
    let external_id = if has_external_id { format!(r#","external_id":"n-{random}""#) } else { String::new() };
    let body = format!(r#"{{"fields":{{"first_name":"N","email":"n{random}@example.com"{external_id}}}}}"#);
    RequestParts::write("POST /contacts".to_owned(), body, format!("n{random}@"))
}

fn upsert(external_id: &str, value: &str) -> RequestParts {
    RequestParts::patch(format!("PUT /contacts/{external_id}?id_property=external_id"), "first_name", value)
}

/// A batch that updates one contact.
fn small_batch(id: &str, value: &str) -> RequestParts {
    let body = format!(r#"{{"inputs":[{{"id":"{id}","fields":{{"first_name":"{value}"}}}}]}}"#);
    RequestParts::write("POST /contacts/batch/update".to_owned(), body, "\"succeeded\":1".to_owned())
}
