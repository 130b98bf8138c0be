//! Tokens that are signed with keys of an issuer, which publishes them as a JWK Set (contract §3).

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

use crate::samples::KeyPair;
use crate::support::{Account, SECRET, Server, at_once, in_seconds, sign, tokens};

/// Who signs tokens: what it answers, and how often it was asked.
#[derive(Clone)]
struct Issuer {
    url: String,
    state: Arc<(Mutex<Published>, AtomicUsize)>,
}

#[derive(Clone)]
enum Published {
    Keys(Value),
    Status(StatusCode),
    Text(&'static str),
    EndlessKeys,
    RedirectsToItself,
    /// Keys at another place, for those who do not say where they come from.
    Moved(Value),
    Silence,
}

impl Issuer {
    async fn publishing(keys: &[Value]) -> Self {
        let state = Arc::new((Mutex::new(Published::Keys(json!({"keys": keys}))), AtomicUsize::new(0)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let router = Router::new().fallback(Self::answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    async fn answer(
        State(state): State<Arc<(Mutex<Published>, AtomicUsize)>>,
        uri: Uri,
        headers: HeaderMap,
    ) -> Response {
        state.1.fetch_add(1, Ordering::SeqCst);
        let published = state.0.lock().unwrap().clone();
        match published {
            Published::Keys(keys) => keys.to_string().into_response(),
            Published::Status(status) => (status, json!({"keys": []}).to_string()).into_response(),
            Published::Text(text) => ([(header::CONTENT_TYPE, "text/html")], text).into_response(),
            Published::EndlessKeys => Body::from(vec![b' '; 100 * 1024 * 1024]).into_response(),
            Published::RedirectsToItself => Redirect::temporary("/jwks").into_response(),
            Published::Moved(_) if uri.path() == "/jwks" => Redirect::temporary("/moved").into_response(),
            Published::Moved(_) if headers.contains_key(header::REFERER) => StatusCode::BAD_REQUEST.into_response(),
            Published::Moved(keys) => keys.to_string().into_response(),
            Published::Silence => std::future::pending().await,
        }
    }

    fn publish(&self, published: Published) {
        *self.state.0.lock().unwrap() = published;
    }

    fn publish_keys(&self, keys: &[Value]) {
        self.publish(Published::Keys(json!({"keys": keys})));
    }

    fn fetches(&self) -> usize {
        self.state.1.load(Ordering::SeqCst)
    }

    /// Tokens that are good by this issuer's keys alone.
    fn trusted(&self) -> TokenSettings {
        let key_set = Some(KeySetSource::Url(Secret::new(&*self.url)));
        TokenSettings { secret: None, key_set, ..tokens() }
    }
}

fn claims() -> Value {
    // Each token is another one: none is remembered from before.
    json!({"account_id": Uuid::now_v7(), "exp": in_seconds(600), "jti": Uuid::now_v7()})
}

/// What a call with this token is answered.
async fn status(server: &Server, token: &str) -> u16 {
    Account::on(server).with_token(token).get("/contacts").await.status
}

#[tokio::test]
async fn a_key_of_the_set_verifies_what_names_it_by_its_own_algorithm() {
    let pairs = KeyPair::of_each_algorithm();
    let name = |pair: &KeyPair| format!("{:?}-1", pair.algorithm);
    let issuer = Issuer::publishing(&pairs.each_ref().map(|pair| pair.jwk(&name(pair)))).await;
    // With a secret besides: what the issuer publishes must never pass for one.
    let server = Server::shared().with_tokens(&TokenSettings { secret: tokens().secret, ..issuer.trusted() });
    for pair in &pairs {
        for named in &pairs {
            let is_good = status(&server, &pair.sign(Some(&name(named)), &claims())).await == 200;
            assert_eq!(is_good, pair.algorithm == named.algorithm, "{} by {}", name(pair), name(named));
        }
        let [header, body, signature] = pair
            .sign(Some(&name(pair)), &claims())
            .split('.')
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let flipped = signature.chars().rev().collect::<String>();
        assert_eq!(status(&server, &format!("{header}.{body}.{flipped}")).await, 401);
        let expired = json!({"account_id": Uuid::now_v7(), "exp": in_seconds(-60)});
        assert_eq!(status(&server, &pair.sign(Some(&name(pair)), &expired)).await, 401);
        for published in [pair.pem.clone(), pair.jwk(&name(pair)).to_string()] {
            let header = Header { kid: Some(name(pair)), ..Header::new(Algorithm::HS256) };
            let confused = encode(&header, &claims(), &EncodingKey::from_secret(published.as_bytes())).unwrap();
            assert_eq!(status(&server, &confused).await, 401);
        }
    }
    assert_eq!(status(&server, &sign(&claims())).await, 200);
}

#[tokio::test]
async fn a_new_key_is_good_at_once_and_one_that_is_gone_no_longer() {
    let (old, new) = (KeyPair::ed25519(), KeyPair::ed25519());
    let issuer = Issuer::publishing(&[old.jwk("old")]).await;
    let server = Server::shared().with_tokens(&issuer.trusted());
    let by_old = old.sign(Some("old"), &claims());
    assert_eq!(status(&server, &by_old).await, 200);
    issuer.publish_keys(&[new.jwk("new")]);
    assert_eq!(status(&server, &by_old).await, 200);
    let calls = (0..20).map(|_| {
        let (server, token) = (server.clone(), new.sign(Some("new"), &claims()));
        async move { status(&server, &token).await }
    });
    assert_eq!(at_once(calls).await, [200; 20]);
    assert_eq!(status(&server, &by_old).await, 401, "a token outlived its key");
    assert_eq!(issuer.fetches(), 2);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_one_fetch() {
    let pair = KeyPair::ed25519();
    let issuer = Issuer::publishing(&[pair.jwk("good")]).await;
    let server = Server::shared().with_tokens(&issuer.trusted());
    assert_eq!(status(&server, &pair.sign(Some("good"), &claims())).await, 200);
    assert_eq!(issuer.fetches(), 1);
    // These can't be of any set, or are known to be forged: no reason to ask.
    for token in [
        sign(&claims()),
        encode(&Header::new(Algorithm::HS512), &claims(), &EncodingKey::from_secret(b"x")).unwrap(),
        KeyPair::ed25519().sign(Some("good"), &claims()),
        pair.sign(Some("good"), &json!({"exp": in_seconds(-60)})),
        pair.sign(None, &json!({"exp": in_seconds(-60)})),
    ] {
        assert_eq!(status(&server, &token).await, 401);
    }
    assert_eq!(issuer.fetches(), 1);
    for _ in 0..3 {
        let calls = (0..100).map(|number| {
            let (server, token) = (server.clone(), pair.sign(Some(&format!("unknown-{number}")), &claims()));
            async move { status(&server, &token).await }
        });
        assert!(at_once(calls).await.iter().all(|status| *status == 401));
    }
    assert_eq!(issuer.fetches(), 2);
    assert_eq!(status(&server, &pair.sign(Some("good"), &claims())).await, 200);
}

#[tokio::test]
async fn keys_go_on_working_whatever_their_source_does() {
    let pair = KeyPair::ed25519();
    let rubbish = [
        Published::Status(StatusCode::INTERNAL_SERVER_ERROR),
        Published::Status(StatusCode::NOT_FOUND),
        Published::Status(StatusCode::NO_CONTENT),
        Published::Text("<html>Sign in to the hotel's wireless network</html>"),
        Published::Text(""),
        Published::Keys(json!({"keys": []})),
        Published::Keys(json!({"keys": [{"kty": "oct", "kid": "good", "k": "c2VjcmV0"}]})),
        Published::EndlessKeys,
        Published::RedirectsToItself,
        Published::Silence,
    ];
    let mut calls = vec![];
    for published in rubbish {
        let issuer = Issuer::publishing(&[pair.jwk("good")]).await;
        let server = Server::shared().with_tokens(&issuer.trusted());
        let [before, unknown, after] = ["good", "unknown", "good"].map(|kid| pair.sign(Some(kid), &claims()));
        calls.push(async move {
            assert_eq!(status(&server, &before).await, 200);
            issuer.publish(published);
            assert_eq!(status(&server, &unknown).await, 401);
            assert!(issuer.fetches() > 1);
            status(&server, &after).await
        });
    }
    assert!(at_once(calls).await.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn a_source_that_is_away_at_the_start_is_waited_for() {
    let pair = KeyPair::ed25519();
    let issuer = Issuer::publishing(&[pair.jwk("good")]).await;
    issuer.publish(Published::Status(StatusCode::BAD_GATEWAY));
    let server = Server::shared().with_tokens(&issuer.trusted());
    assert_eq!(status(&server, &pair.sign(Some("good"), &claims())).await, 401);
    issuer.publish_keys(&[pair.jwk("good")]);
    let token = pair.sign(Some("good"), &claims());
    for attempt in 0.. {
        if status(&server, &token).await == 200 {
            break;
        }
        assert!(attempt < 100, "it was not looked at again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_set_that_has_moved_is_fetched_without_saying_from_where() {
    let pair = KeyPair::ed25519();
    let mut issuer = Issuer::publishing(&[]).await;
    issuer.publish(Published::Moved(json!({"keys": [pair.jwk("good")]})));
    issuer.url += "?secret=of-ours";
    let server = Server::shared().with_tokens(&issuer.trusted());
    assert_eq!(status(&server, &pair.sign(Some("good"), &claims())).await, 200);
}

#[tokio::test]
async fn a_token_that_names_no_key_means_the_only_one_of_its_algorithm() {
    let [ed, ec, rsa] = KeyPair::of_each_algorithm();
    let issuer = Issuer::publishing(&[ed.jwk("a"), ec.jwk("b"), rsa.jwk("c")]).await;
    let server = Server::shared().with_tokens(&issuer.trusted());
    for pair in [&ed, &ec, &rsa] {
        assert_eq!(status(&server, &pair.sign(None, &claims())).await, 200);
    }
    let issuer = Issuer::publishing(&[ed.jwk("a"), KeyPair::ed25519().jwk("b"), rsa.jwk("c")]).await;
    let server = Server::shared().with_tokens(&issuer.trusted());
    assert_eq!(status(&server, &ed.sign(None, &claims())).await, 401);
    assert_eq!(status(&server, &ed.sign(Some("a"), &claims())).await, 200);
    assert_eq!(status(&server, &rsa.sign(None, &claims())).await, 200);
}

#[tokio::test]
async fn other_keys_stay_good_besides_a_set() {
    let (of_set, own) = (KeyPair::ed25519(), KeyPair::ed25519());
    let issuer = Issuer::publishing(&[of_set.jwk("a")]).await;
    let settings = TokenSettings {
        secret: tokens().secret,
        previous_secret: Some(Secret::new("the secret that was used before it")),
        public_key: Some(own.pem.clone()),
        ..issuer.trusted()
    };
    let server = Server::shared().with_tokens(&settings);
    let by_secret = |secret: &str, kid: Option<&str>| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::default() };
        encode(&header, &claims(), &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    for token in [
        of_set.sign(Some("a"), &claims()),
        own.sign(None, &claims()),
        own.sign(Some("elsewhere"), &claims()),
        // Two issuers may use the same name.
        own.sign(Some("a"), &claims()),
        by_secret(SECRET, None),
        by_secret(SECRET, Some("a")),
        by_secret("the secret that was used before it", None),
    ] {
        assert_eq!(status(&server, &token).await, 200, "{token}");
    }
    assert_eq!(issuer.fetches(), 1);
    assert_eq!(status(&server, &KeyPair::ed25519().sign(None, &claims())).await, 401);

    let only = Server::shared().with_tokens(&TokenSettings { algorithm: Some("HS256".into()), ..settings });
    assert_eq!(status(&only, &of_set.sign(Some("a"), &claims())).await, 401);
    assert_eq!(status(&only, &by_secret(SECRET, None)).await, 200);
}

#[tokio::test]
async fn a_set_may_be_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let (old, new) = (KeyPair::ed25519(), KeyPair::ed25519());
    let publish = |keys: &[Value]| std::fs::write(&path, json!({"keys": keys}).to_string()).unwrap();
    publish(&[old.jwk("old")]);
    let settings = TokenSettings { secret: None, key_set: Some(KeySetSource::File(path.clone())), ..tokens() };
    let server = Server::shared().with_tokens(&settings);
    assert_eq!(status(&server, &old.sign(Some("old"), &claims())).await, 200);
    publish(&[old.jwk("old"), new.jwk("new")]);
    assert_eq!(status(&server, &new.sign(Some("new"), &claims())).await, 200);
    assert_eq!(status(&server, &old.sign(Some("old"), &claims())).await, 200);
}
