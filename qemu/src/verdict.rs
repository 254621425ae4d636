// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one verdict on a run: how the command ended, and everything that makes
//! the run a failure whatever the command says.

use std::fmt;
use std::time::Duration;

use crate::klog::Finding;
use crate::wire::Status;

/// The table for `--help`.
pub const EXIT_CODES: &str = "  \
  0-199  that of COMMAND (126, 127: it could not be run; 128+N: signal N killed
         it; 199 also stands for all statuses above)
  200    the machine could not be set up or started
  201    the guest did not come up within its limit
  202    the guest's init could not get as far as COMMAND
  203    the guest's kernel panicked
  204    the kernel log is not clean (oops, BUG, WARNING, lockdep, KASAN, ...)
  205    the kernel got a taint other than out-of-tree and unsigned module
  206    COMMAND did not end within its limit
  207    the machine ended without a status of COMMAND
  208    output of COMMAND is missing
  209    the machine did not end by itself within its limit
  210    the kernel log is not complete
";

/// Taint bits that the project's own modules bring: out-of-tree (12) and
/// unsigned (13).
const EXPECTED_TAINT: u64 = 1 << 12 | 1 << 13;

/// One letter per taint bit, from bit 0.
const TAINT_LETTERS: &str = "PFSRMBUDAWCIOELKXTNJ";

/// Why a run has failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The kernel panicked.
    Panic(Finding),
    /// The kernel log is not clean.
    Splat(Vec<Finding>),
    /// QEMU failed; what it said.
    Qemu(String),
    /// Init could not get as far as the command.
    Init(String),
    /// Init did not speak within this time.
    NoBoot(Duration),
    /// The command did not end within this time.
    Hang(Duration),
    /// The machine ended without a status.
    NoStatus,
    /// Output is missing.
    Truncated {
        /// Bytes of stdout and stderr that the guest has sent.
        sent: (u64, u64),
        /// And that have arrived.
        received: (u64, u64),
    },
    /// The data port carried something else, or ended in mid-frame.
    Garbled(String),
    /// The machine did not reset itself within this time.
    NoEnd(Duration),
    /// New taint: before and after.
    Taint(u64, u64),
    /// The last line of the kernel log is missing.
    NoLogEnd,
}

impl Failure {
    /// Exit status of `qemu/run` for it, see [`EXIT_CODES`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Qemu(_) => 200,
            Self::NoBoot(_) => 201,
            Self::Init(_) => 202,
            Self::Panic(_) => 203,
            Self::Splat(_) => 204,
            Self::Taint(..) => 205,
            Self::Hang(_) => 206,
            Self::NoStatus => 207,
            Self::Truncated { .. } | Self::Garbled(_) => 208,
            Self::NoEnd(_) => 209,
            Self::NoLogEnd => 210,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Qemu(text) => write!(f, "QEMU failed: {text}"),
            Self::NoBoot(limit) => write!(
                f,
                "the guest did not come up: its init has said nothing for {:.1} s",
                limit.as_secs_f64()
            ),
            Self::Init(text) => write!(f, "the guest could not be set up: {text}"),
            Self::Panic(finding) => write!(f, "the guest's kernel panicked: {finding}"),
            Self::Splat(findings) => {
                write!(f, "the kernel log is not clean:")?;
                for finding in findings.iter().take(5) {
                    write!(f, "\n    {finding}")?;
                }
                if findings.len() > 5 {
                    write!(f, "\n    and {} more lines", findings.len() - 5)?;
                }
                Ok(())
            }
            Self::Taint(before, after) => write!(
                f,
                "the kernel was tainted during the run: {} (/proc/sys/kernel/tainted was {before} \
                 before, {after} after)",
                letters(new_taint(*before, *after))
            ),
            Self::Hang(limit) => write!(
                f,
                "the command did not end within {:.1} s and the machine was killed \
                 (--timeout sets the limit)",
                limit.as_secs_f64()
            ),
            Self::NoStatus => f.write_str(
                "the machine ended without a status of the command (something in it has reset \
                 the machine)",
            ),
            Self::Truncated { sent, received } => write!(
                f,
                "output is missing: of {} bytes of stdout {} have arrived, of {} bytes of stderr {}",
                sent.0, received.0, sent.1, received.1
            ),
            Self::Garbled(text) => {
                write!(f, "output is missing, what came over the data port is garbled: {text}")
            }
            Self::NoEnd(limit) => write!(
                f,
                "the command ended, but the machine did not reset itself within {:.1} s",
                limit.as_secs_f64()
            ),
            Self::NoLogEnd => f.write_str(
                "the kernel log is not complete: the line that init writes last is missing, so \
                 what came before may be missing too",
            ),
        }
    }
}

/// Bits that are new and not expected.
fn new_taint(before: u64, after: u64) -> u64 {
    after & !before & !EXPECTED_TAINT
}

fn letters(bits: u64) -> String {
    let named = TAINT_LETTERS
        .chars()
        .enumerate()
        .filter(|(bit, _)| bits & (1 << bit) != 0);
    let mut text: String = named.map(|(_, letter)| letter).collect();
    if bits >> TAINT_LETTERS.len() != 0 {
        text.push('?');
    }
    text
}

/// What was seen of a run.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How the command ended.
    pub status: Option<Status>,
    /// What init has complained about.
    pub init_failed: Option<String>,
    /// Taint before the first module, and after the command.
    pub taint: (Option<u64>, Option<u64>),
    /// Bytes of stdout and stderr, by the guest's count.
    pub sent: Option<(u64, u64)>,
    /// And by ours.
    pub received: (u64, u64),
    /// The data port carried something that is no frame.
    pub garbled: Option<String>,
    /// A limit was passed: that of this phase.
    pub overdue: Option<(Phase, Duration)>,
    /// What QEMU has complained about, if it failed.
    pub qemu_failed: Option<String>,
    /// Suspicious lines of the kernel log.
    pub findings: Vec<Finding>,
    /// Whether init's last line is in it.
    pub log_complete: bool,
}

/// How far the run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub enum Phase {
    /// Until init says hello.
    #[default]
    Boot,
    /// Until init starts the command.
    Setup,
    /// Until it has ended.
    Command,
    /// Until QEMU is gone.
    End,
}

/// Status and failures; the failures are ordered, the most telling one first.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// How the command ended, if that is known.
    pub status: Option<Status>,
    /// Empty for a run whose status can be believed.
    pub failures: Vec<Failure>,
}

impl Verdict {
    /// Judges what was seen.
    #[must_use]
    pub fn of(seen: &Observed) -> Self {
        let mut failures = Vec::new();
        let panic = seen.findings.iter().find(|finding| finding.is_panic());
        if let Some(panic) = panic {
            failures.push(Failure::Panic(panic.clone()));
        }
        let splats: Vec<Finding> = seen
            .findings
            .iter()
            .filter(|finding| !finding.is_panic())
            .cloned()
            .collect();
        if !splats.is_empty() {
            failures.push(Failure::Splat(splats));
        }
        if let Some(text) = &seen.qemu_failed {
            failures.push(Failure::Qemu(text.clone()));
        }
        if let Some(text) = &seen.init_failed {
            failures.push(Failure::Init(text.clone()));
        }
        match seen.overdue {
            Some((Phase::Boot | Phase::Setup, limit)) => failures.push(Failure::NoBoot(limit)),
            Some((Phase::Command, limit)) => failures.push(Failure::Hang(limit)),
            Some((Phase::End, _)) | None => {}
        }
        // What follows would only repeat that the run was cut short.
        let cut = !failures.is_empty();
        if let Some(text) = &seen.garbled {
            failures.push(Failure::Garbled(text.clone()));
        }
        match seen.sent {
            Some(sent) if sent != seen.received => failures.push(Failure::Truncated {
                sent,
                received: seen.received,
            }),
            None if !cut && seen.garbled.is_none() && seen.overdue.is_none() => {
                failures.push(Failure::NoStatus)
            }
            _ => {}
        }
        // Behind missing output: init waits for that to arrive.
        if let Some((Phase::End, limit)) = seen.overdue {
            failures.push(Failure::NoEnd(limit));
        }
        match seen.taint {
            (Some(before), Some(after)) if new_taint(before, after) != 0 => {
                failures.push(Failure::Taint(before, after));
            }
            _ => {}
        }
        if seen.sent.is_some() && !seen.log_complete {
            failures.push(Failure::NoLogEnd);
        }
        // A status without its byte counts is no status.
        let complete = seen.sent.is_some() && seen.taint.0.is_some() && seen.taint.1.is_some();
        if failures.is_empty() && (seen.status.is_none() || !complete) {
            failures.push(Failure::NoStatus);
        }
        Self {
            status: seen.status,
            failures,
        }
    }

    /// The exit status of `qemu/run`.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match (self.failures.first(), self.status) {
            (Some(failure), _) => failure.exit_code(),
            (None, Some(Status::Exited(code))) => code.min(199),
            (None, Some(Status::Signalled(number))) => {
                u8::try_from(128 + number).map_or(199, |code| code.min(199))
            }
            (None, None) => Failure::NoStatus.exit_code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::klog;

    fn good() -> Observed {
        Observed {
            status: Some(Status::Exited(0)),
            taint: (Some(0), Some(EXPECTED_TAINT)),
            sent: Some((3, 4)),
            received: (3, 4),
            log_complete: true,
            ..Observed::default()
        }
    }

    fn codes(seen: &Observed) -> Vec<u8> {
        Verdict::of(seen)
            .failures
            .iter()
            .map(Failure::exit_code)
            .collect()
    }

    #[test]
    fn a_good_run_passes_the_status_on() {
        assert!(codes(&good()).is_empty());
        for (status, code) in [
            (Status::Exited(0), 0),
            (Status::Exited(7), 7),
            (Status::Exited(125), 125),
            (Status::Exited(203), 199),
            (Status::Signalled(9), 137),
            (Status::Signalled(64), 192),
        ] {
            let seen = Observed {
                status: Some(status),
                ..good()
            };
            assert_eq!(Verdict::of(&seen).exit_code(), code);
        }
    }

    #[test]
    fn nothing_seen_is_a_failure() {
        assert_eq!(codes(&Observed::default()), [207]);
    }

    #[test]
    fn every_part_of_a_good_run_is_needed() {
        let lacking = [
            Observed {
                status: None,
                ..good()
            },
            Observed {
                sent: None,
                ..good()
            },
            Observed {
                taint: (None, Some(0)),
                ..good()
            },
            Observed {
                taint: (Some(0), None),
                ..good()
            },
        ];
        for seen in lacking {
            assert_eq!(codes(&seen), [207], "{seen:?}");
        }
        assert_eq!(
            codes(&Observed {
                log_complete: false,
                ..good()
            }),
            [210]
        );
        assert_eq!(
            codes(&Observed {
                received: (2, 4),
                ..good()
            }),
            [208]
        );
        assert_eq!(
            codes(&Observed {
                received: (3, 5),
                ..good()
            }),
            [208]
        );
    }

    #[test]
    fn only_out_of_tree_and_unsigned_may_be_new() {
        for bit in 0..24 {
            let seen = Observed {
                taint: (Some(0), Some(1 << bit)),
                ..good()
            };
            let expected: &[u8] = if bit == 12 || bit == 13 { &[] } else { &[205] };
            assert_eq!(codes(&seen), expected, "bit {bit}");
            let seen = Observed {
                taint: (Some(1 << bit), Some(1 << bit)),
                ..good()
            };
            assert!(codes(&seen).is_empty(), "bit {bit} from the start");
        }
        assert!(Failure::Taint(0, 0x200).to_string().contains("run: W ("));
    }

    #[test]
    fn the_most_telling_failure_comes_first() {
        let limit = Duration::from_secs(1);
        let findings = klog::scan("BUG: bad\nKernel panic - not syncing: Fatal exception\n");
        let seen = Observed {
            findings,
            status: None,
            sent: None,
            ..good()
        };
        assert_eq!(codes(&seen), [203, 204]);
        let findings = klog::scan("WARNING: at somewhere\n");
        let seen = Observed {
            findings,
            taint: (Some(0), Some(0x200)),
            ..good()
        };
        assert_eq!(codes(&seen), [204, 205]);
        let cut = Observed {
            status: None,
            sent: None,
            ..good()
        };
        for (phase, code) in [
            (Phase::Boot, 201),
            (Phase::Setup, 201),
            (Phase::Command, 206),
        ] {
            let seen = Observed {
                overdue: Some((phase, limit)),
                ..cut.clone()
            };
            assert_eq!(codes(&seen), [code]);
        }
        assert_eq!(
            codes(&Observed {
                overdue: Some((Phase::End, limit)),
                ..good()
            }),
            [209]
        );
        assert_eq!(
            codes(&Observed {
                init_failed: Some("x".into()),
                ..cut.clone()
            }),
            [202]
        );
        assert_eq!(
            codes(&Observed {
                qemu_failed: Some("x".into()),
                ..cut.clone()
            }),
            [200]
        );
        assert_eq!(
            codes(&Observed {
                garbled: Some("x".into()),
                ..cut
            }),
            [208]
        );
    }
}
