//! The questions that a person at a terminal answers.

use std::io::{self, BufRead, Read};

use toml::{Table, Value};

use super::draft::Draft;
use super::given::{GivenKeys, check_variable};
use super::target::{self, Target};
use crate::backends::{self, Input, Question};
use crate::commands::prompt::{self, NoAnswer};
use crate::exit::Error;
use crate::output::Output;
use crate::settings::Problem;

/// The most bytes of an answer.
const MAX_ANSWER: u64 = 4096;
/// The provider unless another one is named.
const DEFAULT_BACKEND: &str = "twilio";

/// Returns the draft that the answers and what is given make.
///
/// # Errors
/// Returns an error if there is no answer, or if what is given can't be used.
pub(super) fn ask_for_settings(
    given: &GivenKeys,
    target: &Target,
    output: &Output,
) -> Result<Draft, NoAnswer> {
    let mut draft = ask_for_backend(given, output)?;
    for question in draft.questions() {
        let key = format!("options.{}", question.key);
        let problems = draft.findings().problems;
        if problems.iter().any(|problem| problem.is_missing && problem.key == key) {
            ask_for_option(question, &mut draft, target, output)?;
        }
    }
    if draft.get("app_name").is_none() {
        let question = "Name of your app, for the message [Phone Verify]";
        ask_until(question, output, |name| match name {
            "" => Ok(()),
            name => try_to_set(&mut draft, "app_name", name.into()),
        })?;
    }
    Ok(draft)
}

/// Asks for a line.
///
/// # Errors
/// Returns an error if there is no answer.
pub(super) fn ask(question: &str, output: &Output) -> Result<String, NoAnswer> {
    output.prompt(&format!("{question}: "));
    let answer = prompt::answer(output, || {
        let mut line = Vec::new();
        io::stdin().lock().take(MAX_ANSWER).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        String::from_utf8(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    });
    Ok(answer?.trim().to_owned())
}

/// Asks for a line that isn't shown.
fn ask_for_secret(question: &str, output: &Output) -> Result<String, NoAnswer> {
    let question = format!("{question}: ");
    let answer = prompt::answer(output, || rpassword::prompt_password(question));
    Ok(answer?.trim().to_owned())
}

/// Asks until `take` takes an answer, and shows why it doesn't.
fn ask_until<T>(
    question: &str,
    output: &Output,
    mut take: impl FnMut(&str) -> Result<T, Error>,
) -> Result<T, NoAnswer> {
    loop {
        let answer = ask(question, output)?;
        let taken = if answer.contains(char::is_control) {
            Err(Error::usage("the answer holds a control character, such as that of an arrow key"))
        } else {
            take(&answer)
        };
        match taken {
            Ok(taken) => return Ok(taken),
            Err(error) => output.error(&error),
        }
    }
}

fn ask_for_backend(given: &GivenKeys, output: &Output) -> Result<Draft, NoAnswer> {
    output.prompt("Which provider sends your SMS?\n");
    for kind in backends::kinds() {
        output.prompt(&format!("  {:<16}{}\n", kind.name(), kind.summary));
    }
    ask_until(&format!("Provider [{DEFAULT_BACKEND}]"), output, |name| {
        let mut draft = Draft::default();
        draft.set("backend", if name.is_empty() { DEFAULT_BACKEND } else { name });
        given.apply(&mut draft)?;
        let problems = draft.findings().problems;
        let is_asked = |problem: &&Problem| draft.question(&problem.key).is_some();
        match problems.iter().find(|problem| !(problem.is_missing && is_asked(problem))) {
            Some(problem) => Err(draft.error(problem)),
            None => Ok(draft),
        }
    })
}

fn ask_for_option(
    question: &Question,
    draft: &mut Draft,
    target: &Target,
    output: &Output,
) -> Result<(), NoAnswer> {
    let key = |answer: &str| format!("options.{}", question.key_of(answer));
    match question.input {
        Input::Text => ask_until(question.text, output, |answer| {
            try_to_set(draft, &key(answer), answer.into())
        }),
        Input::Words => ask_until(question.text, output, |answer| {
            let words: Vec<_> = answer.split_whitespace().map(Value::from).collect();
            try_to_set(draft, &key(answer), words.into())
        }),
        Input::Secret => {
            target::check(&target.secret_file(&key("")))?;
            let text = format!("{} (not shown; empty: an environment variable)", question.text);
            let secret = ask_for_secret(&text, output)?;
            if !secret.is_empty() {
                return Ok(try_to_set(draft, &key(""), secret.into())?);
            }
            ask_until("Environment variable that holds it", output, |name| {
                check_variable(name)?;
                let variable = Table::from_iter([("env".to_owned(), name.into())]);
                try_to_set(draft, &key(""), variable.into())
            })
        }
    }
}

/// Sets `key` if it takes the value.
fn try_to_set(draft: &mut Draft, key: &str, value: Value) -> Result<(), Error> {
    let mut tried = draft.clone();
    tried.set(key, value);
    match tried.findings().problems.iter().find(|problem| problem.key == key) {
        Some(problem) => Err(tried.error(problem)),
        None => {
            *draft = tried;
            Ok(())
        }
    }
}
