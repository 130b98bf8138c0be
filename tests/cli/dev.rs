//! `contacts dev`: its sample account, its data, and the addresses that it refuses.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{ChildGuard, is_ready, program, stderr_lines, wait_for};

/// A running `contacts dev`, with the address and the commands that it printed.
pub struct DevServer {
    pub running: ChildGuard,
    pub address: String,
    pub curl: String,
    /// The command that sets the variables of the documentation.
    pub export: String,
}

/// Starts `contacts dev` with this data folder.
pub fn start_dev(folder: &TempDir, data: &Path) -> DevServer {
    start_dev_command(program(folder), data, Stdio::null())
}

/// Starts a `contacts dev` command and waits until it has printed its commands.
pub fn start_dev_command(mut command: Command, data: &Path, log: Stdio) -> DevServer {
    command.env("CONTACTS_DATA_DIR", data).env("BIND_ADDR", "127.0.0.1:0");
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let serving = output.next().expect("no line was printed");
    let curl = output.find(|line| line.starts_with("curl ")).expect("no curl command was printed");
    let export = output.find(|line| line.starts_with("export ")).expect("no variables were printed");
    // Keeps reading: the pipe must stay open while the process runs.
    std::thread::spawn(move || output.for_each(drop));
    DevServer { running: ChildGuard(child), address: serving.split("http://").nth(1).unwrap().to_owned(), curl, export }
}

/// Runs a printed `curl` command in a shell and returns the response with its headers.
pub fn run_curl(curl: &str) -> String {
    let output = Command::new("sh").args(["-c", &format!("{curl} -s -i")]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the first `curl` command in the code blocks of a page.
fn first_curl_command(page: &str) -> &str {
    let start = page.find("```sh\ncurl ").expect("a curl command") + "```sh\n".len();
    page[start..].split("\n```").next().unwrap()
}

/// Returns whether PostgreSQL still uses this data folder.
fn is_postgres_running(data: &Path) -> bool {
    data.join("postgres/postmaster.pid").exists()
}

#[test]
fn dev_serves_a_sample_and_keeps_its_data_after_sigkill_and_sigint() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let first = start_dev(&folder, &data);
    let response = run_curl(&first.curl);
    assert!(response.starts_with("HTTP/1.1 200") && response.contains("\"job_title\":\"Countess\""), "{response}");
    let guide = include_str!("../../src/http/openapi/guide.md");
    for page in [include_str!("../../README.md"), include_str!("../../docs/api-reference.md"), guide] {
        let response = run_curl(&format!("{}; {}", first.export, first_curl_command(page)));
        assert!(response.starts_with("HTTP/1.1 200") && response.contains("\"shoe_size\":38"), "{response}");
    }
    assert!(first.export.ends_with(" ACCOUNT=00000000-0000-7000-8000-000000000001"), "{}", first.export);
    let token = program(&folder).env("CONTACTS_DATA_DIR", &data).args(["token", "--sub", "ada"]).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let me = run_curl(&format!("curl http://{}/me -H 'Authorization: Bearer {}'", first.address, token.trim()));
    assert!(me.contains("\"actor\":\"ada\"") && me.contains("00000000-0000-7000-8000-000000000001"), "{me}");
    let second_start =
        program(&folder).env("CONTACTS_DATA_DIR", &data).env("BIND_ADDR", "127.0.0.1:0").output().unwrap();
    assert!(
        !second_start.status.success() && stderr_lines(&second_start)[0].contains("another process uses"),
        "{:?}",
        stderr_lines(&second_start)
    );
    first.running.signal(Signal::SIGKILL);
    drop(first);
    wait_for("the shutdown of its database", || (!is_postgres_running(&data)).then_some(()));

    let mut second = start_dev(&folder, &data);
    let read = second.curl.replace("-X PATCH", "-X GET").split(" -d ").next().unwrap().to_owned();
    let response = run_curl(&read);
    assert!(response.contains("\"job_title\":\"Countess\""), "an acknowledged change is lost: {response}");
    assert!(is_ready(&second.address));
    second.running.signal(Signal::SIGINT);
    assert_eq!(second.running.0.wait().unwrap().code(), Some(0));
    assert!(!is_postgres_running(&data), "PostgreSQL is still running");
}

#[test]
fn dev_refuses_addresses_other_than_loopback() {
    let folder = TempDir::new().unwrap();
    for name in ["BIND_ADDR", "METRICS_ADDR"] {
        let output =
            program(&folder).env(name, "0.0.0.0:8080").env("CONTACTS_DATA_DIR", folder.path()).output().unwrap();
        let lines = stderr_lines(&output);
        assert!(!output.status.success() && lines[0].starts_with(&format!("error: {name}")), "{lines:?}");
    }
}

#[test]
fn dev_uses_no_other_postgres_than_the_chosen_one() {
    let folder = TempDir::new().unwrap();
    let mut command = program(&folder);
    command.env("PG_BIN_DIR", "/nowhere").env("CONTACTS_DATA_DIR", folder.path().join("data"));
    let lines = stderr_lines(&command.env("BIND_ADDR", "127.0.0.1:0").output().unwrap());
    assert!(lines.len() == 1 && lines[0].contains("PG_BIN_DIR: /nowhere has no initdb and postgres"), "{lines:?}");
}

#[test]
fn dev_reports_a_missing_postgres_in_one_line() {
    let folder = TempDir::new().unwrap();
    if Path::new("/usr/lib/postgresql").exists() && nix::unistd::geteuid().is_root() {
        // The program always searches this folder. A data folder of an unknown version makes the search fail.
        fs::create_dir_all(folder.path().join("data/postgres")).unwrap();
        fs::write(folder.path().join("data/postgres/PG_VERSION"), "9\n").unwrap();
    }
    let mut command = program(&folder);
    command.env("PATH", "/nowhere").env("HOME", folder.path()).env("BIND_ADDR", "127.0.0.1:0");
    let output = command.env("CONTACTS_DATA_DIR", folder.path().join("data")).output().unwrap();
    let lines = stderr_lines(&output);
    assert!(
        !output.status.success() && lines.len() == 1 && lines[0].contains("was not found: install it"),
        "{lines:?}"
    );
}
