//! The rejection of tokens whose client is revoked (`docs/api-reference.md#client-credentials`).

use std::time::Duration;

use super::{ApiClient, expect_oauth_error, request_token};
use crate::support::{Account, Server, Stopwatch};

#[tokio::test]
async fn client_that_was_revoked_long_ago_is_401_after_the_first_read() {
    let server = Server::with_own_database("revoked_long_ago", |_| {});
    let account = Account::on_server(&server);
    let (old, late) = (ApiClient::create(&account, None).await, ApiClient::create(&account, None).await);
    let (old_caller, late_caller) = (old.authenticate(&account).await, late.authenticate(&account).await);
    let mut database = account.database().await;
    let revoke = "UPDATE clients SET revoked_at = now() - $2::interval WHERE id = $1";
    let mut revoke_since = async |client: &ApiClient, age: &str| {
        sqlx::query(revoke).bind(client.id.client).bind(age).execute(&mut database).await.unwrap();
    };
    revoke_since(&old, "1 year").await;
    let instance = server.second_instance();
    let on_instance = |caller: &Account| caller.on_instance(&instance).with_token(&caller.token);
    let (old_caller, late_caller) = (on_instance(&old_caller), on_instance(&late_caller));
    for _ in 0..30 {
        old_caller.get("/contacts").await.expect_error(401, "unauthorized");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A revocation that is committed minutes after its time is also seen.
    late_caller.get("/contacts").await.expect(200);
    revoke_since(&late, "5 minutes").await;
    let revoked = Stopwatch::start();
    while late_caller.get("/contacts").await.status != 401 {
        assert!(revoked.elapsed() < Duration::from_secs(5), "the late revocation was missed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    old_caller.get("/contacts").await.expect_error(401, "unauthorized");
}

#[tokio::test]
async fn tokens_of_a_revoked_client_are_401_on_every_instance_within_5_seconds() {
    let account = Account::new().await;
    let (client, other) = (ApiClient::create(&account, None).await, ApiClient::create(&account, None).await);
    let other_instance = account.server.second_instance();
    let (local, remote) = (client.authenticate(&account).await, account.on_instance(&other_instance));
    let remote = remote.with_token(&local.token);
    for caller in [&local, &remote] {
        caller.get("/contacts").await.expect(200);
    }
    let unaffected = other.authenticate(&account).await;
    assert!(account.server.repository().revoke_client(client.id).await.unwrap());
    let revoked = Stopwatch::start();
    expect_oauth_error(request_token(&account, client.token_form()).await, 401, "invalid_client");
    // An instance that starts after the revocation rejects the token at once.
    let new_instance = account.on_instance(&account.server.second_instance()).with_token(&local.token);
    new_instance.get("/contacts").await.expect_error(401, "unauthorized");
    for caller in [&local, &remote] {
        while caller.get("/contacts").await.status != 401 {
            assert!(
                revoked.elapsed() < Duration::from_secs(5),
                "the token is still accepted after {:?}",
                revoked.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let response = caller.get("/contacts").await.expect_error(401, "unauthorized");
        let challenge = "Bearer error=\"invalid_token\", error_description=\"the API client has been revoked\"";
        assert_eq!(response.header("www-authenticate"), challenge);
    }
    unaffected.get("/contacts").await.expect(200);
    account.get("/contacts").await.expect(200);
}

#[tokio::test]
async fn known_clients_are_accepted_while_the_clients_table_is_unavailable() {
    let server = Server::with_own_database("clients_unavailable", |_| {});
    let account = Account::on_server(&server);
    let client = ApiClient::create(&account, None).await;
    let caller = client.authenticate(&account).await;
    caller.get("/contacts").await.expect(200);
    // The instance has read the revoked clients for the first time.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let mut database = account.database().await;
    sqlx::query("ALTER TABLE clients RENAME TO clients_renamed").execute(&mut database).await.unwrap();
    let response =
        expect_oauth_error(request_token(&account, client.token_form()).await, 503, "temporarily_unavailable");
    assert_eq!(response.header("retry-after"), "1");
    // An instance that already knows the client keeps accepting its token.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    caller.get("/contacts").await.expect(200);
    // An instance that does not know the client yet cannot check its token and responds with 503.
    let new_instance = server.second_instance();
    caller.on_instance(&new_instance).with_token(&caller.token).get("/contacts").await.expect_error(503, "unavailable");
    account.on_instance(&new_instance).get("/contacts").await.expect(200);
    sqlx::query("ALTER TABLE clients_renamed RENAME TO clients").execute(&mut database).await.unwrap();
    caller.on_instance(&new_instance).with_token(&caller.token).get("/contacts").await.expect(200);
}
