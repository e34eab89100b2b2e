//! What `list` and `deliveries` have in common: rows, newest first, once or again and again.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::hash::Hash;
use std::panic::resume_unwind;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::{NonEmptyStringValueParser, PossibleValue, TypedValueParser};

use super::Context;
use super::since::{Since, parse_since};
use crate::backends::{BackendName, Kind, kinds, stored_name};
use crate::exit::{Error, Exit};
use crate::model::{grouped, plural};
use crate::output::{Column, Format};
use crate::settings::Settings;
use crate::store::{PAGE, Page, Store, StoreError, Visit, separate_damaged};

/// The arguments of a list.
#[derive(Debug, clap::Args)]
pub(super) struct ListingArgs {
    /// Show only what was created since: a duration such as 2h, or a time such as
    /// 2026-11-23T07:46:40Z
    #[arg(long, value_name = "DURATION|TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Show at most this many
    #[arg(
        long,
        value_name = "N",
        default_value_t = 20,
        value_parser = parse_limit,
        allow_negative_numbers = true
    )]
    limit: u64,
    /// Show all
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Show it again every SECONDS, or 2 if none are given; if stdout isn't a terminal, print each
    /// new row once
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2",
        value_parser = parse_interval
    )]
    watch: Option<u64>,
}

fn parse_limit(text: &str) -> Result<u64, &'static str> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or("it has to be a whole number, 1 or more; --all shows all")
}

fn parse_interval(text: &str) -> Result<u64, &'static str> {
    let seconds = text.parse().ok().filter(|seconds| (1..=3600).contains(seconds));
    seconds.ok_or("it has to be from 1 to 3600")
}

/// Reads the name of a backend in the ledger. A name that this version doesn't know may have been another one's.
#[derive(Clone)]
pub(super) struct BackendParser;

impl TypedValueParser for BackendParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let name = NonEmptyStringValueParser::new().parse_ref(command, argument, value)?;
        Ok(stored_name(&name).to_owned())
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = kinds().map(Kind::name).chain([BackendName::TEST]);
        Some(Box::new(names.map(PossibleValue::new)))
    }
}

impl ListingArgs {
    /// Returns the options that a stray word may have been meant for, up to their values.
    pub(super) fn options(&self) -> [&'static str; 2] {
        ["--since ", if self.watch.is_some() { "--watch=" } else { "--limit " }]
    }
}

/// Returns the columns that are `given` with `--columns`. If none are, people see the columns `of_table`, and scripts get all but
/// the one `for_people`.
///
/// # Errors
/// Returns an error if one is there twice.
pub(super) fn columns<C: Column + PartialEq>(
    given: &[C],
    format: Format,
    of_table: &[C],
    for_people: Option<C>,
) -> Result<Vec<C>, Error> {
    let is_again = |index: &usize| given[..*index].contains(&given[*index]);
    if let Some(index) = (0..given.len()).find(is_again) {
        let name = given[index].name();
        return Err(Error::usage(format!("--columns: {name} is there twice")));
    }
    let for_scripts = || C::value_variants().iter().filter(|column| Some(**column) != for_people);
    Ok(match format {
        _ if !given.is_empty() => given.to_vec(),
        Format::Text => of_table.to_vec(),
        Format::Json | Format::Csv => for_scripts().copied().collect(),
    })
}

/// The rows that a list shows.
pub(super) trait Listing: Sync {
    /// A row of the store.
    type Item: Send;
    /// The columns of the list.
    type Column: Column;
    /// What names a row, as long as it isn't worth another line.
    type Key: Hash + Eq;

    /// What a row is called.
    const NOUN: &'static str;
    /// How long after its time a row may appear or change.
    const LATE_FOR: TimeDelta;

    /// Hands the rows that belong to the list at `now`, created `from` then on, to `visit`, newest first, as [`Store::list`] does.
    fn visit(
        &self,
        store: &mut dyn Store,
        now: DateTime<Utc>,
        from: Option<DateTime<Utc>>,
        limit: u64,
        visit: &mut Visit<'_, Self::Item>,
    ) -> Result<(), StoreError>;

    /// Returns how many rows there are at `now`, created `from` then on, if that can be counted.
    fn count(
        &self,
        store: &mut dyn Store,
        now: DateTime<Utc>,
        from: Option<DateTime<Utc>>,
    ) -> Result<Option<u64>, StoreError>;

    /// Returns what keeps the list empty, if anything does.
    fn problem(&self, _store: &mut dyn Store) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    /// Returns the row as it is shown at `now`, if it belongs to the list.
    fn row(
        &self,
        item: Self::Item,
        settings: &Settings,
        now: DateTime<Utc>,
    ) -> Option<<Self::Column as Column>::Row>;

    /// Returns what names a row, and when it was created.
    fn key(row: &<Self::Column as Column>::Row) -> (Self::Key, DateTime<Utc>);
}

/// Shows a list once, or again and again.
///
/// # Errors
/// Returns an error if the database can't be read, or stdout can't be written.
pub(super) fn run<L: Listing>(
    listing: &L,
    args: &ListingArgs,
    columns: Vec<L::Column>,
    context: &mut Context<'_>,
) -> Result<Exit, Error> {
    let limit = if args.all { u64::MAX } else { args.limit };
    let since = args.since.as_deref().map(parse_since).transpose()?;
    let Some(seconds) = args.watch else { return show(listing, since, limit, columns, context) };
    let pause = Duration::from_secs(seconds);
    if context.output.lines_to_redraw().is_some() {
        redraw(listing, since, limit, &columns, pause, context)
    } else {
        stream(listing, since, columns, pause, context)
    }
}

fn show<L: Listing>(
    listing: &L,
    since: Option<Since>,
    limit: u64,
    columns: Vec<L::Column>,
    context: &mut Context<'_>,
) -> Result<Exit, Error> {
    let mut store = context.open_store()?;
    warn_of_problem(listing, &mut *store, context)?;
    let now = context.clock.now();
    let from = since.map(|since| since.at(now));
    let mut writer = context.output.row_writer(columns, now);
    let (mut exit, mut shown) = (Exit::Done, 0);
    let mut written = Ok(());
    let mut show_page = |page| {
        let (items, damaged) = separate_damaged(page);
        let rows = items.into_iter().filter_map(|item| listing.row(item, &context.settings, now));
        let rows: Vec<_> = rows.take((limit - shown) as usize).collect();
        rows.iter().for_each(|row| writer.take(row));
        shown += rows.len() as u64;
        written = context.output.write(&writer.finish_page());
        exit = exit.and(context.report_damage(&damaged, "left out"));
        let goes_on = written.is_ok() && !context.output.is_closed() && shown < limit;
        goes_on.then_some(rows)
    };
    let mut read = |visit: &mut Visit<'_, _>| listing.visit(&mut *store, now, from, limit, visit);
    // Of one page, there is nothing to read ahead.
    if limit > PAGE {
        read_ahead(read, show_page)?;
    } else {
        read(&mut |page| show_page(page).is_some())?;
    }
    written?;
    // Nothing but the heading of CSV.
    context.output.write(&writer.finish_page())?;
    let is_text = context.output.format() == Format::Text;
    if shown == 0 && is_text {
        context.output.progress(&format!("no {}", plural(L::NOUN)));
    } else if shown == limit && context.output.is_text_at_terminal() {
        let all = listing.count(&mut *store, now, from)?;
        if all.is_none_or(|all| all > shown) {
            let of = all.map(|all| format!("of {} ", grouped(all))).unwrap_or_default();
            let note = format!("{} {of}{}; --all shows all", grouped(shown), plural(L::NOUN));
            context.output.progress(&note);
        }
    }
    Ok(exit)
}

fn warn_of_problem<L: Listing>(
    listing: &L,
    store: &mut dyn Store,
    context: &Context<'_>,
) -> Result<(), Error> {
    if let Some(problem) = listing.problem(store)? {
        context.output.warning(&format!("{problem}: nothing is listed"));
    }
    Ok(())
}

/// Hands the pages that `read` reads to `take` until that returns None. While a page is taken, the next one is read. What `take` is
/// done with goes back to the reader, since threads wait for each other when one frees what the other has allocated.
fn read_ahead<T: Send, R: Send>(
    read: impl FnOnce(&mut Visit<'_, T>) -> Result<(), StoreError> + Send,
    mut take: impl FnMut(Page<T>) -> Option<R>,
) -> Result<(), Error> {
    thread::scope(|scope| {
        let (pages, arrived) = sync_channel(0);
        let (taken, returned) = channel();
        let read = move || {
            read(&mut |page| {
                returned.try_iter().for_each(drop);
                pages.send(page).is_ok()
            })
        };
        let reader = thread::Builder::new().spawn_scoped(scope, read);
        let reader = reader.map_err(Error::no_thread)?;
        for page in arrived {
            let Some(done) = take(page) else {
                // The reader ends, since nobody waits for its pages any more.
                break;
            };
            // One that has ended wants nothing back.
            let _ = taken.send(done);
        }
        Ok(reader.join().unwrap_or_else(|panic| resume_unwind(panic))?)
    })
}

/// Opens the database for a look, unless it is open already. A file is opened for each look: its tables may change meanwhile, and
/// another file may take its place. A server's connection is kept, and made again if it is lost.
fn open_for_look<'a>(
    kept: &'a mut Option<Box<dyn Store>>,
    context: &mut Context<'_>,
) -> Result<&'a mut dyn Store, Error> {
    let store = match kept.take().filter(|_| context.database.file().is_none()) {
        Some(store) => store,
        None => context.open_store()?,
    };
    Ok(&mut **kept.insert(store))
}

/// Shows the list at the top of the terminal, again and again, until a signal ends the program.
fn redraw<L: Listing>(
    listing: &L,
    since: Option<Since>,
    limit: u64,
    columns: &[L::Column],
    pause: Duration,
    context: &mut Context<'_>,
) -> Result<Exit, Error> {
    let mut kept = None;
    while let Some(lines) = context.output.lines_to_redraw() {
        let limit = limit.min(lines as u64);
        let store = open_for_look(&mut kept, context)?;
        let now = context.clock.now();
        let from = since.map(|since| since.at(now));
        let mut rows = Vec::new();
        listing.visit(store, now, from, limit, &mut |page| {
            let items = page.into_iter().flatten();
            rows.extend(items.filter_map(|item| listing.row(item, &context.settings, now)));
            (rows.len() as u64) < limit
        })?;
        let mut writer = context.output.row_writer(columns.to_vec(), now);
        rows.iter().take(limit as usize).for_each(|row| writer.take(row));
        let heading = format!("every {} s; Ctrl-C ends it\n\n", pause.as_secs());
        let page = [heading.as_bytes(), &writer.finish_page()].concat();
        context.output.redraw(&page)?;
        if !context.output.wait(pause) {
            break;
        }
    }
    Ok(Exit::Done)
}

/// Prints each new row once, oldest first, until the reader goes away or a signal ends the program. With `--since`, that includes
/// those that are already there.
fn stream<L: Listing>(
    listing: &L,
    since: Option<Since>,
    columns: Vec<L::Column>,
    pause: Duration,
    context: &mut Context<'_>,
) -> Result<Exit, Error> {
    let mut writer = context.output.row_writer(columns, context.clock.now());
    let mut known = HashMap::new();
    let mut is_first = true;
    let mut kept = None;
    loop {
        let store = open_for_look(&mut kept, context)?;
        if is_first {
            warn_of_problem(listing, store, context)?;
        }
        let now = context.clock.now();
        writer.set_now(now);
        let oldest = now - L::LATE_FOR;
        let from = since.map(|since| since.at(now));
        let from = if is_first && from.is_some() { from } else { from.max(Some(oldest)) };
        let mut rows = Vec::new();
        let mut damaged = Vec::new();
        listing.visit(store, now, from, u64::MAX, &mut |page| {
            let (items, others) = separate_damaged(page);
            let items = items.into_iter();
            rows.extend(items.filter_map(|item| listing.row(item, &context.settings, now)));
            damaged.extend(others);
            true
        })?;
        for row in rows.iter().rev() {
            let (key, created_at) = L::key(row);
            if known.insert(key, created_at).is_none() && (since.is_some() || !is_first) {
                writer.take(row);
            }
        }
        context.output.write(&writer.finish_page())?;
        if is_first {
            context.report_damage(&damaged, "left out");
        }
        is_first = false;
        known.retain(|_, created_at| *created_at >= oldest);
        if !context.output.wait(pause) {
            return Ok(Exit::Done);
        }
    }
}
