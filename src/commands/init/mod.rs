//! `init`: writes a settings file, after questions or from options, and checks it.

mod django;
mod draft;
mod given;
mod python;
mod questions;
mod target;

use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use serde::Serialize;
use toml::{Table, Value};

use self::django::{DjangoSettings, Origin};
use self::draft::{Draft, EXAMPLE};
use self::given::GivenKeys;
use self::target::Target;
use super::Context;
use super::doctor::{self, DoctorArgs};
use super::prompt::NoAnswer;
use super::send::{self, SendArgs};
use crate::exit::{Error, Exit};
use crate::model::shell_word;
use crate::output::{Output, Report};
use crate::settings::{Settings, SettingsError, is_within};
use crate::store::{self, Database};
use crate::system::clock::Clock;

/// The arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Provider: twilio, nexmo, http, command, console or a sandbox
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// Set this key, written with its tables, such as options.sid=AC…; repeatable; no secrets
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Environment variable that holds the provider's secret
    #[arg(long, value_name = "NAME")]
    secret_env: Option<String>,
    /// Take over PHONE_VERIFICATION from this settings module of a Django site; read as text, never run
    #[arg(long, value_name = "FILE")]
    from_django: Option<PathBuf>,
    /// Do not ask the provider
    #[arg(long)]
    offline: bool,
    /// Print the example settings, which document every key, and do nothing else
    #[arg(long, conflicts_with_all = ["backend", "settings", "secret_env", "from_django", "offline"])]
    example: bool,
}

#[derive(Serialize)]
struct InitReport {
    settings: String,
    secret_files: Vec<String>,
    database_created: bool,
    left_out: Vec<Origin<String>>,
    #[serde(skip)]
    database: String,
}

impl Report for InitReport {
    fn text(&self) -> String {
        let files = std::iter::once(&self.settings).chain(&self.secret_files);
        let files: Vec<_> = files.map(String::as_str).collect();
        let mut text = format!("Wrote {}.", files.join(", "));
        if self.database_created {
            text += &format!("\nCreated the database {}.", self.database);
        }
        text
    }
}

/// Runs `init` for the settings at `config` and for `database`, or else those of the usual places.
///
/// # Errors
/// Returns an error if the options or the answers make no settings, if a file can't be written, or if a check fails.
pub fn run(
    args: &InitArgs,
    config: Option<PathBuf>,
    database: Option<Database>,
    output: &mut Output,
    clock: Clock,
) -> Result<Exit, Error> {
    if args.example {
        output.write(EXAMPLE.as_bytes())?;
        return Ok(Exit::Done);
    }
    match set_up(args, &Target::new(config), database, output, clock) {
        Ok(exit) | Err(NoAnswer::Signal(exit)) => Ok(exit),
        Err(NoAnswer::Failed(error)) => Err(error),
        Err(NoAnswer::Unreadable(error)) => {
            Err(Error::usage(format!("the answer can't be read: {error}")).caused_by(error))
        }
    }
}

fn set_up(
    args: &InitArgs,
    target: &Target,
    database: Option<Database>,
    output: &mut Output,
    clock: Clock,
) -> Result<Exit, NoAnswer> {
    target::check(&target.path)?;
    let given =
        GivenKeys::read(args.backend.as_deref(), &args.settings, args.secret_env.as_deref())?;
    let is_guided = given.backend().is_none() && args.from_django.is_none();
    let (draft, left_out) = if is_guided {
        check_terminal()?;
        (questions::ask_for_settings(&given, target, output)?, Vec::new())
    } else {
        without_questions(args.from_django.as_deref(), &given)?
    };
    for Origin { setting, line, content, .. } in &left_out {
        output.warning(&format!("line {line}: {setting} is left out: {content}"));
    }
    let secret_files = write(draft, target)?;
    let settings = Settings::load(Some(&target.path)).map_err(Error::from)?;
    let mut context = Context::new(settings, database, output, clock);
    let database = &context.database;
    let report = InitReport {
        settings: target.path.display().to_string(),
        secret_files: secret_files.iter().map(|path| path.display().to_string()).collect(),
        database_created: args.from_django.is_none() && create_database(database, context.output),
        left_out,
        database: database.to_string(),
    };
    context.output.report(&report)?;
    check(target, args.offline, &mut context)?;
    if is_guided { offer_test(&mut context) } else { Ok(Exit::Done) }
}

fn check_terminal() -> Result<(), Error> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Error::usage("no --backend is given, and there is no terminal to ask at").with_hint(
        "phone-verify init --backend twilio --set options.sid=AC… --set options.from=+1… --secret-env NAME",
    ))
}

/// Returns the draft that the command line and a Django site make, and what of the site isn't in it.
fn without_questions(
    module: Option<&Path>,
    given: &GivenKeys,
) -> Result<(Draft, Vec<Origin<String>>), Error> {
    let DjangoSettings { mut values, mut left_out } =
        module.map(django::read).transpose()?.unwrap_or_default();
    values.retain(|value| !given.sets(&value.key));
    left_out.retain(|origin| !given.sets(&origin.key));
    loop {
        let mut draft = Draft::default();
        for Origin { key, content, .. } in &values {
            draft.set(key, content.clone());
        }
        given.apply(&mut draft)?;
        let problems = draft.findings().problems;
        let refused = values.iter().enumerate().find_map(|(index, value)| {
            let problem = problems.iter().find(|problem| is_within(&problem.key, &value.key))?;
            Some((index, problem.what.clone()))
        });
        let Some((index, reason)) = refused else {
            left_out.sort_by_key(|origin| origin.line);
            return Ok((draft, left_out));
        };
        left_out.push(values.remove(index).with(reason));
    }
}

/// Sets what a live site should have and nobody has chosen.
fn recommend(draft: &mut Draft) {
    const TIME: &str = "security_code_expiration_time";
    let recommended = [
        (TIME, Value::from(600)),
        ("verify_security_code_only_once", true.into()),
        ("limits.resend_cooldown_seconds", 60.into()),
        ("limits.max_per_number_per_day", 10.into()),
    ];
    let has_time = draft.get("security_code_expiration_seconds").is_some();
    for (key, value) in recommended {
        if draft.get(key).is_none() && !(key == TIME && has_time) {
            draft.set(key, value);
        }
    }
}

/// Writes the settings and the files of their secrets, all or none, and returns the paths of the latter.
fn write(mut draft: Draft, target: &Target) -> Result<Vec<PathBuf>, Error> {
    recommend(&mut draft);
    let mut files = Vec::new();
    for key in draft.findings().literal_secrets() {
        let path = target.secret_file(key);
        let name = path.file_name().and_then(OsStr::to_str).map(Value::from);
        let secret = draft.get(key).and_then(Value::as_str).map(|secret| format!("{secret}\n"));
        let (Some(name), Some(secret)) = (name, secret) else {
            return Err(Error::usage(format!("`{key}` is a secret that no file can be named for")));
        };
        draft.set(key, Table::from_iter([("file".to_owned(), name)]));
        files.push((path, secret));
    }
    if let Some(problem) = draft.findings().problems.first() {
        return Err(draft.error(problem));
    }
    let secret_files = files.iter().map(|(path, _)| path.clone()).collect();
    files.push((target.path.clone(), draft.text()));
    target::write(&files)?;
    Ok(secret_files)
}

/// Returns whether there was no database and one was created. On a server, only `migrate` creates something.
fn create_database(database: &Database, output: &Output) -> bool {
    let is_missing = database.file().is_some_and(|path| path.symlink_metadata().is_err());
    let migrate = || store::migrate(database);
    is_missing && migrate().inspect_err(|error| output.error(&error.clone().into())).is_ok()
}

/// Checks what was written.
fn check(target: &Target, is_offline: bool, context: &mut Context<'_>) -> Result<(), Error> {
    let Context { database, output, clock, .. } = context;
    if let Err(error @ SettingsError::Untrusted { .. }) = Settings::load(target.config.as_deref()) {
        let hint = error.hint().unwrap_or_default();
        output.warning(&format!("{error}; {hint}"));
    }
    let args = DoctorArgs { offline: is_offline };
    let (path, database) = (Some(target.path.clone()), Some(database.clone()));
    match doctor::run(&args, path, database, output, clock)? {
        Exit::Done => Ok(()),
        _ => Err(Error::failed("the settings are written, but a check failed")
            .with_hint("correct what failed, then check again: phone-verify doctor")),
    }
}

/// Sends to a number that the person names, until one is valid.
fn offer_test(context: &mut Context<'_>) -> Result<Exit, NoAnswer> {
    loop {
        let number = questions::ask("Phone number for a test SMS (empty: none)", context.output)?;
        if number.is_empty() {
            return Ok(Exit::Done);
        }
        let exit = send::run(&SendArgs::to(number.clone()), context)?;
        context.output.stop_writer();
        if exit == Exit::Done {
            let number = shell_word(Path::new(&number));
            let verify = format!("phone-verify verify {number} --any-session");
            context.output.progress(&format!("check the code with {verify}"));
        }
        if exit != Exit::Usage {
            return Ok(exit);
        }
    }
}
