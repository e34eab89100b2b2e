//! `send`: creates a security code for each number, stores it and sends it.

mod report;

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

use super::Context;
use crate::backends::Backend;
use crate::error::{Answer, Error, Tally};
use crate::model::{self, InvalidPhoneNumber, PhoneNumber, Segments};
use crate::service::register::{self, MessageError, Recipient, Registrar, Registration};
use crate::store::{self, GroupCommit};

/// How many numbers are sent to at once.
const MAX_IN_FLIGHT: usize = 32;

/// The arguments of `send`.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// Phone number to send a code to, in international form such as +14155552671
    #[arg(required = true, value_name = "PHONE_NUMBER")]
    phone_numbers: Vec<String>,
    /// Use the message of the settings in this language, such as de or de-AT
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// Fill the placeholder {KEY} of the message with VALUE
    #[arg(long = "context", value_name = "KEY=VALUE")]
    context: Vec<String>,
    /// Show the text, its encoding and its segments; write and send nothing
    #[arg(long)]
    dry_run: bool,
}

/// A number as it was given.
enum Entry {
    Valid(PhoneNumber),
    Invalid(InvalidPhoneNumber),
    Duplicate(PhoneNumber),
}

/// Runs `send`.
///
/// # Errors
/// The arguments or settings can't be followed, or the database can't be used.
pub fn run(args: &SendArgs, context: &mut Context<'_>) -> Result<Answer, Error> {
    let recipient = recipient_maker(args, context)?;
    let mut recipients = Vec::new();
    let mut tally = Tally::default();
    for entry in read_numbers(&args.phone_numbers, context) {
        match entry {
            Entry::Valid(phone_number) => recipients.push(recipient(phone_number)),
            Entry::Invalid(invalid) => {
                tally.invalid += 1;
                report::invalid(context.output, &invalid)?;
            }
            Entry::Duplicate(phone_number) => report::duplicate(context.output, &phone_number)?,
        }
    }
    if let Some(recipient) = recipients.first() {
        register::preview(&context.settings, recipient).map_err(message_error)?;
        let run = if args.dry_run { dry_run } else { send };
        run(&recipients, context, &mut tally)?;
    }
    Ok(Answer::Sent(tally))
}

/// Returns what turns a number into a recipient, with the message and its context.
fn recipient_maker(
    args: &SendArgs,
    context: &Context<'_>,
) -> Result<impl Fn(PhoneNumber) -> Recipient + use<>, Error> {
    let entries = args.context.iter().map(|entry| model::parse_context_entry(entry));
    let placeholders = entries
        .collect::<Result<model::Context, _>>()
        .map_err(|problem| Error::usage(format!("--context: {problem}")))?;
    let message = context.settings.messages.in_language(args.language.as_deref()).clone();
    Ok(move |phone_number| Recipient {
        phone_number,
        message: message.clone(),
        context: placeholders.clone(),
    })
}

fn read_numbers(texts: &[String], context: &Context<'_>) -> Vec<Entry> {
    let mut known = HashSet::new();
    let read = |text: &String| match PhoneNumber::parse(text, context.settings.default_region) {
        Ok(number) if known.insert(number.clone()) => Entry::Valid(number),
        Ok(number) => Entry::Duplicate(number),
        Err(invalid) => Entry::Invalid(invalid),
    };
    texts.iter().map(read).collect()
}

fn message_error(error: MessageError) -> Error {
    let usage = Error::usage(error.to_string());
    match error {
        MessageError::Render(error) => {
            usage.with_hint(format!("--context {}=VALUE", error.placeholder))
        }
        MessageError::TooLong { .. } => usage.with_hint("shorten the message in the settings"),
    }
}

fn dry_run(
    recipients: &[Recipient],
    context: &mut Context<'_>,
    tally: &mut Tally,
) -> Result<(), Error> {
    for recipient in recipients {
        let text = register::preview(&context.settings, recipient).map_err(message_error)?;
        let segments = Segments::of(&text);
        report::dry_run(context.output, &recipient.phone_number, &text, segments)?;
        tally.sent += 1;
    }
    Ok(())
}

fn send(
    recipients: &[Recipient],
    context: &mut Context<'_>,
    tally: &mut Tally,
) -> Result<(), Error> {
    let Context { settings, clock, output, database } = context;
    // Everything that can be wrong with the settings shows before the database is touched.
    let mut random = UnwrapErr(SysRng);
    let key = register::signing_key(settings, &mut random)
        .map_err(|error| Error::usage(format!("secret_key: {error}")))?;
    let backend = Backend::connect(&settings.backend, &settings.delivery, clock)?;
    let records = GroupCommit::start(store::open_or_create(database, clock)?);
    let registrar = Registrar::new(settings, &backend, records, key, random);
    let mut failure = None;
    let mut record = |result: Result<Registration, _>| match result {
        Ok(registration) => {
            let shown = report::registration(output, &registration, backend.name(), clock.now());
            if registration.result.is_ok() {
                tally.sent += 1
            } else {
                tally.not_sent += 1
            }
            let unsettled = registration.unsettled.map(|error| {
                Error::from(error).within(&format!(
                    "{}: the provider has answered, but the records could not be brought up to date",
                    registration.phone_number
                ))
            });
            failure = failure.take().or(unsettled).or(shown.err());
        }
        Err(error) => failure = failure.take().or(Some(Error::from(error))),
    };
    network_runtime()?.block_on(
        stream::iter(recipients)
            .map(|recipient| registrar.register(recipient))
            .buffer_unordered(MAX_IN_FLIGHT)
            .for_each(|result| {
                record(result);
                std::future::ready(())
            }),
    );
    failure.map_or(Ok(()), Err)
}

fn network_runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed(format!("the network can't be used: {error}")))
}
