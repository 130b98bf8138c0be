//! Requests, made by chance.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::corpus::{self, Corpus};
use super::mutator::Mutator;
use super::route::Route;
use crate::support::{Account, Answer, Dice};

/// What a request can name that is there.
pub(super) struct Known {
    pub(super) token: String,
    /// Ids, values of unique fields, names of fields.
    pub(super) segments: Vec<String>,
    pub(super) cursors: Vec<String>,
    /// The entity tag of a contact.
    pub(super) tag: String,
}

/// A request.
pub(super) struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) async fn send(&self, account: &Account) -> Answer {
        let call = account.anonymous(&self.method, &self.path);
        let call = self.headers.iter().fold(call, |call, (name, value)| call.header(name, value));
        if self.body.is_empty() { call.send().await } else { call.bare(self.body.clone()).send().await }
    }

    /// Its errors have the shape of RFC 6749.
    pub(super) fn is_for_a_token(&self) -> bool {
        self.path.starts_with("/oauth2/token")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, headers, body } = self;
        write!(formatter, "{method} {path} {headers:?} b\"{}\"", body.escape_ascii())
    }
}

/// Makes requests.
pub(super) struct Maker {
    dice: Dice,
    mutator: Mutator,
    bodies: Vec<Vec<u8>>,
    cursors: Vec<Vec<u8>>,
    definitions: Vec<Vec<u8>>,
    properties: Vec<Vec<u8>>,
    searches: Vec<Vec<u8>>,
    tokens: Vec<Vec<u8>>,
}

impl Maker {
    pub(super) fn new(seed: u64) -> Self {
        let of = |target: &str| Corpus::of(target).entries;
        Self {
            dice: Dice::new(seed),
            mutator: Mutator::new(Dice::new(!seed), corpus::dictionary()),
            bodies: of("body"),
            cursors: of("cursors"),
            definitions: of("definition"),
            properties: of("properties"),
            searches: of("search"),
            tokens: of("token"),
        }
    }

    /// A request for this route, most often with a part or two of it out of order.
    pub(super) fn request(&mut self, route: &Route, known: &Known) -> Request {
        let path = self.path(route, known) + &self.query(route, known);
        let (headers, body) = (self.headers(route, known), self.body(route, known));
        Request { method: route.method.clone(), path, headers, body }
    }

    fn path(&mut self, route: &Route, known: &Known) -> String {
        let mut parts = route.path.split(['{', '}']);
        let (start, Some(_), end) = (parts.next().unwrap(), parts.next(), parts.next()) else {
            return route.path.clone();
        };
        let segment = self.dice.pick(&known.segments).clone().into_bytes();
        let segment = if self.dice.hits(3) { self.mutator.mutated(&[segment]) } else { segment };
        format!("{start}{}{}", percent_encode(&segment, NON_ALPHANUMERIC), end.unwrap_or_default())
    }

    fn query(&mut self, route: &Route, known: &Known) -> String {
        let mut pairs = vec![];
        for name in &route.query {
            if self.dice.hits(3) {
                let value = self.parameter(name, known);
                pairs.push(format!("{name}={}", percent_encode(&value, NON_ALPHANUMERIC)));
            }
        }
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    fn parameter(&mut self, name: &str, known: &Known) -> Vec<u8> {
        let values: &[&str] = match name {
            "properties" => return self.mutator.mutated(&self.properties),
            "after" if self.dice.hits(2) => return self.mutator.mutated(&self.cursors),
            "after" => return self.near(&known.cursors),
            // Whoever waits is only slow.
            "wait" => return self.dice.pick(&[b"0".to_vec(), b"0x".to_vec(), b"31".to_vec(), vec![]]).clone(),
            "id_property" => &["id", "email", "external_id", "badge", "serial", "phone"],
            "dry_run" | "archived" => &["true", "false"],
            "limit" | "offset" => &["1", "100", "1000", "9223372036854775807"],
            _ => &["ada@example.com", "crm-1", "me"],
        };
        self.near(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    /// One of these, or what is nearly one.
    fn near(&mut self, values: &[String]) -> Vec<u8> {
        let value = self.dice.pick(values).clone().into_bytes();
        if self.dice.hits(2) { self.mutator.mutated(&[value]) } else { value }
    }

    fn headers(&mut self, route: &Route, known: &Known) -> Vec<(String, String)> {
        let token = if self.dice.hits(10) { self.mutator.mutated(&self.tokens) } else { known.token.clone().into() };
        let mut headers = vec![("authorization".to_owned(), format!("Bearer {}", sendable(&token)))];
        for name in &route.headers {
            if self.dice.hits(4) {
                let values = ["*".to_owned(), known.tag.clone(), format!("W/{}, \"x\"", known.tag), "key-1".to_owned()];
                headers.push((name.clone(), sendable(&self.near(&values))));
            }
        }
        if self.dice.hits(10) {
            let types = ["application/json; charset=utf-8", "application/x+json", "text/plain"].map(str::to_owned);
            headers.push(("content-type".to_owned(), sendable(&self.near(&types))));
        } else if route.path == "/oauth2/token" {
            headers.push(("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
        }
        headers
    }

    fn body(&mut self, route: &Route, known: &Known) -> Vec<u8> {
        match (&*route.method, &*route.path) {
            ("GET" | "DELETE", _) => vec![],
            (_, "/contacts/search") => self.mutator.mutated(&self.searches),
            (_, "/oauth2/token") => {
                let form = "grant_type=client_credentials&client_id=client_x&client_secret=%41&scope=contacts%3Aread";
                self.mutator.mutated(&[form.into()])
            }
            (_, path) if path.starts_with("/fields") => self.mutator.mutated(&self.definitions),
            (_, path) if path.starts_with("/contacts/batch") => self.batch(known),
            _ => self.fields(),
        }
    }

    /// `{"fields": …}`
    fn fields(&mut self) -> Vec<u8> {
        let fields = self.mutator.mutated(&self.bodies);
        if self.dice.hits(8) { fields } else { [b"{\"fields\":", &*fields, b"}"].concat() }
    }

    fn batch(&mut self, known: &Known) -> Vec<u8> {
        let (id, fields) = (self.dice.pick(&known.segments).clone(), self.mutator.mutated(&self.bodies));
        let fields = if self.dice.hits(2) { b"{\"first_name\":\"Ada\"}".to_vec() } else { fields };
        let with_id = format!("{{\"inputs\":[{{\"id\":\"{id}\",\"fields\":");
        let start = self.dice.pick(&["{\"inputs\":[{\"fields\":".to_owned(), with_id]).clone();
        let end = *self.dice.pick(&["}]}", "}],\"atomic\":true}", "}],\"id_property\":\"email\"}", "},{}]}"]);
        let body = [start.as_bytes(), &fields, end.as_bytes()].concat();
        if self.dice.hits(4) { self.mutator.mutated(&[body]) } else { body }
    }
}

/// As much of these bytes as a header can hold.
fn sendable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|character| !character.is_control()).collect()
}
