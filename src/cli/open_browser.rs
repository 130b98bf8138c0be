//! Opens a page in the user's browser.

use std::process::Stdio;

use tokio::process::Command;

/// Opens a page in the default browser. If that fails, prints a message with the address and returns normally.
pub(super) async fn open_page(page: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failure = match command.status().await {
        Ok(status) if status.success() => return,
        Ok(status) => format!("{opener}: {status}"),
        Err(error) => format!("{opener}: {error}"),
    };
    eprintln!("Could not open a browser ({failure}). Open {page} yourself");
}
