// SPDX-License-Identifier: MIT OR Apache-2.0
//! A watcher with one source, and how a program uses it.

use evq::via::Kind;
use evq::{Token, Watcher};

use crate::cell;
use crate::source::{Got, Reader};

pub(crate) struct Watch {
    // Dropped before the descriptor is closed.
    pub(crate) watcher: Watcher,
    pub(crate) token: Token,
    pub(crate) reader: Reader,
}

/// Numbers, and how many are missing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) numbers: Vec<u64>,
    pub(crate) lost: u64,
}

impl Account {
    pub(crate) fn total(&self) -> u64 {
        self.numbers.len() as u64 + self.lost
    }
}

impl Watch {
    pub(crate) fn new(kind: Kind, reader: Reader) -> Watch {
        let mut watcher = watcher(kind);
        let token = arm(&mut watcher, &reader);
        Watch {
            watcher,
            token,
            reader,
        }
    }

    /// Drops the watcher.
    pub(crate) fn stop(self) -> Reader {
        self.reader
    }

    /// Reads what is there, for mechanisms that do not block in it.
    pub(crate) fn drain(&mut self) {
        if !self.watcher.kind().drains() {
            return;
        }
        for _ in wait(&mut self.watcher) {
            while let Got::Numbers(..) = self.reader.read(64) {}
        }
    }

    /// Waits for `count` numbers and reads them, `piece` at a time and saying
    /// that there is more each time; none may be lost.
    pub(crate) fn collect(&mut self, piece: usize, count: u64) -> Vec<u64> {
        let account = self.account(piece, count);
        assert_eq!(account.lost, 0, "lost without need");
        account.numbers
    }

    pub(crate) fn account(&mut self, piece: usize, count: u64) -> Account {
        let mut account = Account::default();
        while account.total() < count {
            if !wait(&mut self.watcher).contains(&self.token) {
                continue;
            }
            match self.reader.read(piece) {
                Got::Numbers(numbers, lost) => {
                    cell::progress();
                    account.numbers.extend(numbers);
                    account.lost += lost;
                    self.watcher.more(self.token);
                }
                Got::Empty => {}
                Got::Gone => panic!("gone after {account:?}"),
            }
        }
        assert_eq!(account.total(), count, "more than was posted");
        account
    }

    /// What the next reads give: until it is empty, or one that blocks.
    pub(crate) fn some(&mut self) -> Account {
        let mut account = Account::default();
        if wait(&mut self.watcher).contains(&self.token) {
            while let Got::Numbers(numbers, lost) = self.reader.read(64) {
                cell::progress();
                account.numbers.extend(numbers);
                account.lost += lost;
                if !self.watcher.kind().drains() {
                    break;
                }
                // Fair to whoever waits for this account.
                if account.total() >= 8 {
                    self.watcher.more(self.token);
                    break;
                }
            }
        }
        account
    }

    /// Waits until the source ends; what it still held.
    pub(crate) fn until_gone(&mut self) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            if !wait(&mut self.watcher).contains(&self.token) {
                continue;
            }
            match self.reader.read(64) {
                Got::Numbers(numbers, _) => {
                    all.extend(numbers);
                    self.watcher.more(self.token);
                }
                Got::Empty => {}
                Got::Gone => return all,
            }
        }
    }
}

pub(crate) fn watcher(kind: Kind) -> Watcher {
    Watcher::new(kind).unwrap_or_else(|error| panic!("a watcher: {error}"))
}

pub(crate) fn arm(watcher: &mut Watcher, reader: &Reader) -> Token {
    watcher
        .arm(reader, reader.origin().name())
        .unwrap_or_else(|error| panic!("arming: {error}"))
}

pub(crate) fn wait(watcher: &mut Watcher) -> Vec<Token> {
    watcher
        .wait(None)
        .unwrap_or_else(|error| panic!("waiting: {error}"))
}
