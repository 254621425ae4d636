// SPDX-License-Identifier: MIT OR Apache-2.0
//! One value for each round: the median, and how far the rounds are apart.

use serde::Serialize;

/// The values of all rounds, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Vec<f64>);

/// What is told of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Summary {
    pub(super) median: f64,
    /// A quarter of the rounds is below.
    pub(super) low: f64,
    /// A quarter of the rounds is above.
    pub(super) high: f64,
    pub(super) rounds: usize,
}

impl Series {
    pub(super) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that `part` (0 to 1) of all are below.
    fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else {
            return f64::NAN;
        };
        let at = part * last as f64;
        let below = sorted[at as usize];
        let above = sorted[(at as usize + 1).min(last)];
        below + (above - below) * at.fract()
    }

    pub(super) fn summary(&self) -> Summary {
        Summary {
            median: self.quantile(0.5),
            low: self.quantile(0.25),
            high: self.quantile(0.75),
            rounds: self.0.len(),
        }
    }

    /// Round by round, so that what disturbs the machine for a while disturbs
    /// both sides of a quotient.
    pub(super) fn over(&self, other: &Series) -> Series {
        Series(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<T: IntoIterator<Item = f64>>(values: T) -> Series {
        Series(values.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::Series;

    #[test]
    fn quartiles_lie_between_the_values() {
        let series: Series = [4.0, 1.0, 3.0, 2.0].into_iter().collect();
        let summary = series.summary();
        assert_eq!(
            (summary.low, summary.median, summary.high),
            (1.75, 2.5, 3.25)
        );
        assert!(Series::default().summary().median.is_nan());
    }

    #[test]
    fn a_quotient_is_taken_round_by_round() {
        // A disturbance in the second round hits both.
        let ours: Series = [2.0, 20.0, 2.0].into_iter().collect();
        let peer: Series = [1.0, 10.0, 1.0].into_iter().collect();
        let ratio = ours.over(&peer).summary();
        assert_eq!((ratio.low, ratio.high), (2.0, 2.0));
    }
}
