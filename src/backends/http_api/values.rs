//! Values of the settings of an HTTP API.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::body::plain;
use crate::backends::answer::is_padding;
use crate::model::values::{number, parsed};

/// An HTTP status in this range.
#[derive(Debug)]
pub(super) struct Status<const MIN: i64, const MAX: i64>(pub(super) u16);

impl<'de, const MIN: i64, const MAX: i64> Deserialize<'de> for Status<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number::<_, u16, u16, MIN, MAX>(deserializer).map(Self)
    }
}

/// A JSON pointer (RFC 6901) to something inside the answer.
#[derive(Debug)]
pub(super) struct Pointer(pub(super) String);

impl<'de> Deserialize<'de> for Pointer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |text| {
            if !text.starts_with('/') {
                Err("must be a JSON pointer, such as /messages/0/id")
            } else if text.split('~').skip(1).any(|escape| !escape.starts_with(['0', '1'])) {
                Err("has a `~` that isn't an escape: a JSON pointer has ~0 for `~` and ~1 for `/`")
            } else {
                Ok(Self(text.to_owned()))
            }
        })
    }
}

/// Reads a pointer that may be empty, for the whole answer.
pub(super) fn pointer_or_whole<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Pointer>, D::Error> {
    let value = toml::Value::deserialize(deserializer)?;
    if value.as_str() == Some("") {
        return Ok(Some(Pointer(String::new())));
    }
    Pointer::deserialize(value).map(Some).map_err(|error| D::Error::custom(error.message()))
}

/// What an answer begins with, without the padding in front.
#[derive(Debug)]
pub(super) struct Beginning(pub(super) String);

impl<'de> Deserialize<'de> for Beginning {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, |text| {
            if text.starts_with(is_padding) {
                Err(
                    "must not begin with white space or a byte order mark, which are dropped in front of an answer",
                )
            } else {
                Ok(Self(text.to_owned()))
            }
        })
    }
}

/// A code of a refusal: a text or a whole number.
#[derive(Debug)]
pub(super) struct Code(pub(super) String);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) if !text.is_empty() => Ok(Self(text)),
            toml::Value::Integer(number) => Ok(Self(number.to_string())),
            _ => Err(D::Error::custom("must be a text or a whole number")),
        }
    }
}

/// A text, a number, or true or false.
#[derive(Debug)]
pub(super) struct Scalar(Value);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = "must be a text, a number, true or false, or a list of them";
        plain(toml::Value::deserialize(deserializer)?)
            .map(Self)
            .ok_or_else(|| D::Error::custom(form))
    }
}

/// Reads a value, or the values of a list.
pub(super) fn one_or_many<'de, D, T, C>(deserializer: D) -> Result<C, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
    C: From<Vec<T>>,
{
    let values = match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(values) => values,
        value => vec![value],
    };
    let values = values.into_iter().map(T::deserialize).collect::<Result<Vec<_>, _>>();
    values.map(C::from).map_err(|error| D::Error::custom(error.message()))
}

impl Scalar {
    /// Returns whether both values have the same JSON type. If not, the settings may be wrong, and an SMS that looks refused
    /// may have been accepted.
    pub(super) fn is_of_same_kind(&self, other: &Value) -> bool {
        std::mem::discriminant(&self.0) == std::mem::discriminant(other)
    }

    /// Returns whether two values are the same; a number may be written as 1 and as 1.0.
    pub(super) fn is_same(&self, other: &Value) -> bool {
        let number = self.0.as_f64();
        self.0 == *other || number.is_some() && number == other.as_f64()
    }
}
