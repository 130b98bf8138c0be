//! What of a setting's value may be printed: in one line, and without the secrets that a URL can hold.

use url::Url;

/// Stands for what must not be printed.
pub(super) const HIDDEN: &str = "[hidden]";

/// The same inside of a URL, where brackets would be escaped.
const HIDDEN_IN_URL: &str = "hidden";

/// The longest value that is printed whole, in characters.
const LONGEST: usize = 100;

/// A value as it may be printed.
pub(super) fn shown(value: &str) -> String {
    // A malformed address may hold a password anywhere; and some take the one key for the other.
    let is_secret = (value.contains("://") && Url::parse(value).is_err()) || value.contains("PRIVATE KEY");
    if is_secret {
        return HIDDEN.to_owned();
    }
    let value = without_secrets(value).unwrap_or_else(|| value.to_owned());
    let mut characters = value.chars().map(|character| if character.is_control() { ' ' } else { character });
    let line: String = characters.by_ref().take(LONGEST).collect();
    if characters.next().is_some() { format!("{line}…") } else { line }
}

/// The URL of a database as it may be printed. A malformed one may hold a password anywhere.
pub(super) fn shown_url(value: &str) -> String {
    if Url::parse(value).is_ok_and(|url| url.has_authority()) { shown(value) } else { HIDDEN.to_owned() }
}

/// A URL without its password and the parameters that hold secrets. `None`: it is no URL, or has none of these.
fn without_secrets(value: &str) -> Option<String> {
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
        let shown = pairs.iter().map(|(name, value)| (name, if is_secret(name) { HIDDEN_IN_URL } else { value }));
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_urls_hold_of_secrets() {
        let url = "postgres://contacts:s3cret@db:5432/contacts?sslmode=require&password=s3cret&sslpassword=s3cret";
        let hidden = "postgres://contacts:hidden@db:5432/contacts?sslmode=require&password=hidden&sslpassword=hidden";
        assert_eq!(shown(url), hidden);
        assert_eq!(shown("https://issuer.example/jwks?api_key=s3cret"), "https://issuer.example/jwks?api_key=hidden");
        for plain in ["127.0.0.1:8080", "info,sqlx=warn", "postgres:///contacts?host=/run/pg&user=x", "a,b", "/x y"] {
            assert_eq!(shown(plain), plain);
        }
        assert_eq!(shown("https://user:s3cret@issuer.example:port/"), HIDDEN);
        assert_eq!(shown("-----BEGIN PRIVATE KEY-----\nMC4"), HIDDEN);
        for malformed in ["postgres:contacts:s3cret@db", "contacts:s3cret@db:5432", "s3cret"] {
            assert_eq!(shown_url(malformed), HIDDEN, "{malformed}");
        }
    }

    #[test]
    fn takes_a_line_and_no_more() {
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n", "A".repeat(200));
        let line = shown(&pem);
        assert!(line.starts_with("-----BEGIN PUBLIC KEY----- AAA") && line.ends_with("A…"), "{line}");
        assert_eq!(shown("a\u{1b}[2Jb"), "a [2Jb");
    }
}
