// SPDX-License-Identifier: MIT OR Apache-2.0
//! The figures that the device is held to: ours over a peer's, of one run.

use std::fmt;

use serde::Serialize;

use super::stats::{Series, Summary};
use super::Placement;

/// What a ratio should be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    AtLeast(f64),
    AtMost(f64),
}

/// Ours over a peer's.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ratio {
    pub(super) figure: &'static str,
    pub(super) ours: f64,
    pub(super) peer: f64,
    /// The median of the rounds' ratios.
    pub(super) ratio: f64,
    /// What `ours` and `peer` are counted in.
    pub(super) unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) placement: Option<Placement>,
    /// A quarter of the rounds is below, and a quarter above.
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) held_to: String,
    pub(super) met: bool,
}

impl Ratio {
    /// From what each round gave.
    pub(super) fn of(
        figure: &'static str,
        placement: Option<Placement>,
        (ours, peer): (&Series, &Series),
        unit: &'static str,
        held: Held,
    ) -> Ratio {
        let ratio = ours.over(peer).summary();
        Ratio::new(
            figure,
            placement,
            (ours.summary().median, peer.summary().median),
            ratio,
            unit,
            held,
        )
    }

    pub(super) fn new(
        figure: &'static str,
        placement: Option<Placement>,
        (ours, peer): (f64, f64),
        ratio: Summary,
        unit: &'static str,
        held: Held,
    ) -> Ratio {
        let (held_to, met) = match held {
            Held::AtLeast(bound) => (format!(">= {bound}"), ratio.median >= bound),
            Held::AtMost(bound) => (format!("<= {bound}"), ratio.median <= bound),
        };
        Ratio {
            figure,
            ours,
            peer,
            ratio: ratio.median,
            unit,
            placement,
            low: ratio.low,
            high: ratio.high,
            held_to,
            met,
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let placement = self.placement.map(|placement| placement.to_string());
        write!(
            f,
            "{:<28} {:<9} {:>11.0} {:>11.0} {:>7.3} {:>7.3}-{:<7.3}  {} {}",
            self.figure,
            placement.unwrap_or_default(),
            self.ours,
            self.peer,
            self.ratio,
            self.low,
            self.high,
            self.held_to,
            if self.met { "" } else { "MISSED" },
        )
    }
}
