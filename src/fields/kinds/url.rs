//! `url`: an absolute http(s) URL. Trimmed, otherwise stored as sent.

use super::{Parsed, check_max_characters, parse_trimmed};
use crate::fields::{InvalidValue, IssueCode};
use crate::json::Json;

/// Parses an absolute URL of at most `max_length` characters.
pub(in crate::fields) fn parse(json: &Json<'_>, max_length: usize) -> Parsed {
    parse_trimmed(json, |text| {
        check_max_characters(text, max_length)?;
        if is_web_address(text) {
            return Ok(());
        }
        let message = "must be an absolute URL that starts with http:// or https://, without spaces";
        Err(InvalidValue::new(IssueCode::InvalidFormat, message))
    })
}

fn is_web_address(text: &str) -> bool {
    // The WHATWG parser corrects its input: it drops tabs and newlines, encodes spaces, and reads one slash as two. The
    // URL is stored as sent, so it must not need any correction.
    let needs_correction =
        |character: char| character.is_whitespace() || character.is_control() || "\\<>\"".contains(character);
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        && !rest.starts_with('/')
        && !text.chars().any(needs_correction)
        && url::Url::parse(text).is_ok_and(|url| url.has_host())
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expect_rejected, expect_strings_only, json, text_value};
    use super::*;

    #[test]
    fn url_is_trimmed_and_otherwise_stored_as_sent() {
        for text in [
            "http://example.com",
            "HTTPS://Example.COM:8443/Ä?q=a%20b#x",
            "https://müller.example/",
            "http://[::1]/",
            "http://localhost:3000",
        ] {
            assert_eq!(parse(&json(&format!(" {text}\n")), 2_048), text_value(text), "{text}");
        }
        assert_eq!(parse(&json(" "), 2_048), Ok(None));
    }

    #[test]
    fn url_field_rejects_other_schemes_and_malformed_urls() {
        expect_rejected(
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
        assert_eq!(parse(&json(&longest), 2_048), text_value(&longest));
        expect_rejected(|json| parse(json, 2_048), IssueCode::TooLong, &[&format!("{longest}a")]);
        expect_strings_only(|json| parse(json, 2_048));
    }
}
