// SPDX-License-Identifier: MIT OR Apache-2.0
//! `doctor`: what keeps the queue from working here, and what to do about it.

mod device;
mod kernel;
mod system;

use std::path::PathBuf;

use evq::device::DEFAULT_PATH;

use super::exit::Exit;
use super::json;
use super::printable::printable;
use super::tell::print;
use super::Format;

/// Check kernel, module, device, permissions and limits.
///
/// One line for each check: `ok`, `warn` (works, but not all of it) or `fail`,
/// with what to do. Ends with status 1 if something fails. Changes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The queue.
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    device: PathBuf,

    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// The result of one check.
#[derive(Debug, serde::Serialize)]
struct Finding {
    level: Level,
    /// What was looked at, in a word or two.
    check: &'static str,
    found: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    todo: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Finding {
        Finding {
            level: Level::Ok,
            check,
            found: found.into(),
            todo: None,
        }
    }

    fn warn(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Finding {
        Finding {
            level: Level::Warn,
            todo: Some(todo.into()),
            ..Finding::ok(check, found)
        }
    }

    fn fail(check: &'static str, found: impl Into<String>, todo: impl Into<String>) -> Finding {
        Finding {
            level: Level::Fail,
            ..Finding::warn(check, found, todo)
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut findings = kernel::check();
    findings.extend(device::check(&args.device));
    findings.extend(system::check());
    let count = |level| findings.iter().filter(|f| f.level == level).count();
    let (warnings, failures) = (count(Level::Warn), count(Level::Fail));
    let text = match args.format {
        Format::Json => {
            json::line(&serde_json::json!({"v": 1, "checks": findings, "ok": failures == 0})) + "\n"
        }
        Format::Text => {
            let lines: String = findings.iter().map(line).collect();
            let verdict = match (failures, warnings) {
                (0, 0) => "all is well".into(),
                (0, n) => format!("works; warnings: {n}"),
                (n, _) => format!("does not work; failures: {n}"),
            };
            format!("{lines}{verdict}\n")
        }
    };
    print(&text)?;
    Ok(if failures == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Ok => "ok",
        Level::Warn => "warn",
        Level::Fail => "fail",
    };
    let todo = finding
        .todo
        .iter()
        .map(|todo| format!("{:24}-> {}\n", "", printable(todo)));
    let todo: String = todo.collect();
    let found = printable(&finding.found);
    format!("{level:<5} {:<17} {found}\n{todo}", finding.check)
}
