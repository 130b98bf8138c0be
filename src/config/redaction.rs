//! Redaction of setting values for output: one line, without the secrets that a URL can contain.

use url::Url;

use super::database_url;

/// The replacement for a value that must not be printed.
pub(super) const HIDDEN: &str = "[hidden]";

/// The replacement for a secret inside a URL, where brackets would be percent-encoded.
const HIDDEN_IN_URL: &str = "hidden";

/// The maximum length of a printed value, in characters. Longer values are truncated.
const MAX_PRINTED_LENGTH: usize = 100;

/// Returns the printable form of a value.
pub(super) fn redact(value: &str) -> String {
    // A malformed URL may contain a password anywhere. A private key may be set by mistake where a public key belongs.
    let is_secret = (value.contains("://") && Url::parse(value).is_err()) || value.contains("PRIVATE KEY");
    if is_secret {
        return HIDDEN.to_owned();
    }
    let value = redact_url(value).unwrap_or_else(|| value.to_owned());
    let mut characters = value.chars().map(|character| if character.is_control() { ' ' } else { character });
    let line: String = characters.by_ref().take(MAX_PRINTED_LENGTH).collect();
    if characters.next().is_some() { format!("{line}…") } else { line }
}

/// Returns the printable form of a database URL. Hides a malformed URL, which may contain a password anywhere.
pub(super) fn redact_database_url(value: &str) -> String {
    if database_url::is_well_formed(value) { redact(value) } else { HIDDEN.to_owned() }
}

/// Removes the password and the values of secret parameters from a URL. Returns `None` if the value is not a URL or
/// contains no secret.
fn redact_url(value: &str) -> Option<String> {
    let mut url = Url::parse(value).ok()?;
    let is_secret =
        |name: &str| ["pass", "secret", "token", "key"].iter().any(|word| name.to_lowercase().contains(word));
    let has_secret = url.query_pairs().any(|(name, _)| is_secret(&name));
    if url.password().is_none() && !has_secret {
        return None;
    }
    if url.password().is_some() {
        url.set_password(Some(HIDDEN_IN_URL)).ok()?;
    }
    if has_secret {
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let redacted = pairs.iter().map(|(name, value)| (name, if is_secret(name) { HIDDEN_IN_URL } else { value }));
        url.query_pairs_mut().clear().extend_pairs(redacted);
    }
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_urls_and_private_keys_are_hidden() {
        let url = "postgres://contacts:s3cret@db:5432/contacts?sslmode=require&password=s3cret&sslpassword=s3cret";
        let hidden = "postgres://contacts:hidden@db:5432/contacts?sslmode=require&password=hidden&sslpassword=hidden";
        assert_eq!(redact(url), hidden);
        assert_eq!(redact("https://issuer.example/jwks?api_key=s3cret"), "https://issuer.example/jwks?api_key=hidden");
        for plain in ["127.0.0.1:8080", "info,sqlx=warn", "postgres:///contacts?host=/run/pg&user=x", "a,b", "/x y"] {
            assert_eq!(redact(plain), plain);
        }
        assert_eq!(redact("https://user:s3cret@issuer.example:port/"), HIDDEN);
        assert_eq!(redact("-----BEGIN PRIVATE KEY-----\nMC4"), HIDDEN);
        for malformed in
            ["postgres:contacts:s3cret@db", "contacts:s3cret@db:5432", "s3cret", "postgres://u:p@s3/cret@db/x"]
        {
            assert_eq!(redact_database_url(malformed), HIDDEN, "{malformed}");
        }
    }

    #[test]
    fn redacted_value_is_a_single_truncated_line() {
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n", "A".repeat(200));
        let line = redact(&pem);
        assert!(line.starts_with("-----BEGIN PUBLIC KEY----- AAA") && line.ends_with("A…"), "{line}");
        assert_eq!(redact("a\u{1b}[2Jb"), "a [2Jb");
    }
}
