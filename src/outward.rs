//! Requests that the service itself sends, to issuers and collectors: what all of them have in common.

use std::error::Error;

use reqwest::{Client, ClientBuilder};

/// A client for such requests, with whatever else it needs. Reads the certificates of the machine, which takes a while;
/// where there are none, it trusts nobody over `https`, and plain HTTP still works.
///
/// # Errors
/// What it is given makes no client.
pub(crate) fn client(with: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, reqwest::Error> {
    // A proxy that the environment sets for other programs must not come between us and whom we trust. And whom a
    // redirect leads to is not told the URL, of which a part may be secret.
    let builder = || with(Client::builder().no_proxy().referer(false));
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// What went wrong, and every cause of it, without the URL, which may hold a password.
pub(crate) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reason_goes_down_to_its_cause_and_does_not_name_the_url() {
        let client = client(|builder| builder).expect("a client");
        let error = client.get("http://user:s3cret@127.0.0.1:1/").send().await.expect_err("nobody is there");
        let reason = reason(error);
        assert!(reason.to_lowercase().contains("connection refused") && !reason.contains("s3cret"), "{reason}");
    }
}
