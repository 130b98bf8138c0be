//! `contacts dev --open-docs`: opens the API reference in the browser, and works without a browser too.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use super::dev::{DevServer, start_dev_command};
use super::{is_ready, program, wait_for};

/// Starts `contacts dev --open-docs` with this script in place of the program that opens a page.
fn dev_with_opener(folder: &TempDir, script: &str) -> DevServer {
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["xdg-open", "open"] {
        let opener = bin.join(name);
        fs::write(&opener, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = program(folder);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    command.args(["dev", "--open-docs"]).env("PATH", path);
    start_dev_command(command, &folder.path().join("data"), Stdio::null())
}

/// Returns the text of a file once its last line is complete.
fn complete_content(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
}

#[test]
fn open_docs_opens_the_page_of_the_running_service() {
    let folder = TempDir::new().unwrap();
    let opened = folder.path().join("opened");
    let dev = dev_with_opener(&folder, &format!("echo \"$@\" >'{}'", opened.display()));
    let page = wait_for("the browser", || complete_content(&opened));
    let token = page.trim().strip_prefix(&format!("http://{}/docs#token=", dev.address));
    assert!(token.is_some_and(|token| dev.curl.contains(&format!("Bearer {token}'"))), "{page}");
}

#[test]
fn open_docs_without_a_browser_still_serves() {
    let folder = TempDir::new().unwrap();
    let attempted = folder.path().join("attempted");
    let dev = dev_with_opener(&folder, &format!("echo >'{}'; exit 3", attempted.display()));
    wait_for("the browser", || complete_content(&attempted));
    wait_for("readiness", || is_ready(&dev.address).then_some(()));
}
