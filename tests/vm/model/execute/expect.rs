// SPDX-License-Identifier: MIT OR Apache-2.0
//! Has the model do a step, and says what the kernel must answer.

use evq::uapi::{Event, Info};
use nix::errno::Errno;

use super::Run;
use crate::model::reference::{Report, Shown, Written};
use crate::model::step::{Change, Op, Who};

/// What a step must answer.
#[derive(Debug)]
pub(super) enum Expected {
    /// A value, or `-errno`.
    Value(i64),
    /// 0, and these bytes.
    Filled(Vec<u8>),
    Records(Vec<Event>),
    Reports(Vec<Report>),
    Shown(Shown),
}

impl From<Errno> for Expected {
    fn from(errno: Errno) -> Self {
        Self::Value(-i64::from(errno as i32))
    }
}

impl<T: Into<i64>> From<Result<T, Errno>> for Expected {
    fn from(result: Result<T, Errno>) -> Self {
        result.map_or_else(Self::from, |value| Self::Value(value.into()))
    }
}

fn done(result: Result<(), Errno>) -> Expected {
    result.map(|()| 0).into()
}

fn filled(result: Result<Vec<u8>, Errno>) -> Expected {
    result.map_or_else(Expected::from, Expected::Filled)
}

/// `struct evq_info` as the ioctl fills it.
fn info_bytes(info: &Info) -> Vec<u8> {
    let mut bytes = [info.abi.to_ne_bytes(), info.capacity.to_ne_bytes()].concat();
    let counts = [
        info.posted,
        info.oldest,
        info.next,
        info.delivered,
        info.lost,
        info.overwritten,
        info.refused,
    ];
    bytes.extend(counts.iter().flat_map(|count| count.to_ne_bytes()));
    bytes.extend(info.subscribers.to_ne_bytes());
    bytes.extend(info.flags.to_ne_bytes());
    bytes.extend(info.instance.to_ne_bytes());
    bytes.resize(128, 0);
    bytes
}

impl Run<'_> {
    /// What the model says, and the number in the step that only it knows.
    pub(super) fn expect(&mut self, who: Who, op: &Op) -> (u64, Expected) {
        let model = &mut self.model;
        match *op {
            Op::Open {
                slot,
                queue,
                access,
                nonblock,
                ..
            } => (0, done(model.open(who, slot, queue, access, nonblock))),
            Op::Close { slot } => (0, done(model.close(who, slot))),
            Op::Dup { from, to } => (0, done(model.dup(who, from, to))),
            Op::Read {
                slot,
                ref parts,
                nowait,
                good,
            } => {
                let bytes: usize = parts.iter().map(|part| usize::from(*part)).sum();
                let nowait = nowait || model.would_wait(who, slot);
                let plain = parts.len() == 1 && !nowait;
                let good = good.filter(|_| plain).map_or(bytes, usize::from);
                // Those with parts do not get as far as the device.
                let expected = if bytes == 0 && !plain {
                    model
                        .flags(who, slot)
                        .and_then(|flags| match flags & libc::O_ACCMODE {
                            libc::O_WRONLY => Err(Errno::EBADF),
                            _ => Ok(0),
                        })
                        .into()
                } else {
                    model
                        .read(who, slot, bytes, good)
                        .map_or_else(Expected::from, Expected::Records)
                };
                (nowait.into(), expected)
            }
            Op::Write {
                slot,
                records,
                tail,
                flaw,
                good,
                vector,
            } => {
                let first = model.number(records);
                let bytes = usize::from(records) * 64 + usize::from(tail);
                let good = good
                    .filter(|_| !vector)
                    .map_or(bytes, usize::from)
                    .min(bytes);
                let bad = flaw.map(|(at, _)| usize::from(at));
                let written = match model.write(
                    who,
                    slot,
                    Written {
                        first,
                        records: records.into(),
                        tail: tail.into(),
                        bad,
                        good,
                    },
                ) {
                    Err(Errno::EINVAL) if vector && bytes == 0 => Ok(0),
                    other => other,
                };
                (first, written.map(|bytes| bytes as i64).into())
            }
            Op::Poll { slot, mask } => (
                0,
                Expected::Value(model.poll(who, slot, mask.into()).into()),
            ),
            Op::Epoll {
                change,
                slot,
                mask,
                edge,
            } => {
                let result = match change {
                    Change::Add => model.epoll_add(slot, mask.into(), edge),
                    Change::Modify => model.epoll_modify(slot, mask.into(), edge),
                    Change::Delete => model.epoll_delete(slot).map(|()| 0),
                };
                (result.unwrap_or_default(), result.map(|_| 0).into())
            }
            Op::EpollWait => (0, Expected::Reports(model.epoll_wait())),
            Op::SetFlags {
                slot,
                nonblock,
                async_,
            } => {
                let result = model.set_async(who, slot, async_);
                (
                    0,
                    done(result.and_then(|()| model.set_nonblock(who, slot, nonblock))),
                )
            }
            Op::Fionbio { slot, on } => (0, done(model.set_nonblock(who, slot, on))),
            Op::Fioasync { slot, on } => (0, done(model.set_async(who, slot, on))),
            Op::GetFlags { slot } => (0, model.flags(who, slot).into()),
            Op::SetOwner { slot, owner } => {
                let number = model.owner_number(owner);
                (number as u64, done(model.set_owner(who, slot, owner)))
            }
            Op::GetOwner { slot } => {
                let owner = model.owner(who, slot);
                (
                    0,
                    filled(
                        owner.map(|(kind, pid)| [kind.to_ne_bytes(), pid.to_ne_bytes()].concat()),
                    ),
                )
            }
            Op::SetSignal { slot, signal } => {
                let number = model.signal_number(signal);
                (number as u64, done(model.set_signal(who, slot, signal)))
            }
            Op::GetSignal { slot } => (0, model.signal(who, slot).into()),
            Op::Info { slot, nowhere } => {
                let info = model.info(who, slot);
                (
                    0,
                    filled(info.and_then(|info| {
                        if nowhere {
                            Err(Errno::EFAULT)
                        } else {
                            Ok(info_bytes(&info))
                        }
                    })),
                )
            }
            Op::Seek { slot, target } => {
                let number = model.seek_number(who, slot, target);
                let next = model.seek(who, slot, target);
                (number, filled(next.map(|next| next.to_ne_bytes().to_vec())))
            }
            Op::Request { slot, .. } => (
                0,
                model
                    .flags(who, slot)
                    .map_or_else(Expected::from, |_| Errno::ENOTTY.into()),
            ),
            Op::Pread { slot } | Op::Lseek { slot } => (
                0,
                model
                    .flags(who, slot)
                    .map_or_else(Expected::from, |_| Errno::ESPIPE.into()),
            ),
            Op::Map {
                slot,
                write,
                shared,
            } => (
                0,
                model
                    .map(who, slot, write, shared)
                    .map_or_else(Expected::from, Expected::Shown),
            ),
            Op::Await { .. } | Op::Fork | Op::Exit | Op::Retire => {
                unreachable!("done in another place")
            }
        }
    }
}
