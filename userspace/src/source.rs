// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who posted an event: `evq_event.source` taken apart.

use std::fmt;
use std::str::FromStr;

use crate::uapi;

/// Who posted an event. Displays as `pid:123`, `input:0`, `timer:0` or
/// `kernel:CLASS:ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A program, by its process id in the initial pid namespace.
    Program(u32),
    /// Kernel code; a program cannot forge it.
    Kernel {
        /// The kind of producer, 15 bits.
        class: u16,
        /// Which one of its class.
        id: u16,
    },
}

impl From<u32> for Source {
    fn from(raw: u32) -> Source {
        if raw & uapi::SOURCE_KERNEL == 0 {
            return Source::Program(raw);
        }
        let [high, low] = [(raw >> 16) & 0x7fff, raw & 0xffff].map(|part| part as u16);
        Source::Kernel {
            class: high,
            id: low,
        }
    }
}

impl Source {
    /// Whether kernel code of this class posted it.
    #[must_use]
    pub fn is_class(self, wanted: u32) -> bool {
        matches!(self, Source::Kernel { class, .. } if u32::from(class) == wanted)
    }
}

impl From<Source> for u32 {
    fn from(source: Source) -> u32 {
        match source {
            Source::Program(pid) => pid & !uapi::SOURCE_KERNEL,
            Source::Kernel { class, id } => {
                uapi::SOURCE_KERNEL | u32::from(class) << 16 | u32::from(id)
            }
        }
    }
}

/// The reverse of [`fmt::Display`], with numbers in decimal or in hex with 0x; the
/// error says what is wrong.
impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Source, String> {
        let wrong =
            || format!("{text:?} is no source: expected pid:N, input:N, timer:N or kernel:CLASS:N");
        let number = |text: &str| {
            let (digits, radix) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
                Some(digits) => (digits, 16),
                None => (text, 10),
            };
            // from_str_radix would take a sign.
            let digits = Some(digits).filter(|digits| !digits.starts_with('+'));
            digits
                .and_then(|digits| u32::from_str_radix(digits, radix).ok())
                .ok_or_else(wrong)
        };
        let kernel = |class: u32, id: &str| {
            let class = u16::try_from(class).ok().filter(|class| *class <= 0x7fff);
            let id = u16::try_from(number(id)?).ok();
            let (class, id) = class.zip(id).ok_or_else(wrong)?;
            Ok(Source::Kernel { class, id })
        };
        match text.split_once(':').ok_or_else(wrong)? {
            ("pid", pid) => match number(pid)? {
                pid if pid & uapi::SOURCE_KERNEL == 0 => Ok(Source::Program(pid)),
                _ => Err(wrong()),
            },
            ("input", id) => kernel(uapi::CLASS_INPUT, id),
            ("timer", id) => kernel(uapi::CLASS_TIMER, id),
            ("kernel", rest) => {
                let (class, id) = rest.split_once(':').ok_or_else(wrong)?;
                kernel(number(class)?, id)
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Source::Program(pid) => write!(f, "pid:{pid}"),
            Source::Kernel { class, id } => match u32::from(class) {
                uapi::CLASS_INPUT => write!(f, "input:{id}"),
                uapi::CLASS_TIMER => write!(f, "timer:{id}"),
                _ => write!(f, "kernel:{class}:{id}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn names_of_producers() {
        let cases = [
            (123, "pid:123"),
            (0x7fff_ffff, "pid:2147483647"),
            (0x8001_0000, "input:0"),
            (0x8002_0005, "timer:5"),
            (0x8100_0003, "kernel:256:3"),
            (0xffff_ffff, "kernel:32767:65535"),
        ];
        for (raw, name) in cases {
            assert_eq!(Source::from(raw).to_string(), name);
            assert_eq!(name.parse::<Source>().map(u32::from), Ok(raw));
        }
        for (raw, name) in [
            (0x8100_0007, "kernel:0x100:7"),
            (0x8100_001f, "kernel:256:0X1F"),
            (0x7b, "pid:0x7b"),
            (0x8001_000a, "input:0xa"),
        ] {
            assert_eq!(name.parse::<Source>().map(u32::from), Ok(raw), "{name}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for bad in [
            "",
            "pid",
            "pid:",
            "pid:+1",
            "pid:0x",
            "pid:0x+1",
            "pid:0x80000000",
            "pid:2147483648",
            "input:65536",
            "kernel:1",
            "kernel:32768:0",
            "kernel:1:2:3",
            "event0",
            "Input:1",
        ] {
            assert!(bad.parse::<Source>().is_err(), "{bad}");
        }
    }
}
