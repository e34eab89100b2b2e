//! What an operator sees on stderr: progress, warnings, errors, and questions; and the commands that advice names.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use anstyle::AnsiColor;

use super::Output;
use super::text::on_one_line;
use crate::exit::Error;
use crate::model::shell_word;

impl Output {
    /// From now on, advice repeats these options in the commands of this program that it names.
    pub fn repeat_options(&mut self, options: &[(&str, PathBuf)]) {
        let option = |(name, value): &(&str, PathBuf)| format!("{name} {} ", shell_word(value));
        self.repeated_options = options.iter().map(option).collect();
    }

    /// Returns `advice` with the repeated options in the commands of this program that it names.
    pub fn completed(&self, advice: &str) -> String {
        advice.replace("phone-verify ", &format!("phone-verify {}", self.repeated_options))
    }

    /// Shows a message that a sandbox or the console would have sent to a phone.
    pub fn message(&self, to: &str, text: &str) {
        // The message itself may have several lines.
        self.stderr("message", AnsiColor::Cyan, &format!("to {to}: {text}"));
    }

    /// Shows progress, unless quiet.
    pub fn progress(&self, progress: &str) {
        if !self.is_quiet {
            self.line("note", AnsiColor::Cyan, &self.completed(progress));
        }
    }

    /// Shows what the operator should know, unless quiet.
    pub fn warning(&self, warning: &str) {
        if !self.is_quiet {
            self.line("warning", AnsiColor::Yellow, &self.completed(warning));
        }
    }

    /// Returns whether a person can be asked: stdin and stderr are terminals.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && self.stderr.is_terminal
    }

    /// Shows a question, behind which its answer is typed.
    pub fn prompt(&self, question: &str) {
        self.messages.show(&self.stderr.fit(question));
    }

    /// Ends the line of a prompt that was left without an answer, so that an error starts on a line of its own.
    pub fn end_prompt(&self) {
        if self.stderr.is_terminal {
            self.messages.show("\n");
        }
    }

    /// Shows an error and what to do about it.
    pub fn error(&self, error: &Error) {
        self.line("error", AnsiColor::Red, &error.to_string());
        if let Some(hint) = &error.hint {
            self.line("hint", AnsiColor::Cyan, &self.completed(hint));
        }
    }

    /// Shows a text as one line, whatever the names of files and keys in it contain.
    fn line(&self, label: &str, color: AnsiColor, text: &str) {
        self.stderr(label, color, &on_one_line(text));
    }

    fn stderr(&self, label: &str, color: AnsiColor, text: &str) {
        let line = self.stderr.fit(&format!("{label}: {text}\n"));
        let label = format!("{label}:");
        let styled = self.stderr.styled(&label, color.on_default().bold());
        self.messages.show(&line.replacen(&label, &styled, 1));
    }
}
