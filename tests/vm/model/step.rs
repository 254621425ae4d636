// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be done to queues, and how a random sequence of it comes about.
//!
//! A step names places in a small table of file descriptors rather than
//! descriptors, so that any part of a sequence is a sequence as well: that is
//! what lets proptest shrink one that fails.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Places in the table of file descriptors; each process has its own table.
pub(super) const SLOTS: u8 = 6;

/// A place in the table.
pub(super) type Slot = u8;

/// The process that does a step: the test, or the one that it has forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Parent,
    Child,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Nobody,
    Parent,
    Child,
    /// That of the test and its children.
    Group,
    /// The thread of the test, by `F_SETOWN_EX`.
    Thread,
    /// A number that no process has.
    NoSuch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// 0: SIGIO without details.
    Default,
    Io,
    Realtime(u8),
    /// A number that no signal has.
    Wrong,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Newest,
    Oldest,
    /// By number: so far behind `posted + 1`.
    Back(u8),
    /// By number: so far beyond `posted + 1`, which is never right.
    Beyond(u8),
    /// By number 0, which no event has.
    Zero,
    /// Newest, with a number that has no meaning there.
    NumberedNewest,
    /// Newest, with something in `reserved`.
    Reserved,
    /// No `whence` that exists.
    Whence(u32),
    /// An address where nothing is.
    Nowhere,
}

/// What is wrong with a record that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    Len(u16),
    Reserved(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Modify,
    Delete,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Opens a queue into a place; whatever is there is closed.
    Open {
        slot: Slot,
        queue: usize,
        access: Access,
        nonblock: bool,
        async_: bool,
    },
    Close {
        slot: Slot,
    },
    Dup {
        from: Slot,
        to: Slot,
    },
    /// `read`, or `readv` if there are several parts; always with `RWF_NOWAIT`
    /// if it would wait. With `good`, the bytes behind so many are not mapped.
    Read {
        slot: Slot,
        parts: Vec<u16>,
        nowait: bool,
        good: Option<u16>,
    },
    /// A read that waits in another thread, until `writer` posts something.
    Await {
        slot: Slot,
        writer: Slot,
        room: u8,
        records: u8,
    },
    /// `write`, or `writev` of each record by itself; `tail` bytes behind the
    /// last record, `flaw` in one of them, `good` as in [`Op::Read`].
    Write {
        slot: Slot,
        records: u8,
        tail: u8,
        flaw: Option<(u8, Flaw)>,
        good: Option<u16>,
        vector: bool,
    },
    Poll {
        slot: Slot,
        mask: u16,
    },
    /// `epoll_ctl` on the one epoll instance of the test.
    Epoll {
        change: Change,
        slot: Slot,
        mask: u16,
        edge: bool,
    },
    EpollWait,
    /// `F_SETFL` with exactly these.
    SetFlags {
        slot: Slot,
        nonblock: bool,
        async_: bool,
    },
    Fionbio {
        slot: Slot,
        on: bool,
    },
    Fioasync {
        slot: Slot,
        on: bool,
    },
    GetFlags {
        slot: Slot,
    },
    SetOwner {
        slot: Slot,
        owner: Owner,
    },
    GetOwner {
        slot: Slot,
    },
    SetSignal {
        slot: Slot,
        signal: Signal,
    },
    GetSignal {
        slot: Slot,
    },
    Info {
        slot: Slot,
        nowhere: bool,
    },
    Seek {
        slot: Slot,
        target: Target,
    },
    /// A request that no queue has.
    Request {
        slot: Slot,
        number: u8,
    },
    Pread {
        slot: Slot,
    },
    Lseek {
        slot: Slot,
    },
    /// All of it, and a look at what is there.
    Map {
        slot: Slot,
        write: bool,
        shared: bool,
    },
    /// Makes the child, which has all that the test has open.
    Fork,
    /// Ends the child.
    Exit,
    /// Ends the second queue, by unloading the module that has made it.
    Retire,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Who does it; the test itself if there is no child.
    pub(super) who: Who,
    pub(super) op: Op,
}

/// Masks of poll and epoll: in, out, both with their other names, priority, none.
const MASKS: [u16; 7] = [0x001, 0x004, 0x005, 0x040, 0x100, 0x147, 0x000];

fn slot() -> impl Strategy<Value = Slot> {
    // Few places, so that most are open.
    prop_oneof![4 => 0..3u8, 1 => 3..SLOTS]
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![1 => Just(Access::Read), 1 => Just(Access::Write), 4 => Just(Access::Both)]
}

/// Sizes around whole records, and some that are not.
fn size() -> impl Strategy<Value = u16> {
    prop_oneof![
        6 => (0..20u16).prop_map(|records| records * 64),
        2 => (0..70u16, 0..64u16).prop_map(|(records, rest)| records * 64 + rest),
        1 => 0..200u16,
    ]
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![
        1 => Just(Owner::Nobody),
        4 => Just(Owner::Parent),
        2 => Just(Owner::Child),
        2 => Just(Owner::Group),
        2 => Just(Owner::Thread),
        1 => Just(Owner::NoSuch),
    ]
}

fn signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        2 => Just(Signal::Default),
        1 => Just(Signal::Io),
        4 => (0..3u8).prop_map(Signal::Realtime),
        1 => Just(Signal::Wrong),
    ]
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![
        3 => Just(Target::Newest),
        3 => Just(Target::Oldest),
        6 => (0..100u8).prop_map(Target::Back),
        1 => (1..9u8).prop_map(Target::Beyond),
        1 => Just(Target::Zero),
        1 => Just(Target::NumberedNewest),
        1 => Just(Target::Reserved),
        1 => (3..9u32).prop_map(Target::Whence),
        1 => Just(Target::Nowhere),
    ]
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        prop_oneof![Just(33u16), 33..=u16::MAX].prop_map(Flaw::Len),
        prop_oneof![Just(1u16), 1..=u16::MAX].prop_map(Flaw::Reserved),
    ]
}

fn write() -> impl Strategy<Value = Op> {
    let records = prop_oneof![8 => 0..6u8, 3 => 6..70u8, 1 => 70..140u8];
    (
        slot(),
        records,
        prop_oneof![5 => Just(0u8), 1 => 0..64u8],
        option::weighted(0.15, (0..140u8, flaw())),
        option::weighted(0.1, 0..2000u16),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(slot, records, tail, flaw, good, vector)| Op::Write {
            slot,
            records,
            tail,
            flaw,
            good,
            vector,
        })
}

fn read() -> impl Strategy<Value = Op> {
    let parts = prop_oneof![3 => vec(size(), 1), 1 => vec(size(), 0..5)];
    let good = option::weighted(0.15, 0..700u16);
    (slot(), parts, prop::bool::weighted(0.1), good).prop_map(|(slot, parts, nowait, good)| {
        Op::Read {
            slot,
            parts,
            nowait,
            good,
        }
    })
}

fn watching() -> impl Strategy<Value = Op> {
    let mask = || proptest::sample::select(&MASKS[..]);
    let change =
        prop_oneof![4 => Just(Change::Add), 2 => Just(Change::Modify), 1 => Just(Change::Delete)];
    prop_oneof![
        2 => (slot(), mask()).prop_map(|(slot, mask)| Op::Poll { slot, mask }),
        3 => (change, slot(), mask(), any::<bool>())
            .prop_map(|(change, slot, mask, edge)| Op::Epoll { change, slot, mask, edge }),
        4 => Just(Op::EpollWait),
    ]
}

fn notifying() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (slot(), any::<bool>(), prop::bool::weighted(0.7))
            .prop_map(|(slot, nonblock, async_)| Op::SetFlags { slot, nonblock, async_ }),
        1 => (slot(), any::<bool>()).prop_map(|(slot, on)| Op::Fionbio { slot, on }),
        2 => (slot(), any::<bool>()).prop_map(|(slot, on)| Op::Fioasync { slot, on }),
        2 => slot().prop_map(|slot| Op::GetFlags { slot }),
        5 => (slot(), owner()).prop_map(|(slot, owner)| Op::SetOwner { slot, owner }),
        1 => slot().prop_map(|slot| Op::GetOwner { slot }),
        4 => (slot(), signal()).prop_map(|(slot, signal)| Op::SetSignal { slot, signal }),
        1 => slot().prop_map(|slot| Op::GetSignal { slot }),
    ]
}

fn files() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (slot(), prop::bool::weighted(0.25), access(), prop::bool::weighted(0.8), prop::bool::weighted(0.2))
            .prop_map(|(slot, second, access, nonblock, async_)| Op::Open {
                slot, queue: usize::from(second), access, nonblock, async_,
            }),
        1 => slot().prop_map(|slot| Op::Close { slot }),
        2 => (slot(), slot()).prop_map(|(from, to)| Op::Dup { from, to }),
        1 => Just(Op::Fork),
        1 => prop_oneof![3 => Just(Op::Exit), 1 => Just(Op::Retire)],
    ]
}

fn asking() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (slot(), prop::bool::weighted(0.1)).prop_map(|(slot, nowhere)| Op::Info { slot, nowhere }),
        8 => (slot(), target()).prop_map(|(slot, target)| Op::Seek { slot, target }),
        1 => (slot(), any::<u8>()).prop_map(|(slot, number)| Op::Request { slot, number }),
        1 => slot().prop_map(|slot| Op::Pread { slot }),
        1 => slot().prop_map(|slot| Op::Lseek { slot }),
        1 => (slot(), any::<bool>(), any::<bool>())
            .prop_map(|(slot, write, shared)| Op::Map { slot, write, shared }),
        2 => (slot(), slot(), 1..5u8, 1..5u8)
            .prop_map(|(slot, writer, room, records)| Op::Await { slot, writer, room, records }),
    ]
}

/// One random step.
fn step() -> impl Strategy<Value = Step> {
    let who = prop_oneof![2 => Just(Who::Parent), 1 => Just(Who::Child)];
    let op = prop_oneof![
        6 => write(),
        6 => read(),
        5 => watching(),
        5 => notifying(),
        5 => files(),
        4 => asking(),
    ];
    (who, op).prop_map(|(who, op)| Step { who, op })
}

/// A random sequence, with something open from the start.
pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 20..150).prop_map(|mut steps| {
        let open = |slot| Step {
            who: Who::Parent,
            op: Op::Open {
                slot,
                queue: 0,
                access: Access::Both,
                nonblock: true,
                async_: false,
            },
        };
        steps.splice(0..0, (0..2).map(open));
        steps
    })
}
