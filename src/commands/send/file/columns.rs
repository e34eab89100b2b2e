//! The columns of a CSV file, and what each is for.

use std::collections::BTreeMap;
use std::path::Path;

use super::names::{LANGUAGE, PHONE_NUMBER, folded, is_for_phone_numbers, listed, may_be_number};
use crate::exit::Error;
use crate::model::{shell_word, single_spaced};

/// The columns of a CSV file.
#[derive(Debug)]
pub(crate) struct Columns {
    /// The names in the heading.
    pub(crate) names: Vec<String>,
    /// The index of the column of phone numbers.
    pub(crate) phone_number: usize,
    /// The index of the column of languages.
    pub(crate) language: Option<usize>,
    /// The index of the column of each placeholder that has one.
    pub(crate) values: BTreeMap<String, usize>,
}

impl Columns {
    /// Returns the columns of a heading, with the phone numbers in the one that is `chosen`; None if there are none for phone
    /// numbers. No column has the value of a placeholder yet.
    ///
    /// # Errors
    /// Returns an error if more than one column may be for the phone numbers, or for the languages.
    pub(super) fn in_heading(
        names: &[String],
        chosen: Option<&str>,
    ) -> Result<Option<Self>, Error> {
        let names: Vec<_> = names.iter().map(|name| name.trim().to_owned()).collect();
        let phone_number = match chosen {
            Some(chosen) => find_chosen(&names, chosen)?,
            None => find_phone_number(&names)?,
        };
        let Some(phone_number) = phone_number else { return Ok(None) };
        let language = find(&names, LANGUAGE)?.filter(|index| *index != phone_number);
        Ok(Some(Self { names, phone_number, language, values: BTreeMap::new() }))
    }

    /// Finds the columns that have the values of these placeholders.
    ///
    /// # Errors
    /// Returns an error if more than one column may have the values of one of them.
    pub(super) fn fill<'a>(
        &mut self,
        placeholders: impl Iterator<Item = &'a str>,
    ) -> Result<(), Error> {
        for name in placeholders {
            let index = find(&self.names, name)?;
            if let Some(index) = index.filter(|index| !self.is_special(*index)) {
                self.values.insert(name.to_owned(), index);
            }
        }
        Ok(())
    }

    /// Returns the names of the columns that aren't used.
    pub(crate) fn unused(&self) -> impl Iterator<Item = &str> {
        let columns = self.names.iter().enumerate().filter(|(index, name)| {
            let is_value = self.values.values().any(|value| value == index);
            !name.is_empty() && !self.is_special(*index) && !is_value
        });
        columns.map(|(_, name)| name.as_str())
    }

    fn is_special(&self, index: usize) -> bool {
        index == self.phone_number || Some(index) == self.language
    }
}

/// Returns the index of the column that is read as `wanted`.
fn find(names: &[String], wanted: &str) -> Result<Option<usize>, Error> {
    let hint = || format!("give its exact name, `{wanted}`, to the one that is meant");
    only(names, &meant_by(wanted, names), &format!("be meant by `{wanted}`"), hint)
}

/// Returns the index of the column that `--column` names.
fn find_chosen(names: &[String], chosen: &str) -> Result<Option<usize>, Error> {
    let columns = meant_by(chosen, names);
    only(names, &columns, &format!("be meant by `{chosen}`"), || options(names, &columns))
}

/// Returns the indices of the columns with exactly this name, else of those whose names differ from it in case, accents and
/// punctuation alone.
fn meant_by(wanted: &str, names: &[String]) -> Vec<usize> {
    let exact = with_name(names, |name| name == wanted);
    let key = folded(wanted);
    match exact[..] {
        [] if !key.is_empty() => with_name(names, |name| folded(name) == key),
        _ => exact,
    }
}

fn find_phone_number(names: &[String]) -> Result<Option<usize>, Error> {
    if names.iter().any(|name| name == PHONE_NUMBER) {
        return find(names, PHONE_NUMBER);
    }
    if names.iter().any(|name| may_be_number(name)) {
        return Ok(None);
    }
    let columns = with_name(names, is_for_phone_numbers);
    only(names, &columns, "hold the phone numbers", || options(names, &columns))
}

/// Returns the options that pick one of the columns.
fn options(names: &[String], columns: &[usize]) -> String {
    let word = |index: &usize| shell_word(Path::new(&single_spaced(&names[*index])));
    let options = columns.iter().map(|index| format!("--column {}", word(index)));
    options.collect::<Vec<_>>().join(" or ")
}

fn with_name(names: &[String], is_meant: impl Fn(&str) -> bool) -> Vec<usize> {
    (0..names.len()).filter(|index| is_meant(&names[*index])).collect()
}

/// Returns the only one of `columns`, if there is one.
fn only(
    names: &[String],
    columns: &[usize],
    use_of_it: &str,
    hint: impl FnOnce() -> String,
) -> Result<Option<usize>, Error> {
    match *columns {
        [] => Ok(None),
        [index] => Ok(Some(index)),
        [first, second, ..] if names[first] == names[second] => {
            let name = single_spaced(&names[first]);
            let error = Error::usage(format!("the heading names the column `{name}` twice"));
            Err(error.with_hint("rename the one that isn't meant"))
        }
        _ => {
            let columns = listed(columns.iter().map(|index| names[*index].as_str()));
            let error = Error::usage(format!("several columns may {use_of_it}: {columns}"));
            Err(error.with_hint(hint()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(heading: &str, chosen: Option<&str>) -> Result<Option<Columns>, String> {
        let names: Vec<_> = heading.split(';').map(str::to_owned).collect();
        Columns::in_heading(&names, chosen).map_err(|error| error.to_string())
    }

    #[test]
    fn the_phone_numbers_are_in_one_column() {
        for (heading, chosen, index) in [
            ("name;phone_number", None, Some(1)),
            ("Phone;Mobile;phone_number", None, Some(2)),
            ("phone_number;20240101;+12025550143", None, Some(0)),
            ("Name;Telefon (mobil);Fax", None, Some(1)),
            ("Phone;Mobile", Some("Mobile"), Some(1)),
            ("Phone;Mobile", Some("mobile"), Some(1)),
            ("phone_number;Contact No 1", Some("contact no. 1"), Some(1)),
            ("Phone;PHONE", Some("PHONE"), Some(1)),
            ("a;b", None, None),
            ("a;b", Some("c"), None),
            ("Phone", Some("-"), None),
            // Type and number of a file without a heading.
            ("mobile;+12025550143", None, None),
        ] {
            let found = columns(heading, chosen).expect(heading);
            assert_eq!(found.map(|columns| columns.phone_number), index, "{heading}");
        }
        for (heading, chosen, words) in [
            ("Phone;Mobile;Name", None, "`Phone` and `Mobile`"),
            ("Phone;Phone", None, "`Phone` twice"),
            ("phone_number;phone_number", None, "`phone_number` twice"),
            ("Phone;PHONE", Some("phone"), "`Phone` and `PHONE`"),
            ("phone;language;language", None, "`language` twice"),
        ] {
            let error = columns(heading, chosen).expect_err(heading);
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn placeholders_have_the_column_of_their_name_and_the_rest_is_unused() {
        let filled = |heading: &str, name: &str| {
            let mut columns = columns(heading, None)?.ok_or("no column")?;
            columns.fill([name].into_iter()).map_err(|error| error.to_string())?;
            let unused: Vec<_> = columns.unused().map(str::to_owned).collect();
            Ok::<_, String>((columns.values.get(name).copied(), unused.join(";")))
        };
        for (heading, index, unused) in [
            ("phone;First Name;app;security_code;;{x}", Some(1), "app;security_code;{x}"),
            ("phone;First Name;first_name", Some(2), "First Name"),
            ("phone;a;a;language", None, "a;a"),
        ] {
            assert_eq!(filled(heading, "first_name"), Ok((index, unused.to_owned())), "{heading}");
        }
        assert_eq!(filled("phone;b", "phone"), Ok((None, "b".to_owned())));
        for heading in ["phone;First Name;first-name", "phone;first_name;first_name"] {
            assert!(filled(heading, "first_name").is_err(), "{heading}");
        }
    }
}
