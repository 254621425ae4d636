// SPDX-License-Identifier: GPL-2.0
//! Q7: the rough look that a producer takes at all filters together misses no
//! event that one of them lets through.

use proptest::prelude::*;

use crate::event::Event;
use crate::filter::{Filter, Interest, Rule};

fn rule() -> impl Strategy<Value = Rule> {
    let mask = prop_oneof![Just(0), Just(u32::MAX), Just(0xffff_0000), any::<u32>()];
    let width = prop_oneof![0..4u16, 60..70u16, any::<u16>()];
    (any::<u32>(), mask, any::<u16>(), width).prop_map(|(source, mask, first, width)| {
        let last = first.saturating_add(width);
        Rule::new(source & mask, mask, first, last).expect("some event matches it")
    })
}

proptest! {
    #[test]
    fn interest_meets_whatever_a_filter_matches(
        rules in prop::collection::vec(rule(), 0..4),
        source in any::<u32>(),
        kind in any::<u16>(),
    ) {
        let mut filter = Filter::default();
        for rule in &rules {
            filter.add(*rule).expect("there is room for eight");
        }
        prop_assert_eq!(filter.is_open(), rules.is_empty());
        let event = Event { source, kind, ..Event::default() };
        if filter.matches(&event) {
            let others = Interest::NOTHING.or(Interest::of(&event));
            prop_assert!(filter.interest().meets(others));
        }
        prop_assert!(!filter.interest().meets(Interest::NOTHING));
        prop_assert!(Interest::EVERYTHING.meets(Interest::of(&event)));
    }
}
