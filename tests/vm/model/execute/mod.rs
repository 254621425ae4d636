// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the steps of a sequence one after the other, and compares what the
//! kernel says with what the model says.

mod compare;
mod expect;

use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::unistd::{getpgrp, getpid, gettid, setpgid, Pid};

use super::actor::{take_signals, Actor, Answer, NODES};
use super::partner::Partner;
use super::record::written;
use super::reference::{descriptor, Ids, Model, Written};
use super::step::{Op, Slot, Step, Who, SLOTS};
use crate::support::device::*;
use crate::support::modules::Timer;
use crate::support::signals::*;
use crate::support::worker::{until, Worker};
use crate::support::LIMIT;
use expect::Expected;

/// What is said once a queue has ended and all others have been told.
const WITNESS: i32 = libc::SIGUSR2;

/// One sequence that is being run; puts everything back when it is dropped.
struct Run<'a> {
    steps: &'a [Step],
    actor: Actor,
    model: Model,
    partner: Option<Partner>,
    timer: Option<Timer>,
    witness: Option<OwnedFd>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.partner = None;
        for slot in 0..SLOTS {
            // SAFETY: These descriptors belong to the steps, no object owns them.
            unsafe { libc::close(descriptor(slot)) };
        }
        self.witness = None;
        self.timer = None;
        take_signals();
    }
}

/// What comes behind every sequence: all that is open is asked and emptied.
fn finish() -> impl Iterator<Item = Step> {
    (0..SLOTS).flat_map(|slot| {
        let read = || Op::Read {
            slot,
            parts: vec![64 * 64],
            nowait: false,
            good: None,
        };
        [
            Op::GetFlags { slot },
            read(),
            read(),
            Op::Info {
                slot,
                nowhere: false,
            },
        ]
        .map(|op| Step {
            who: Who::Parent,
            op,
        })
    })
}

/// Runs the steps; an error says which one did something else than it must.
pub(super) fn run(steps: &[Step]) -> Result<(), String> {
    let steps: Vec<_> = steps.iter().cloned().chain(finish()).collect();
    let mut run = Run::new(&steps);
    for at in 0..steps.len() {
        run.step(at)?;
    }
    Ok(())
}

impl<'a> Run<'a> {
    fn new(steps: &'a [Step]) -> Self {
        if getpgrp() != getpid() {
            setpgid(Pid::from_raw(0), Pid::from_raw(0)).expect("a process group of its own");
        }
        let ids = Ids {
            parent: getpid().as_raw(),
            thread: gettid().as_raw(),
            group: getpgrp().as_raw(),
            realtime: realtime(),
        };
        block_witness();
        take_signals();
        let mut run = Self {
            steps,
            actor: Actor::new(),
            model: Model::new(ids),
            partner: None,
            timer: None,
            witness: None,
        };
        run.model.add_queue_at(NODES[0], 0);
        if steps
            .iter()
            .any(|step| matches!(step.op, Op::Open { queue: 1, .. }))
        {
            let timer = Timer::load("own=64 rate=10000 count=3");
            let witness = try_open(NODES[1], OFlag::O_RDWR)
                .unwrap_or_else(|errno| panic!("open {}: {errno}", NODES[1]));
            until(|| info(&witness).posted == 3, || "three ticks".into());
            set_owner_thread(&witness, gettid());
            set_signal(&witness, WITNESS);
            set_async(&witness, true);
            run.model.add_queue_at(NODES[1], 1);
            (run.timer, run.witness) = (Some(timer), Some(witness));
        }
        run
    }

    fn step(&mut self, at: usize) -> Result<(), String> {
        let Step { who, op } = &self.steps[at];
        let alone = matches!(
            op,
            Op::Epoll { .. } | Op::EpollWait | Op::Await { .. } | Op::Fork | Op::Exit | Op::Retire
        );
        let who = if self.model.has_child() && !alone {
            *who
        } else {
            Who::Parent
        };
        self.act(who, at)
            .and_then(|()| self.compare_signals())
            .map_err(|why| format!("step {at}, {op:?} by the {who:?}: {why}"))
    }

    fn act(&mut self, who: Who, at: usize) -> Result<(), String> {
        match &self.steps[at].op {
            Op::Fork if self.partner.is_none() => {
                let partner = Partner::fork(&self.actor, self.steps);
                self.model.forked(partner.pid());
                self.partner = Some(partner);
            }
            Op::Exit if self.partner.is_some() => {
                self.partner = None;
                self.model.exited();
            }
            Op::Retire if self.model.has_live_second_queue() => {
                let timer = self.timer.take();
                take_witness(false);
                drop(timer);
                // Armed before all others, it is told after them.
                take_witness(true);
                self.model.retire();
            }
            Op::Fork | Op::Exit | Op::Retire => {}
            &Op::Await {
                slot,
                writer,
                room,
                records,
            } => {
                if self.model.can_await(slot, writer) {
                    return self.wait_and_post(slot, writer, room.into(), records);
                }
            }
            op => {
                let (number, expected) = self.expect(who, op);
                let answer = match &mut self.partner {
                    Some(partner) if who == Who::Child => partner.perform(at, number),
                    _ => self.actor.perform(op, number),
                };
                return self.compare(who, op, &expected, &answer);
            }
        }
        Ok(())
    }

    /// R2: a read that waits gets what is posted.
    fn wait_and_post(
        &mut self,
        slot: Slot,
        writer: Slot,
        room: usize,
        records: u8,
    ) -> Result<(), String> {
        let first = self.model.number(records);
        let what = Written {
            first,
            records: records.into(),
            tail: 0,
            bad: None,
            good: usize::MAX,
        };
        let posted = self.model.write(Who::Parent, writer, what);
        let expected = self
            .model
            .read(Who::Parent, slot, room * 64, usize::MAX)
            .map_or_else(Expected::from, Expected::Records);
        let reader = Worker::start(move || {
            // SAFETY: Nobody closes it before the thread has been joined.
            let fd = unsafe { BorrowedFd::borrow_raw(descriptor(slot)) };
            let mut buffer = vec![0; room * 64];
            match nix::unistd::read(fd, &mut buffer) {
                Ok(count) => Answer {
                    value: count as i64,
                    data: buffer[..count].to_vec(),
                },
                Err(errno) => Answer {
                    value: -i64::from(errno as i32),
                    data: Vec::new(),
                },
            }
        });
        reader.until_blocked_in(libc::SYS_read);
        let all: Vec<_> = (first..)
            .take(records.into())
            .map(|number| written(number, None))
            .collect();
        // SAFETY: As above.
        let writer = unsafe { BorrowedFd::borrow_raw(descriptor(writer)) };
        let count = nix::unistd::write(writer, &bytes(&all));
        if count != posted {
            return Err(format!("the write: expected {posted:?}, got {count:?}"));
        }
        let answer = reader.join();
        self.compare_read(Who::Parent, slot, &expected, &answer)
    }
}

impl Model {
    /// Adds a queue as it is now.
    fn add_queue_at(&mut self, node: &str, others: u32) {
        let fd = try_open(node, OFlag::O_RDONLY | OFlag::O_NONBLOCK)
            .unwrap_or_else(|errno| panic!("open {node}: {errno}"));
        seek_oldest(&fd);
        let kept = drain(&fd);
        self.add_queue(&info(&fd), kept, others);
    }
}

fn witness_set() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: Initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: Initialised just now.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: A valid set and a valid signal.
    unsafe { libc::sigaddset(&raw mut set, WITNESS) };
    set
}

fn block_witness() {
    let set = witness_set();
    // SAFETY: A valid set; the old one is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
}

/// Takes the witness's signal; waits for it if it must come.
fn take_witness(must: bool) {
    let set = witness_set();
    let limit = if must { LIMIT.as_secs() as i64 } else { 0 };
    let limit = libc::timespec {
        tv_sec: limit,
        tv_nsec: 0,
    };
    // SAFETY: Valid values; what the signal says is not asked for.
    let got = unsafe { libc::sigtimedwait(&raw const set, std::ptr::null_mut(), &raw const limit) };
    assert!(
        !must || got == WITNESS,
        "nobody was told of the end of the queue within {LIMIT:?}"
    );
}
