//! Which pages of other origins may call the API from a browser.

use url::Url;

use super::reader::Reader;

/// The origins whose pages may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Those of every origin.
    Any,
    /// Those of these, written as browsers write them: `https://app.example.com`.
    These(Vec<String>),
}

impl Reader<'_> {
    /// `None`: those of no other origin.
    pub(super) fn origins(&mut self) -> Option<Origins> {
        let text = self.text("CORS_ALLOWED_ORIGINS")?;
        let origins = parse(&text);
        if origins.is_none() {
            let rule = "must be * or origins joined by commas, such as https://app.example.com,http://localhost:3000";
            self.complain("CORS_ALLOWED_ORIGINS", rule);
        }
        origins
    }
}

fn parse(text: &str) -> Option<Origins> {
    if text.trim() == "*" {
        return Some(Origins::Any);
    }
    text.split(',').map(|origin| origin_of(origin.trim())).collect::<Option<_>>().map(Origins::These)
}

/// An origin as browsers write it (RFC 6454 §6.2): lower case, no default port, nothing after the host.
fn origin_of(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()))?;
    // A pattern would match nothing, and who writes one should know.
    let is_pattern = text.contains('*');
    let is_bare = !is_pattern && url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (is_bare && url.username().is_empty() && url.password().is_none()).then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_origins_as_people_write_them() {
        let these = |origins: &[&str]| Some(Origins::These(origins.iter().map(ToString::to_string).collect()));
        assert_eq!(parse("*"), Some(Origins::Any));
        assert_eq!(parse("https://app.example.com"), these(&["https://app.example.com"]));
        assert_eq!(
            parse(" HTTPS://App.Example.com:443/ ,http://localhost:3000"),
            these(&["https://app.example.com", "http://localhost:3000"])
        );
    }

    #[test]
    fn refuses_what_no_browser_sends() {
        for text in [
            "app.example.com",
            "https://",
            "https://a.example/path",
            "https://a.example?x",
            "https://a.example,",
            "*,https://a.example",
            "https://*.example.com",
            "https://user@a.example",
            "ftp://a.example",
            "null",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
