// SPDX-License-Identifier: MIT OR Apache-2.0
//! Input events: from a queue (class `CLASS_INPUT`) and from a real
//! `/dev/input/eventN`, both as the same words.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use evdev::{
    AbsoluteAxisCode, EventType, FFStatusCode, KeyCode, LedCode, MiscCode, PowerCode,
    RelativeAxisCode, RepeatCode, SoundCode, SwitchCode, SynchronizationCode, UInputCode,
};

use crate::device::{read_records, Filled, Options};
use crate::error::{Error, Result};
use crate::names;
use crate::source::Source;
use crate::sys;
use crate::uapi::{self, Event};

/// What happened on an input device. Displays as `EV_KEY KEY_A press`,
/// `EV_REL REL_X -3`, `EV_MSC MSC_SCAN 0x1e`, `EV_SYN SYN_REPORT`; numbers
/// where there is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// `EV_*`.
    pub type_: u16,
    /// `KEY_*`, `REL_*` … depending on the type.
    pub code: u16,
    /// Its meaning depends on type and code.
    pub value: i32,
}

/// The payload of an event of `CLASS_INPUT`: one `__s32`.
const VALUE_SIZE: usize = size_of::<i32>();

impl Input {
    /// The input event that `evq_input` has forwarded in `event`, if it is one.
    #[must_use]
    pub fn from_event(event: &Event) -> Option<Input> {
        if !Source::from(event.source).is_class(uapi::CLASS_INPUT) {
            return None;
        }
        let value: [u8; VALUE_SIZE] = event.payload().try_into().ok()?;
        Some(Input {
            type_: event.type_,
            code: event.code,
            value: i32::from_ne_bytes(value),
        })
    }

    /// Whether an input device says by it that it has dropped events, because
    /// they were not read in time; how many, it does not say.
    #[must_use]
    pub fn is_overflow(self) -> bool {
        let dropped = SynchronizationCode::SYN_DROPPED.0;
        (self.type_, self.code) == (EventType::SYNCHRONIZATION.0, dropped)
    }

    /// The numbers behind a name of linux/input-event-codes.h: of a type (`EV_KEY`),
    /// or of a code with its type (`KEY_A`, or `BTN_A` for what prints as
    /// `BTN_SOUTH`); None if there is no such name. The first call makes the table,
    /// which takes some milliseconds.
    #[must_use]
    pub fn named(name: &str) -> Option<(u16, Option<u16>)> {
        names::numbers(name)
    }

    /// The name of the type, such as `EV_KEY`.
    #[must_use]
    pub fn type_name(&self) -> Option<String> {
        // The tables call it FORCEFEEDBACK and so on, without the EV_.
        let name = match EventType(self.type_) {
            EventType::SYNCHRONIZATION => "EV_SYN",
            EventType::KEY => "EV_KEY",
            EventType::RELATIVE => "EV_REL",
            EventType::ABSOLUTE => "EV_ABS",
            EventType::MISC => "EV_MSC",
            EventType::SWITCH => "EV_SW",
            EventType::LED => "EV_LED",
            EventType::SOUND => "EV_SND",
            EventType::REPEAT => "EV_REP",
            EventType::FORCEFEEDBACK => "EV_FF",
            EventType::POWER => "EV_PWR",
            EventType::FORCEFEEDBACKSTATUS => "EV_FF_STATUS",
            EventType::UINPUT => "EV_UINPUT",
            _ => return None,
        };
        Some(name.into())
    }

    /// The name of the code, such as `KEY_A`.
    #[must_use]
    pub fn code_name(&self) -> Option<String> {
        let code = self.code;
        let name = match EventType(self.type_) {
            EventType::SYNCHRONIZATION => format!("{:?}", SynchronizationCode(code)),
            EventType::KEY => format!("{:?}", KeyCode(code)),
            EventType::RELATIVE => format!("{:?}", RelativeAxisCode(code)),
            EventType::ABSOLUTE => format!("{:?}", AbsoluteAxisCode(code)),
            EventType::MISC => format!("{:?}", MiscCode(code)),
            EventType::SWITCH => format!("{:?}", SwitchCode(code)),
            EventType::LED => format!("{:?}", LedCode(code)),
            EventType::SOUND => format!("{:?}", SoundCode(code)),
            EventType::REPEAT => format!("{:?}", RepeatCode(code)),
            EventType::POWER => format!("{:?}", PowerCode(code)),
            EventType::FORCEFEEDBACKSTATUS => format!("{:?}", FFStatusCode(code)),
            EventType::UINPUT => format!("{:?}", UInputCode(code)),
            _ => String::new(),
        };
        // What the table lacks prints as "unknown key: 1234".
        if name.is_empty() || name.contains(' ') {
            return names::more(self.type_, code).map(str::to_owned);
        }
        Some(name)
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.type_name() {
            Some(name) => f.write_str(&name)?,
            None => write!(f, "EV_{:#04x}", self.type_)?,
        }
        match self.code_name() {
            Some(name) => write!(f, " {name}")?,
            None => write!(f, " {:#05x}", self.code)?,
        }
        match (EventType(self.type_), self.value) {
            (EventType::KEY, 0) => f.write_str(" release"),
            (EventType::KEY, 1) => f.write_str(" press"),
            (EventType::KEY, 2) => f.write_str(" repeat"),
            (EventType::SYNCHRONIZATION, 0) => Ok(()),
            (EventType::MISC, value) => write!(f, " {value:#x}"),
            (_, value) => write!(f, " {value}"),
        }
    }
}

/// One event of a real input device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// `CLOCK_MONOTONIC`, in nanoseconds (a multiple of 1000).
    pub time_ns: u64,
    /// What happened.
    pub input: Input,
}

/// A real input device, `/dev/input/eventN`, stamping with `CLOCK_MONOTONIC`.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
    name: String,
    title: String,
}

impl Device {
    /// Opens `path` for reading.
    ///
    /// # Errors
    ///
    /// [`Error::NoDevice`], [`Error::NotAllowed`], [`Error::Open`];
    /// [`Error::NotAnInput`] if it is something else.
    pub fn open(path: impl AsRef<Path>) -> Result<Device> {
        let path = path.as_ref();
        Device::checked(Options::new().open_any(path)?, path.display().to_string())
    }

    pub(crate) fn checked(fd: OwnedFd, name: String) -> Result<Device> {
        let title =
            sys::input_clock_monotonic(fd.as_fd()).and_then(|()| sys::input_name(fd.as_fd()));
        match title {
            Ok(title) => Ok(Device { fd, name, title }),
            Err(errno) => Err(Error::NotAnInput { name, errno }),
        }
    }

    /// What messages call it: the path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the device calls itself.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Reads as many events as there are and fit; blocks as
    /// [`crate::Queue::read`] does.
    ///
    /// # Errors
    ///
    /// [`Error::Retired`] once it is unplugged, [`Error::Torn`],
    /// [`Error::System`].
    pub fn read(&self, events: &mut [RawInput]) -> Result<Filled> {
        read_records(self.fd.as_fd(), &self.name, events)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// `struct input_event`, for the buffer of [`Device::read`].
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct RawInput(libc::input_event);

impl Default for RawInput {
    fn default() -> RawInput {
        let time = libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        };
        RawInput(libc::input_event {
            time,
            type_: 0,
            code: 0,
            value: 0,
        })
    }
}

impl From<RawInput> for Stamped {
    fn from(RawInput(raw): RawInput) -> Stamped {
        let part = |part: i64| u64::try_from(part).unwrap_or(0);
        Stamped {
            time_ns: part(raw.time.tv_sec) * 1_000_000_000 + part(raw.time.tv_usec) * 1_000,
            input: Input {
                type_: raw.type_,
                code: raw.code,
                value: raw.value,
            },
        }
    }
}
