//! `url`: an absolute http(s) URL. Trimmed, never rewritten.

use super::{Parsed, limit_characters, trimmed};
use crate::fields::{IssueCode, Refusal};
use crate::json::Json;

pub(in crate::fields) fn parse(json: &Json<'_>, max_length: usize) -> Parsed {
    trimmed(json, |text| {
        limit_characters(text, max_length)?;
        if is_web_address(text) {
            return Ok(());
        }
        let message = "must be an absolute URL that starts with http:// or https://";
        Err(Refusal::new(IssueCode::InvalidFormat, message))
    })
}

fn is_web_address(text: &str) -> bool {
    // The WHATWG parser mends what it reads: it drops tabs and newlines, encodes blanks, takes one slash
    // for two. What is kept as sent must not need mending.
    let is_mendable =
        |character: char| character.is_whitespace() || character.is_control() || "\\<>\"".contains(character);
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        && !rest.starts_with('/')
        && !text.chars().any(is_mendable)
        && url::Url::parse(text).is_ok_and(|url| url.has_host())
}

#[cfg(test)]
mod tests {
    use super::super::samples::{json, only_strings, refused, set};
    use super::*;

    #[test]
    fn takes_web_addresses_as_sent_but_trimmed() {
        for text in [
            "http://example.com",
            "HTTPS://Example.COM:8443/Ä?q=a%20b#x",
            "https://müller.example/",
            "http://[::1]/",
            "http://localhost:3000",
        ] {
            assert_eq!(parse(&json(&format!(" {text}\n")), 2_048), set(text), "{text}");
        }
        assert_eq!(parse(&json(" "), 2_048), Ok(None));
    }

    #[test]
    fn refuses_everything_else() {
        refused(
            |json| parse(json, 2_048),
            IssueCode::InvalidFormat,
            &[
                "example.com",
                "www.example.com",
                "/path",
                "ftp://example.com",
                "javascript:alert(1)",
                "mailto:a@example.com",
                "http:example.com",
                "http:/example.com",
                "http://",
                "https:///path",
                "http://exa mple.com",
                "http://example.com/a\tb",
                "http:\\\\example.com",
                "http://example.com:99999",
                "http://example.com/\0",
            ],
        );
        let longest = format!("https://example.com/{}", "a".repeat(2_048 - 20));
        assert_eq!(parse(&json(&longest), 2_048), set(&longest));
        refused(|json| parse(json, 2_048), IssueCode::TooLong, &[&format!("{longest}a")]);
        only_strings(|json| parse(json, 2_048));
    }
}
