//! Rejects requests whose `Host` or `Transfer-Encoding` is invalid or ambiguous but passes the HTTP parser.
//!
//! Proxies in front of the service may interpret such a request differently, which allows request smuggling
//! (RFC 9112 §11.2).

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Version, header};

/// Returns whether the headers of a request are valid.
pub(super) fn has_valid_headers(request: &Request) -> bool {
    has_valid_host(request.version(), request.headers()) && has_valid_transfer_encoding(request.headers())
}

/// Returns whether there is at most one `Host`, and it is valid. HTTP/1.1 requires one (RFC 9112 §3.2).
fn has_valid_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(host), None) => is_host(host),
        (Some(_), Some(_)) => false,
    }
}

/// Returns whether a value is a host with an optional port. The value may be empty, for targets without an authority
/// (RFC 9110 §7.2).
fn is_host(value: &HeaderValue) -> bool {
    let is_authority = |value: &[u8]| Authority::try_from(value).is_ok_and(|host| !host.as_str().contains('@'));
    value.is_empty() || is_authority(value.as_bytes())
}

/// Returns whether `Transfer-Encoding` is absent or exactly `chunked`. The service supports no other coding (RFC 9112
/// §6.1), and `chunked` must not be applied twice (RFC 9112 §7.1).
fn has_valid_transfer_encoding(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = codings.next().is_none_or(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    is_chunked && codings.next().is_none()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn headers(name: header::HeaderName, values: &[&'static str]) -> HeaderMap {
        HeaderMap::from_iter(values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))))
    }

    #[rstest]
    #[case(&["x"], true)]
    #[case(&["contacts.example:8080"], true)]
    #[case(&["my_service:80"], true)]
    #[case(&["[::1]:80"], true)]
    #[case(&[""], true)]
    #[case(&["x", "x"], false)]
    #[case(&["x, y"], false)]
    #[case(&["u@x"], false)]
    #[case(&["x/y"], false)]
    #[case(&["x y"], false)]
    fn at_most_one_valid_host_is_accepted(#[case] hosts: &[&'static str], #[case] is_valid: bool) {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(has_valid_host(version, &headers(header::HOST, hosts)), is_valid, "{version:?}");
        }
    }

    #[test]
    fn only_http_1_1_requires_a_host() {
        let versions = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
        assert_eq!(versions.map(|version| has_valid_host(version, &HeaderMap::new())), [true, false, true]);
    }

    #[rstest]
    #[case(&[], true)]
    #[case(&["chunked"], true)]
    #[case(&["Chunked"], true)]
    #[case(&["chunked", "chunked"], false)]
    #[case(&["chunked, chunked"], false)]
    #[case(&["gzip, chunked"], false)]
    #[case(&["gzip", "chunked"], false)]
    #[case(&[",chunked"], false)]
    fn chunked_is_the_only_accepted_transfer_coding(#[case] codings: &[&'static str], #[case] is_valid: bool) {
        assert_eq!(has_valid_transfer_encoding(&headers(header::TRANSFER_ENCODING, codings)), is_valid);
    }
}
