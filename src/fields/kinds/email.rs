//! `email`, and `user`, which is an email: an address of RFC 5321 with a dot-atom local part and a domain of at least
//! two labels. Trimmed, otherwise stored as sent.

use email_address::{EmailAddress, Options};

use super::{Parsed, parse_trimmed};
use crate::fields::{InvalidValue, IssueCode};
use crate::json::Json;

/// The maximum length of an address in bytes: RFC 5321 §4.5.3.1.3, minus the angle brackets.
const MAX_BYTES: usize = 254;

/// Parses an email address.
pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    parse_trimmed(json, check_email)
}

fn check_email(text: &str) -> Result<(), InvalidValue> {
    if text.len() > MAX_BYTES {
        return Err(InvalidValue::new(IssueCode::TooLong, format!("must be at most {MAX_BYTES} bytes")));
    }
    if is_address(text) {
        return Ok(());
    }
    let message = "must be an email address such as ada@example.com (international domains as punycode, at most 64 \
                   characters before the @)";
    Err(InvalidValue::new(IssueCode::InvalidFormat, message))
}

fn is_address(text: &str) -> bool {
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    // The library also accepts quoted local parts and Unicode. A dot-atom contains neither.
    text.is_ascii()
        && !text.contains('"')
        && EmailAddress::parse_with_options(text, options).is_ok_and(|address| is_host_name(address.domain()))
}

/// Returns whether every label consists of letters, digits and inner hyphens (RFC 1123 §2.1).
fn is_host_name(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    domain.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{expect_rejected, expect_strings_only, json, text_value};
    use super::*;

    #[test]
    fn email_is_trimmed_and_otherwise_stored_as_sent() {
        for text in [
            "ada@example.com",
            "Ada.Lovelace+crm@Mail.Example.co.uk",
            "o'hara@example.org",
            "x@xn--mller-kva.de",
            "!#$%&'*+-/=?^_`{|}~@a.bc",
        ] {
            assert_eq!(parse(&json(text)), text_value(text), "{text}");
            assert_eq!(parse(&json(&format!("\t {text}\n"))), text_value(text), "{text}");
        }
        assert_eq!(parse(&json("  ")), Ok(None));
    }

    #[test]
    fn email_field_rejects_other_forms() {
        expect_rejected(
            parse,
            IssueCode::InvalidFormat,
            &[
                "ada",
                "ada@",
                "@example.com",
                "ada@example",
                "ada@@example.com",
                "a b@example.com",
                "ada@exa mple.com",
                ".ada@example.com",
                "ada.@example.com",
                "a..b@example.com",
                "\"ada\"@example.com",
                "ada@[127.0.0.1]",
                "Ada <ada@example.com>",
                "<ada@example.com>",
                "ada@-example.com",
                "ada@example-.com",
                "ada@example..com",
                "ada@.com",
                "ada@example.com.",
                "ada@müller.de",
                "adä@example.com",
                "ada@exam_ple.com",
                "ada@example.com\0",
                "ada@example.com,bob@example.com",
                "ada(comment)@example.com",
            ],
        );
        expect_strings_only(parse);
    }

    #[test]
    fn email_length_is_limited_in_bytes() {
        let domain = format!("{}.{}.{}.com", "a".repeat(61), "b".repeat(61), "c".repeat(61));
        let longest = format!("{}@{domain}", "x".repeat(254 - 1 - domain.len()));
        assert_eq!(longest.len(), 254);
        assert_eq!(parse(&json(&longest)), text_value(&longest));
        expect_rejected(parse, IssueCode::TooLong, &[&format!("x{longest}")]);
        expect_rejected(parse, IssueCode::InvalidFormat, &[&format!("{}@example.com", "x".repeat(65))]);
    }
}
