// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is measured, and in which order.

use std::time::Duration;

use anyhow::Context as _;
use evq::via::Kind;
use hdrhistogram::Histogram;

use super::clock::Cpus;
use super::drain;
use super::latency::{self, Wait};
use super::machine::Machine;
use super::memory;
use super::peer::Peer;
use super::ratios::{Held, Ratio};
use super::results::{Drain, Latency, Memory, Percentiles, PostCost, Results, Skipped, Throughput};
use super::stats::Series;
use super::subscribers::{self, State};
use super::throughput;
use super::{Args, Placement};
use crate::cli::tell::tell;

/// One event every so often while wake-ups are measured.
const INTERVAL: Duration = Duration::from_millis(2);

/// Wake-ups before those that count, in each round.
const WARM_UP: usize = 10;

/// A case of throughput, and what its rounds gave.
struct Flow {
    case: throughput::Case,
    events: Series,
    producer: Series,
    consumer: Series,
}

/// A kind of wake-up, and what its rounds gave.
struct WakeUp {
    case: latency::Case,
    due: Histogram<u64>,
    post: Histogram<u64>,
    /// The median delay of each round.
    p50: Series,
    consumer: Series,
}

/// A reader with a backlog, and what its rounds gave.
struct Backlog {
    case: drain::Case,
    events: Series,
}

/// What posts cost, and what the rounds gave.
struct Cost {
    state: State,
    subscribers: usize,
    nanos: Series,
}

/// Everything, one thing after the other, `args.rounds` times.
pub(super) fn all(args: &Args) -> anyhow::Result<Results> {
    let cpus = Cpus::find()?;
    let mut peers = Vec::new();
    let mut skipped = Vec::new();
    for peer in Peer::ALL {
        match peer.open(1) {
            Ok(_) => peers.push(peer),
            Err(error) if peer == Peer::Evq => return Err(error),
            Err(error) => skipped.push(Skipped {
                peer: peer.name(),
                why: format!("{error:#}"),
            }),
        }
    }
    tell!("waits until nothing else is busy here, a minute at most");
    let machine = Machine::this();
    let placements = match cpus.second {
        Some(_) => &[Placement::SameCpu, Placement::CrossCpu][..],
        None => &[Placement::SameCpu],
    };
    let mut flows = flows(&peers, placements);
    let mut wakeups = wakeups(&peers, placements)?;
    let mut backlogs = backlogs(&peers, args.timer.is_some());
    let mut costs = costs();
    let memory = memory::measure()?;

    let time = Duration::from_millis(args.time.into());
    for round in 0..usize::from(args.rounds) {
        tell!("round {} of {}", round + 1, args.rounds);
        // Each round begins with another one: none is always the first after
        // something else.
        let begin = round % flows.len();
        flows.rotate_left(begin);
        for flow in &mut flows {
            let sample = flow.case.run(cpus, time);
            let sample = sample.with_context(|| format!("measuring {:?}", flow.case))?;
            flow.events.push(sample.events_per_s);
            flow.producer.push(sample.producer_ns);
            flow.consumer.push(sample.consumer_ns);
        }
        flows.rotate_right(begin);
        let begin = round % wakeups.len();
        wakeups.rotate_left(begin);
        for wakeup in &mut wakeups {
            let counts = (WARM_UP, args.wakeups.into());
            let sample = wakeup.case.run(cpus, INTERVAL, counts);
            let sample = sample.with_context(|| format!("measuring {:?}", wakeup.case))?;
            wakeup.p50.push(sample.due.value_at_quantile(0.5) as f64);
            wakeup.due.add(&sample.due)?;
            wakeup.post.add(&sample.post)?;
            wakeup.consumer.push(sample.consumer_ns);
        }
        wakeups.rotate_right(begin);
        for backlog in &mut backlogs {
            let rate = backlog.case.run(cpus, args.timer.as_deref());
            let rate = rate.with_context(|| format!("measuring {:?}", backlog.case))?;
            backlog.events.push(rate);
        }
        for cost in &mut costs {
            let (state, count) = (cost.state, cost.subscribers);
            let nanos = subscribers::post_cost(state, count, cpus);
            let nanos = nanos.with_context(|| format!("{count} subscribers, {state:?}"))?;
            cost.nanos.push(nanos);
        }
    }

    let mut ratios = flow_ratios(&flows);
    ratios.extend(wakeup_ratios(&wakeups, placements));
    ratios.extend(backlog_ratios(&backlogs));
    ratios.extend(cost_ratios(&costs));
    let (ours, evdev) = (
        memory.ours.into_iter().collect::<Series>(),
        memory.evdev.into_iter().collect::<Series>(),
    );
    if !evdev.is_empty() {
        let figure = "memory_per_subscriber_vs_evdev";
        let held = Held::AtMost(0.25);
        ratios.push(Ratio::of(figure, None, (&ours, &evdev), "bytes", held));
    }
    Ok(Results {
        v: 1,
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        machine,
        ratios,
        throughput: flows.into_iter().map(Flow::row).collect(),
        latency: wakeups.into_iter().map(WakeUp::row).collect(),
        drain: backlogs.into_iter().map(Backlog::row).collect(),
        post_cost: costs.into_iter().map(Cost::row).collect(),
        memory: [("evq", ours), ("evdev", evdev)]
            .into_iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(peer, bytes)| Memory {
                peer,
                bytes: bytes.summary(),
            })
            .collect(),
        skipped,
    })
}

fn flows(peers: &[Peer], placements: &[Placement]) -> Vec<Flow> {
    let mut flows = Vec::new();
    for &placement in placements {
        for batch in [1, 8, 16, 64] {
            for readers in [1, 16] {
                for &peer in peers {
                    // 16 is there for the input devices, which take no 64.
                    let compared = batch != 16 || peer.is_queue() || peer == Peer::Evdev;
                    if compared && batch <= peer.batch_max() && (readers == 1 || peer.broadcasts())
                    {
                        flows.push(Flow {
                            case: throughput::Case {
                                peer,
                                batch,
                                readers,
                                placement,
                            },
                            events: Series::default(),
                            producer: Series::default(),
                            consumer: Series::default(),
                        });
                    }
                }
            }
        }
    }
    flows
}

fn wakeups(peers: &[Peer], placements: &[Placement]) -> anyhow::Result<Vec<WakeUp>> {
    let mut wakeups = Vec::new();
    for &placement in placements {
        let mut waits = vec![Wait::Read, Wait::Via(Kind::Epoll)];
        for &kind in Kind::ALL {
            if ![Kind::Blocking, Kind::Epoll].contains(&kind) {
                waits.push(Wait::Via(kind));
            }
        }
        for wait in waits {
            for &peer in peers {
                let compared = matches!(wait, Wait::Read | Wait::Via(Kind::Epoll));
                let sleeps = peer != Peer::Bpf || wait != Wait::Read;
                if (compared || peer == Peer::Evq) && sleeps {
                    wakeups.push(WakeUp {
                        case: latency::Case {
                            peer,
                            wait,
                            placement,
                        },
                        due: latency::histogram()?,
                        post: latency::histogram()?,
                        p50: Series::default(),
                        consumer: Series::default(),
                    });
                }
            }
        }
    }
    Ok(wakeups)
}

fn backlogs(peers: &[Peer], timer: bool) -> Vec<Backlog> {
    use drain::Producer::{Kernel, Own};
    let mut cases = vec![(Peer::Evq, Own), (Peer::Mapped, Own), (Peer::Bpf, Kernel)];
    if timer {
        cases.push((Peer::Mapped, Kernel));
    }
    cases.retain(|(peer, _)| peers.contains(peer));
    cases
        .into_iter()
        .map(|(peer, producer)| Backlog {
            case: drain::Case { peer, producer },
            events: Series::default(),
        })
        .collect()
}

fn costs() -> Vec<Cost> {
    let mut costs = Vec::new();
    for state in State::ALL {
        for subscribers in subscribers::COUNTS {
            costs.push(Cost {
                state,
                subscribers,
                nanos: Series::default(),
            });
        }
    }
    costs
}

impl Backlog {
    fn row(self) -> Drain {
        Drain {
            peer: self.case.peer.name(),
            producer: match self.case.producer {
                drain::Producer::Own => "program",
                drain::Producer::Kernel => "kernel",
            },
            events_per_s: self.events.summary(),
        }
    }
}

impl Cost {
    fn row(self) -> PostCost {
        PostCost {
            state: self.state,
            subscribers: self.subscribers,
            nanos: self.nanos.summary(),
        }
    }
}

impl Flow {
    fn row(self) -> Throughput {
        let case = self.case;
        Throughput {
            peer: case.peer.name(),
            placement: case.placement,
            batch: case.batch,
            readers: case.readers,
            events_per_s: self.events.summary(),
            producer_ns: self.producer.summary(),
            consumer_ns: self.consumer.summary(),
        }
    }
}

impl WakeUp {
    fn row(self) -> Latency {
        Latency {
            peer: self.case.peer.name(),
            mechanism: self.case.wait.name(),
            placement: self.case.placement,
            due: Percentiles::of(&self.due),
            post: Percentiles::of(&self.post),
            consumer_ns: self.consumer.summary(),
        }
    }
}

/// What is held to: figure, ours, peer, batch, readers, bound. The first of each
/// name is with the largest batch that both sides can take.
const FLOWS: [(&str, Peer, Peer, usize, usize, f64); 7] = [
    (
        "throughput_batch64_vs_pipe",
        Peer::Evq,
        Peer::Pipe,
        64,
        1,
        1.0,
    ),
    ("throughput_1_vs_evdev", Peer::Evq, Peer::Evdev, 16, 1, 2.0),
    (
        "throughput_16_vs_evdev",
        Peer::Evq,
        Peer::Evdev,
        16,
        16,
        8.0,
    ),
    (
        "throughput_1_vs_evdev_batch1",
        Peer::Evq,
        Peer::Evdev,
        1,
        1,
        2.0,
    ),
    (
        "throughput_16_vs_evdev_batch1",
        Peer::Evq,
        Peer::Evdev,
        1,
        16,
        8.0,
    ),
    (
        "throughput_1_vs_evdev_mapped",
        Peer::Mapped,
        Peer::Evdev,
        16,
        1,
        2.0,
    ),
    (
        "throughput_16_vs_evdev_mapped",
        Peer::Mapped,
        Peer::Evdev,
        16,
        16,
        8.0,
    ),
];

fn flow_ratios(flows: &[Flow]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for (figure, ours, peer, batch, readers, bound) in FLOWS {
        let of = |peer| {
            flows.iter().filter(move |flow| {
                let case = flow.case;
                (case.peer, case.batch, case.readers) == (peer, batch, readers)
            })
        };
        // Same order of placements on both sides.
        for (ours, theirs) in of(ours).zip(of(peer)) {
            ratios.push(Ratio::of(
                figure,
                Some(ours.case.placement),
                (&ours.events, &theirs.events),
                "events/s",
                Held::AtLeast(bound),
            ));
        }
    }
    ratios
}

fn wakeup_ratios(wakeups: &[WakeUp], placements: &[Placement]) -> Vec<Ratio> {
    let mut ratios = Vec::new();
    for &placement in placements {
        let of = |peer, wait| {
            wakeups.iter().find(|wakeup| {
                wakeup.case
                    == latency::Case {
                        peer,
                        wait,
                        placement,
                    }
            })
        };
        let read = (of(Peer::Evq, Wait::Read), of(Peer::Pipe, Wait::Read));
        let epoll = Wait::Via(Kind::Epoll);
        let sigio = Wait::Via(Kind::Sigio);
        let pairs = [
            ("wakeup_p50_read_vs_pipe", read, 0.5, 1.05),
            ("wakeup_p99_read_vs_pipe", read, 0.99, 1.05),
            (
                "wakeup_p50_epoll_vs_pipe",
                (of(Peer::Evq, epoll), of(Peer::Pipe, epoll)),
                0.5,
                1.05,
            ),
            (
                "sigio_vs_epoll_p50",
                (of(Peer::Evq, sigio), of(Peer::Evq, epoll)),
                0.5,
                2.0,
            ),
        ];
        for (figure, pair, quantile, bound) in pairs {
            let (Some(ours), Some(theirs)) = pair else {
                continue;
            };
            // A round has too few for the rare ones: those are of all rounds.
            let value = |wakeup: &WakeUp| wakeup.due.value_at_quantile(quantile) as f64;
            let spread = ours.p50.over(&theirs.p50).summary();
            let mut ratio = spread;
            if quantile > 0.5 {
                ratio.median = value(ours) / value(theirs);
            }
            ratios.push(Ratio::new(
                figure,
                Some(placement),
                (value(ours), value(theirs)),
                ratio,
                "ns",
                Held::AtMost(bound),
            ));
        }
    }
    ratios
}

fn backlog_ratios(backlogs: &[Backlog]) -> Vec<Ratio> {
    use drain::Producer::{Kernel, Own};
    let of = |peer, producer| {
        let case = drain::Case { peer, producer };
        backlogs.iter().find(|backlog| backlog.case == case)
    };
    let pairs = [
        ("mapped_vs_read", (Peer::Evq, Own), Own, 3.0),
        ("mapped_vs_bpf_ringbuf", (Peer::Bpf, Kernel), Kernel, 1.0),
    ];
    let mut ratios = Vec::new();
    for (figure, (peer, theirs), ours, bound) in pairs {
        if let (Some(ours), Some(theirs)) = (of(Peer::Mapped, ours), of(peer, theirs)) {
            let pair = (&ours.events, &theirs.events);
            let held = Held::AtLeast(bound);
            ratios.push(Ratio::of(figure, None, pair, "events/s", held));
        }
    }
    ratios
}

fn cost_ratios(costs: &[Cost]) -> Vec<Ratio> {
    let of = |state, subscribers| {
        costs
            .iter()
            .find(|cost| (cost.state, cost.subscribers) == (state, subscribers))
    };
    let figures = [
        ("post_cost_256_vs_1", State::Awake),
        ("post_cost_256_vs_1_filtered", State::FilteredOut),
    ];
    let mut ratios = Vec::new();
    for (figure, state) in figures {
        if let (Some(many), Some(one)) = (of(state, 256), of(state, 1)) {
            let pair = (&many.nanos, &one.nanos);
            ratios.push(Ratio::of(figure, None, pair, "ns", Held::AtMost(1.2)));
        }
    }
    ratios
}
