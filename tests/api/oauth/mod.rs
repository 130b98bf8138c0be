//! `POST /oauth2/token` (`docs/api-reference.md#client-credentials`).

mod limits;
mod revocation;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contacts::clients::{ClientId, SecretHash, generate_secret};
use contacts::config::{Secret, TokenSettings};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Account, ApiResponse, token_settings};

const FORM_CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
const GRANT_PARAMETER: &str = "grant_type=client_credentials";

/// An API client of an account, with the id and secret that `contacts client create` prints.
struct ApiClient {
    id: ClientId,
    secret: Secret,
}

impl ApiClient {
    async fn create(account: &Account, scopes: Option<&str>) -> Self {
        let (name, secret) = ("Billing sync".parse().unwrap(), generate_secret().unwrap());
        let scopes = scopes.map(|scopes| scopes.parse().unwrap());
        let repository = account.server.repository();
        let id = repository.create_client(account.id, &name, scopes, &SecretHash::from_secret(&secret)).await.unwrap();
        Self { id, secret }
    }

    /// Returns the form of a token request.
    fn token_form(&self) -> String {
        format!("{GRANT_PARAMETER}&client_id={}&client_secret={}", self.id, self.secret.expose())
    }

    /// Returns the `Authorization` header of a token request with HTTP Basic.
    fn basic_authorization(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret.expose())))
    }

    /// Requests a token for this client. Returns the account with that token.
    async fn authenticate(&self, account: &Account) -> Account {
        let response = request_token(account, self.token_form()).await.expect(200);
        account.with_token(response.body["access_token"].as_str().unwrap())
    }
}

async fn request_token(account: &Account, form: impl Into<String>) -> ApiResponse {
    account.anonymous("POST", "/oauth2/token").body(FORM_CONTENT_TYPE, form.into()).send().await
}

/// Checks that the response is this error, in the format of RFC 6749 §5.2.
#[track_caller]
fn expect_oauth_error(response: ApiResponse, status: u16, error: &str) -> ApiResponse {
    let response = response.expect(status);
    assert_eq!(response.body["error"], error, "{}", response.text);
    let members: Vec<_> = response.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["error", "error_description"]);
    let description = response.body["error_description"].as_str().unwrap();
    assert!(description.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte)), "{description}");
    assert_eq!((response.header("content-type"), response.header("cache-control")), ("application/json", "no-store"));
    assert_eq!(response.header("pragma"), "no-cache");
    assert_eq!(response.header("x-request-id").len(), 36);
    response
}

/// Decodes the claims of the issued token, without verifying its signature.
fn token_claims(response: &ApiResponse) -> Value {
    let token = response.body["access_token"].as_str().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn issued_token_acts_as_the_client() {
    let account = Account::new().await;
    let client = ApiClient::create(&account, None).await;
    let with_form = request_token(&account, client.token_form()).await.expect(200);
    let call = account.anonymous("POST", "/oauth2/token").header("authorization", &client.basic_authorization());
    let with_basic =
        call.body("application/x-www-form-urlencoded; charset=utf-8", GRANT_PARAMETER).send().await.expect(200);
    for response in [with_form, with_basic] {
        assert_eq!((response.header("cache-control"), response.header("pragma")), ("no-store", "no-cache"));
        assert_eq!(response.header("content-type"), "application/json");
        let token = response.body["access_token"].as_str().unwrap();
        assert_eq!(response.body, json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}));
        let claims = token_claims(&response);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3_600);
        assert!(claims.get("scope").is_none());
        let caller = account.with_token(token);
        let id = caller.create(json!({"first_name": "A"})).await;
        let archived = caller.delete(&format!("/contacts/{id}")).await.expect(200);
        assert_eq!(archived.body["archived_by"], client.id.to_string());
        account.get(&format!("/contacts/{id}")).await.expect(200);
    }
}

#[tokio::test]
async fn token_scope_never_exceeds_the_scopes_of_the_client() {
    let account = Account::new().await;
    let limited = ApiClient::create(&account, Some("fields:write contacts:read")).await;
    let unrestricted = ApiClient::create(&account, None).await;
    for (client, requested, granted) in [
        (&limited, "", "contacts:read fields:write"),
        (&limited, "&scope=fields:write", "fields:write"),
        (&limited, "&scope=fields%3Awrite+contacts:read+fields:write", "contacts:read fields:write"),
        (&unrestricted, "&scope=contacts:read", "contacts:read"),
    ] {
        let response = request_token(&account, client.token_form() + requested).await.expect(200);
        assert_eq!((&response.body["scope"], &token_claims(&response)["scope"]), (&json!(granted), &json!(granted)));
        let caller = account.with_token(response.body["access_token"].as_str().unwrap());
        let status = if granted.contains("contacts:read") { 200 } else { 403 };
        caller.get("/contacts").await.expect(status);
        caller.post("/contacts", json!({"fields": {"first_name": "A"}})).await.expect_error(403, "insufficient_scope");
    }
    for requested in ["contacts:read contacts:write", "contacts:purge", "everything", "CONTACTS:READ"] {
        expect_oauth_error(
            request_token(&account, format!("{}&scope={requested}", limited.token_form())).await,
            400,
            "invalid_scope",
        );
    }
    expect_oauth_error(
        request_token(&account, unrestricted.token_form() + "&scope=contacts:all").await,
        400,
        "invalid_scope",
    );
}

#[tokio::test]
async fn every_kind_of_invalid_client_gets_the_same_401() {
    let account = Account::new().await;
    let (client, other) = (ApiClient::create(&account, None).await, ApiClient::create(&account, None).await);
    let revoked = ApiClient::create(&account, None).await;
    account.server.repository().revoke_client(revoked.id).await.unwrap();
    let unknown = ClientId::new(account.id).to_string();
    let remote = ClientId { account: uuid::Uuid::now_v7(), ..client.id }.to_string();
    let (id, secret) = (client.id.to_string(), client.secret.expose());
    let mut bodies = vec![];
    for (id, secret) in [
        (&*id, other.secret.expose()),
        (&*id, "wrong"),
        (&*id, &secret[..42]),
        (&*id, &format!("{secret}A")),
        (&*id, &secret.to_ascii_uppercase()),
        (&*unknown, secret),
        (&*remote, secret),
        (&*revoked.id.to_string(), revoked.secret.expose()),
        ("nobody", secret),
        ("client_%00", secret),
    ] {
        let response = expect_oauth_error(
            request_token(&account, format!("{GRANT_PARAMETER}&client_id={id}&client_secret={secret}")).await,
            401,
            "invalid_client",
        );
        assert_eq!(response.header("www-authenticate"), "Basic realm=\"contacts\"");
        bodies.push(response.text);
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let call = account.anonymous("POST", "/oauth2/token").header("authorization", &basic);
        let response =
            expect_oauth_error(call.body(FORM_CONTENT_TYPE, GRANT_PARAMETER).send().await, 401, "invalid_client");
        assert_eq!(response.header("www-authenticate"), "Basic realm=\"contacts\"");
        bodies.push(response.text);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[rstest]
#[case::no_body("", "", 400, "invalid_request")]
#[case::no_grant_type("", "client_id=a&client_secret=b", 400, "invalid_request")]
#[case::unsupported_grant_type("", "grant_type=password&username=a&password=b", 400, "unsupported_grant_type")]
#[case::no_credentials("", GRANT_PARAMETER, 401, "invalid_client")]
#[case::no_secret("", "grant_type=client_credentials&client_id=a", 401, "invalid_client")]
#[case::repeated_parameter(
    "",
    "grant_type=client_credentials&client_id=a&client_id=a&client_secret=b",
    400,
    "invalid_request"
)]
#[case::form_and_basic(
    "Basic YTpi",
    "grant_type=client_credentials&client_id=a&client_secret=b",
    400,
    "invalid_request"
)]
#[case::bearer_scheme(
    "Bearer YTpi",
    "grant_type=client_credentials&client_id=a&client_secret=b",
    401,
    "invalid_client"
)]
#[case::invalid_base64("Basic a:b", GRANT_PARAMETER, 401, "invalid_client")]
#[case::invalid_utf8("", "grant_type=client_credentials&client_id=%ff&client_secret=b", 400, "invalid_request")]
#[tokio::test]
async fn invalid_token_request_gets_the_matching_oauth_error(
    #[case] authorization: &str,
    #[case] form: &str,
    #[case] status: u16,
    #[case] error: &str,
) {
    let account = Account::new().await;
    let mut call = account.anonymous("POST", "/oauth2/token?grant_type=client_credentials&x=1");
    if !authorization.is_empty() {
        call = call.header("authorization", authorization);
    }
    expect_oauth_error(call.body(FORM_CONTENT_TYPE, form.to_owned()).send().await, status, error);
}

#[tokio::test]
async fn token_request_with_invalid_utf8_or_dry_run_in_the_query_is_400() {
    let account = Account::new().await;
    let client = ApiClient::create(&account, None).await;
    let send_with_query = |query: &str| {
        let call = account.anonymous("POST", &format!("/oauth2/token?{query}"));
        call.body(FORM_CONTENT_TYPE, client.token_form()).send()
    };
    for query in ["x=%ff", "%ff", "dry_run=true", "dry_run=maybe"] {
        expect_oauth_error(send_with_query(query).await, 400, "invalid_request");
    }
    send_with_query("x=%C3%A4").await.expect(200);
}

#[tokio::test]
async fn token_request_must_be_a_form_of_at_most_8_kib() {
    let account = Account::new().await;
    let client = ApiClient::create(&account, None).await;
    let call = || account.anonymous("POST", "/oauth2/token");
    let json = json!({"grant_type": "client_credentials", "client_id": client.id.to_string()});
    expect_oauth_error(call().json(&json).send().await, 400, "invalid_request");
    expect_oauth_error(call().body_without_content_type(client.token_form()).send().await, 400, "invalid_request");
    let padded = |size: usize| format!("{0}&padding={1:a>2$}", client.token_form(), "", size);
    let padding = 8 * 1024 - padded(0).len();
    request_token(&account, padded(padding)).await.expect(200);
    let huge = padded(padding + 1);
    expect_oauth_error(call().json(&json!(huge)).send().await, 413, "invalid_request");
    expect_oauth_error(call().body(FORM_CONTENT_TYPE, huge).send().await, 413, "invalid_request");
}

#[tokio::test]
async fn other_methods_on_the_token_route_get_the_common_error_format() {
    let account = Account::new().await;
    for method in ["GET", "PUT", "DELETE"] {
        let response = account.call(method, "/oauth2/token").send().await.expect_error(405, "method_not_allowed");
        assert_eq!(response.header("allow"), "POST");
    }
    account.call("HEAD", "/oauth2/token").send().await.expect(405);
    account.call("OPTIONS", "/oauth2/token").send().await.expect(204);
    account.call("POST", "/oauth2/token/").send().await.expect_error(404, "route_not_found");
}

#[tokio::test]
async fn token_route_is_404_when_its_tokens_would_not_verify() {
    let account = Account::new().await;
    let key = Ed25519KeyPair::generate().unwrap();
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
    let public_key = TokenSettings { public_key: Some(pem), ..token_settings() };
    for settings in [
        TokenSettings { secret: None, ..public_key.clone() },
        TokenSettings { algorithm: Some("EdDSA".into()), ..public_key.clone() },
    ] {
        let account = account.on_instance(&account.server.with_token_settings(&settings));
        for method in ["POST", "GET", "OPTIONS"] {
            account.anonymous(method, "/oauth2/token").send().await.expect_error(404, "route_not_found");
        }
    }
    let both = account.on_instance(&account.server.with_token_settings(&public_key));
    request_token(&both, ApiClient::create(&account, None).await.token_form()).await.expect(200);
}

#[tokio::test]
async fn issued_token_has_the_required_issuer_audience_and_account_claim() {
    let account = Account::new().await;
    let client = ApiClient::create(&account, None).await;
    let settings = TokenSettings {
        issuer: Some("https://crm.example".into()),
        audience: Some("contacts".into()),
        account_claim: "tenant".into(),
        ..token_settings()
    };
    let strict = account.on_instance(&account.server.with_token_settings(&settings));
    client.authenticate(&strict).await.get("/contacts").await.expect(200);
    let response = request_token(&strict, client.token_form()).await;
    let claims = token_claims(&response);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://crm.example"), &json!("contacts")));
    client.authenticate(&account).await.on_instance(&strict.server).get("/contacts").await.expect(401);
}

#[tokio::test]
async fn issued_token_has_its_scopes_in_the_configured_claim() {
    let account = Account::new().await;
    let client = ApiClient::create(&account, Some("contacts:read")).await;
    let settings = TokenSettings { scope_claim: "scp".into(), require_scope: true, ..token_settings() };
    let other = account.on_instance(&account.server.with_token_settings(&settings));
    let response = request_token(&other, client.token_form()).await;
    let claims = token_claims(&response);
    assert_eq!((&claims["scp"], &claims["scope"]), (&json!("contacts:read"), &Value::Null));
    let caller = client.authenticate(&other).await;
    caller.get("/contacts").await.expect(200);
    caller.delete(&format!("/contacts/{}", uuid::Uuid::now_v7())).await.expect_error(403, "insufficient_scope");
    // A client without scopes gets a token without the claim, which may do nothing here.
    let unlimited = ApiClient::create(&account, None).await.authenticate(&other).await;
    unlimited.get("/contacts").await.expect_error(403, "insufficient_scope");
}

#[tokio::test]
async fn token_route_is_documented_in_the_openapi_document() {
    let account = Account::new().await;
    let document = account.anonymous("GET", "/openapi.json").send().await.expect(200).body;
    let operation = &document["paths"]["/oauth2/token"]["post"];
    assert_eq!(operation["security"], json!([{"basic": []}, {}]));
    assert!(operation["requestBody"]["content"][FORM_CONTENT_TYPE]["schema"].is_object());
    let responses = operation["responses"].as_object().unwrap();
    assert_eq!(responses.keys().collect::<Vec<_>>(), ["200", "400", "401", "408", "413", "415", "429", "500", "503"]);
    for (status, response) in responses {
        let schema = if status == "200" { "TokenAnswer" } else { "TokenRefusal" };
        let reference = format!("#/components/schemas/{schema}");
        assert_eq!(response["content"]["application/json"]["schema"]["$ref"], reference, "{status}");
        assert!(response["headers"]["X-Request-Id"].is_object(), "{status}");
        assert!(response["headers"]["RateLimit-Limit"].is_null(), "{status}");
    }
}
