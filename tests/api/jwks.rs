//! Tokens signed with the keys of an issuer that publishes them as a JWK Set
//! (`docs/api-reference.md#authentication`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use contacts::config::{KeySetSource, Secret, TokenSettings};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::fixtures::KeyPair;
use crate::support::{Account, SECRET, Server, Stopwatch, run_concurrently, sign, timestamp_in, token_settings};

/// A token issuer: an HTTP server with a configurable response, which counts the fetches of its key set.
#[derive(Clone)]
struct Issuer {
    url: String,
    /// The response of the server, and the number of fetches.
    state: Arc<(Mutex<KeySetResponse>, AtomicUsize)>,
}

/// The response to a fetch of the key set.
#[derive(Clone)]
enum KeySetResponse {
    Keys(Value),
    Status(StatusCode),
    Text(&'static str),
    /// A body of 100 MiB.
    Oversized,
    RedirectLoop,
    /// A redirect to another path, which returns these keys only to requests without a `Referer` header.
    Redirect(Value),
    /// The request is never answered.
    NoResponse,
}

impl Issuer {
    async fn with_keys(keys: &[Value]) -> Self {
        let state = Arc::new((Mutex::new(KeySetResponse::Keys(json!({"keys": keys}))), AtomicUsize::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::respond).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    async fn respond(
        State(state): State<Arc<(Mutex<KeySetResponse>, AtomicUsize)>>,
        uri: Uri,
        headers: HeaderMap,
    ) -> Response {
        state.1.fetch_add(1, Ordering::SeqCst);
        let response = state.0.lock().unwrap().clone();
        match response {
            KeySetResponse::Keys(keys) => keys.to_string().into_response(),
            KeySetResponse::Status(status) => (status, json!({"keys": []}).to_string()).into_response(),
            KeySetResponse::Text(text) => ([(header::CONTENT_TYPE, "text/html")], text).into_response(),
            KeySetResponse::Oversized => Body::from(vec![b' '; 100 * 1024 * 1024]).into_response(),
            KeySetResponse::RedirectLoop => Redirect::temporary("/jwks").into_response(),
            KeySetResponse::Redirect(_) if uri.path() == "/jwks" => Redirect::temporary("/moved").into_response(),
            KeySetResponse::Redirect(_) if headers.contains_key(header::REFERER) => {
                StatusCode::BAD_REQUEST.into_response()
            }
            KeySetResponse::Redirect(keys) => keys.to_string().into_response(),
            KeySetResponse::NoResponse => std::future::pending().await,
        }
    }

    fn set_response(&self, response: KeySetResponse) {
        *self.state.0.lock().unwrap() = response;
    }

    fn set_keys(&self, keys: &[Value]) {
        self.set_response(KeySetResponse::Keys(json!({"keys": keys})));
    }

    fn fetch_count(&self) -> usize {
        self.state.1.load(Ordering::SeqCst)
    }

    /// Returns settings that accept only tokens signed with the keys of this issuer.
    fn token_settings(&self) -> TokenSettings {
        let key_set = Some(KeySetSource::Url(Secret::new(&*self.url)));
        TokenSettings { secret: None, key_set, ..token_settings() }
    }
}

fn unique_claims() -> Value {
    // A new `jti` makes each token unique, so that the token cache never has it.
    json!({"account_id": Uuid::now_v7(), "exp": timestamp_in(600), "jti": Uuid::now_v7()})
}

/// Returns the status of the response to a request with this token.
async fn status_with_token(server: &Server, token: &str) -> u16 {
    Account::on_server(server).with_token(token).get("/contacts").await.status
}

#[tokio::test]
async fn jwks_key_verifies_only_tokens_with_its_kid_and_algorithm() {
    let pairs = KeyPair::generate_all();
    let name = |pair: &KeyPair| format!("{:?}-1", pair.algorithm);
    let issuer = Issuer::with_keys(&pairs.each_ref().map(|pair| pair.jwk(&name(pair)))).await;
    // The server also has a secret, to check that a published key is never accepted as an HMAC secret.
    let server = Server::shared()
        .with_token_settings(&TokenSettings { secret: token_settings().secret, ..issuer.token_settings() });
    for pair in &pairs {
        for named in &pairs {
            let is_accepted = status_with_token(&server, &pair.sign(Some(&name(named)), &unique_claims())).await == 200;
            assert_eq!(is_accepted, pair.algorithm == named.algorithm, "key {} with kid {}", name(pair), name(named));
        }
        let [header, body, signature] = pair
            .sign(Some(&name(pair)), &unique_claims())
            .split('.')
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let reversed = signature.chars().rev().collect::<String>();
        assert_eq!(status_with_token(&server, &format!("{header}.{body}.{reversed}")).await, 401);
        let expired = json!({"account_id": Uuid::now_v7(), "exp": timestamp_in(-60)});
        assert_eq!(status_with_token(&server, &pair.sign(Some(&name(pair)), &expired)).await, 401);
        for published_key in [pair.pem.clone(), pair.jwk(&name(pair)).to_string()] {
            let header = Header { kid: Some(name(pair)), ..Header::new(Algorithm::HS256) };
            let confused =
                encode(&header, &unique_claims(), &EncodingKey::from_secret(published_key.as_bytes())).unwrap();
            assert_eq!(status_with_token(&server, &confused).await, 401);
        }
    }
    assert_eq!(status_with_token(&server, &sign(&unique_claims())).await, 200);
}

#[tokio::test]
async fn new_key_is_accepted_at_once_and_removed_key_is_401_after_the_refresh() {
    let (old, new) = (KeyPair::generate_ed25519(), KeyPair::generate_ed25519());
    let issuer = Issuer::with_keys(&[old.jwk("old")]).await;
    let server = Server::shared().with_token_settings(&issuer.token_settings());
    let old_token = old.sign(Some("old"), &unique_claims());
    assert_eq!(status_with_token(&server, &old_token).await, 200);
    issuer.set_keys(&[new.jwk("new")]);
    assert_eq!(status_with_token(&server, &old_token).await, 200);
    let calls = (0..20).map(|_| {
        let (server, token) = (server.clone(), new.sign(Some("new"), &unique_claims()));
        async move { status_with_token(&server, &token).await }
    });
    assert_eq!(run_concurrently(calls).await, [200; 20]);
    assert_eq!(status_with_token(&server, &old_token).await, 401, "a token of a removed key is still accepted");
    assert_eq!(issuer.fetch_count(), 2);
}

#[tokio::test]
async fn unknown_kids_trigger_a_single_fetch() {
    let pair = KeyPair::generate_ed25519();
    let issuer = Issuer::with_keys(&[pair.jwk("good")]).await;
    let server = Server::shared().with_token_settings(&issuer.token_settings());
    assert_eq!(status_with_token(&server, &pair.sign(Some("good"), &unique_claims())).await, 200);
    assert_eq!(issuer.fetch_count(), 1);
    // No key set can verify these tokens, or their claims or signature are already invalid: no fetch.
    for token in [
        sign(&unique_claims()),
        encode(&Header::new(Algorithm::HS512), &unique_claims(), &EncodingKey::from_secret(b"x")).unwrap(),
        KeyPair::generate_ed25519().sign(Some("good"), &unique_claims()),
        pair.sign(Some("good"), &json!({"exp": timestamp_in(-60)})),
        pair.sign(None, &json!({"exp": timestamp_in(-60)})),
    ] {
        assert_eq!(status_with_token(&server, &token).await, 401);
    }
    assert_eq!(issuer.fetch_count(), 1);
    for _ in 0..3 {
        let calls = (0..100).map(|number| {
            let (server, token) = (server.clone(), pair.sign(Some(&format!("unknown-{number}")), &unique_claims()));
            async move { status_with_token(&server, &token).await }
        });
        assert!(run_concurrently(calls).await.iter().all(|status| *status == 401));
    }
    assert_eq!(issuer.fetch_count(), 2);
    assert_eq!(status_with_token(&server, &pair.sign(Some("good"), &unique_claims())).await, 200);
}

#[tokio::test]
async fn known_keys_stay_valid_when_a_refresh_fails() {
    let pair = KeyPair::generate_ed25519();
    let invalid_responses = [
        KeySetResponse::Status(StatusCode::INTERNAL_SERVER_ERROR),
        KeySetResponse::Status(StatusCode::NOT_FOUND),
        KeySetResponse::Status(StatusCode::NO_CONTENT),
        KeySetResponse::Text("<html>Sign in to the hotel's wireless network</html>"),
        KeySetResponse::Text(""),
        KeySetResponse::Keys(json!({"keys": []})),
        KeySetResponse::Keys(json!({"keys": [{"kty": "oct", "kid": "good", "k": "c2VjcmV0"}]})),
        KeySetResponse::Oversized,
        KeySetResponse::RedirectLoop,
        KeySetResponse::NoResponse,
    ];
    let mut calls = vec![];
    for response in invalid_responses {
        let issuer = Issuer::with_keys(&[pair.jwk("good")]).await;
        let server = Server::shared().with_token_settings(&issuer.token_settings());
        let [before, unknown, after] = ["good", "unknown", "good"].map(|kid| pair.sign(Some(kid), &unique_claims()));
        calls.push(async move {
            assert_eq!(status_with_token(&server, &before).await, 200);
            issuer.set_response(response);
            assert_eq!(status_with_token(&server, &unknown).await, 401);
            assert!(issuer.fetch_count() > 1);
            status_with_token(&server, &after).await
        });
    }
    assert!(run_concurrently(calls).await.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn jwks_that_is_unavailable_at_start_is_fetched_again() {
    let pair = KeyPair::generate_ed25519();
    let issuer = Issuer::with_keys(&[pair.jwk("good")]).await;
    issuer.set_response(KeySetResponse::Status(StatusCode::BAD_GATEWAY));
    let server = Server::shared().with_token_settings(&issuer.token_settings());
    assert_eq!(status_with_token(&server, &pair.sign(Some("good"), &unique_claims())).await, 401);
    issuer.set_keys(&[pair.jwk("good")]);
    let token = pair.sign(Some("good"), &unique_claims());
    for attempt in 0.. {
        if status_with_token(&server, &token).await == 200 {
            break;
        }
        assert!(attempt < 100, "the key set was not fetched again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn redirected_jwks_fetch_sends_no_referer() {
    let pair = KeyPair::generate_ed25519();
    let mut issuer = Issuer::with_keys(&[]).await;
    issuer.set_response(KeySetResponse::Redirect(json!({"keys": [pair.jwk("good")]})));
    issuer.url += "?secret=query";
    let server = Server::shared().with_token_settings(&issuer.token_settings());
    assert_eq!(status_with_token(&server, &pair.sign(Some("good"), &unique_claims())).await, 200);
}

#[tokio::test]
async fn token_without_kid_is_verified_only_by_a_single_key_of_its_algorithm() {
    let [ed, ec, rsa] = KeyPair::generate_all();
    let issuer = Issuer::with_keys(&[ed.jwk("a"), ec.jwk("b"), rsa.jwk("c")]).await;
    let server = Server::shared().with_token_settings(&issuer.token_settings());
    for pair in [&ed, &ec, &rsa] {
        assert_eq!(status_with_token(&server, &pair.sign(None, &unique_claims())).await, 200);
    }
    let issuer = Issuer::with_keys(&[ed.jwk("a"), KeyPair::generate_ed25519().jwk("b"), rsa.jwk("c")]).await;
    let server = Server::shared().with_token_settings(&issuer.token_settings());
    assert_eq!(status_with_token(&server, &ed.sign(None, &unique_claims())).await, 401);
    assert_eq!(status_with_token(&server, &ed.sign(Some("a"), &unique_claims())).await, 200);
    assert_eq!(status_with_token(&server, &rsa.sign(None, &unique_claims())).await, 200);
}

#[tokio::test]
async fn secrets_and_public_key_are_accepted_alongside_a_jwks() {
    let (from_set, own) = (KeyPair::generate_ed25519(), KeyPair::generate_ed25519());
    let issuer = Issuer::with_keys(&[from_set.jwk("a")]).await;
    let settings = TokenSettings {
        secret: token_settings().secret,
        previous_secret: Some(Secret::new("the previous secret, before the rotation")),
        public_key: Some(own.pem.clone()),
        ..issuer.token_settings()
    };
    let server = Server::shared().with_token_settings(&settings);
    let by_secret = |secret: &str, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::default() };
        encode(&header, &unique_claims(), &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    for token in [
        from_set.sign(Some("a"), &unique_claims()),
        own.sign(None, &unique_claims()),
        own.sign(Some("unknown"), &unique_claims()),
        // Two issuers may use the same kid.
        own.sign(Some("a"), &unique_claims()),
        by_secret(SECRET, None),
        by_secret(SECRET, Some("a")),
        by_secret("the previous secret, before the rotation", None),
    ] {
        assert_eq!(status_with_token(&server, &token).await, 200, "{token}");
    }
    assert_eq!(issuer.fetch_count(), 1);
    assert_eq!(status_with_token(&server, &KeyPair::generate_ed25519().sign(None, &unique_claims())).await, 401);

    let hs256_only =
        Server::shared().with_token_settings(&TokenSettings { algorithm: Some("HS256".into()), ..settings });
    assert_eq!(status_with_token(&hs256_only, &from_set.sign(Some("a"), &unique_claims())).await, 401);
    assert_eq!(status_with_token(&hs256_only, &by_secret(SECRET, None)).await, 200);
}

#[tokio::test]
async fn jwks_can_be_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let (old, new) = (KeyPair::generate_ed25519(), KeyPair::generate_ed25519());
    let publish = |keys: &[Value]| std::fs::write(&path, json!({"keys": keys}).to_string()).unwrap();
    publish(&[old.jwk("old")]);
    let settings = TokenSettings { secret: None, key_set: Some(KeySetSource::File(path.clone())), ..token_settings() };
    let server = Server::shared().with_token_settings(&settings);
    assert_eq!(status_with_token(&server, &old.sign(Some("old"), &unique_claims())).await, 200);
    publish(&[old.jwk("old"), new.jwk("new")]);
    assert_eq!(status_with_token(&server, &new.sign(Some("new"), &unique_claims())).await, 200);
    assert_eq!(status_with_token(&server, &old.sign(Some("old"), &unique_claims())).await, 200);
}

/// Returns the value of a metric of this server, after the text of an earlier scrape has expired.
async fn metric(server: &Server, name: &str) -> f64 {
    tokio::time::sleep(Duration::from_millis(550)).await;
    let text = Account::on_server(server).anonymous("GET", "/metrics").send().await.expect(200).text;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn keys_of_a_jwks_that_fails_for_too_long_end_and_return_with_it() {
    let pair = KeyPair::generate_ed25519();
    let issuer = Issuer::with_keys(&[pair.jwk("good")]).await;
    let settings = TokenSettings { key_set_max_stale: Duration::from_millis(2_500), ..issuer.token_settings() };
    let server = Server::shared().with_token_settings(&settings);
    let cached_token = pair.sign(Some("good"), &unique_claims());
    assert_eq!(status_with_token(&server, &cached_token).await, 200);
    let failures = metric(&server, "contacts_jwks_fetch_failures_total").await;
    issuer.set_response(KeySetResponse::Status(StatusCode::BAD_GATEWAY));
    // The unknown key triggers the first fetch that fails.
    assert_eq!(status_with_token(&server, &pair.sign(Some("unknown"), &unique_claims())).await, 401);
    assert_eq!(status_with_token(&server, &cached_token).await, 200);
    let failing = Stopwatch::start();
    assert!(metric(&server, "contacts_jwks_fetch_failures_total").await > failures);
    while status_with_token(&server, &cached_token).await == 200 {
        assert!(failing.elapsed() < Duration::from_secs(10), "the keys are still valid");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(failing.elapsed() > Duration::from_millis(1_500), "the keys ended too early");
    // The servers of other tests set the same gauge.
    while metric(&server, "contacts_jwks_age_seconds").await <= 2.0 {
        assert!(failing.elapsed() < Duration::from_secs(20), "the age of the keys is not shown");
    }
    issuer.set_keys(&[pair.jwk("good")]);
    while status_with_token(&server, &pair.sign(Some("good"), &unique_claims())).await != 200 {
        assert!(failing.elapsed() < Duration::from_secs(30), "the keys did not return");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
