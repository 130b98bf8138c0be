//! `POST /oauth2/token`, and the end of tokens whose client is revoked.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contacts::clients::{ClientId, SecretHash, new_secret};
use contacts::config::{Secret, TokenSettings};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Account, Answer, Server, Stopwatch, tokens};

const FORM: &str = "application/x-www-form-urlencoded";
const GRANT: &str = "grant_type=client_credentials";

/// A client of an account: what `contacts client create` prints.
struct ApiClient {
    id: ClientId,
    secret: Secret,
}

impl ApiClient {
    async fn of(account: &Account, scopes: Option<&str>) -> Self {
        let (name, secret) = ("Billing sync".parse().unwrap(), new_secret().unwrap());
        let scopes = scopes.map(|scopes| scopes.parse().unwrap());
        let repository = account.server.repository();
        let id = repository.create_client(account.id, &name, scopes, &SecretHash::of(&secret)).await.unwrap();
        Self { id, secret }
    }

    /// The form that asks for a token.
    fn form(&self) -> String {
        format!("{GRANT}&client_id={}&client_secret={}", self.id, self.secret.expose())
    }

    fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.id, self.secret.expose())))
    }

    /// The account, called with a token of this client.
    async fn caller(&self, account: &Account) -> Account {
        let answer = ask(account, self.form()).await.expect(200);
        account.with_token(answer.body["access_token"].as_str().unwrap())
    }
}

async fn ask(account: &Account, form: impl Into<String>) -> Answer {
    account.anonymous("POST", "/oauth2/token").body(FORM, form.into()).send().await
}

/// Checks a refusal: its format is that of RFC 6749 §5.2 alone.
#[track_caller]
fn refused(answer: Answer, status: u16, error: &str) -> Answer {
    let answer = answer.expect(status);
    assert_eq!(answer.body["error"], error, "{}", answer.text);
    let members: Vec<_> = answer.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["error", "error_description"]);
    let description = answer.body["error_description"].as_str().unwrap();
    assert!(description.bytes().all(|byte| matches!(byte, b' '..=b'~') && !b"\"\\".contains(&byte)), "{description}");
    assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
    assert_eq!(answer.header("pragma"), "no-cache");
    assert_eq!(answer.header("x-request-id").len(), 36);
    answer
}

fn claims(answer: &Answer) -> Value {
    let token = answer.body["access_token"].as_str().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn gives_a_token_that_acts_as_the_client() {
    let account = Account::new().await;
    let client = ApiClient::of(&account, None).await;
    let in_form = ask(&account, client.form()).await.expect(200);
    let call = account.anonymous("POST", "/oauth2/token").header("authorization", &client.basic());
    let by_basic = call.body("application/x-www-form-urlencoded; charset=utf-8", GRANT).send().await.expect(200);
    for answer in [in_form, by_basic] {
        assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        assert_eq!(answer.header("content-type"), "application/json");
        let token = answer.body["access_token"].as_str().unwrap();
        assert_eq!(answer.body, json!({"access_token": token, "expires_in": 3600, "token_type": "Bearer"}));
        let claims = claims(&answer);
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
async fn limits_a_token_to_the_scopes_of_the_client_or_fewer() {
    let account = Account::new().await;
    let limited = ApiClient::of(&account, Some("fields:write contacts:read")).await;
    let free = ApiClient::of(&account, None).await;
    for (client, wanted, granted) in [
        (&limited, "", "contacts:read fields:write"),
        (&limited, "&scope=fields:write", "fields:write"),
        (&limited, "&scope=fields%3Awrite+contacts:read+fields:write", "contacts:read fields:write"),
        (&free, "&scope=contacts:read", "contacts:read"),
    ] {
        let answer = ask(&account, client.form() + wanted).await.expect(200);
        assert_eq!((&answer.body["scope"], &claims(&answer)["scope"]), (&json!(granted), &json!(granted)));
        let caller = account.with_token(answer.body["access_token"].as_str().unwrap());
        let status = if granted.contains("contacts:read") { 200 } else { 403 };
        caller.get("/contacts").await.expect(status);
        caller.post("/contacts", json!({"fields": {"first_name": "A"}})).await.expect_error(403, "insufficient_scope");
    }
    for wanted in ["contacts:read contacts:write", "contacts:purge", "everything", "CONTACTS:READ"] {
        refused(ask(&account, format!("{}&scope={wanted}", limited.form())).await, 400, "invalid_scope");
    }
    refused(ask(&account, free.form() + "&scope=contacts:all").await, 400, "invalid_scope");
}

#[tokio::test]
async fn tells_no_way_to_be_wrong_from_another() {
    let account = Account::new().await;
    let (client, other) = (ApiClient::of(&account, None).await, ApiClient::of(&account, None).await);
    let revoked = ApiClient::of(&account, None).await;
    account.server.repository().revoke_client(revoked.id).await.unwrap();
    let unknown = ClientId::new(account.id).to_string();
    let elsewhere = ClientId { account: uuid::Uuid::now_v7(), ..client.id }.to_string();
    let (id, secret) = (client.id.to_string(), client.secret.expose());
    let mut bodies = vec![];
    for (id, secret) in [
        (&*id, other.secret.expose()),
        (&*id, "wrong"),
        (&*id, &secret[..42]),
        (&*id, &format!("{secret}A")),
        (&*id, &secret.to_ascii_uppercase()),
        (&*unknown, secret),
        (&*elsewhere, secret),
        (&*revoked.id.to_string(), revoked.secret.expose()),
        ("nobody", secret),
        ("client_%00", secret),
    ] {
        let answer = refused(
            ask(&account, format!("{GRANT}&client_id={id}&client_secret={secret}")).await,
            401,
            "invalid_client",
        );
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"contacts\"");
        bodies.push(answer.text);
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let call = account.anonymous("POST", "/oauth2/token").header("authorization", &basic);
        let answer = refused(call.body(FORM, GRANT).send().await, 401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"contacts\"");
        bodies.push(answer.text);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[rstest]
#[case::no_body("", "", 400, "invalid_request")]
#[case::no_grant_type("", "client_id=a&client_secret=b", 400, "invalid_request")]
#[case::another_grant("", "grant_type=password&username=a&password=b", 400, "unsupported_grant_type")]
#[case::no_credentials("", GRANT, 401, "invalid_client")]
#[case::no_secret("", "grant_type=client_credentials&client_id=a", 401, "invalid_client")]
#[case::twice("", "grant_type=client_credentials&client_id=a&client_id=a&client_secret=b", 400, "invalid_request")]
#[case::both_ways("Basic YTpi", "grant_type=client_credentials&client_id=a&client_secret=b", 400, "invalid_request")]
#[case::bearer("Bearer YTpi", "grant_type=client_credentials&client_id=a&client_secret=b", 401, "invalid_client")]
#[case::no_base64("Basic a:b", GRANT, 401, "invalid_client")]
#[case::no_utf8("", "grant_type=client_credentials&client_id=%ff&client_secret=b", 400, "invalid_request")]
#[tokio::test]
async fn says_what_is_wrong_with_a_request(
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
    refused(call.body(FORM, form.to_owned()).send().await, status, error);
}

#[tokio::test]
async fn takes_no_query_that_means_something_elsewhere() {
    let account = Account::new().await;
    let client = ApiClient::of(&account, None).await;
    let ask = |query: &str| {
        let call = account.anonymous("POST", &format!("/oauth2/token?{query}"));
        call.body(FORM, client.form()).send()
    };
    for query in ["x=%ff", "%ff", "dry_run=true", "dry_run=maybe"] {
        refused(ask(query).await, 400, "invalid_request");
    }
    ask("x=%C3%A4").await.expect(200);
}

#[tokio::test]
async fn takes_a_form_of_a_sane_size_only() {
    let account = Account::new().await;
    let client = ApiClient::of(&account, None).await;
    let call = || account.anonymous("POST", "/oauth2/token");
    let json = json!({"grant_type": "client_credentials", "client_id": client.id.to_string()});
    refused(call().json(&json).send().await, 400, "invalid_request");
    refused(call().bare(client.form()).send().await, 400, "invalid_request");
    let huge = format!("{}&padding={}", client.form(), "x".repeat(1024 * 1024));
    refused(call().json(&json!(huge)).send().await, 413, "invalid_request");
    refused(call().body(FORM, huge).send().await, 413, "invalid_request");
}

#[tokio::test]
async fn other_methods_are_refused_in_the_shape_of_every_route() {
    let account = Account::new().await;
    for method in ["GET", "PUT", "DELETE"] {
        let answer = account.call(method, "/oauth2/token").send().await.expect_error(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "POST");
    }
    account.call("HEAD", "/oauth2/token").send().await.expect(405);
    account.call("OPTIONS", "/oauth2/token").send().await.expect(204);
    account.call("POST", "/oauth2/token/").send().await.expect_error(404, "route_not_found");
}

#[tokio::test]
async fn there_is_no_such_path_where_its_tokens_would_not_be_taken() {
    let account = Account::new().await;
    let key = Ed25519KeyPair::generate().unwrap();
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().unwrap();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der.as_ref()));
    let public_key = TokenSettings { public_key: Some(pem), ..tokens() };
    for settings in [
        TokenSettings { secret: None, ..public_key.clone() },
        TokenSettings { algorithm: Some("EdDSA".into()), ..public_key.clone() },
    ] {
        let account = account.at(&account.server.with_tokens(&settings));
        for method in ["POST", "GET", "OPTIONS"] {
            account.anonymous(method, "/oauth2/token").send().await.expect_error(404, "route_not_found");
        }
    }
    let both = account.at(&account.server.with_tokens(&public_key));
    ask(&both, ApiClient::of(&account, None).await.form()).await.expect(200);
}

#[tokio::test]
async fn sets_the_claims_that_the_service_demands() {
    let account = Account::new().await;
    let client = ApiClient::of(&account, None).await;
    let demands = TokenSettings {
        issuer: Some("https://crm.example".into()),
        audience: Some("contacts".into()),
        account_claim: "tenant".into(),
        ..tokens()
    };
    let strict = account.at(&account.server.with_tokens(&demands));
    client.caller(&strict).await.get("/contacts").await.expect(200);
    let answer = ask(&strict, client.form()).await;
    let claims = claims(&answer);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!("https://crm.example"), &json!("contacts")));
    client.caller(&account).await.at(&strict.server).get("/contacts").await.expect(401);
}

#[tokio::test]
async fn a_revocation_ends_the_tokens_everywhere_within_5_seconds() {
    let account = Account::new().await;
    let (client, other) = (ApiClient::of(&account, None).await, ApiClient::of(&account, None).await);
    let twin = account.server.twin();
    let (here, elsewhere) = (client.caller(&account).await, account.at(&twin));
    let elsewhere = elsewhere.with_token(&here.token);
    for caller in [&here, &elsewhere] {
        caller.get("/contacts").await.expect(200);
    }
    let unaffected = other.caller(&account).await;
    assert!(account.server.repository().revoke_client(client.id).await.unwrap());
    let revoked = Stopwatch::start();
    refused(ask(&account, client.form()).await, 401, "invalid_client");
    // An instance that starts now has never heard of the token.
    let fresh = account.at(&account.server.twin()).with_token(&here.token);
    fresh.get("/contacts").await.expect_error(401, "unauthorized");
    for caller in [&here, &elsewhere] {
        while caller.get("/contacts").await.status != 401 {
            assert!(revoked.elapsed() < Duration::from_secs(5), "still good after {:?}", revoked.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let answer = caller.get("/contacts").await.expect_error(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
    }
    unaffected.get("/contacts").await.expect(200);
    account.get("/contacts").await.expect(200);
}

#[tokio::test]
async fn a_database_that_can_not_be_asked_costs_as_little_as_possible() {
    let server = Server::on_own_database("clients_away", |_| {});
    let account = Account::on(&server);
    let client = ApiClient::of(&account, None).await;
    let caller = client.caller(&account).await;
    caller.get("/contacts").await.expect(200);
    let mut database = account.database().await;
    sqlx::query("ALTER TABLE clients RENAME TO clients_away").execute(&mut database).await.unwrap();
    let answer = refused(ask(&account, client.form()).await, 503, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    // What is known already goes on: a good token stays good.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    caller.get("/contacts").await.expect(200);
    // What is not known is not taken on trust.
    let fresh = server.twin();
    caller.at(&fresh).with_token(&caller.token).get("/contacts").await.expect_error(503, "unavailable");
    account.at(&fresh).get("/contacts").await.expect(200);
    sqlx::query("ALTER TABLE clients_away RENAME TO clients").execute(&mut database).await.unwrap();
    caller.at(&fresh).with_token(&caller.token).get("/contacts").await.expect(200);
}

#[tokio::test]
async fn is_in_the_document() {
    let account = Account::new().await;
    let document = account.anonymous("GET", "/openapi.json").send().await.expect(200).body;
    let operation = &document["paths"]["/oauth2/token"]["post"];
    assert_eq!(operation["security"], json!([{"basic": []}, {}]));
    assert!(operation["requestBody"]["content"][FORM]["schema"].is_object());
    let responses = operation["responses"].as_object().unwrap();
    assert_eq!(responses.keys().collect::<Vec<_>>(), ["200", "400", "401", "413", "500", "503"]);
    for (status, response) in responses {
        let schema = if status == "200" { "TokenAnswer" } else { "TokenRefusal" };
        let reference = format!("#/components/schemas/{schema}");
        assert_eq!(response["content"]["application/json"]["schema"]["$ref"], reference, "{status}");
        assert!(response["headers"]["X-Request-Id"].is_object(), "{status}");
    }
}
