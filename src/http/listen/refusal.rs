//! Answers to what is no request: the parser of HTTP/1 refuses it before any of our routes, with an empty answer of its
//! own. Every error has the one shape (contract §2), so it is replaced by a whole one.

use uuid::Uuid;

use crate::http::error::ApiError;

/// Our answer instead of this one, if it is an empty refusal by the parser.
pub(super) fn instead_of(written: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(written).ok()?;
    let error = match text.strip_prefix("HTTP/1.1 ")?.get(..3)? {
        "400" => ApiError::MalformedRequest,
        "414" => ApiError::UriTooLong,
        "431" => ApiError::HeadTooLarge,
        _ => return None,
    };
    let head = text.strip_suffix("\r\n\r\n")?;
    let request_id = Uuid::now_v7().to_string();
    let body = error.body(&request_id);
    tracing::info!(id = %request_id, status = error.catalogue().0.as_u16(), %error, "refused what is no request");
    let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with("content-length:");
    let head: String = head.split("\r\n").filter(is_kept).flat_map(|line| [line, "\r\n"]).collect();
    let headers = format!(
        "content-type: application/json\r\ncontent-length: {}\r\ncache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nx-request-id: {request_id}\r\n\r\n",
        body.len()
    );
    Some([head.into_bytes(), headers.into_bytes(), body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completes_what_the_parser_says() {
        let written = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let answer = String::from_utf8(instead_of(written).expect("an answer")).expect("UTF-8");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ndate: now\r\n"));
        assert!(head.contains(&format!("content-length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["code"], "headers_too_large");
        assert!(head.ends_with(&format!("x-request-id: {}", body["request_id"].as_str().expect("an id"))), "{head}");
    }

    #[test]
    fn leaves_anything_else_alone() {
        for other in
            ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 400 Bad", "\0\0\u{12}\u{4}", ""]
        {
            assert_eq!(instead_of(other.as_bytes()), None, "{other:?}");
        }
    }
}
