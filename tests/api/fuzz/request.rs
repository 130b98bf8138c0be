//! Random requests.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::corpus::{self, Corpus};
use super::mutator::Mutator;
use super::route::Route;
use crate::support::{Account, ApiResponse, SeededRandom};

/// Values of an account that a request can use to reach existing objects.
pub(super) struct KnownValues {
    pub(super) token: String,
    /// Contact ids, values of unique fields and names of fields, for the path.
    pub(super) segments: Vec<String>,
    pub(super) cursors: Vec<String>,
    /// The `ETag` of a contact.
    pub(super) etag: String,
}

/// A request that can be sent and printed.
pub(super) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) async fn send(&self, account: &Account) -> ApiResponse {
        let call = account.anonymous(&self.method, &self.path);
        let call = self.headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        if self.body.is_empty() {
            call.send().await
        } else {
            call.body_without_content_type(self.body.clone()).send().await
        }
    }

    /// Returns whether this is a token request, whose errors have the format of RFC 6749.
    pub(super) fn is_token_request(&self) -> bool {
        self.path.starts_with("/oauth2/token")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, headers, body } = self;
        write!(formatter, "{method} {path} {headers:?} b\"{}\"", body.escape_ascii())
    }
}

/// A generator of random requests.
pub(super) struct RequestGenerator {
    random: SeededRandom,
    mutator: Mutator,
    bodies: Vec<Vec<u8>>,
    cursors: Vec<Vec<u8>>,
    definitions: Vec<Vec<u8>>,
    properties: Vec<Vec<u8>>,
    searches: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
}

impl RequestGenerator {
    pub(super) fn new(seed: u64) -> Self {
        let entries = |target: &str| Corpus::read(target).entries;
        Self {
            random: SeededRandom::new(seed),
            mutator: Mutator::new(SeededRandom::new(!seed), corpus::dictionary()),
            bodies: entries("body"),
            cursors: entries("cursors"),
            definitions: entries("definition"),
            properties: entries("properties"),
            searches: entries("search"),
            tokens: entries("token"),
        }
    }

    /// Generates a request for this route. Most often one or two of its parts are invalid.
    pub(super) fn generate(&mut self, route: &Route, known: &KnownValues) -> Request {
        let path = self.path(route, known) + &self.query(route, known);
        let (headers, body) = (self.headers(route, known), self.body(route, known));
        Request { method: route.method.clone(), path, headers, body }
    }

    fn path(&mut self, route: &Route, known: &KnownValues) -> String {
        let mut parts = route.path.split(['{', '}']);
        let (start, Some(_), end) = (parts.next().unwrap(), parts.next(), parts.next()) else {
            return route.path.clone();
        };
        let segment = self.random.choose(&known.segments).clone().into_bytes();
        let segment = if self.random.one_in(3) { self.mutator.mutate(&[segment]) } else { segment };
        format!("{start}{}{}", percent_encode(&segment, NON_ALPHANUMERIC), end.unwrap_or_default())
    }

    fn query(&mut self, route: &Route, known: &KnownValues) -> String {
        let mut pairs = vec![];
        for name in &route.query {
            if self.random.one_in(3) {
                let value = self.parameter(name, known);
                pairs.push(format!("{name}={}", percent_encode(&value, NON_ALPHANUMERIC)));
            }
        }
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    fn parameter(&mut self, name: &str, known: &KnownValues) -> Vec<u8> {
        let values: &[&str] = match name {
            "properties" => return self.mutator.mutate(&self.properties),
            "after" if self.random.one_in(2) => return self.mutator.mutate(&self.cursors),
            "after" => return self.choose_or_mutate(&known.cursors),
            // A long poll would only slow the test down: 0 does not wait, and the other values are invalid.
            "wait" => return self.random.choose(&[b"0".to_vec(), b"0x".to_vec(), b"31".to_vec(), vec![]]).clone(),
            "id_property" => &["id", "email", "external_id", "badge", "serial", "phone"],
            "dry_run" | "archived" => &["true", "false"],
            "limit" | "offset" => &["1", "100", "1000", "9223372036854775807"],
            _ => &["ada@example.com", "crm-1", "me"],
        };
        self.choose_or_mutate(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    /// Returns one of the values, in half of the cases mutated.
    fn choose_or_mutate(&mut self, values: &[String]) -> Vec<u8> {
        let value = self.random.choose(values).clone().into_bytes();
        if self.random.one_in(2) { self.mutator.mutate(&[value]) } else { value }
    }

    fn headers(&mut self, route: &Route, known: &KnownValues) -> Vec<(String, String)> {
        let token = if self.random.one_in(10) { self.mutator.mutate(&self.tokens) } else { known.token.clone().into() };
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {}", header_value(&token)))];
        for name in &route.headers {
            if self.random.one_in(4) {
                let values =
                    ["*".to_owned(), known.etag.clone(), format!("W/{}, \"x\"", known.etag), "key-1".to_owned()];
                headers.push((name.clone(), header_value(&self.choose_or_mutate(&values))));
            }
        }
        if self.random.one_in(20) {
            let codings = ["gzip", "zstd", "br", "identity"].map(str::to_owned);
            headers.push(("content-encoding".to_owned(), header_value(&self.choose_or_mutate(&codings))));
        }
        if self.random.one_in(10) {
            let types = ["application/json; charset=utf-8", "application/x+json", "text/plain"].map(str::to_owned);
            headers.push(("content-type".to_owned(), header_value(&self.choose_or_mutate(&types))));
        } else if route.path == "/oauth2/token" {
            headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        headers
    }

    fn body(&mut self, route: &Route, known: &KnownValues) -> Vec<u8> {
        match (&*route.method, &*route.path) {
            ("GET" | "DELETE", _) => vec![],
            (_, "/contacts/search") => self.mutator.mutate(&self.searches),
            (_, "/oauth2/token") => {
                let form = "grant_type=client_credentials&client_id=client_x&client_secret=%41&scope=contacts%3Aread";
                self.mutator.mutate(&[form.into()])
            }
            (_, path) if path.starts_with("/fields") => self.mutator.mutate(&self.definitions),
            (_, path) if path.starts_with("/contacts/batch") => self.batch_body(known),
            _ => self.fields_body(),
        }
    }

    /// Returns a body like `{"fields": …}`.
    fn fields_body(&mut self) -> Vec<u8> {
        let fields = self.mutator.mutate(&self.bodies);
        if self.random.one_in(8) { fields } else { [b"{\"fields\":", &*fields, b"}"].concat() }
    }

    fn batch_body(&mut self, known: &KnownValues) -> Vec<u8> {
        let (id, fields) = (self.random.choose(&known.segments).clone(), self.mutator.mutate(&self.bodies));
        let fields = if self.random.one_in(2) { b"{\"first_name\":\"Ada\"}".to_vec() } else { fields };
        let with_id = format!("{{\"inputs\":[{{\"id\":\"{id}\",\"fields\":");
        let start = self.random.choose(&["{\"inputs\":[{\"fields\":".to_owned(), with_id]).clone();
        let end = *self.random.choose(&["}]}", "}],\"atomic\":true}", "}],\"id_property\":\"email\"}", "},{}]}"]);
        let body = [start.as_bytes(), &fields, end.as_bytes()].concat();
        if self.random.one_in(4) { self.mutator.mutate(&[body]) } else { body }
    }
}

/// Converts bytes to a header value, without the characters that a header cannot hold.
fn header_value(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|character| !character.is_control()).collect()
}
