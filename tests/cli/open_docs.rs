//! `contacts dev --open-docs`: the browser opens; where there is none, all else goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;

use super::{Dev, is_ready, program, start_dev, wait_for};

/// `contacts dev --open-docs` on a machine whose way to open a page is this script.
fn dev_with_opener(folder: &TempDir, script: &str) -> Dev {
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
    start_dev(command, &folder.path().join("data"), Stdio::null())
}

fn content(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
}

#[test]
fn opens_the_page_of_the_service_that_listens() {
    let folder = TempDir::new().unwrap();
    let opened = folder.path().join("opened");
    let dev = dev_with_opener(&folder, &format!("echo \"$@\" >'{}'", opened.display()));
    let page = wait_for("the browser", || content(&opened));
    assert_eq!(page, format!("http://{}/docs\n", dev.address));
}

#[test]
fn goes_on_without_a_browser() {
    let folder = TempDir::new().unwrap();
    let asked = folder.path().join("asked");
    let dev = dev_with_opener(&folder, &format!("echo >'{}'; exit 3", asked.display()));
    wait_for("the browser", || content(&asked));
    wait_for("readiness", || is_ready(&dev.address).then_some(()));
}
