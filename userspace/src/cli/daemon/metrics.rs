// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is counted, for Prometheus and other readers of OpenMetrics.

use evq::Info;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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
    pub(super) reloads: Counter,
    pub(super) reload_failures: Counter,
    pub(super) signal_overflows: Gauge,
    posted: Family<ByDevice, Gauge>,
    unread: Family<ByDevice, Gauge>,
    refused: Family<ByDevice, Gauge>,
    subscribers: Family<ByDevice, Gauge>,
    wakeups: Family<ByDevice, Gauge>,
    signals: Family<ByDevice, Gauge>,
}

impl Metrics {
    pub(super) fn new() -> Metrics {
        let mut metrics = Metrics::default();
        let mut registry = Registry::with_prefix("evq");
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
        let set = |family: &Family<ByDevice, Gauge>, value: u64| {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&label).set(value);
        };
        set(&self.posted, info.posted);
        set(
            &self.unread,
            (info.posted.saturating_add(1)).saturating_sub(info.next),
        );
        set(&self.refused, info.refused);
        set(&self.subscribers, info.subscribers.into());
        set(&self.wakeups, info.wakeups);
        set(&self.signals, info.signals);
    }

    /// All of it, as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
