//! `contacts dev` as a process with its own data folder.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A running `contacts dev`.
pub struct DevServer {
    process: Child,
    folder: TempDir,
    /// The origin of the service: `http://127.0.0.1:…`.
    pub origin: String,
    /// The link to the page that it printed.
    pub docs: String,
    /// The token that it printed.
    pub token: String,
}

impl DevServer {
    /// Starts `contacts dev` on a free port and waits until it prints its token.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = program(&folder);
        command.arg("dev").env("BIND_ADDR", "127.0.0.1:0").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let serving = lines.next().expect("no line was printed");
        let mut value_of = |label: &str| {
            let value = lines.find_map(|line| line.trim().strip_prefix(label).map(|value| value.trim().to_owned()));
            value.unwrap_or_else(|| panic!("no {label} was printed"))
        };
        let (docs, token) = (value_of("docs"), value_of("token"));
        // Keeps reading: the pipe must stay open while the process runs.
        std::thread::spawn(move || lines.for_each(drop));
        let origin = format!("http://{}", serving.split("http://").nth(1).unwrap());
        Self { process, folder, origin, docs, token }
    }

    /// Creates an API client of the sample account. Returns its id and secret.
    pub fn create_client(&self) -> (String, String) {
        let output = program(&self.folder).args(["client", "create", "--name", "Samples"]).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let value_of = |label: &str| printed.lines().find_map(|line| line.strip_prefix(label)).unwrap().to_owned();
        (value_of("client_id: "), value_of("client_secret: "))
    }
}

/// Returns the program with its data in a folder.
fn program(folder: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_contacts"));
    command.current_dir(folder.path()).env("CONTACTS_DATA_DIR", folder.path().join("data")).stderr(Stdio::null());
    command
}

impl Drop for DevServer {
    /// Stops the process with SIGINT, so that it also stops its database.
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGINT);
        let _ = self.process.wait();
    }
}
