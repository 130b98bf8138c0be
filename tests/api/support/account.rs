//! An HTTP client that acts for one account, with the requests it sends and the responses it receives.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::{Server, Stopwatch, token_for};

/// An account on a server, with a token for it.
#[derive(Clone)]
pub struct Account {
    pub server: Server,
    pub id: Uuid,
    pub token: String,
    client: Client,
}

impl Account {
    /// Creates an empty account on the shared server.
    pub async fn new() -> Self {
        Self::on_server(Server::shared())
    }

    /// Creates an empty account on this server.
    pub fn on_server(server: &Server) -> Self {
        Self::with_id(server, Uuid::now_v7())
    }

    /// Returns the same account, with requests sent to another instance.
    pub fn on_instance(&self, server: &Server) -> Self {
        Self::with_id(server, self.id)
    }

    /// Returns the same account, with requests sent to a service in another process.
    pub fn on_address(&self, address: SocketAddr) -> Self {
        Self { server: self.server.at_address(address), ..self.clone() }
    }

    /// Returns the same account, with requests sent under another token.
    pub fn with_token(&self, token: impl Into<String>) -> Self {
        Self { token: token.into(), ..self.clone() }
    }

    /// Creates an empty account on the same server that shares this account's HTTP client.
    pub fn for_new_account(&self) -> Self {
        let id = Uuid::now_v7();
        Self { id, token: token_for(id, Some("tester")), ..self.clone() }
    }

    fn with_id(server: &Server, id: Uuid) -> Self {
        Self { server: server.clone(), id, token: token_for(id, Some("tester")), client: http_client() }
    }

    /// Builds a request with the account's token. Send it with [`ApiRequest::send`].
    pub fn call(&self, method: &str, path: &str) -> ApiRequest {
        self.anonymous(method, path).header("authorization", &format!("Bearer {}", self.token))
    }

    /// Builds a request without a token.
    pub fn anonymous(&self, method: &str, path: &str) -> ApiRequest {
        let url = format!("http://{}{path}", self.server.address);
        ApiRequest(self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url))
    }

    pub async fn get(&self, path: &str) -> ApiResponse {
        self.call("GET", path).send().await
    }

    pub async fn delete(&self, path: &str) -> ApiResponse {
        self.call("DELETE", path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> ApiResponse {
        self.call("POST", path).json(&body).send().await
    }

    /// Sends `PATCH /contacts/{id}{query}` with these fields.
    pub async fn patch(&self, id_and_query: &str, fields: Value) -> ApiResponse {
        self.call("PATCH", &format!("/contacts/{id_and_query}")).json(&json!({"fields": fields})).send().await
    }

    /// Sends `PUT /contacts/{value}{query}` with these fields.
    pub async fn put(&self, value_and_query: &str, fields: Value) -> ApiResponse {
        self.call("PUT", &format!("/contacts/{value_and_query}")).json(&json!({"fields": fields})).send().await
    }

    /// Sends `POST /contacts/batch/{action}{query}`.
    pub async fn batch(&self, action_and_query: &str, body: Value) -> ApiResponse {
        self.post(&format!("/contacts/batch/{action_and_query}"), body).await
    }

    /// Waits until `/readyz` has this status. The service checks its database every 500 ms.
    pub async fn wait_for_readiness(&self, status: u16) -> ApiResponse {
        let started = Stopwatch::start();
        loop {
            let response = self.anonymous("GET", "/readyz").send().await;
            if response.status == status {
                return response;
            }
            assert!(started.elapsed() < Duration::from_secs(30), "/readyz is still {}", response.status);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates a contact and returns its id.
    pub async fn create(&self, fields: Value) -> String {
        self.post("/contacts", json!({"fields": fields})).await.expect(201).id()
    }

    /// Defines a custom field.
    pub async fn define(&self, definition: Value) {
        self.post("/fields", definition).await.expect(201);
    }

    /// Gives the custom fields the ids from 100 on, in the order of their names, so that a test can compare or name stored values.
    /// No contact may have values of them yet.
    pub async fn number_fields(&self) {
        let number = "UPDATE fields f SET id = 99 + n.number FROM (SELECT id, row_number() OVER (ORDER BY internal_name) AS number \
                      FROM fields WHERE account_id = $1) n WHERE f.account_id = $1 AND f.id = n.id";
        let change = "UPDATE accounts SET registry_version = registry_version + 1 WHERE account_id = $1";
        let mut database = self.database().await;
        for statement in [number, change] {
            sqlx::query(statement).bind(self.id).execute(&mut database).await.unwrap();
        }
        self.server.app.repository().reload_registry(self.id).await.unwrap();
    }

    /// Returns every row that the database stores for the account, so that a test can prove that nothing was written.
    pub async fn stored_rows(&self) -> Vec<String> {
        let rows = "SELECT r::text FROM accounts r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM contacts r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM contact_keys r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM changes r WHERE account_id = $1 \
                    UNION ALL SELECT r::text FROM idempotency_keys r WHERE account_id = $1 ORDER BY 1";
        sqlx::query_scalar(rows).bind(self.id).fetch_all(&mut self.database().await).await.unwrap()
    }

    /// Opens a connection to the server's database, to check or prepare state that the API does not expose.
    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.server.database_url).await.unwrap()
    }

    /// Checks that the counts of lists on this instance are the real numbers of contacts.
    pub async fn expect_real_counts(&self) {
        let count = "SELECT count(*) FILTER (WHERE archived_at IS NULL), count(*) FROM contacts WHERE account_id = $1";
        let count = sqlx::query_as(count).bind(self.id);
        let (active, all): (i64, i64) = count.fetch_one(&mut self.database().await).await.unwrap();
        for (query, expected) in [("", active), ("&archived=true", all)] {
            let list = self.get(&format!("/contacts?limit=1{query}")).await.expect(200);
            assert_eq!(list.body["pagination"]["count"], expected, "{query}");
        }
    }

    /// Locks the row of a contact until the returned connection ends its transaction.
    pub async fn lock_contact(&self, id: impl Display) -> PgConnection {
        self.lock_rows(&format!("contacts WHERE id = '{id}' AND")).await
    }

    /// Locks the rows of all contacts of the account, as [`Account::lock_contact`] does.
    pub async fn lock_contacts(&self) -> PgConnection {
        self.lock_rows("contacts WHERE").await
    }

    /// Locks the row of the account, as [`Account::lock_contact`] does.
    pub async fn lock(&self) -> PgConnection {
        self.lock_rows("accounts WHERE").await
    }

    async fn lock_rows(&self, rows: &str) -> PgConnection {
        let mut database = self.database().await;
        let lock = format!("BEGIN; SELECT 1 FROM {rows} account_id = '{}' FOR UPDATE", self.id);
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut database).await.unwrap();
        database
    }
}

/// Creates an HTTP client without root certificates. Loading the system certificates takes longer than many tests.
fn http_client() -> Client {
    Client::builder().tls_certs_only([]).build().unwrap()
}

/// A request that has not been sent yet.
pub struct ApiRequest(RequestBuilder);

impl ApiRequest {
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

    /// Sets a body without a `Content-Type`.
    pub fn body_without_content_type(self, body: impl Into<reqwest::Body>) -> Self {
        Self(self.0.body(body))
    }

    /// Sends the request. A connection error becomes a response with the status [`NO_RESPONSE`].
    pub async fn send(self) -> ApiResponse {
        self.try_send().await.unwrap_or_else(|error| ApiResponse {
            status: NO_RESPONSE,
            headers: HeaderMap::new(),
            body: Value::Null,
            text: format!("no response: {error}"),
        })
    }

    async fn try_send(self) -> reqwest::Result<ApiResponse> {
        let response = self.0.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(ApiResponse { status, headers, body, text })
    }
}

/// Returns whether the OpenAPI document lists this code, in the schema at this path below its schemas.
fn is_documented(code: &Value, schema_path: &str) -> bool {
    static DOCUMENT: LazyLock<Value> =
        LazyLock::new(|| serde_json::to_value(contacts::http::openapi_document()).unwrap());
    let codes = DOCUMENT.pointer(&format!("/components/schemas/{schema_path}/enum"));
    codes.and_then(Value::as_array).is_some_and(|codes| codes.contains(code))
}

/// The status of a response that did not arrive, or only in part.
pub const NO_RESPONSE: u16 = 0;

/// A response, read to its end.
#[derive(Debug)]
pub struct ApiResponse {
    /// The HTTP status, or [`NO_RESPONSE`].
    pub status: u16,
    pub headers: HeaderMap,
    /// The body as JSON, or null when it is not JSON.
    pub body: Value,
    pub text: String,
}

impl ApiResponse {
    /// Checks the status and returns the response.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Checks that the response is this error, in the common error format, and returns it
    /// (`docs/api-reference.md#errors`).
    #[track_caller]
    pub fn expect_error(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status, &self.body["code"]), (status, &json!(code)), "{}", self.text);
        assert_eq!(self.body["error"], true);
        assert!(is_documented(&self.body["code"], "ErrorCode"), "{} is not documented", self.body["code"]);
        for detail in self.body["details"].as_array().into_iter().flatten() {
            assert!(
                is_documented(&detail["code"], "ErrorDetail/properties/code"),
                "{} is not documented",
                detail["code"]
            );
        }
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        assert_eq!(self.header("content-type"), "application/json");
        assert!(self.body["message"].as_str().is_some_and(|message| !message.is_empty()));
        self
    }

    /// Returns the `field` and `code` of each error detail.
    pub fn details(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.body["details"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|detail| (text(&detail["field"]), text(&detail["code"])))
            .collect()
    }

    /// Checks that the error details are exactly these, in this order, and returns the response.
    #[track_caller]
    pub fn expect_details(self, expected: &[(&str, &str)]) -> Self {
        let details = self.details();
        let details: Vec<_> = details.iter().map(|(field, code)| (field.as_str(), code.as_str())).collect();
        assert_eq!(details, expected, "{}", self.text);
        self
    }

    /// Returns the value of a header, or an empty string without one.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn etag(&self) -> String {
        self.header("etag").to_owned()
    }

    /// Returns the part of the entity tag that identifies the state of the contact, whatever properties are selected.
    pub fn version_part(&self) -> String {
        self.etag().split_once('.').unwrap().0.to_owned()
    }

    /// Returns the id of the contact in the body.
    pub fn id(&self) -> String {
        self.body["id"].as_str().unwrap().to_owned()
    }
}
