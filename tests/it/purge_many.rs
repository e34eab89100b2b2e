//! `purge` of many records: in short transactions, with others at work beside it.

use std::fs;

use crate::support::{
    CODE, Environment, NUMBER, Record, TOKEN, WRONG_CODE, finish, has_open, wait_until,
};

const MANY: u32 = 20_000;

/// A database in WAL mode with many expired records and one live one.
fn environment() -> Environment {
    let environment = Environment::console(
        "max_failed_attempts = 1000000\n[limits]\nmax_wrong_codes_per_number_per_day = 0",
    );
    environment.execute(&["PRAGMA journal_mode = WAL"]);
    environment.run(&["migrate"]).expect_code(0);
    environment.insert_many(MANY, 700);
    environment.insert(&Record::default());
    environment
}

/// Returns how many transactions the write-ahead log at `path` holds: the frames that end one say how large the database
/// is then (<https://www.sqlite.org/fileformat2.html#walformat>).
fn transactions(wal: &[u8]) -> usize {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes"));
    let page_size = usize::try_from(number(&wal[8..12])).expect("a page size");
    let salt = &wal[16..24];
    wal[32..]
        .chunks_exact(24 + page_size)
        .take_while(|frame| &frame[8..16] == salt)
        .filter(|frame| number(&frame[4..8]) > 0)
        .count()
}

#[test]
fn many_records_go_in_several_transactions() {
    let environment = environment();
    let reader = environment.database();
    reader
        .execute_batch(
            "PRAGMA wal_checkpoint(TRUNCATE); BEGIN; SELECT count(*) FROM sms_verification",
        )
        .expect("a reader");
    // While the reader's transaction is open, the log can't start over, and so keeps every transaction.
    let run = environment.run(&["purge"]).expect_code(0);
    assert_eq!(run.stdout, "Deleted 20,000 records.\n");
    let wal = fs::read(environment.path("phone-verify.sqlite3-wal")).expect("the log");
    let batches = transactions(&wal);
    assert!(batches >= 4, "{MANY} records went in {batches} transactions");
    drop(reader);
    assert_eq!(environment.tokens(), [TOKEN]);
}

#[test]
fn verifying_beside_a_purge_is_never_refused() {
    let environment = environment();
    let database = environment.path("phone-verify.sqlite3");
    let mut purge = environment.command(&["purge"]).spawn().expect("the program starts");
    wait_until("the purge opens the database", || has_open(&purge, &database));
    let mut verified = 0;
    loop {
        let over = purge.try_wait().expect("a child").is_some();
        let run = environment.run(&["verify", NUMBER, WRONG_CODE, "--session-token", TOKEN]);
        run.expect_code(11);
        verified += 1;
        if over {
            break;
        }
    }
    assert_eq!(finish(purge).expect_code(0).stdout, "Deleted 20,000 records.\n");
    assert_eq!(environment.state(TOKEN).failed_attempts, verified);
    environment.run(&["verify", NUMBER, CODE, "--session-token", TOKEN]).expect_code(0);
}

#[test]
fn two_purges_at_once_delete_each_record_once() {
    let environment = environment();
    let purges = (0..2).map(|_| environment.command(&["--format", "json", "purge"])).collect();
    let runs = environment.run_behind_a_lock(purges);
    let deleted: u64 = runs
        .into_iter()
        .map(|run| run.expect_code(0).json()["deleted"].as_u64().expect("a count"))
        .sum();
    assert_eq!(deleted, u64::from(MANY));
}
