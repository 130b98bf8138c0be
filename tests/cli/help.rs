//! What the program says of itself, and to shells.

use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::program;

fn printed(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let output = program(&folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = printed(&["--help"]);
    let listed = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // Longer descriptions go on in lines that are further in.
    let names = listed.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn help_fits_a_terminal_and_shows_how_to_go_on() {
    let mut helps = vec![printed(&["--help"])];
    helps.extend(commands().iter().filter(|name| *name != "help").map(|name| printed(&[name, "--help"])));
    assert!(helps.len() > 7, "{helps:?}");
    for help in &helps {
        assert!(help.contains("Usage: contacts"), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
    }
    assert!(["Examples:", "Exit codes:", "config check", ".env"].iter().all(|part| helps[0].contains(part)));
}

#[test]
fn a_call_that_makes_no_sense_exits_with_2() {
    let folder = TempDir::new().unwrap();
    for arguments in [&["serv"][..], &["dev", "--docs"], &["config"], &["completions", "cmd"]] {
        let output = program(&folder).args(arguments).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn completions_know_every_command_and_need_no_settings() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join(".env"), "no line of settings").unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = program(&folder).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        for command in commands() {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
        assert!(script.contains("open-docs"), "{shell}");
    }
    // It is not only text: bash completes with it.
    let complete = "source <(\"$0\" completions bash); COMP_WORDS=(contacts comp); COMP_CWORD=1; \
                    _contacts contacts comp contacts; echo \"${COMPREPLY[@]}\"";
    let bash = Command::new("bash").args(["-c", complete, env!("CARGO_BIN_EXE_contacts")]).output();
    if let Ok(bash) = bash {
        assert_eq!(String::from_utf8_lossy(&bash.stdout).trim(), "completions", "{bash:?}");
    }
}
