// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which events are wanted, by `watch` and by the rules of the daemon.
//!
//! `watch` tells a queue as much of it as that understands, so that the others
//! wake nobody; what it does not understand (codes, more than it has room for)
//! is left out here. Either way they are no loss.

use std::collections::BTreeSet;

use evq::input::Stamped;
use evq::uapi::{CLASS_INPUT, FILTER_MAX, SOURCE_KERNEL};
use evq::{Event, Match, Queue, Source};

use super::kind::{Code, Type};
use super::whose::SourceWanted;

/// What is wanted of queues and input devices; of each kind any of those that
/// are named, all of them if none is.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub(super) struct Filter {
    /// Only events of this type: a number, or a name such as EV_KEY; may be
    /// repeated. Filters are for queues and input devices, not for bytes and
    /// timers.
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<Type>,

    /// Only events with this code: a number, or a name such as KEY_A; may be
    /// repeated. Which key it was is then told, too.
    #[arg(long = "code", value_name = "CODE")]
    codes: Vec<Code>,

    /// Only events of this source: pid:N, input:N, timer:N, kernel:CLASS:N, or
    /// any of a kind: pid, input, timer, kernel:CLASS, kernel; may be repeated.
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<SourceWanted>,
}

impl Filter {
    pub(super) fn new(types: Vec<Type>, codes: Vec<Code>, sources: Vec<SourceWanted>) -> Filter {
        Filter {
            types,
            codes,
            sources,
        }
    }

    /// Whether somebody who asks knows what codes there will be.
    pub(super) fn names_codes(&self) -> bool {
        !self.codes.is_empty()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Tells a queue what it can do of this.
    pub(super) fn apply(&self, queue: &Queue) -> evq::Result<()> {
        match self.rules() {
            rules if rules.is_empty() => Ok(()),
            rules => queue.set_filter(&rules),
        }
    }

    /// What matches all that is wanted, and as little else as can be.
    fn rules(&self) -> Vec<Match> {
        let mut types: BTreeSet<u16> = self.types.iter().map(|type_| type_.number()).collect();
        if types.is_empty() {
            let of_codes: Option<BTreeSet<u16>> =
                self.codes.iter().map(|code| code.type_()).collect();
            types = of_codes.unwrap_or_default();
        }
        let ranges: Vec<_> = if types.is_empty() {
            vec![Match::types(0..=u16::MAX)]
        } else {
            types
                .iter()
                .map(|&type_| Match::types(type_..=type_))
                .collect()
        };
        if self.sources.is_empty() {
            return some_of(ranges, !types.is_empty());
        }
        let rules = self
            .sources
            .iter()
            .flat_map(|source| ranges.iter().map(|range| restricted(*range, *source)))
            .collect();
        some_of(rules, true)
    }

    pub(super) fn wants_event(&self, event: &Event) -> bool {
        let source = Source::from(event.source);
        self.wants(event.type_, event.code)
            && (self.sources.is_empty() || self.sources.iter().any(|wanted| wanted.is(source)))
    }

    /// The device itself is the source.
    pub(super) fn wants_input(&self, stamped: &Stamped) -> bool {
        let input = SourceWanted::Class(CLASS_INPUT);
        self.wants(stamped.input.type_, stamped.input.code)
            && (self.sources.is_empty() || self.sources.contains(&input))
    }

    fn wants(&self, type_: u16, code: u16) -> bool {
        let of_type = self.types.is_empty() || self.types.contains(&type_.into());
        let with_code = |wanted: &Code| wanted.is(type_, code);
        of_type && (self.codes.is_empty() || self.codes.iter().any(with_code))
    }
}

/// None at all where there are too many, or none that would leave anything out.
fn some_of(rules: Vec<Match>, restrict: bool) -> Vec<Match> {
    if restrict && rules.len() <= FILTER_MAX {
        rules
    } else {
        Vec::new()
    }
}

fn restricted(range: Match, source: SourceWanted) -> Match {
    let kernel = |source| Match {
        source,
        source_mask: SOURCE_KERNEL,
        ..range
    };
    match source {
        SourceWanted::AnyProgram => kernel(0),
        SourceWanted::AnyKernel => kernel(SOURCE_KERNEL),
        SourceWanted::Class(class) => range.from_class(class),
        SourceWanted::Exactly(source) => range.from_source(source.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(types: &[&str], codes: &[&str], sources: &[&str]) -> Filter {
        Filter::new(
            types.iter().map(|text| text.parse().unwrap()).collect(),
            codes.iter().map(|text| text.parse().unwrap()).collect(),
            sources.iter().map(|text| text.parse().unwrap()).collect(),
        )
    }

    fn event(type_: u16, code: u16, source: u32) -> Event {
        let mut event = Event::new(type_, code, &[]).unwrap();
        event.source = source;
        event
    }

    /// What the driver does with rules.
    fn passes(rules: &[Match], event: &Event) -> bool {
        let one = |rule: &Match| {
            event.source & rule.source_mask == rule.source
                && (rule.type_first..=rule.type_last).contains(&event.type_)
        };
        rules.is_empty() || rules.iter().any(one)
    }

    /// The queue must not leave out what is wanted; and should not deliver what
    /// it could know is not.
    #[test]
    fn the_queue_is_told_neither_too_little_nor_too_much() {
        let filters = [
            (filter(&[], &[], &[]), 0),
            (filter(&["EV_KEY"], &[], &[]), 1),
            (filter(&["1", "0x7"], &[], &["pid", "input:3"]), 4),
            (filter(&[], &["KEY_A", "REL_X"], &[]), 2),
            (filter(&[], &["KEY_A", "30"], &[]), 0),
            (filter(&[], &["9"], &["kernel"]), 1),
            (filter(&["1", "2", "3"], &[], &["pid", "input", "timer"]), 0),
            (filter(&[], &[], &["kernel:9:1", "timer:2"]), 2),
            (filter(&["0x7"], &[], &["kernel:0x9", "kernel:0x2:2"]), 2),
        ];
        let sources = [42, 0x8001_0000, 0x8001_0003, 0x8002_0002, 0x8009_0001];
        for (filter, count) in filters {
            let rules = filter.rules();
            assert_eq!(rules.len(), count, "{filter:?}");
            for type_ in 0..10 {
                for code in [0, 9, 30] {
                    for source in sources {
                        let event = event(type_, code, source);
                        if filter.wants_event(&event) {
                            assert!(passes(&rules, &event), "{filter:?} wants {event:?}");
                        }
                    }
                }
            }
        }
        let rules = filter(&["1"], &[], &["input"]).rules();
        assert!(passes(&rules, &event(1, 30, 0x8001_0000)));
        assert!(!passes(&rules, &event(2, 30, 0x8001_0000)));
        assert!(!passes(&rules, &event(1, 30, 42)));
    }

    #[test]
    fn each_kind_restricts() {
        let filter = filter(&["1"], &["KEY_A", "48"], &["pid:42", "input"]);
        for (type_, code, source, wanted) in [
            (1, 30, 42, true),
            (1, 48, 0x8001_0007, true),
            (2, 48, 42, false),
            (1, 31, 42, false),
            (1, 30, 43, false),
        ] {
            assert_eq!(filter.wants_event(&event(type_, code, source)), wanted);
        }
    }
}
