//! A value of the settings whose shape is the operator's to choose, such as the body of a request.

use toml::de::DeValue;

use super::{Entry, Table, TableError};
use crate::system::secret::Secret;

/// A value made of texts `T`, secrets `S`, plain values, lists and tables.
#[derive(Debug, Clone)]
pub enum Tree<T, S> {
    /// A text.
    Text(T),
    /// A secret: `{ env = "NAME" }`, `{ file = "PATH" }`, or a text whose key says that it is one.
    Secret(S),
    /// A whole number whose key says that it is a secret, in decimal digits.
    SecretNumber(S),
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
            Self::Secret(secret) | Self::SecretNumber(secret) => Some(secret),
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
            Self::SecretNumber(value) => Tree::SecretNumber(secret(value)?),
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
    /// Returns the value at `key`, whatever its shape, if there is one. A key that names a secret names all that stands at it; a
    /// text there that holds one of the `placeholders`, in its braces, is none all the same.
    ///
    /// # Errors
    /// It holds a date, a number that JSON does not have, or a malformed secret.
    pub fn tree(
        &self,
        key: &str,
        placeholders: &[&str],
    ) -> Result<Option<Tree<String, Secret>>, TableError> {
        let placeholders: Vec<_> = placeholders.iter().map(|name| format!("{{{name}}}")).collect();
        let shape = Shape { placeholders: &placeholders, is_secret: false };
        self.entry(key).map(|entry| self.tree_of(key, entry, shape)).transpose()
    }

    fn tree_of(
        &self,
        key: &str,
        entry: Entry<'_>,
        outer: Shape<'_>,
    ) -> Result<Tree<String, Secret>, TableError> {
        let bad = || self.error(key, "must be a text, a number, true or false, a list or a table");
        let shape = Shape { is_secret: outer.is_secret || names_a_secret(key), ..outer };
        Ok(match entry.get_ref() {
            DeValue::String(text) if shape.is_secret_text(text) => {
                Tree::Secret(self.literal_secret(text))
            }
            DeValue::String(text) => Tree::Text(text.as_ref().to_owned()),
            DeValue::Boolean(value) => Tree::Plain((*value).into()),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix());
                let number = number.map_err(|_| bad())?;
                if shape.is_secret_number(number) {
                    Tree::SecretNumber(self.literal_secret(&number.to_string()))
                } else {
                    Tree::Plain(number.into())
                }
            }
            DeValue::Float(number) => {
                let number: f64 = number.as_str().parse().map_err(|_| bad())?;
                let number = serde_json::Number::from_f64(number).ok_or_else(bad)?;
                Tree::Plain(number.into())
            }
            DeValue::Array(items) => {
                let items = items.iter().map(|item| self.tree_of(key, item, shape));
                Tree::List(items.collect::<Result<_, _>>()?)
            }
            DeValue::Table(_) => self.inner_tree(key, entry, shape)?,
            DeValue::Datetime(_) => return Err(bad()),
        })
    }

    /// Reads a table: a secret where it has no other keys than those of one.
    fn inner_tree(
        &self,
        key: &str,
        entry: Entry<'_>,
        shape: Shape<'_>,
    ) -> Result<Tree<String, Secret>, TableError> {
        self.table_of(key, entry, |table| {
            let keys: Vec<_> = table.keys().collect();
            if !keys.is_empty() && keys.iter().all(|key| matches!(*key, "env" | "file")) {
                return Ok(Tree::Secret(table.secret_elsewhere()?));
            }
            let entries = keys.into_iter().map(|key| {
                let entry = table.entry(key).ok_or_else(|| table.missing(key))?;
                Ok((key.to_owned(), table.tree_of(key, entry, shape)?))
            });
            Ok(Tree::Table(entries.collect::<Result<_, _>>()?))
        })
    }

    fn literal_secret(&self, text: &str) -> Secret {
        self.document.note_literal_secret();
        Secret::Literal(text.into())
    }
}

/// What is known of a value before it is read.
#[derive(Clone, Copy)]
struct Shape<'a> {
    /// The placeholders that its texts may hold, in their braces.
    placeholders: &'a [String],
    /// Whether a key that it stands at names a secret.
    is_secret: bool,
}

impl Shape<'_> {
    fn is_secret_text(self, text: &str) -> bool {
        self.is_secret && !self.placeholders.iter().any(|placeholder| text.contains(placeholder))
    }

    /// A number of three digits is no secret: anybody may guess it, and to mask it would spoil other numbers.
    fn is_secret_number(self, number: i64) -> bool {
        self.is_secret && number.unsigned_abs() > 999
    }
}

/// Returns whether a key of the provider's choice says that its value is a secret.
fn names_a_secret(key: &str) -> bool {
    const PARTS: [&str; 9] = [
        "key",
        "token",
        "secret",
        "password",
        "passphrase",
        "passwd",
        "pwd",
        "credential",
        "authorization",
    ];
    // Other words hold these, such as `compass` and `author`.
    const WORDS: [&str; 2] = ["pass", "auth"];
    let small = key.to_lowercase();
    PARTS.iter().any(|part| small.contains(part))
        || words_of(key).iter().any(|word| WORDS.contains(&word.as_str()))
}

/// Returns the words of a name such as `User-Pass`, `user_pass` or `userPass2`, in small letters.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_behind_small = false;
    let mut letters = name.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_before_small = letters.peek().is_some_and(|next| next.is_lowercase());
        if !letter.is_alphabetic() || letter.is_uppercase() && (is_behind_small || is_before_small)
        {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| letter.is_alphabetic()) {
            word.extend(letter.to_lowercase());
        }
        is_behind_small = letter.is_lowercase();
    }
    words
}
