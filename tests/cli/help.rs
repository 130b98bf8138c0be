//! Help texts and shell completions.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::program;

/// Runs the program and returns its standard output.
fn stdout_of(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let output = program(&folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = stdout_of(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Continuation lines of long descriptions are indented further.
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn help_fits_100_columns_and_contains_examples() {
    let mut help_texts = vec![stdout_of(&["--help"])];
    help_texts.extend(commands().iter().filter(|name| *name != "help").map(|name| stdout_of(&[name, "--help"])));
    assert!(help_texts.len() > 7, "{help_texts:?}");
    for help in &help_texts {
        assert!(help.contains("Usage: contacts"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    assert!(["Examples:", "Exit codes:", "config check", ".env"].iter().all(|part| help_texts[0].contains(part)));
}

#[test]
fn usage_errors_exit_with_2() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["serv"][..], &["dev", "--docs"], &["config"], &["completions", "cmd"]] {
        let output = program(&folder).args(arguments).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn completions_contain_every_command_and_need_no_settings() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "no line of settings").unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = program(&folder).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        for command in commands() {
            assert!(script.contains(&command), "{shell} does not complete {command}");
        }
        assert!(script.contains("open-docs"), "{shell}");
    }
    // Where bash is installed, it can use the script to complete a command.
    let complete = "source <(\"$0\" completions bash); COMP_WORDS=(contacts comp); COMP_CWORD=1; \
                    _contacts contacts comp contacts; echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash").args(["-c", complete, env!("CARGO_BIN_EXE_contacts")]).output();
    if let Ok(bash) = bash {
        assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "completions", "{bash:?}");
    }
}
