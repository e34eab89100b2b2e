//! How rows are copied from one database to another: page by page, so that a copy that was stopped can go on, and with little
//! memory.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use crate::model::{Delivery, SmsVerification};
use crate::store::{
    Copies, DamagedRow, DeliveryFilter, LedgerIds, RecordFilter, Rows, Store, StoreError, Visit,
    separate_damaged,
};

/// Rows of a kind that is copied and compared.
pub trait CopyRow: Sized {
    /// What one is called.
    const NOUN: &'static str;

    /// Returns all rows of the kind.
    fn all() -> Rows;

    /// Hands the rows of `store` to `visit`, newest first.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn list(store: &mut dyn Store, visit: &mut Visit<'_, Self>) -> Result<(), StoreError>;

    /// Returns the rows of `store` that are the same as `rows`, whatever they hold besides.
    ///
    /// # Errors
    /// Returns an error if the database can't be read.
    fn find(store: &mut dyn Store, rows: &[Self], ids: LedgerIds) -> Result<Vec<Self>, StoreError>;

    /// Returns the rows as copies.
    fn copies(rows: &[Self], ids: LedgerIds) -> Copies<'_>;

    /// Returns its id.
    fn id(&self) -> String;

    /// Returns what distinguishes it from every other row.
    fn key(&self, ids: LedgerIds) -> String;

    /// Returns what it holds, apart from the ids of a ledger that may change.
    fn content(&self, ids: LedgerIds) -> String;

    /// Returns this row of the target without what only the target knows about it.
    fn seen_from(self, _source: &Self) -> Self {
        self
    }
}

impl CopyRow for SmsVerification {
    const NOUN: &'static str = "record";

    fn all() -> Rows {
        Rows::Records(RecordFilter::default())
    }

    fn list(store: &mut dyn Store, visit: &mut Visit<'_, Self>) -> Result<(), StoreError> {
        store.list(&RecordFilter::default(), u64::MAX, &mut |page| {
            visit(page.into_iter().map(|row| row.map(|listed| listed.record)).collect())
        })
    }

    fn find(store: &mut dyn Store, rows: &[Self], _: LedgerIds) -> Result<Vec<Self>, StoreError> {
        store.find_records(&rows.iter().map(|record| record.id).collect::<Vec<_>>())
    }

    fn copies(rows: &[Self], _: LedgerIds) -> Copies<'_> {
        Copies::Records(rows)
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self, _: LedgerIds) -> String {
        self.id()
    }

    fn content(&self, _: LedgerIds) -> String {
        let state = (self.is_verified, self.failed_attempts, self.created_at, self.modified_at);
        let [number, code, token] =
            [self.phone_number.as_str(), self.security_code.reveal(), self.session_token.as_str()];
        format!("{:?}", (self.id, number, code, token, state))
    }
}

impl CopyRow for Delivery {
    const NOUN: &'static str = "delivery";

    fn all() -> Rows {
        Rows::Deliveries(DeliveryFilter::default())
    }

    fn list(store: &mut dyn Store, visit: &mut Visit<'_, Self>) -> Result<(), StoreError> {
        store.deliveries(&DeliveryFilter::default(), u64::MAX, visit)
    }

    fn find(store: &mut dyn Store, rows: &[Self], ids: LedgerIds) -> Result<Vec<Self>, StoreError> {
        store.find_deliveries(rows, ids)
    }

    fn copies(rows: &[Self], ids: LedgerIds) -> Copies<'_> {
        Copies::Deliveries(rows, ids)
    }

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn key(&self, ids: LedgerIds) -> String {
        let Self { verification_id, phone_number, backend, created_at, .. } = self;
        let send = (verification_id, phone_number.as_str(), backend, created_at);
        match ids {
            LedgerIds::Kept => format!("{:?}", (self.id, send)),
            LedgerIds::New => format!("{send:?}"),
        }
    }

    fn content(&self, ids: LedgerIds) -> String {
        let id = (ids == LedgerIds::Kept).then_some(self.id);
        format!("{:?}", Self { id: id.unwrap_or_default(), ..self.clone() })
    }

    /// The ledger learns when a code was verified from the record too, when the tables are brought up to date.
    fn seen_from(self, source: &Self) -> Self {
        Self { verified_at: self.verified_at.and(source.verified_at), ..self }
    }
}

/// How many rows there are, and a sum over what they hold that doesn't depend on their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Checksum {
    rows: u64,
    sum: u128,
}

impl Checksum {
    fn add(&mut self, content: &str) {
        self.rows += 1;
        let hash = Sha256::digest(content);
        let (half, _) = hash.split_at(size_of::<u128>());
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(half.try_into().unwrap_or_default()));
    }
}

/// Why a copy failed.
#[derive(Debug)]
pub enum CopyError {
    /// One of the databases can't be used.
    Store(StoreError),
    /// The row with this name and id is in both databases, and they hold different things of it.
    Differs(&'static str, String),
    /// The source doesn't hold any more what was copied.
    SourceChanged,
    /// The target doesn't hold what was copied, or holds more.
    TargetChanged,
}

impl From<StoreError> for CopyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// How many rows of a kind were copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct CopyCounts {
    /// How many rows this run copied.
    pub copied: u64,
    /// How many rows were there before.
    pub already_there: u64,
    /// The rows of the source that can be read.
    checksum: Checksum,
}

/// Where rows are copied from, and where to.
pub struct Copying<'a> {
    /// The database whose rows are copied. It isn't changed.
    pub source: &'a mut dyn Store,
    /// The database that gets them.
    pub target: &'a mut dyn Store,
    /// What becomes of the ids of deliveries.
    pub ids: LedgerIds,
}

impl Copying<'_> {
    /// Returns the id of a row of the target that isn't in the source, if there is one.
    ///
    /// # Errors
    /// Returns an error if one of the databases can't be read.
    pub fn find_other<R: CopyRow>(&mut self) -> Result<Option<String>, StoreError> {
        let Self { source, target, ids } = self;
        let mut other = None;
        each_page(*target, |rows: Vec<R>, damaged| {
            let found = R::find(*source, &rows, *ids)?;
            let found = by_key(&found, *ids);
            let is_other = |row: &&R| !found.contains_key(&row.key(*ids));
            other = rows.iter().find(is_other).map(R::id);
            // No copy is damaged.
            other = other.take().or_else(|| damaged.first().map(ToString::to_string));
            Ok::<_, StoreError>(other.is_none())
        })?;
        Ok(other)
    }

    /// Copies the rows of a kind that the target lacks. `progress` learns of each page how many rows it had, and which of them are
    /// damaged and left out.
    ///
    /// # Errors
    /// Returns an error if one of the databases can't be used, or if a row differs from the one in the target.
    pub fn copy<R: CopyRow>(
        &mut self,
        mut progress: impl FnMut(usize, &[DamagedRow]),
    ) -> Result<CopyCounts, CopyError> {
        let Self { source, target, ids } = self;
        let mut counts = CopyCounts::default();
        each_page(*source, |rows: Vec<R>, damaged| {
            let count = rows.len() + damaged.len();
            let found = R::find(*target, &rows, *ids)?;
            let mut found: HashMap<_, _> =
                found.into_iter().map(|row| (row.key(*ids), row)).collect();
            let mut missing = Vec::new();
            for row in rows {
                let content = row.content(*ids);
                counts.checksum.add(&content);
                match found.remove(&row.key(*ids)) {
                    None => missing.push(row),
                    Some(stored) => {
                        if stored.seen_from(&row).content(*ids) != content {
                            return Err(CopyError::Differs(R::NOUN, row.id()));
                        }
                        counts.already_there += 1;
                    }
                }
            }
            if !missing.is_empty() {
                let copied = target.insert(&R::copies(&missing, *ids))?;
                counts.copied += copied;
                // Another copy may have been faster.
                counts.already_there += (missing.len() as u64).saturating_sub(copied);
            }
            progress(count, &damaged);
            Ok(true)
        })?;
        Ok(counts)
    }

    /// Copies the wrong codes that the target lacks.
    ///
    /// # Errors
    /// Returns an error if one of the databases can't be used.
    pub fn copy_wrong_codes(
        &mut self,
        mut progress: impl FnMut(usize, &[DamagedRow]),
    ) -> Result<(), StoreError> {
        let Self { source, target, .. } = self;
        let mut inserted = Ok(());
        source.list_wrong_codes(&mut |page| {
            let (wrong_codes, damaged) = separate_damaged(page);
            inserted = target.insert(&Copies::WrongCodes(&wrong_codes)).map(drop);
            progress(0, &damaged);
            inserted.is_ok()
        })?;
        inserted
    }

    /// Reads the rows of a kind again in both databases, and checks that they are those of `counts`.
    ///
    /// # Errors
    /// Returns an error if one of the databases can't be read, or if they aren't.
    pub fn verify<R: CopyRow>(
        &mut self,
        counts: &CopyCounts,
        mut progress: impl FnMut(usize),
    ) -> Result<(), CopyError> {
        let Self { source, target, ids } = self;
        let [mut in_source, mut in_target] = [Checksum::default(); 2];
        each_page(*source, |rows: Vec<R>, damaged| {
            rows.iter().for_each(|row| in_source.add(&row.content(*ids)));
            let found = R::find(*target, &rows, *ids)?;
            let rows_by_key = by_key(&rows, *ids);
            for stored in found {
                if let Some(row) = rows_by_key.get(&stored.key(*ids)) {
                    in_target.add(&stored.seen_from(row).content(*ids));
                }
            }
            progress(rows.len() + damaged.len());
            Ok::<_, CopyError>(true)
        })?;
        if in_source != counts.checksum {
            return Err(CopyError::SourceChanged);
        }
        let has_others = *ids == LedgerIds::Kept && target.count(&R::all())? != in_source.rows;
        if in_target != in_source || has_others {
            return Err(CopyError::TargetChanged);
        }
        Ok(())
    }
}

fn by_key<R: CopyRow>(rows: &[R], ids: LedgerIds) -> HashMap<String, &R> {
    rows.iter().map(|row| (row.key(ids), row)).collect()
}

/// Hands the rows of `store` to `work`, page by page, together with the damaged ones, until it returns false.
fn each_page<R: CopyRow, E: From<StoreError>>(
    store: &mut dyn Store,
    mut work: impl FnMut(Vec<R>, Vec<DamagedRow>) -> Result<bool, E>,
) -> Result<(), E> {
    let mut result = Ok(());
    R::list(store, &mut |page| {
        let (rows, damaged) = separate_damaged(page);
        let goes_on = work(rows, damaged);
        goes_on.unwrap_or_else(|error| {
            result = Err(error);
            false
        })
    })?;
    result
}
