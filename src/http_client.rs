//! The HTTP client for requests that the service itself sends, to token issuers and trace collectors.

use std::error::Error;

use reqwest::{Client, ClientBuilder};

/// Builds a client with the options that all outgoing requests share, and the options that `configure` adds.
///
/// Blocks for a while, because it reads the certificates of the machine. If there are none, the client trusts no
/// `https` server, and plain HTTP still works.
///
/// # Errors
/// Fails if the options of `configure` are not valid.
pub(crate) fn build(configure: impl Fn(ClientBuilder) -> ClientBuilder) -> Result<Client, reqwest::Error> {
    // No proxy: a proxy that the environment sets for other programs must not intercept requests to a trusted issuer.
    // No `Referer`: the target of a redirect must not receive the URL, which may contain a secret.
    let builder = || configure(Client::builder().no_proxy().referer(false));
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

/// Describes an error and all of its causes, without the URL, which may contain a password.
pub(crate) fn describe_error(error: reqwest::Error) -> String {
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
    async fn error_description_includes_the_cause_but_not_the_url() {
        let client = build(|builder| builder).expect("a client");
        let error = client.get("http://user:s3cret@127.0.0.1:1/").send().await.expect_err("a failed connection");
        let description = describe_error(error);
        let names_the_cause = description.to_lowercase().contains("connection refused");
        assert!(names_the_cause && !description.contains("s3cret"), "{description}");
    }
}
