//! A value of the settings whose shape is the operator's to choose, such as the body of a request.

use toml::de::DeValue;

use super::{Entry, Table, TableError};
use crate::secret::Secret;

/// A value made of texts `T`, secrets `S`, plain values, lists and tables.
#[derive(Debug, Clone)]
pub enum Tree<T, S> {
    /// A text.
    Text(T),
    /// A secret: `{ env = "NAME" }`, `{ file = "PATH" }`, or a text whose key says that it is one.
    Secret(S),
    /// A number, or true or false.
    Plain(serde_json::Value),
    /// A list.
    List(Vec<Self>),
    /// Keys and values, in alphabetical order.
    Table(Vec<(String, Self)>),
}

impl<T, S> Tree<T, S> {
    /// Returns whether it is a list or a table.
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::List(_) | Self::Table(_))
    }

    /// Returns its texts.
    pub fn texts(&self) -> impl Iterator<Item = &T> {
        self.leaves().into_iter().filter_map(|leaf| match leaf {
            Self::Text(text) => Some(text),
            _ => None,
        })
    }

    /// Returns its secrets.
    pub fn secrets(&self) -> impl Iterator<Item = &S> {
        self.leaves().into_iter().filter_map(|leaf| match leaf {
            Self::Secret(secret) => Some(secret),
            _ => None,
        })
    }

    fn leaves(&self) -> Vec<&Self> {
        match self {
            Self::List(items) => items.iter().flat_map(Self::leaves).collect(),
            Self::Table(entries) => entries.iter().flat_map(|(_, value)| value.leaves()).collect(),
            leaf => vec![leaf],
        }
    }

    /// Returns the same tree with its texts and secrets replaced by what the functions make of them.
    ///
    /// # Errors
    /// The first error of these functions.
    pub fn try_map<T2, S2, E>(
        &self,
        text: &impl Fn(&T) -> Result<T2, E>,
        secret: &impl Fn(&S) -> Result<S2, E>,
    ) -> Result<Tree<T2, S2>, E> {
        Ok(match self {
            Self::Text(value) => Tree::Text(text(value)?),
            Self::Secret(value) => Tree::Secret(secret(value)?),
            Self::Plain(value) => Tree::Plain(value.clone()),
            Self::List(items) => {
                let items = items.iter().map(|item| item.try_map(text, secret));
                Tree::List(items.collect::<Result<_, _>>()?)
            }
            Self::Table(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), value.try_map(text, secret)?)));
                Tree::Table(entries.collect::<Result<_, _>>()?)
            }
        })
    }
}

impl Table<'_> {
    /// Returns the value at `key`, whatever its shape, if there is one.
    ///
    /// # Errors
    /// It holds a date, a number that JSON does not have, or a malformed secret.
    pub fn tree(&self, key: &str) -> Result<Option<Tree<String, Secret>>, TableError> {
        self.entry(key).map(|entry| self.tree_of(key, entry)).transpose()
    }

    fn tree_of(&self, key: &str, entry: Entry<'_>) -> Result<Tree<String, Secret>, TableError> {
        let bad = || self.error(key, "must be a text, a number, true or false, a list or a table");
        Ok(match entry.get_ref() {
            DeValue::String(text) if names_a_secret(key) && !text.contains('{') => {
                self.document.note_literal_secret();
                Tree::Secret(Secret::Literal(text.as_ref().into()))
            }
            DeValue::String(text) => Tree::Text(text.as_ref().to_owned()),
            DeValue::Boolean(value) => Tree::Plain((*value).into()),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                Tree::Plain(number.map_err(|_| bad())?.into())
            }
            DeValue::Float(number) => {
                let number: f64 = number.as_str().parse().map_err(|_| bad())?;
                let number = serde_json::Number::from_f64(number).ok_or_else(bad)?;
                Tree::Plain(number.into())
            }
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.tree_of(key, item));
                Tree::List(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(_) => self.inner_tree(key, entry)?,
            DeValue::Datetime(_) => return Err(bad()),
        })
    }

    /// Reads a table: a secret where it has no other keys than those of one.
    fn inner_tree(&self, key: &str, entry: Entry<'_>) -> Result<Tree<String, Secret>, TableError> {
        self.table_of(key, entry, |table| {
            let keys: Vec<_> = table.keys().collect();
            if !keys.is_empty() && keys.iter().all(|key| matches!(*key, "env" | "file")) {
                return Ok(Tree::Secret(table.secret_elsewhere()?));
            }
            let entries = keys.into_iter().map(|key| {
                let value = table.tree(key)?.ok_or_else(|| table.missing(key))?;
                Ok((key.to_owned(), value))
            });
            Ok(Tree::Table(entries.collect::<Result<_, _>>()?))
        })
    }
}

/// Returns whether a key of the provider's choice says that its value is a secret.
fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["key", "token", "secret", "password", "authorization"].iter().any(|word| key.contains(word))
}
