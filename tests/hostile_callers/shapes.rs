//! The kinds of hostile requests.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::connection::RawRequest;
use crate::fixture::{Caller, all_properties, option_values, text_values};

/// The maximum number of inputs of a batch.
const MAX_INPUTS: usize = 1_000;
/// The number of contacts of the maximum size that a body of 16 MiB contains.
const LARGE_INPUTS: usize = 60;
/// The number of values of a body.
const MAX_VALUES: usize = 1_000_000;
/// The number of issues that the response to an input lists.
const MAX_ISSUES: usize = 100;

/// A kind of request that takes as much memory as possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    BatchRead,
    BatchReadAtomic,
    List,
    ListCompressed,
    Search,
    Get,
    SlowReader,
    SlowSender,
    MillionValues,
    InvalidInputs,
    BatchUpdate,
    BatchUpdateOptions,
    BatchUpdateSmall,
    Upsert,
    Archive,
    Patch,
    PatchOptions,
    ChangeFeed,
    Token,
}

impl Shape {
    /// Returns the number of connections of each caller.
    pub fn connections(self) -> usize {
        match self {
            Self::Get => 128,
            Self::SlowReader | Self::SlowSender | Self::Patch | Self::PatchOptions => 32,
            Self::Token => 8,
            _ => 4,
        }
    }

    /// Returns the statuses that a response may have.
    pub fn allowed_statuses(self) -> &'static [u16] {
        match self {
            Self::Token => &[400, 401, 408, 413, 429, 503],
            _ => &[200, 201, 207, 400, 408, 409, 413, 429, 503],
        }
    }

    /// Returns whether the service may close the connection of a request: the client does not read.
    pub fn may_be_disconnected(self) -> bool {
        matches!(self, Self::SlowReader)
    }

    /// Builds the requests of a caller. Each connection sends them in turn.
    pub fn requests(self, caller: &Caller) -> Vec<RawRequest> {
        let request =
            |method_and_path: &str, body: String| RawRequest::new(method_and_path, &caller.account.token, body);
        let get = |path: &str| request(&format!("GET {path}"), String::new());
        let batch = |action: &str, body: String| request(&format!("POST /contacts/batch/{action}"), body);
        let properties = all_properties();
        let query = properties.join(",");
        match self {
            Self::BatchRead | Self::BatchReadAtomic => {
                let is_atomic = self == Self::BatchReadAtomic;
                let members = json!({"properties": properties, "atomic": is_atomic});
                let inputs = caller.inputs(MAX_INPUTS, None);
                vec![batch("read", batch_body(inputs, &members))]
            }
            Self::List | Self::SlowReader => vec![get(&format!("/contacts?limit=100&properties={query}"))],
            Self::ListCompressed => {
                let list = get(&format!("/contacts?limit=100&properties={query}"));
                ["gzip", "zstd", "br"]
                    .map(|coding| list.clone().with_header(&format!("accept-encoding: {coding}")))
                    .into()
            }
            Self::Search => {
                let body = json!({"limit": 100, "properties": properties, "sorts": ["-text_0"],
                                  "filters": [{"property": "first_name", "operator": "contains", "value": "d"}]});
                vec![request("POST /contacts/search", body.to_string())]
            }
            Self::Get => caller.ids.iter().map(|id| get(&format!("/contacts/{id}?properties={query}"))).collect(),
            Self::SlowSender => vec![request("POST /contacts/batch/create", " ".repeat(16 * 1024 * 1024))],
            Self::MillionValues => {
                let values = "1,".repeat(MAX_VALUES - 10);
                let in_id = format!(r#"{{"inputs": [{{"id": [{values}1]}}]}}"#);
                let objects =
                    format!(r#"{{"inputs": [{{"id": [{}1]}}]}}"#, r#"{"a":1},"#.repeat((MAX_VALUES - 10) / 2));
                vec![request("POST /contacts/batch/read", in_id), request("POST /contacts/batch/read", objects)]
            }
            Self::InvalidInputs => {
                let unknown = (0..MAX_ISSUES).map(|number| (format!("unknown_{number}"), json!(1)));
                let input = json!({"fields": Map::from_iter(unknown)}).to_string();
                vec![batch("create", batch_body(std::iter::repeat_n(input, MAX_INPUTS), &json!({})))]
            }
            Self::BatchUpdate => {
                let body = |character: &str| {
                    let inputs = caller.inputs(LARGE_INPUTS, Some(text_values(character)));
                    batch("update", batch_body(inputs, &json!({"properties": properties})))
                };
                vec![body("a"), body("😀"), body("b")]
            }
            Self::BatchUpdateOptions => {
                let mut cleared = text_values("x");
                cleared.values_mut().for_each(|value| *value = Value::Null);
                cleared.extend(option_values());
                let changed = Map::from_iter([("options_0".to_owned(), json!(["a"]))]);
                let body = |fields: Map<String, Value>| {
                    let inputs = caller.inputs(LARGE_INPUTS, Some(fields));
                    batch("update", batch_body(inputs, &json!({"properties": properties})))
                };
                vec![body(cleared), body(changed)]
            }
            Self::BatchUpdateSmall => {
                let body = |text: &str| {
                    let fields = Map::from_iter([("text_0".to_owned(), json!(text))]);
                    let inputs = caller.inputs(MAX_INPUTS, Some(fields));
                    batch("update", batch_body(inputs, &json!({"properties": properties})))
                };
                vec![body("a"), body("b")]
            }
            Self::Upsert => {
                let body = |character: &str| {
                    let mut fields = text_values(character);
                    fields.insert("first_name".to_owned(), json!("Ada"));
                    let fields = Value::Object(fields).to_string();
                    let inputs = (0..LARGE_INPUTS).map(|number| format!(r#"{{"id":"x{number}","fields":{fields}}}"#));
                    batch(
                        "upsert",
                        batch_body(inputs, &json!({"id_property": "external_id", "properties": properties})),
                    )
                };
                vec![body("a"), body("b")]
            }
            Self::Archive => {
                let body = batch_body(caller.inputs(MAX_INPUTS, None), &json!({"properties": properties}));
                vec![batch("archive?dry_run=true", body.clone()), batch("archive", body)]
            }
            Self::Patch => caller.patches(&["a", "b"].map(text_values)),
            Self::PatchOptions => {
                let mut changed = option_values();
                changed.insert("options_0".to_owned(), json!(["a"]));
                caller.patches(&[option_values(), changed])
            }
            Self::ChangeFeed => vec![get("/contacts/changes?limit=1000")],
            Self::Token => {
                let secret = "s".repeat(8_000);
                let body = format!("grant_type=client_credentials&client_id=x&client_secret={secret}");
                let request = RawRequest::new("POST /oauth2/token", "", body);
                let head = request.head.replace("application/json", "application/x-www-form-urlencoded");
                vec![RawRequest { head: head.replace("authorization: Bearer \r\n", ""), ..request }]
            }
        }
    }
}

impl Caller {
    /// Returns this many inputs, as JSON: the ids of the contacts, each several times, with the same fields.
    fn inputs(&self, count: usize, fields: Option<Map<String, Value>>) -> impl Iterator<Item = String> {
        let fields = fields.map(|fields| format!(r#","fields":{}"#, Value::Object(fields))).unwrap_or_default();
        self.ids.iter().cycle().take(count).map(move |id| format!(r#"{{"id":"{id}"{fields}}}"#))
    }

    /// Returns requests that set these fields of each contact, and return all properties.
    fn patches(&self, states: &[Map<String, Value>]) -> Vec<RawRequest> {
        let query = all_properties().join(",");
        let bodies: Vec<Arc<str>> = states.iter().map(|fields| json!({"fields": fields}).to_string().into()).collect();
        let patch = |id: &String, body: &Arc<str>| {
            RawRequest::new(&format!("PATCH /contacts/{id}?properties={query}"), &self.account.token, Arc::clone(body))
        };
        bodies.iter().flat_map(|body| self.ids.iter().map(|id| patch(id, body))).collect()
    }
}

/// Returns the body of a batch with these inputs and other members.
///
/// The inputs are text, because a debug build needs seconds to write a body of 16 MiB from values.
fn batch_body(inputs: impl Iterator<Item = String>, members: &Value) -> String {
    let members = members.to_string();
    let separator = if members == "{}" { "" } else { "," };
    format!(r#"{{"inputs":[{}]{separator}{}"#, inputs.collect::<Vec<_>>().join(","), &members[1..])
}
