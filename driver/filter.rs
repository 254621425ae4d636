// SPDX-License-Identifier: GPL-2.0

//! Which events a subscriber wants, by source and type.
//!
//! This file knows nothing of the kernel, so that the same source is built and tested on the host.

use super::event::Event;

/// Most rules of one filter, `EVQ_FILTER_MAX`.
pub(crate) const RULES_MAX: usize = 8;

/// Bits of [`Event::source`] that [`Interest::sources`] goes by: the low ones of the class.
const CLASS_BITS: u32 = 0x003f_0000;

/// One kind of event, `struct evq_match`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rule {
    source: u32,
    source_mask: u32,
    type_first: u16,
    type_last: u16,
}

impl Rule {
    /// Events whose source is `source` under `source_mask`, of the types from `type_first` to
    /// `type_last`. [`None`] if there can be no such event.
    pub(crate) fn new(
        source: u32,
        source_mask: u32,
        type_first: u16,
        type_last: u16,
    ) -> Option<Self> {
        (source & !source_mask == 0 && type_first <= type_last).then_some(Self {
            source,
            source_mask,
            type_first,
            type_last,
        })
    }

    fn matches(&self, event: &Event) -> bool {
        event.source & self.source_mask == self.source
            && (self.type_first..=self.type_last).contains(&event.kind)
    }

    fn interest(&self) -> Interest {
        let mut types = 0;
        if self.type_last.wrapping_sub(self.type_first) >= 63 {
            types = u64::MAX;
        } else {
            for kind in self.type_first..=self.type_last {
                types |= bit(u32::from(kind));
            }
        }
        let sources = match self.source_mask & CLASS_BITS {
            CLASS_BITS => bit(self.source >> 16),
            _ => u64::MAX,
        };
        Interest { types, sources }
    }
}

/// What a subscriber wants: an event that one of the rules matches, or any if there are none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    rules: [Rule; RULES_MAX],
    count: usize,
}

impl Filter {
    /// Lets through what `rule` matches as well; [`None`] if there are [`RULES_MAX`] already.
    pub(crate) fn add(&mut self, rule: Rule) -> Option<()> {
        *self.rules.get_mut(self.count)? = rule;
        self.count = self.count.saturating_add(1);
        Some(())
    }

    fn rules(&self) -> &[Rule] {
        self.rules.get(..self.count).unwrap_or_default()
    }

    /// Whether it lets everything through.
    pub(crate) fn is_open(&self) -> bool {
        self.count == 0
    }

    /// Whether `event` is wanted.
    pub(crate) fn matches(&self, event: &Event) -> bool {
        self.is_open() || self.rules().iter().any(|rule| rule.matches(event))
    }

    /// What to look out for.
    pub(crate) fn interest(&self) -> Interest {
        if self.is_open() {
            return Interest::EVERYTHING;
        }
        self.rules()
            .iter()
            .map(Rule::interest)
            .fold(Interest::NOTHING, Interest::or)
    }
}

/// A rough answer to the question who wants an event: "nobody" is always true, "somebody" may not
/// be. One look answers it for all filters of a queue together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interest {
    /// One bit for each type, modulo 64.
    pub(crate) types: u64,
    /// One bit for each class of source, modulo 64.
    pub(crate) sources: u64,
}

impl Interest {
    /// No event at all.
    pub(crate) const NOTHING: Self = Self {
        types: 0,
        sources: 0,
    };

    /// Any event.
    pub(crate) const EVERYTHING: Self = Self {
        types: u64::MAX,
        sources: u64::MAX,
    };

    /// The bits of one event.
    pub(crate) fn of(event: &Event) -> Self {
        Self {
            types: bit(u32::from(event.kind)),
            sources: bit(event.source >> 16),
        }
    }

    /// What either wants.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            types: self.types | other.types,
            sources: self.sources | other.sources,
        }
    }

    /// Whether somebody might want one of the `others`.
    pub(crate) fn meets(self, others: Self) -> bool {
        self.types & others.types != 0 && self.sources & others.sources != 0
    }
}

fn bit(number: u32) -> u64 {
    1u64.wrapping_shl(number)
}
