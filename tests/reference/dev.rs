//! `contacts dev`, as a process with data of its own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// A running `contacts dev`.
pub struct Dev {
    process: Child,
    _folder: TempDir,
    /// Where it serves: `http://127.0.0.1:…`
    pub origin: String,
    /// The token that it printed.
    pub token: String,
}

impl Dev {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_contacts"));
        command.arg("dev").current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.env("CONTACTS_DATA_DIR", folder.path().join("data")).env("BIND_ADDR", "127.0.0.1:0");
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let serving = lines.next().expect("a first line");
        let token = lines.find_map(|line| line.trim().strip_prefix("token").map(|token| token.trim().to_owned()));
        // Its end of the pipe must stay open.
        std::thread::spawn(move || lines.for_each(drop));
        let origin = format!("http://{}", serving.split("http://").nth(1).unwrap());
        Self { process, _folder: folder, origin, token: token.expect("a token") }
    }
}

impl Drop for Dev {
    /// In order, so that its database goes with it.
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGINT);
        let _ = self.process.wait();
    }
}
