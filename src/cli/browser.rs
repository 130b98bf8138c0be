//! Shows a page in the browser of whoever sits at this machine.

use std::process::Stdio;

use tokio::process::Command;

/// Opens a page. Where that fails, as on a machine without a screen, a line says so, and all else goes on.
pub(super) async fn open(page: &str) {
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(opener);
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let failure = match command.status().await {
        Ok(status) if status.success() => return,
        Ok(_) => format!("{opener} failed"),
        Err(error) => format!("{opener}: {error}"),
    };
    eprintln!("could not open a browser ({failure}): visit {page}");
}
