//! Colors of the output. Only terminals get colors, and only if the settings allow them.

use std::io::IsTerminal;

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Style};

use crate::config::LogSettings;

/// The colors of the help texts.
pub(super) const HELP: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// The styles of the output. `{style}` in a format string starts a style, and `{style:#}` ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TerminalColors {
    /// Headings.
    pub(super) title: Style,
    /// Addresses and values that the user may open, type or copy.
    pub(super) accent: Style,
    /// Labels and less important values.
    pub(super) faint: Style,
    /// Warnings.
    pub(super) warning: Style,
    /// Errors.
    pub(super) error: Style,
}

impl TerminalColors {
    /// Returns the colors of standard output.
    pub(super) fn for_stdout(settings: &LogSettings) -> Self {
        Self::new(settings.color && std::io::stdout().is_terminal())
    }

    /// Returns the colors of standard error.
    pub(super) fn for_stderr(settings: &LogSettings) -> Self {
        Self::new(settings.color && std::io::stderr().is_terminal())
    }

    fn new(has_colors: bool) -> Self {
        let style = |style| if has_colors { style } else { Style::new() };
        Self {
            title: style(Style::new().bold()),
            accent: style(AnsiColor::Cyan.on_default()),
            faint: style(Style::new().dimmed()),
            warning: style(AnsiColor::Yellow.on_default()),
            error: style(AnsiColor::Red.on_default().bold()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_are_empty_without_colors_and_ansi_codes_with_colors() {
        let (plain, colored) = (TerminalColors::new(false), TerminalColors::new(true));
        let styled_text = |colors: TerminalColors| format!("{0}x{0:#}{1}y{1:#}", colors.title, colors.accent);
        assert_eq!(styled_text(plain), "xy");
        assert!(styled_text(colored).contains("\u{1b}[") && styled_text(colored).ends_with("\u{1b}[0m"));
    }
}
