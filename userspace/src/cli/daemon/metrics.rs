// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is counted, for Prometheus and other readers of OpenMetrics.

use std::sync::atomic::Ordering;

use evq::{uapi, Info};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info as InfoMetric;
use prometheus_client::registry::Registry;

/// Has a counter show what is counted elsewhere: it goes back to 0 where that does.
fn follow(counter: &Counter, value: u64) {
    counter.inner().store(value, Ordering::Relaxed);
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ByDevice {
    pub(super) device: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct ByRule {
    pub(super) rule: String,
}

/// The counters of a daemon; they start at 0 with it.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    registry: Registry,
    pub(super) events: Family<ByDevice, Counter>,
    pub(super) lost: Family<ByDevice, Counter>,
    pub(super) overflows: Family<ByDevice, Counter>,
    pub(super) matched: Family<ByRule, Counter>,
    pub(super) hooks_started: Family<ByRule, Counter>,
    pub(super) hooks_failed: Family<ByRule, Counter>,
    pub(super) hooks_timed_out: Family<ByRule, Counter>,
    pub(super) hooks_running: Gauge,
    pub(super) append_failures: Family<ByRule, Counter>,
    pub(super) journal_failures: Family<ByRule, Counter>,
    pub(super) reloads: Counter,
    pub(super) reload_failures: Counter,
    signal_overflows: Counter,
    posted: Family<ByDevice, Counter>,
    unread: Family<ByDevice, Gauge>,
    refused: Family<ByDevice, Counter>,
    subscribers: Family<ByDevice, Gauge>,
    wakeups: Family<ByDevice, Counter>,
    signals: Family<ByDevice, Counter>,
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        let mut metrics = Metrics::default();
        let mut registry = Registry::with_prefix("evq");
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let build = vec![("version", version), ("abi", uapi::ABI.to_string())];
        let help = "The program, and the version of the queue's interface that it speaks";
        registry.register("build", help, InfoMetric::new(build));
        macro_rules! register {
            ($($name:ident: $help:literal),* $(,)?) => {
                $(registry.register(stringify!($name), $help, metrics.$name.clone());)*
            };
        }
        register! {
            events: "Events read",
            lost: "Events that were overwritten before they could be read",
            overflows: "Times that an input device has dropped events, for they were not read",
            matched: "Events that a rule was for",
            hooks_started: "Programs started",
            hooks_failed: "Programs that could not be started or ended with another status than 0",
            hooks_timed_out: "Programs that were ended because their time was up",
            hooks_running: "Programs that run now",
            append_failures: "Attempts to append to a file that failed; each is tried again",
            journal_failures: "Entries that the journal did not take; each is tried again",
            reloads: "Configurations taken over on SIGHUP",
            reload_failures: "Configurations refused on SIGHUP",
            signal_overflows: "Times that the queue of realtime signals was full",
            posted: "Events posted to the queue, by anybody",
            unread: "Events in the queue that the daemon has not read yet",
            refused: "Events that the queue refused",
            subscribers: "Open files of the queue",
            wakeups: "Times that the queue woke somebody up",
            signals: "Times that the queue had signals sent",
        }
        metrics.registry = registry;
        metrics
    }

    /// Takes over what a queue says of itself.
    pub(super) fn queue(&self, device: &str, info: &Info) {
        let label = ByDevice {
            device: device.into(),
        };
        let count = |family: &Family<ByDevice, Counter>, value: u64| {
            follow(&family.get_or_create(&label), value);
        };
        count(&self.posted, info.posted);
        count(&self.refused, info.refused);
        count(&self.wakeups, info.wakeups);
        count(&self.signals, info.signals);
        let set = |family: &Family<ByDevice, Gauge>, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&label).set(value);
        };
        set(
            &self.unread,
            (info.posted.saturating_add(1)).saturating_sub(info.next),
        );
        set(&self.subscribers, info.subscribers.into());
    }

    /// Takes over how often the queue of realtime signals was full.
    pub(super) fn signal_overflows(&self, overflows: u64) {
        follow(&self.signal_overflows, overflows);
    }

    /// All of it, as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use openmetrics_parser::openmetrics::parse_openmetrics;

    use super::*;

    /// What a queue counts is a counter here, which goes back where the queue does.
    #[test]
    fn counters_of_a_queue_are_counters() {
        let metrics = Metrics::new();
        let device = "/dev/evq-\"a\\b\n\"";
        for posted in [700, 20] {
            let info = Info {
                posted,
                next: posted,
                subscribers: 3,
                ..Info::default()
            };
            metrics.queue(device, &info);
            metrics.signal_overflows(posted / 10);
            let text = metrics.text();
            parse_openmetrics(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            let label = r#"{device="/dev/evq-\"a\\b\n\""}"#;
            for line in [
                "# TYPE evq_posted counter".to_owned(),
                "# TYPE evq_refused counter".into(),
                "# TYPE evq_wakeups counter".into(),
                "# TYPE evq_signals counter".into(),
                "# TYPE evq_unread gauge".into(),
                format!("evq_posted_total{label} {posted}"),
                format!("evq_unread{label} 1"),
                format!("evq_subscribers{label} 3"),
                format!("evq_signal_overflows_total {}", posted / 10),
            ] {
                assert!(text.lines().any(|other| other == line), "{line}: {text}");
            }
        }
    }
}
