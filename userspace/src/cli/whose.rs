// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose events are wanted.

use std::str::FromStr;

use evq::{uapi, Source};

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
            _ => text.parse().map(SourceWanted::Exactly).map_err(|_| {
                "give pid:N, input:N, timer:N or kernel:CLASS:N, or only pid, input, timer or kernel"
            }),
        }
    }
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
