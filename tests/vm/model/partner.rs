// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other process of a sequence: a fork that does what it is told, one
//! thing at a time.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;

use nix::unistd::pipe;

use super::actor::{take_signals, Actor, Answer};
use super::reference::Sent;
use super::step::Step;
use crate::support::process::Child;
use crate::support::until_readable;

/// In place of the index of a step: takes the pending signals.
const SIGNALS: u64 = u64::MAX;

/// The forked process, which ends when this is dropped.
pub(super) struct Partner {
    /// Closed before the child is waited for.
    orders: Option<File>,
    answers: File,
    child: Option<Child>,
}

impl Partner {
    /// Forks; the child has all that is open, and these steps.
    pub(super) fn fork(actor: &Actor, steps: &[Step]) -> Self {
        let (orders, to_child) = pipe().expect("pipe");
        let (answers, to_parent) = pipe().expect("pipe");
        let to_child = File::from(to_child);
        let child = Child::fork(|| {
            // SAFETY: The child's copy of the parent's end, which nothing in it uses: without this
            // it would never see the end of its orders.
            unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&to_child)) };
            obey(actor, steps, orders.into(), to_parent.into());
        });
        Self {
            orders: Some(to_child),
            answers: answers.into(),
            child: Some(child),
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.as_ref().expect("not ended").pid().as_raw()
    }

    /// Has it do the step with that index.
    pub(super) fn perform(&mut self, step: usize, number: u64) -> Answer {
        self.ask(step as u64, number)
    }

    pub(super) fn take_signals(&mut self) -> Vec<Sent> {
        let words = self.ask(SIGNALS, 0).data;
        let words = words
            .chunks_exact(8)
            .map(|word| i64::from_ne_bytes(word.try_into().expect("8 bytes")));
        let words: Vec<i64> = words.collect();
        let sent = |word: &[i64]| Sent {
            number: word[0] as i32,
            code: word[1] as i32,
            fd: word[2] as i32,
            band: word[3],
        };
        words.chunks_exact(4).map(sent).collect()
    }

    fn ask(&mut self, what: u64, number: u64) -> Answer {
        let orders = self.orders.as_mut().expect("not ended");
        orders
            .write_all(&[what.to_ne_bytes(), number.to_ne_bytes()].concat())
            .expect("the child reads its orders");
        until_readable(self.answers.as_fd(), "the answer of the child");
        let [value, len] = words(&mut self.answers).expect("the child answers");
        let mut data = vec![0; len as usize];
        self.answers
            .read_exact(&mut data)
            .expect("as much as it has said");
        Answer {
            value: value as i64,
            data,
        }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        self.orders = None;
        let child = self.child.take().expect("dropped once");
        if std::thread::panicking() {
            drop(child);
        } else {
            child.success();
        }
    }
}

/// Two words, or nothing at the end.
fn words(from: &mut File) -> Option<[u64; 2]> {
    let mut bytes = [0; 16];
    from.read_exact(&mut bytes).ok()?;
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    Some([word(0), word(8)])
}

/// The child: does what it is told until there is nobody to tell it.
fn obey(actor: &Actor, steps: &[Step], mut orders: File, mut answers: File) {
    while let Some([what, number]) = words(&mut orders) {
        let answer = if what == SIGNALS {
            let all = take_signals();
            let words = all.iter().flat_map(|sent| {
                [
                    sent.number.into(),
                    sent.code.into(),
                    sent.fd.into(),
                    sent.band,
                ]
            });
            Answer {
                value: 0,
                data: words.flat_map(i64::to_ne_bytes).collect(),
            }
        } else {
            actor.perform(&steps[what as usize].op, number)
        };
        let head = [
            answer.value.to_ne_bytes(),
            (answer.data.len() as u64).to_ne_bytes(),
        ]
        .concat();
        answers
            .write_all(&[head, answer.data].concat())
            .expect("the parent reads the answers");
    }
}
