// SPDX-License-Identifier: MIT OR Apache-2.0
//! `info`: the state of a queue.

use std::path::PathBuf;

use evq::uapi::INFO_RETIRED;
use evq::via::Kind;
use evq::{device, Queue, Watcher};

use super::exit::Exit;
use super::json;
use super::printable::printable;
use super::tell::print;
use super::{process, Format};

/// Print the state of a queue.
///
/// Opening it for this makes one more subscriber, for the moment.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The queue.
    #[arg(long, value_name = "PATH", default_value = device::DEFAULT_PATH)]
    device: PathBuf,

    /// List the mechanisms instead, and which of them work here.
    #[arg(long)]
    via: bool,

    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

/// The mechanisms, each tried for real; and the room for realtime signals.
fn mechanisms(format: Format) -> String {
    let tried: Vec<_> = Kind::ALL
        .iter()
        .map(|&kind| (kind, Watcher::new(kind).map(drop)))
        .collect();
    let pending = process::signal_queue();
    match format {
        Format::Json => {
            let list: Vec<_> = tried
                .iter()
                .map(|(kind, result)| {
                    serde_json::json!({
                        "name": kind.name(),
                        "works": result.is_ok(),
                        "limits": kind.limits(),
                        "why_not": result.as_ref().err().map(ToString::to_string),
                    })
                })
                .collect();
            let json = serde_json::json!({"v": 1, "mechanisms": list, "signal_queue": pending});
            json::line(&json) + "\n"
        }
        Format::Text => {
            let mut text = String::new();
            for (kind, result) in &tried {
                let state = match result {
                    Ok(()) => match kind.limits() {
                        None => "works".to_owned(),
                        Some(limits) => format!("works; {limits}"),
                    },
                    Err(error) => error.to_string(),
                };
                text += &format!("{kind:<13} {state}\n");
            }
            text + &format!("signal queue  {pending} (used/limit of this user)\n")
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.via {
        let text = mechanisms(args.format);
        print(&text)?;
        return Ok(Exit::Done);
    }
    let queue = Queue::open(&args.device)?;
    let info = queue.info()?;
    let retired = info.flags & INFO_RETIRED != 0;
    let text = match args.format {
        Format::Json => {
            // What may exceed 2^53, which many readers of JSON round, is there as text, too.
            let json = serde_json::json!({
                "v": 1,
                "device": queue.name(),
                "abi": info.abi,
                "capacity": info.capacity,
                "posted": info.posted,
                "posted_str": info.posted.to_string(),
                "oldest": info.oldest,
                "oldest_str": info.oldest.to_string(),
                "next": info.next,
                "next_str": info.next.to_string(),
                "overwritten": info.overwritten,
                "overwritten_str": info.overwritten.to_string(),
                "refused": info.refused,
                "refused_str": info.refused.to_string(),
                "subscribers": info.subscribers,
                "wakeups": info.wakeups,
                "wakeups_str": info.wakeups.to_string(),
                "signals": info.signals,
                "signals_str": info.signals.to_string(),
                "instance": format!("{:016x}", info.instance),
                "retired": retired,
                "signal_queue": process::signal_queue(),
            });
            json::line(&json) + "\n"
        }
        Format::Text => format!(
            "{name}: event queue{state}, interface version {abi}\n\
             instance     {instance:016x}\n\
             capacity     {capacity} events\n\
             posted       {posted}\n\
             oldest kept  {oldest}\n\
             overwritten  {overwritten}\n\
             refused      {refused}\n\
             subscribers  {subscribers} (this one included)\n\
             wake-ups     {wakeups}\n\
             signals      {signals}\n\
             signal queue {pending} (used/limit of this user)\n",
            name = printable(queue.name()),
            state = if retired { " (retired)" } else { "" },
            abi = info.abi,
            instance = info.instance,
            capacity = info.capacity,
            posted = info.posted,
            oldest = if info.oldest > info.posted {
                "none".into()
            } else {
                info.oldest.to_string()
            },
            overwritten = info.overwritten,
            refused = info.refused,
            subscribers = info.subscribers,
            wakeups = info.wakeups,
            signals = info.signals,
            pending = process::signal_queue(),
        ),
    };
    print(&text)?;
    Ok(Exit::Done)
}
