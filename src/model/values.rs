//! Values of the settings, checked while serde reads them. No error repeats a value, since it may be a secret.

use std::fmt::Display;
use std::ops::Deref;
use std::time::Duration;

use chrono::TimeDelta;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{Message, SecurityCode, Template};

/// A text that isn't empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

macro_rules! deserialize {
    ($($type:ty: $parse:expr,)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parsed(deserializer, $parse)
            }
        }
    )*};
}

deserialize! {
    Text: |text| Ok::<_, String>(Self(text.to_owned())),
    Message: Self::parse,
    Template: Self::parse,
    SecurityCode: Self::from_settings,
}

/// Reads a text with `parse`, whose error must not repeat the text.
///
/// # Errors
/// Returns an error if the value isn't a string, if it's empty or holds a NUL, or if `parse` refuses it.
pub fn parsed<'de, D: Deserializer<'de>, T, E: Display>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "" => Err(D::Error::custom("must not be empty")),
        text if text.contains('\0') => Err(D::Error::custom("must hold no NUL character")),
        text => parse(text).map_err(D::Error::custom),
    }
}

/// Reads a list that isn't empty.
///
/// # Errors
/// Returns an error if the value isn't such a list, or if an item is wrong.
pub fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let items = Vec::deserialize(deserializer)?;
    if items.is_empty() {
        Err(D::Error::custom("must not be an empty list"))
    } else {
        Ok(Some(items))
    }
}

/// Reads a whole number from `MIN` to `MAX`, for a key that is optional or has a default.
///
/// # Errors
/// Returns an error if the value isn't such a number.
pub fn number<'de, D, N, T, const MIN: i64, const MAX: i64>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    N: TryFrom<i64>,
    T: From<N>,
{
    let number = i64::deserialize(deserializer).ok().filter(|number| (MIN..=MAX).contains(number));
    let number = number.and_then(|number| N::try_from(number).ok()).map(T::from);
    number.ok_or_else(|| D::Error::custom(format!("must be a whole number from {MIN} to {MAX}")))
}

/// Reads a whole number of at least 1 that fits into 32 bits.
///
/// # Errors
/// Returns an error if the value isn't such a number.
pub fn count<'de, D: Deserializer<'de>, T: From<u32>>(deserializer: D) -> Result<T, D::Error> {
    number::<_, u32, _, 1, { u32::MAX as i64 }>(deserializer)
}

/// Reads a duration in whole seconds, of a day at most.
///
/// # Errors
/// Returns an error if the value isn't such a number.
pub fn patience<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    number::<_, u64, u64, 1, 86_400>(deserializer).map(Duration::from_secs)
}

/// Reads a duration in whole seconds, of 365 days at most.
///
/// # Errors
/// Returns an error if the value isn't such a number.
pub fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeDelta>, D::Error> {
    number::<_, i64, i64, 1, 31_536_000>(deserializer).map(TimeDelta::seconds).map(Some)
}

/// Reads a duration in whole days, of a hundred years at most, for a key that is optional or has a default.
///
/// # Errors
/// Returns an error if the value isn't such a number.
pub fn days<'de, D: Deserializer<'de>, T: From<TimeDelta>>(deserializer: D) -> Result<T, D::Error> {
    number::<_, i64, i64, 1, 36_500>(deserializer).map(|days| TimeDelta::days(days).into())
}
