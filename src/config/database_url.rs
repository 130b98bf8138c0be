//! `DATABASE_URL`, as libpq reads it: for one host or several.

use std::path::Path;

use url::Url;

use super::secret::Secret;

/// The rule that a malformed URL breaks.
const MALFORMED: &str = "is malformed: use postgres://user:password@host:5432/database. In the password, write %40 for @, %2F for /, \
                         %3F for ?, %23 for # and %25 for %";

/// The parameters that are passed on to the driver. `sslmode` and the files are checked.
const DRIVER_PARAMETERS: [&str; 10] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
    "sslmode",
];
/// The parameters that are paths of files.
const FILE_PARAMETERS: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The databases of a URL.
#[derive(Debug, Clone)]
pub struct DatabaseUrl {
    /// A URL for each host.
    pub hosts: Vec<Secret>,
}

impl DatabaseUrl {
    /// Parses a URL. Several hosts need `target_session_attrs=read-write`: the service uses the one that can write.
    ///
    /// # Errors
    /// Returns the problem, which continues the sentence that starts with the name of the setting. It names parameters, but
    /// contains no value of the URL except file names.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut urls = parse_hosts(text).filter(|urls| urls.iter().all(has_host)).ok_or(MALFORMED)?;
        check_parameters(&urls[0], urls.len())?;
        urls.iter_mut().for_each(set_driver_parameters);
        Ok(Self { hosts: urls.into_iter().map(|url| Secret::new(String::from(url))).collect() })
    }
}

/// Returns a URL for each host of a list `host:port,host:port`.
fn parse_hosts(text: &str) -> Option<Vec<Url>> {
    let (scheme, rest) = text.split_once("://")?;
    if !["postgres", "postgresql"].contains(&scheme) {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if continues_password(path) {
        return None;
    }
    let (user, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    hosts.split(',').map(|host| Url::parse(&format!("{scheme}://{user}{host}{path}")).ok()).collect()
}

/// Returns whether what follows the authority of a URL seems to be the rest of a password that is not encoded. The beginning
/// of the password is then where a host, which is no secret, belongs.
fn continues_password(path: &str) -> bool {
    let mut names = path.split(['?', '&']).filter_map(|part| part.split('=').next());
    path.contains('#') || names.any(|name| name.contains('@'))
}

/// Returns whether a URL has its password, if any, where one belongs.
pub(super) fn is_well_formed(text: &str) -> bool {
    parse_hosts(text).is_some()
}

/// Whether a URL has a host, or the folder of a Unix socket in the parameter `host`.
fn has_host(url: &Url) -> bool {
    url.host_str().is_some_and(|host| !host.is_empty()) || url.query_pairs().any(|(name, _)| name == "host")
}

fn check_parameters(url: &Url, hosts: usize) -> Result<(), String> {
    let mut requires_writes = false;
    for (name, value) in url.query_pairs() {
        let name = canonical_name(&name);
        match name {
            "sslmode" if !SSL_MODES.contains(&&*value) => {
                return Err(format!("has a bad sslmode: use one of {}", SSL_MODES.join(", ")));
            }
            "target_session_attrs" => match &*value {
                "read-write" | "primary" => requires_writes = true,
                "any" => {}
                _ => return Err("has a bad target_session_attrs: use read-write".into()),
            },
            "host" | "port" | "hostaddr" if hosts > 1 || value.contains(',') => {
                return Err(format!(
                    "has the parameter {name} and several hosts: use postgres://user:password@host1:5432,host2:5432/database"
                ));
            }
            name if FILE_PARAMETERS.contains(&name) => {
                if !Path::new(&*value).is_file() {
                    return Err(format!("has the parameter {name}, but there is no file {value:?}"));
                }
            }
            name if DRIVER_PARAMETERS.contains(&name) || name.starts_with("options[") => {}
            _ => return Err(format!("has the unknown parameter {name:?}: remove it")),
        }
    }
    if hosts > 1 && !requires_writes {
        return Err("has several hosts: add target_session_attrs=read-write".into());
    }
    Ok(())
}

/// Returns the name of a parameter in libpq. The driver has other names for some, too.
fn canonical_name(name: &str) -> &str {
    match name {
        "ssl-mode" => "sslmode",
        "ssl-root-cert" | "ssl-ca" => "sslrootcert",
        "ssl-cert" => "sslcert",
        "ssl-key" => "sslkey",
        name => name,
    }
}

/// Replaces the parameters that the driver does not know, or treats in another way than libpq.
fn set_driver_parameters(url: &mut Url) {
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (canonical_name(&name).to_owned(), value.into_owned()))
        .filter(|(name, _)| name != "target_session_attrs")
        .collect();
    // With a root certificate, libpq verifies the server in the mode "require", too.
    let has_root = pairs.iter().any(|(name, _)| name == "sslrootcert");
    let value = |name: &str, value: String| match (name, value.as_str()) {
        ("sslmode", "require") if has_root => "verify-ca".to_owned(),
        _ => value,
    };
    let pairs: Vec<_> = pairs.into_iter().map(|(name, text)| (value(&name, text), name)).collect();
    url.set_query(None);
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs.iter().map(|(value, name)| (name, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(text: &str) -> Vec<String> {
        let url = DatabaseUrl::parse(text).expect("a valid URL");
        url.hosts.iter().map(|host| host.expose().to_owned()).collect()
    }

    #[test]
    fn url_of_one_host_is_kept() {
        for url in [
            "postgres://contacts:s3cret@db:5432/contacts",
            "postgresql://db/contacts?sslmode=verify-full&options%5Bwork_mem%5D=8MB",
            "postgres://contacts@localhost/contacts?host=%2Frun%2Fpostgresql",
            "postgres://[::1]:5433/contacts",
        ] {
            assert_eq!(hosts(url), [url]);
        }
        assert_eq!(hosts("postgres://db/contacts?target_session_attrs=read-write"), ["postgres://db/contacts"]);
    }

    #[test]
    fn each_host_of_a_list_gets_a_url() {
        let url = "postgres://contacts:a%2Cb@one:5432,[::2]:5433,three/contacts?sslmode=require&target_session_attrs=read-write";
        let rest = "/contacts?sslmode=require";
        let expected =
            ["one:5432", "[::2]:5433", "three"].map(|host| format!("postgres://contacts:a%2Cb@{host}{rest}"));
        assert_eq!(hosts(url), expected);
    }

    #[test]
    fn require_with_a_root_certificate_verifies() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let path = file.path().display();
        let url = format!("postgres://db/contacts?sslmode=require&sslrootcert={path}");
        assert!(hosts(&url)[0].contains("sslmode=verify-ca"), "{url}");
        let url = format!("postgres://db/contacts?sslmode=verify-full&ssl-ca={path}");
        assert!(hosts(&url)[0].contains("sslmode=verify-full&sslrootcert="), "{url}");
    }

    #[test]
    fn problem_names_the_parameter_and_no_secret() {
        for (url, problem) in [
            ("postgres://u:s3cret@db/contacts?sslpassword=s3cret", "unknown parameter \"sslpassword\""),
            ("postgres://u:s3cret@db/contacts?sslmode=s3cret", "bad sslmode"),
            ("postgres://u:s3cret@db/contacts?sslrootcert=/nowhere/ca.pem", "\"/nowhere/ca.pem\""),
            ("postgres://u:s3cret@a,b/contacts", "add target_session_attrs=read-write"),
            ("postgres://u:s3cret@a,b/contacts?target_session_attrs=standby", "bad target_session_attrs"),
            ("postgres://u:s3cret@a,b/contacts?target_session_attrs=any", "add target_session_attrs=read-write"),
            ("postgres://u:s3cret@db/contacts?host=a,b", "several hosts"),
            ("postgres://u:s3cret@db:port/contacts", "malformed"),
            ("postgres://u:s3cret@/contacts", "malformed"),
            ("mysql://u:s3cret@db/contacts", "malformed"),
            ("s3cret", "malformed"),
            ("postgres://u:s3@/cret@db/contacts", "write %40 for @"),
            ("postgres://u:p@s3cret/w#rd@db/contacts", "malformed"),
            ("postgres://u:5?s3cret@db/contacts", "malformed"),
            ("postgres://u:5432?a=b&s3cret@db/contacts", "malformed"),
        ] {
            let error = DatabaseUrl::parse(url).expect_err(url);
            assert!(error.contains(problem) && !error.contains("s3cret"), "{url}: {error}");
        }
    }
}
