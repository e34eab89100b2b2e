//! A database on a server, reached through a proxy that counts round trips and cuts connections.

use std::cell::Cell;
use std::thread;

use chrono::{DateTime, Utc};

use super::postgres::{Database as Created, Kind};
use super::postgres_proxy::{Cut, Proxy};
use super::rules::Rule;
use crate::store::{
    Database, Decision, Evidence, ServerAddress, Store, migrate, open, open_to_send,
};
use crate::system::clock::Clock;

/// A database with its tables, and a proxy before it.
pub(super) struct Proxied {
    pub(super) kind: Kind,
    pub(super) database: Created,
    pub(super) proxy: Proxy,
}

impl Proxied {
    fn new(kind: Kind) -> Option<Self> {
        let database = kind.database()?;
        migrate(&address(&database.url())).unwrap();
        Some(Self { kind, proxy: Proxy::start(&database), database })
    }

    /// Returns a database of each kind, one after the other.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Kind::ALL.into_iter().filter_map(Self::new)
    }

    /// Runs `test` with a database of each kind, all of them at once.
    pub(super) fn each(test: impl Fn(&Self) + Sync) {
        thread::scope(|scope| {
            for kind in Kind::ALL {
                let builder = thread::Builder::new().name(format!("{kind:?}"));
                let test = &test;
                let run = move || Self::new(kind).iter().for_each(test);
                builder.spawn_scoped(scope, run).unwrap();
            }
        });
    }

    /// Opens a store that goes through the proxy.
    pub(super) fn open(&self) -> Box<dyn Store> {
        open_to_send(&address(self.proxy.url()), &Clock::system()).unwrap()
    }

    /// Opens a store that goes through the proxy, and has asked the server for nothing yet.
    pub(super) fn open_unused(&self) -> Box<dyn Store> {
        open(&address(self.proxy.url()), &Clock::system()).unwrap()
    }

    /// Opens a store that doesn't.
    pub(super) fn open_behind(&self) -> Box<dyn Store> {
        open_to_send(&address(&self.database.url()), &Clock::system()).unwrap()
    }

    /// Returns `rule`, which lets another client work when it first judges: after the record was read, and before it is changed.
    pub(super) fn interrupted(
        &self,
        rule: Rule,
        work: impl Fn(&mut dyn Store) + Sync,
    ) -> impl Fn(Evidence<'_>, DateTime<Utc>) -> Decision {
        let is_first = Cell::new(true);
        move |evidence, now| {
            if is_first.take() {
                thread::scope(|scope| {
                    scope.spawn(|| work(&mut *self.open_behind())).join().unwrap();
                });
            }
            rule(evidence, now)
        }
    }

    /// Empties the tables.
    pub(super) fn truncate(&self) {
        self.database
            .query("TRUNCATE sms_verification, sms_delivery, sms_wrong_code RESTART IDENTITY");
    }

    /// Returns the only value that `query` finds.
    #[track_caller]
    pub(super) fn value(&self, query: &str) -> String {
        self.database.query(query)[0][0].clone().unwrap_or_default()
    }

    /// Runs `test` again and again, each time with a connection that is cut at another message, before or after it, until there
    /// are no more messages.
    pub(super) fn cut_at_each_message(&self, test: impl FnMut(&mut dyn Store, Cut)) {
        self.cut_at_every(1, test);
    }

    /// Does the same at the first message, and at each one that is so many messages later.
    pub(super) fn cut_at_every(&self, step: usize, mut test: impl FnMut(&mut dyn Store, Cut)) {
        let store = &mut *self.open();
        // Between servers of different versions and settings there is little difference.
        let step = if matches!(self.kind, Kind::Plain | Kind::Pooled) { step } else { step * 7 };
        for kind in [Cut::Before, Cut::After] {
            for number in (1..).step_by(step) {
                self.truncate();
                let cut = kind(number);
                self.proxy.cut(cut);
                test(store, cut);
                if !self.proxy.has_cut() {
                    assert!(number > 10, "{number} messages");
                    break;
                }
            }
        }
    }
}

impl Drop for Proxied {
    fn drop(&mut self) {
        // If the client goes away between two of them, PgBouncer 1.18 gives the session to another client, with the answers that
        // are still to come.
        let is_torn = self.proxy.had_several_transactions_at_once();
        assert!(!is_torn || thread::panicking(), "{:?}", self.kind);
    }
}

fn address(url: &str) -> Database {
    Database::Server(ServerAddress::parse(url).unwrap())
}
