// SPDX-License-Identifier: GPL-2.0

//! `evq_timer`: posts events from a timer interrupt at a settable rate, for tests and benchmarks.
//!
//! Event `n` carries the number `n`, from 1, as 8 bytes of payload: a reader can check that what
//! it gets is what was posted.

use kernel::{
    impl_has_hr_timer,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativeMode,
            RelativeSoftMode, //
        },
        Delta,
        Monotonic, //
    },
};

#[path = "../glue/compat.rs"]
mod compat;
#[path = "../../include/evq.rs"]
mod evq;

module! {
    type: TimerModule,
    name: "evq_timer",
    authors: ["The evq authors"],
    description: "Posts events to an evq queue from a timer interrupt",
    license: "GPL",
    imports_ns: ["EVQ"],
    params: {
        rate: u32 {
            default: 1000,
            description: "Interrupts per second, 1 to 1000000",
        },
        burst: u32 {
            default: 1,
            description: "Events posted in each interrupt, 1 to 10000",
        },
        count: u64 {
            default: 0,
            description: "Events posted in all, then it stops; 0: until it is unloaded",
        },
        softirq: u8 {
            default: 0,
            description: "0: post from hard interrupts; 1: from softirqs; 2: from both, count each",
        },
        own: u32 {
            default: 0,
            description: "Make /dev/evq-timer with this capacity and post there; 0: post to /dev/evq",
        },
    },
}

/// `EVQ_CLASS_TIMER`.
const CLASS_TIMER: u16 = 2;

/// The number within the class says which timer has posted.
const HARD: u16 = 0;
const SOFT: u16 = 1;

const RATE_MAX: u32 = 1_000_000;
const BURST_MAX: u32 = 10_000;
const NANOS_PER_SEC: u32 = 1_000_000_000;

/// What is posted, and how much of it is left.
struct Generator {
    queue: Arc<evq::Queue>,
    source: u32,
    interval: Delta,
    burst: u32,
    /// Number of the last event, 0 if there is no end.
    count: u64,
    /// Number of the next event; only the timer changes it.
    next: Atomic<u64>,
}

impl Generator {
    /// Posts the events of one interrupt; false when there are no more.
    fn tick(&self) -> bool {
        for _ in 0..self.burst {
            let number = self.next.fetch_add(1, Relaxed);
            if self.count != 0 && number > self.count {
                return false;
            }
            // What is refused is counted by the queue.
            let _ = self.queue.post(self.source, 0, 0, &number.to_ne_bytes());
        }
        true
    }
}

/// A timer that runs the generator, in the context that the mode of the timer says.
macro_rules! timer {
    ($name:ident, $mode:ty, $doc:literal) => {
        #[doc = $doc]
        #[pin_data]
        struct $name {
            #[pin]
            timer: HrTimer<Self>,
            generator: Generator,
        }

        impl $name {
            fn start(generator: Generator) -> Result<ArcHrTimerHandle<Self>> {
                let interval = generator.interval;
                let timer = Arc::pin_init(
                    pin_init!(Self {
                        timer <- HrTimer::new(),
                        generator,
                    }),
                    GFP_KERNEL,
                )?;
                Ok(timer.start(interval))
            }
        }

        impl HrTimerCallback for $name {
            type Pointer<'a> = Arc<Self>;

            fn run(
                this: ArcBorrow<'_, Self>,
                mut ctx: HrTimerCallbackContext<'_, Self>,
            ) -> HrTimerRestart {
                if !this.generator.tick() {
                    return HrTimerRestart::NoRestart;
                }
                ctx.forward_now(this.generator.interval);
                HrTimerRestart::Restart
            }
        }

        impl_has_hr_timer! {
            impl HasHrTimer<Self> for $name {
                mode: $mode, field: self.timer
            }
        }
    };
}

timer!(
    HardTimer,
    RelativeMode<Monotonic>,
    "Posts from hard interrupt context (from a softirq thread on `PREEMPT_RT`)."
);
timer!(
    SoftTimer,
    RelativeSoftMode<Monotonic>,
    "Posts from softirq context."
);

/// The timers that run; dropped, they are stopped before their queue is retired.
#[expect(dead_code, reason = "kept for the destructors")]
struct TimerModule {
    hard: Option<ArcHrTimerHandle<HardTimer>>,
    soft: Option<ArcHrTimerHandle<SoftTimer>>,
}

impl kernel::Module for TimerModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let rate = compat::param(module_parameters::rate.value());
        let burst = compat::param(module_parameters::burst.value());
        let own = compat::param(module_parameters::own.value());
        let softirq = compat::param(module_parameters::softirq.value());
        if !(1..=RATE_MAX).contains(&rate) {
            pr_err!("rate={rate}: must be from 1 to {RATE_MAX} interrupts per second\n");
            return Err(EINVAL);
        }
        if !(1..=BURST_MAX).contains(&burst) {
            pr_err!("burst={burst}: must be from 1 to {BURST_MAX} events per interrupt\n");
            return Err(EINVAL);
        }
        if softirq > 2 {
            pr_err!("softirq={softirq}: must be 0, 1, or 2 for both\n");
            return Err(EINVAL);
        }
        let queue = match own {
            0 => evq::Queue::default_queue(),
            capacity => evq::Queue::create(c"timer", capacity).inspect_err(|err| {
                pr_err!("own={capacity}: cannot make /dev/evq-timer: {err:?}; the capacity must be a power of two from 64 to 1048576\n");
            })?,
        };
        let queue = Arc::new(queue, GFP_KERNEL)?;
        // The rate is not 0, which the compiler does not know any more here.
        let interval_ns = NANOS_PER_SEC.checked_div(rate).unwrap_or(NANOS_PER_SEC);
        let generator = |context: u16| Generator {
            queue: queue.clone(),
            source: evq::source(CLASS_TIMER, context),
            interval: Delta::from_nanos(i64::from(interval_ns)),
            burst,
            count: compat::param(module_parameters::count.value()),
            next: Atomic::new(1),
        };
        Ok(Self {
            hard: match softirq {
                0 | 2 => Some(HardTimer::start(generator(HARD))?),
                _ => None,
            },
            soft: match softirq {
                1 | 2 => Some(SoftTimer::start(generator(SOFT))?),
                _ => None,
            },
        })
    }
}
