//! What HTTP demands of the head of a request that the parser lets pass. Between us and the caller stands a proxy, or a
//! few: what two of them may read in two ways is no request.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;

/// Refuses a request whose head is malformed, before anything else is said of it.
pub(super) async fn well_formed(request: Request, next: Next) -> Response {
    if names_its_host(request.version(), request.headers()) && is_framed_plainly(request.headers()) {
        return next.run(request).await;
    }
    ApiError::MalformedRequest.into_response()
}

/// Whether `Host` is there once, and can be one. Only HTTP/1.1 must have it (RFC 9112 §3.2).
fn names_its_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version != Version::HTTP_11,
        (Some(host), None) => is_host(host),
        (Some(_), Some(_)) => false,
    }
}

/// A host and a port, or nothing: that is for targets without an authority (RFC 9110 §7.2).
fn is_host(value: &HeaderValue) -> bool {
    let is_authority = |value: &[u8]| Authority::try_from(value).is_ok_and(|host| !host.as_str().contains('@'));
    value.is_empty() || is_authority(value.as_bytes())
}

/// Whether a body comes as it is or in chunks, and in nothing around or besides: other codings are not known here
/// (RFC 9112 §6.1), and nobody may send chunks of chunks (§7.1).
fn is_framed_plainly(headers: &HeaderMap) -> bool {
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
    fn takes_one_host(#[case] hosts: &[&'static str], #[case] is_good: bool) {
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(names_its_host(version, &headers(header::HOST, hosts)), is_good, "{version:?}");
        }
    }

    #[test]
    fn only_http_1_1_must_name_its_host() {
        let named = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2];
        assert_eq!(named.map(|version| names_its_host(version, &HeaderMap::new())), [true, false, true]);
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
    fn takes_chunks_of_nothing_but_the_body(#[case] codings: &[&'static str], #[case] is_good: bool) {
        assert_eq!(is_framed_plainly(&headers(header::TRANSFER_ENCODING, codings)), is_good);
    }
}
