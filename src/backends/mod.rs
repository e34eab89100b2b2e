//! The SMS providers. A provider is one file and its line in the list; callers never name one.

mod answer;
mod backend;
mod calling;
mod checking;
mod codes;
mod command;
mod console;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod http;
pub(crate) mod http_api;
mod masking;
mod name;
mod nexmo;
mod pace;
mod provider;
mod proxy;
mod resolver;
#[cfg(test)]
mod simulated;
mod sms;
mod strict_json;
mod test_numbers;
mod twilio;

use crate::document::Section;
use crate::model::values::Text;

pub use backend::{Backend, BackendOptions, ConnectError};
pub use calling::{CallSettings, Calling};
pub use codes::{Cause, Explanation};
pub use name::BackendName;
pub use pace::Pace;
pub use provider::{Input, Kind, Question};
#[cfg(test)]
pub use simulated::Network;
pub use sms::{Accepted, Attempted, Sms, SmsError, SmsErrorKind};

/// Every provider.
const PROVIDERS: [&[Kind]; 5] =
    [twilio::KINDS, nexmo::KINDS, console::KINDS, command::KINDS, http_api::KINDS];

/// Returns every kind of provider.
pub fn kinds() -> impl Iterator<Item = &'static Kind> {
    PROVIDERS.into_iter().flatten()
}

/// Returns the kind of provider that has this name in the settings.
pub fn kind(name: &str) -> Option<&'static Kind> {
    kinds().find(|kind| kind.names.contains(&name))
}

/// Returns the backend called `name` with the options in `table`, or None if something is wrong with them.
pub fn read(table: &mut Section<'_, '_>, name: Option<Text>) -> Option<BackendOptions> {
    let name = table.required("backend", name)?;
    let Some(kind) = kind(&name) else {
        let names: Vec<_> = kinds().map(Kind::name).collect();
        let (last, others) = names.split_last().expect("there are providers");
        table.error(&["backend"], format!("must be {} or {last}", others.join(", ")));
        return None;
    };
    let mut options = table.inner("options");
    let provider = (kind.read)(&mut options)?;
    let name = match provider.own_name() {
        Some(own) => {
            let is_backend = |name: &&str| name.eq_ignore_ascii_case(own);
            let mut names = kinds().flat_map(|kind| kind.names).chain([&BackendName::TEST]);
            options.refuse(&["name"], names.any(is_backend), "is the name of a backend");
            BackendName::new(own, own)
        }
        None => BackendName::new(kind.names[0], &name),
    };
    let (table, secrets) = (options.name().to_owned(), options.secrets());
    Some(BackendOptions { name, table, secrets, provider })
}

/// Returns the name in the ledger of the backend that the settings call `name`.
pub fn stored_name(name: &str) -> &str {
    kind(name).map_or(name, |kind| kind.name())
}

/// Returns what a code of the backend with this canonical name means, if there is one. An HTTP status is explained if the backend's
/// own codes can't be taken for one. `sender` is where its SMS come from, if that is known.
pub fn explain(backend: &str, code: Option<&str>, sender: Option<&str>) -> Explanation {
    let kind = kinds().find(|kind| kind.name() == backend);
    let entry = kind
        .and_then(|kind| kind.codes)
        .zip(code)
        .and_then(|(codes, code)| codes.explain(code).or_else(|| codes::HTTP.explain(code)));
    entry.map(|entry| entry.for_sender(sender)).unwrap_or_default()
}
