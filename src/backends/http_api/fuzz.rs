//! Fuzz target of answers as the settings say to read them: the keys, a line `---`, and the answer.

use super::options::Keys;
use crate::backends::fuzz::{answer, is_certain, judge};

/// An SMS counts as sent only with a status that says so, and as not sent only if no key finds that it was accepted.
pub(crate) fn http_api(input: &[u8]) {
    const SEPARATOR: &[u8] = b"\n---\n";
    let Some(at) = input.windows(SEPARATOR.len()).position(|bytes| bytes == SEPARATOR) else {
        return;
    };
    let keys = str::from_utf8(&input[..at]).ok().and_then(|keys| toml::from_str::<Keys>(keys).ok());
    let Some(keys) = keys else { return };
    let (answer, body) = answer(&input[at + SEPARATOR.len()..]);
    let status = answer.status;
    let accepted_text = keys.accepted_text.as_ref();
    let is_accepted = accepted_text.is_some_and(|text| answer.text().starts_with(&text.0))
        || keys.accepted_pointer.as_ref().is_some_and(|pointer| {
            let found = body.as_ref().and_then(|body| body.pointer(&pointer.0));
            let values = keys.accepted_value.iter().flatten();
            found.is_some_and(|found| values.into_iter().any(|value| value.is_same(found)))
        });
    match judge(|answer| keys.judge(answer), answer) {
        Ok(_) => assert!((200..=299).contains(&status)),
        Err(error) => assert!(!is_certain(&error) || !is_accepted, "{error:?}"),
    }
}
