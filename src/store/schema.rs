//! The tables and their indexes, which every engine has, and which version of them a database holds.

use super::error::StoreError;

/// What to do about a table or an index that is missing or older.
pub(super) const MIGRATE_HINT: &str = "phone-verify migrate";
/// What to do about the table of the records if Django manages the database.
const DJANGO_HINT: &str = "python manage.py migrate phone_verify";

/// A table of the current version.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The names of its columns, in the order in which rows are read.
    pub(super) columns: &'static str,
    /// The columns that its first version lacked, with their types. They may be NULL.
    pub(super) added: &'static [(&'static str, &'static str)],
    pub(super) indexes: &'static [Index],
    /// The program that creates the table, and what to do if another program created it.
    maker: (&'static str, &'static str),
}

/// An index. An index with the same columns under another name does the same work.
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) columns: &'static str,
    pub(super) is_unique: bool,
}

impl Index {
    const fn new(name: &'static str, columns: &'static str) -> Self {
        Self { name, columns, is_unique: false }
    }
}

/// The records, as Django creates the table by django-phone-verify's migration 0003. The library doesn't have these indexes. Read
/// backwards, they return the newest record first.
pub(super) static RECORDS: Table = Table {
    name: "sms_verification",
    columns: "id, phone_number, security_code, session_token, is_verified, failed_attempts, created_at, modified_at",
    added: &[],
    indexes: &[
        Index::new("phone_verify_phone_number_created_at", "phone_number, created_at"),
        Index::new("phone_verify_created_at", "created_at"),
    ],
    maker: (
        "django-phone-verify",
        "check [database] and --database; this may be the database of another program",
    ),
};

/// The ledger: one row for each attempt to reach a number through one backend. Its rows stay when records are deleted.
pub(super) static LEDGER: Table = Table {
    name: "sms_delivery",
    columns: "id, verification_id, phone_number, backend, state, message_id, error_code, error_message, segments, tries, language, verified_at, created_at, updated_at",
    added: &[("language", "varchar(64)"), ("verified_at", "datetime")],
    indexes: &[
        Index::new("phone_verify_delivery_phone_number_created_at", "phone_number, created_at"),
        Index::new("phone_verify_delivery_created_at", "created_at"),
    ],
    maker: ("phone-verify", "if it is another program's table, rename it, or use another database"),
};

/// The wrong codes that count against the limit of a number: one row for each.
pub(super) static WRONG_CODES: Table = Table {
    name: "sms_wrong_code",
    columns: "id, phone_number, created_at",
    added: &[],
    indexes: &[Index::new(
        "phone_verify_wrong_code_phone_number_created_at",
        "phone_number, created_at",
    )],
    maker: LEDGER.maker,
};

/// What only one transaction on a server may do at a time: one row for each. A file has no such table.
pub(super) static LOCKS: Table = Table {
    name: "phone_verify_lock",
    columns: "id, turn",
    added: &[],
    indexes: &[],
    maker: LEDGER.maker,
};

/// The unique index of the library's table, under Django's name.
pub(super) static UNIQUE: Index = Index {
    name: "sms_verification_security_code_phone_number_session_token_7e72282c_uniq",
    columns: "security_code, phone_number, session_token",
    is_unique: true,
};

/// The condition on deliveries that [`crate::model::DeliveryState::was_refused`] doesn't hold for them.
pub(super) const NOT_REFUSED: &str = "sms_delivery.state NOT IN ('rejected', 'unavailable')";

/// The condition on deliveries that [`crate::model::DeliveryState::is_final`] doesn't hold for them.
pub(super) const NOT_FINAL: &str = "state NOT IN ('delivered', 'undelivered')";

/// Returns the condition that a record was created at `from` or later, and that its number has a newer one that isn't from the
/// future. `from` and `latest` stand for the parameters with these times.
pub(super) fn superseded(from: &str, latest: &str) -> String {
    format!(
        "created_at >= {from} AND EXISTS (SELECT 1 FROM sms_verification AS newer
             WHERE newer.phone_number = sms_verification.phone_number
               AND newer.created_at > sms_verification.created_at AND newer.created_at <= {latest})"
    )
}

/// The columns of the records by migration 0001.
const COLUMNS_OF_0001: [&str; 6] =
    ["id", "created_at", "modified_at", "otp", "phone_number", "session_code"];
/// The column that migration 0003 added.
const COLUMN_OF_0003: &str = "failed_attempts";

/// The layout of a table without further columns.
pub(super) const CURRENT: Layout = Layout::Current(Vec::new());

/// The version of a table: that of the records by the migrations of django-phone-verify.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Missing,
    Of0001,
    Of0002,
    /// These of its added columns are missing.
    Older(Vec<&'static str>),
    /// The table is of migration 0003, or has all of its columns. Other programs may have added these columns.
    Current(Vec<Column>),
    /// Another program has something with the table's name.
    Foreign(StoreError),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether a new row has to give it a value.
    pub(super) must_be_given: bool,
}

impl Layout {
    /// Returns whether this is an older version without the column `name`.
    pub(super) fn lacks(&self, name: &str) -> bool {
        matches!(self, Self::Older(missing) if missing.contains(&name))
    }

    /// Returns whether the table's rows can be read.
    pub(super) fn is_readable(&self) -> bool {
        matches!(self, Self::Current(_) | Self::Older(_))
    }
}

impl Table {
    pub(super) fn column_names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.split(", ")
    }

    /// Returns whether a version of this table has a column `name`.
    pub(super) fn knows(&self, name: &str) -> bool {
        let is_older = self.name == RECORDS.name && COLUMNS_OF_0001.contains(&name);
        is_older || self.column_names().any(|own| own == name)
    }

    /// Returns the layout of an ordinary table that has these columns.
    pub(super) fn layout_of(&self, mut columns: Vec<Column>) -> Layout {
        let is_there = |name: &&str| columns.iter().any(|column| column.name == **name);
        let missing: Vec<_> = self.column_names().filter(|name| !is_there(name)).collect();
        match (columns.len(), missing.as_slice()) {
            (0, _) => Layout::Missing,
            (_, []) => {
                columns.retain(|column| self.column_names().all(|own| column.name != own));
                Layout::Current(columns)
            }
            (7, [COLUMN_OF_0003]) => Layout::Of0002,
            _ if missing.iter().all(|name| self.added.iter().any(|(added, _)| added == name)) => {
                Layout::Older(missing)
            }
            (6, _) if self.name == RECORDS.name && COLUMNS_OF_0001.iter().all(is_there) => {
                Layout::Of0001
            }
            _ => self.foreign(),
        }
    }

    /// Returns the columns of a table with this layout that others added, with its name.
    pub(super) fn further_columns(&self, layout: &Layout) -> Vec<String> {
        let Layout::Current(columns) = layout else { return Vec::new() };
        columns.iter().map(|column| format!("{}.{}", self.name, column.name)).collect()
    }

    /// Returns the layout of a table that another program made.
    pub(super) fn foreign(&self) -> Layout {
        let (maker, hint) = self.maker;
        let name = self.name;
        let problem = format!("the table {name} has columns that no version of {maker} gave it");
        Layout::Foreign(StoreError::new(problem, hint))
    }

    /// Returns the error of a table that is missing or older. Only Django may change that of a database that it manages.
    pub(super) fn outdated(&self, layout: &Layout, is_django: bool) -> StoreError {
        let problem = match layout {
            Layout::Missing => format!("there is no table {}", self.name),
            _ => format!("the table {} is of an older version", self.name),
        };
        if is_django {
            StoreError::new(problem + ", and Django manages this database", DJANGO_HINT)
        } else {
            StoreError::new(problem, MIGRATE_HINT)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_of_the_version_whose_columns_it_has() {
        let layout = |table: &Table, names: &[&str]| {
            let column = |name: &&str| Column { name: (*name).to_owned(), must_be_given: false };
            table.layout_of(names.iter().map(column).collect())
        };
        let current: Vec<_> = RECORDS.column_names().collect();
        let of_0002: Vec<_> =
            current.iter().copied().filter(|name| *name != COLUMN_OF_0003).collect();
        let further = Column { name: "place".to_owned(), must_be_given: false };
        let cases = [
            (Vec::new(), Layout::Missing),
            (COLUMNS_OF_0001.to_vec(), Layout::Of0001),
            (of_0002, Layout::Of0002),
            (current.clone(), CURRENT),
            ([&current[..], &["place"]].concat(), Layout::Current(vec![further])),
            (current[..6].to_vec(), RECORDS.foreign()),
            ([&COLUMNS_OF_0001[..5], &["place"]].concat(), RECORDS.foreign()),
        ];
        for (names, expected) in cases {
            assert_eq!(layout(&RECORDS, &names), expected, "{names:?}");
        }
        assert_eq!(layout(&LEDGER, &COLUMNS_OF_0001), LEDGER.foreign());
        for (name, of_records, of_ledger) in
            [("otp", true, false), ("phone_number", true, true), ("state", false, true)]
        {
            assert_eq!((RECORDS.knows(name), LEDGER.knows(name)), (of_records, of_ledger));
        }
    }
}
