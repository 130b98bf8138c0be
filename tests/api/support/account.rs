//! A caller with an account of its own, and what it is answered.

use std::net::SocketAddr;
use std::sync::LazyLock;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{Server, token_for};

/// A caller: an account on a server, and a token for it.
#[derive(Clone)]
pub struct Account {
    pub server: Server,
    pub id: Uuid,
    pub token: String,
    client: Client,
}

impl Account {
    /// A new, empty account on the shared server.
    pub async fn new() -> Self {
        Self::on(Server::shared())
    }

    /// A new, empty account on this server.
    pub fn on(server: &Server) -> Self {
        Self::with(server, Uuid::now_v7())
    }

    /// The same account on another instance.
    pub fn at(&self, server: &Server) -> Self {
        Self::with(server, self.id)
    }

    /// The same account on an instance that is another process.
    pub fn at_address(&self, address: SocketAddr) -> Self {
        Self { server: Server { address, ..self.server.clone() }, ..self.clone() }
    }

    /// The same account, called with another token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    fn with(server: &Server, id: Uuid) -> Self {
        Self { server: server.clone(), id, token: token_for(id, Some("tester")), client: client() }
    }

    /// A call of this account; send it with [`Call::send`].
    pub fn call(&self, method: &str, path: &str) -> Call {
        self.anonymous(method, path).header("authorization", &format!("Bearer {}", self.token))
    }

    /// A call without a token.
    pub fn anonymous(&self, method: &str, path: &str) -> Call {
        let url = format!("http://{}{path}", self.server.address);
        Call(self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path).send().await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path).json(&body).send().await
    }

    /// `PATCH /contacts/{id}{query}` with these fields.
    pub async fn patch(&self, id_and_query: &str, fields: Value) -> Answer {
        self.call("PATCH", &format!("/contacts/{id_and_query}")).json(&json!({"fields": fields})).send().await
    }

    /// `PUT /contacts/{value}{query}` with these fields.
    pub async fn put(&self, value_and_query: &str, fields: Value) -> Answer {
        self.call("PUT", &format!("/contacts/{value_and_query}")).json(&json!({"fields": fields})).send().await
    }

    /// `POST /contacts/batch/{action}{query}`
    pub async fn batch(&self, action_and_query: &str, body: Value) -> Answer {
        self.post(&format!("/contacts/batch/{action_and_query}"), body).await
    }

    /// Creates a contact; returns its id.
    pub async fn create(&self, fields: Value) -> String {
        self.post("/contacts", json!({"fields": fields})).await.expect(201).id()
    }

    /// Defines a custom field.
    pub async fn define(&self, definition: Value) {
        self.post("/fields", definition).await.expect(201);
    }

    /// Every row that the database holds of the account's contacts, to see that nothing was written.
    pub async fn stored(&self) -> Vec<String> {
        let rows = "SELECT r::text FROM accounts r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM contacts r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM contact_keys r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM changes r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM kept_answers r WHERE account_id = $1 ORDER BY 1";
        sqlx::query_scalar(rows).bind(self.id).fetch_all(&mut self.database().await).await.unwrap()
    }

    /// A connection to the server's database, to look behind the API.
    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.server.database).await.unwrap()
    }
}

/// A client that knows no certificates: reading those of the machine takes longer than many a test.
fn client() -> Client {
    Client::builder().tls_certs_only([]).build().unwrap()
}

/// A request to be sent.
pub struct Call(RequestBuilder);

impl Call {
    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    pub fn json_text(self, body: String) -> Self {
        self.body("application/json", body)
    }

    pub fn body(self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.header("content-type", content_type).body(body))
    }

    /// A body without a content type.
    pub fn bare(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    pub async fn send(self) -> Answer {
        self.try_send().await.unwrap_or_else(|error| Answer {
            status: CUT_OFF,
            headers: HeaderMap::new(),
            body: Value::Null,
            text: format!("cut off: {error}"),
        })
    }

    async fn try_send(self) -> reqwest::Result<Answer> {
        let response = self.0.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, body, text })
    }
}

/// Whether the OpenAPI document knows this code, at this place of the schema of errors.
fn is_documented(code: &Value, place: &str) -> bool {
    static DOCUMENT: LazyLock<Value> =
        LazyLock::new(|| serde_json::to_value(contacts::http::openapi::complete()).unwrap());
    let codes = DOCUMENT.pointer(&format!("/components/schemas/Error/properties/{place}/enum"));
    codes.and_then(Value::as_array).is_some_and(|codes| codes.contains(code))
}

/// The status of an answer that did not come, or not to its end.
pub const CUT_OFF: u16 = 0;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status, or [`CUT_OFF`].
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// This answer, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// This answer, if it is this error, in the one shape of errors.
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{}", self.text);
        assert_eq!(self.body["error"], true);
        assert!(is_documented(&self.body["code"], "code"), "{} is not documented", self.body["code"]);
        for detail in self.body["details"].as_array().into_iter().flatten() {
            assert!(
                is_documented(&detail["code"], "details/items/properties/code"),
                "{} is not documented",
                detail["code"]
            );
        }
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        assert_eq!(self.header("content-type"), "application/json");
        assert!(self.body["message"].as_str().is_some_and(|message| !message.is_empty()));
        self
    }

    /// The `field` and `code` of each detail.
    pub fn details(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.body["details"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|detail| (text(&detail["field"]), text(&detail["code"])))
            .collect()
    }

    /// Checks that the details are exactly these.
    #[track_caller]
    pub fn expect_details(self, expected: &[(&str, &str)]) -> Self {
        let details = self.details();
        let details: Vec<_> = details.iter().map(|(field, code)| (field.as_str(), code.as_str())).collect();
        assert_eq!(details, expected, "{}", self.text);
        self
    }

    /// The value of a header, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn etag(&self) -> String {
        self.header("etag").to_owned()
    }

    /// The contact's id.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }
}
