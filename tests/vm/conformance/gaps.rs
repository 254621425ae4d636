// SPDX-License-Identifier: MIT OR Apache-2.0
//! C2, in every gap: whatever a watcher does between two system calls, an event
//! may come there.
//!
//! A process that watches is stopped where it enters and where it leaves each
//! system call, as a debugger does; in each round the event comes at the next of
//! these stops. So there is one before and one after each call that the
//! mechanism makes, whatever these calls are: before arming, while arming,
//! between arming and waiting, in the wait, between the wake-up and the read,
//! between two reads, between the last read and the next wait. At the entry of a
//! call a signal is still unseen and interrupts the call; at its end the handler
//! runs before anything else does.

use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::OnceLock;
use std::thread;

use evq::via::Kind;
use nix::errno::Errno;
use nix::sched::{sched_setaffinity, CpuSet};
use nix::sys::signal::{kill, raise, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::unistd::{fork, ForkResult, Pid};

use crate::cell;
use crate::gate::asleep;
use crate::source::{make, Origin, Reader, Writer};
use crate::watch::Watch;

/// The number that each event has.
const NUMBER: u64 = 7;

/// The signals whose handler posts: not one for both, for until its handler has
/// run a second signal of the same number is lost.
const BY_HANDLER: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGUSR2];

/// Who posts the event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Another process: the mechanism's own signal comes into the gap.
    Another,
    /// The handler of a signal that comes into the gap.
    Handler,
}

/// Which of the two events that the process waits for comes into a gap; the
/// other one comes while it sleeps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    /// From before arming until it sleeps.
    First,
    /// From the wake-up for the first until it sleeps again.
    Second,
}

pub(crate) fn event(kind: Kind, origin: Origin) {
    sweep(kind, origin, By::Another);
}

pub(crate) fn signal(kind: Kind, origin: Origin) {
    sweep(kind, origin, By::Handler);
}

fn sweep(kind: Kind, origin: Origin, by: By) {
    // On one processor each of the two runs when the other stops; on two, each
    // stop would be a wake-up from one to the other, which is dear in a VM.
    let mut processors = CpuSet::new();
    processors.set(0).expect("a first processor");
    sched_setaffinity(Pid::from_raw(0), &processors).expect("sched_setaffinity");
    let (reader, writer) = make(origin);
    handle(&writer);
    for which in [Which::First, Which::Second] {
        let mut gap = 0;
        while round(Tracee::start(kind, &reader, which), &writer, by, which, gap) {
            cell::progress();
            gap += 1;
        }
        // The end of a read and the beginning of the next, at least.
        assert!(gap >= 2, "only {gap} gaps before it slept");
    }
}

/// Whether there was a gap of that number before the process slept.
fn round(tracee: Tracee, writer: &Writer, by: By, which: Which, gap: usize) -> bool {
    let before = usize::from(which == Which::Second);
    let (mut posted, mut stops, mut reached) = (0, 0, false);
    let post = |posted: usize| match by {
        By::Another => assert!(writer.post([NUMBER]), "nobody reads"),
        By::Handler => kill(tracee.pid, BY_HANDLER[posted]).expect("kill"),
    };
    let at = match which {
        Which::First => "from the start",
        Which::Second => "from the first event",
    };
    let (mut inside, mut traced, mut may_sleep) = (false, true, false);
    tracee.go_on(traced, 0);
    loop {
        let next = tracee.next(may_sleep);
        if matches!(next, Next::Call | Next::Signal(_)) && posted == before && !reached {
            reached = stops == gap;
            stops += 1;
            if reached {
                post(posted);
                posted += 1;
            }
        }
        let signal = match next {
            Next::Call => {
                inside = !inside;
                0
            }
            Next::Signal(signal) => signal,
            Next::Asleep if posted < 2 => {
                post(posted);
                posted += 1;
                // It must stop at the end of the call now, if that is traced.
                may_sleep = !traced;
                continue;
            }
            // It may have been seen asleep before it was woken.
            Next::Asleep => continue,
            Next::Ended(how) => {
                assert_eq!(how, "exit 0", "with an event {gap} stops {at}");
                assert_eq!(posted, 2, "ended without an event");
                return reached;
            }
        };
        // Behind the gap it need not stop any more.
        traced = !reached;
        may_sleep = !traced || inside && tracee.enters_wait();
        tracee.go_on(traced, signal);
    }
}

enum Next {
    /// At one end of a system call.
    Call,
    /// To be given this signal.
    Signal(libc::c_int),
    Asleep,
    Ended(String),
}

/// What `PTRACE_O_TRACESYSGOOD` makes of a stop at a system call.
const AT_CALL: libc::c_int = libc::SIGTRAP | 0x80;

/// A process that watches, reads two events, one after the other, and ends. It
/// starts stopped, where the gaps begin.
struct Tracee {
    pid: Pid,
}

impl Tracee {
    fn start(kind: Kind, reader: &Reader, which: Which) -> Tracee {
        // SAFETY: a cell has one thread here.
        match unsafe { fork() }.expect("fork") {
            ForkResult::Child => {
                let reader = reader.again();
                request(libc::PTRACE_TRACEME, Pid::from_raw(0), 0);
                let stop = || raise(Signal::SIGSTOP).expect("raise");
                if which == Which::First {
                    stop();
                }
                let mut watch = Watch::new(kind, reader);
                if which == Which::Second {
                    stop();
                }
                let mut read = || {
                    let account = watch.some();
                    assert_eq!(account.lost, 0, "lost without need");
                    account.numbers.len()
                };
                let mut total = 0;
                while total == 0 {
                    total = read();
                }
                // The second comes when it sleeps, which it may not before it
                // has been told of the first.
                assert!(which == Which::Second || total == 1, "told too late");
                while total < 2 {
                    total += read();
                }
                assert_eq!(total, 2, "more than was posted");
                drop(watch);
                // SAFETY: ends the process. After a panic the harness does.
                unsafe { libc::_exit(0) }
            }
            ForkResult::Parent { child } => {
                let tracee = Tracee { pid: child };
                assert!(matches!(tracee.next(false), Next::Signal(libc::SIGSTOP)));
                let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
                request(libc::PTRACE_SETOPTIONS, child, options);
                tracee
            }
        }
    }

    /// What it does next. With `may_sleep`: it may have gone to sleep in a system
    /// call that waits.
    fn next(&self, may_sleep: bool) -> Next {
        loop {
            let mut status = 0;
            let flags = if may_sleep { libc::WNOHANG } else { 0 };
            // Not by nix, which gives EINVAL for realtime signals.
            // SAFETY: writes one int.
            let found = unsafe { libc::waitpid(self.pid.as_raw(), &raw mut status, flags) };
            match Errno::result(found).expect("waitpid") {
                0 if asleep(&format!("/proc/{}", self.pid)) => return Next::Asleep,
                0 => thread::yield_now(),
                _ if libc::WIFSTOPPED(status) => {
                    return match libc::WSTOPSIG(status) {
                        AT_CALL => Next::Call,
                        signal => Next::Signal(signal),
                    }
                }
                _ if libc::WIFEXITED(status) => {
                    return Next::Ended(format!("exit {}", libc::WEXITSTATUS(status)));
                }
                _ => return Next::Ended(format!("signal {}", libc::WTERMSIG(status))),
            }
        }
    }

    /// Whether it has stopped at the entry of a call that may wait.
    fn enters_wait(&self) -> bool {
        // arm64 has only the forms with a signal mask.
        const WAITS: &[libc::c_long] = &[
            libc::SYS_read,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait,
            libc::SYS_ppoll,
            libc::SYS_pselect6,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
            libc::SYS_io_uring_enter,
        ];
        let path = format!("/proc/{}/syscall", self.pid);
        let call = std::fs::read_to_string(path).expect("the call of a stopped process");
        let number = call
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok());
        number.is_some_and(|number| WAITS.contains(&number))
    }

    /// `traced`: up to the next end of a system call.
    fn go_on(&self, traced: bool, signal: libc::c_int) {
        let how = if traced {
            libc::PTRACE_SYSCALL
        } else {
            libc::PTRACE_CONT
        };
        request(how, self.pid, signal);
    }
}

fn request(what: libc::c_uint, pid: Pid, data: libc::c_int) {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: none of these requests takes an address.
    let done = unsafe { libc::ptrace(what, pid.as_raw(), nothing, libc::c_long::from(data)) };
    Errno::result(done).expect("ptrace");
}

/// Has the signals post an event.
fn handle(writer: &Writer) {
    static FD: AtomicI32 = AtomicI32::new(-1);
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    extern "C" fn post(_: libc::c_int) {
        let errno = Errno::last_raw();
        if let Some(bytes) = BYTES.get() {
            let fd = FD.load(Ordering::Acquire);
            // SAFETY: write(2) is async-signal-safe; the bytes live for ever.
            unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        }
        Errno::set_raw(errno);
    }
    let (fd, bytes) = writer.raw(NUMBER);
    BYTES.set(bytes).expect("a process of its own");
    FD.store(fd.as_raw_fd(), Ordering::Release);
    let action = SigAction::new(SigHandler::Handler(post), SaFlags::empty(), SigSet::empty());
    for signal in BY_HANDLER {
        // SAFETY: the handler is async-signal-safe.
        unsafe { sigaction(signal, &action) }.expect("sigaction");
    }
}
