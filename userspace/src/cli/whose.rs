// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose events are wanted.

use std::str::FromStr;

use evq::{uapi, Source};

use super::hex;

/// Whose events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SourceWanted {
    AnyProgram,
    AnyKernel,
    Class(u32),
    Exactly(Source),
}

impl FromStr for SourceWanted {
    type Err = &'static str;

    /// As `watch` prints sources, or the part before the colon.
    fn from_str(text: &str) -> Result<SourceWanted, Self::Err> {
        match text {
            "pid" => Ok(SourceWanted::AnyProgram),
            "kernel" => Ok(SourceWanted::AnyKernel),
            "input" => Ok(SourceWanted::Class(uapi::CLASS_INPUT)),
            "timer" => Ok(SourceWanted::Class(uapi::CLASS_TIMER)),
            _ => class(text)
                .map(SourceWanted::Class)
                .or_else(|| text.parse().ok().map(SourceWanted::Exactly))
                .ok_or(
                    "give pid:N, input:N, timer:N or kernel:CLASS:N, or only pid, input, timer, \
                     kernel:CLASS or kernel; numbers are decimal, or hex with 0x",
                ),
        }
    }
}

/// The class of `kernel:CLASS`.
fn class(text: &str) -> Option<u32> {
    let class = hex::unsigned(text.strip_prefix("kernel:")?)?;
    u32::try_from(class).ok().filter(|class| *class <= 0x7fff)
}

impl SourceWanted {
    /// Whether it is one of them.
    pub(super) fn is(self, source: Source) -> bool {
        match self {
            SourceWanted::AnyProgram => matches!(source, Source::Program(_)),
            SourceWanted::AnyKernel => matches!(source, Source::Kernel { .. }),
            SourceWanted::Class(class) => source.is_class(class),
            SourceWanted::Exactly(exactly) => source == exactly,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_given_as_they_are_printed_or_with_hex_numbers() {
        let kernel = |class, id| SourceWanted::Exactly(Source::Kernel { class, id });
        for (text, wanted) in [
            ("pid", SourceWanted::AnyProgram),
            ("pid:0x10", SourceWanted::Exactly(Source::Program(16))),
            ("kernel", SourceWanted::AnyKernel),
            ("kernel:256", SourceWanted::Class(256)),
            ("kernel:0x100", SourceWanted::Class(256)),
            ("kernel:1", SourceWanted::Class(uapi::CLASS_INPUT)),
            ("input", SourceWanted::Class(uapi::CLASS_INPUT)),
            ("kernel:0x100:7", kernel(256, 7)),
            ("kernel:256:0x7", kernel(256, 7)),
            ("input:0x3", kernel(1, 3)),
        ] {
            assert_eq!(text.parse(), Ok(wanted), "{text}");
        }
        for bad in [
            "me",
            "kernel:",
            "kernel:32768",
            "kernel:0x",
            "kernel:+1",
            "256",
        ] {
            let error = bad.parse::<SourceWanted>().unwrap_err();
            assert!(error.contains("pid:N"), "{bad}");
        }
    }
}
