//! `email`, and `user`, which is one: an address of RFC 5321 with a dot-atom local part and a domain of two
//! labels or more. Kept as sent, trimmed.

use email_address::{EmailAddress, Options};

use super::{Parsed, trimmed};
use crate::fields::{IssueCode, Refusal};
use crate::json::Json;

/// The longest address that a mailbox can have (RFC 5321 §4.5.3.1.3, less the angle brackets), in bytes.
const MAX_BYTES: usize = 254;

pub(in crate::fields) fn parse(json: &Json<'_>) -> Parsed {
    trimmed(json, check)
}

fn check(text: &str) -> Result<(), Refusal> {
    if text.len() > MAX_BYTES {
        return Err(Refusal::new(IssueCode::TooLong, format!("must be at most {MAX_BYTES} bytes")));
    }
    if is_address(text) {
        return Ok(());
    }
    let message = "must be an email address such as ada@example.com (international domains as punycode, at most 64 characters before the @)";
    Err(Refusal::new(IssueCode::InvalidFormat, message))
}

fn is_address(text: &str) -> bool {
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    // The library also takes quoted local parts and Unicode; a dot-atom has neither.
    text.is_ascii()
        && !text.contains('"')
        && EmailAddress::parse_with_options(text, options).is_ok_and(|address| is_host_name(address.domain()))
}

/// Labels of letters, digits and inner hyphens (RFC 1123 §2.1).
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
    use super::super::samples::{json, only_strings, refused, set};
    use super::*;

    #[test]
    fn takes_addresses_as_sent_but_trimmed() {
        for text in [
            "ada@example.com",
            "Ada.Lovelace+crm@Mail.Example.co.uk",
            "o'hara@example.org",
            "x@xn--mller-kva.de",
            "!#$%&'*+-/=?^_`{|}~@a.bc",
        ] {
            assert_eq!(parse(&json(text)), set(text), "{text}");
            assert_eq!(parse(&json(&format!("\t {text}\n"))), set(text), "{text}");
        }
        assert_eq!(parse(&json("  ")), Ok(None));
    }

    #[test]
    fn refuses_what_is_no_plain_address() {
        refused(
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
        only_strings(parse);
    }

    #[test]
    fn limits_the_length_in_bytes() {
        let domain = format!("{}.{}.{}.com", "a".repeat(61), "b".repeat(61), "c".repeat(61));
        let longest = format!("{}@{domain}", "x".repeat(254 - 1 - domain.len()));
        assert_eq!(longest.len(), 254);
        assert_eq!(parse(&json(&longest)), set(&longest));
        refused(parse, IssueCode::TooLong, &[&format!("x{longest}")]);
        refused(parse, IssueCode::InvalidFormat, &[&format!("{}@example.com", "x".repeat(65))]);
    }
}
