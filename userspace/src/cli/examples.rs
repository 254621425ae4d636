// SPDX-License-Identifier: MIT OR Apache-2.0
//! Examples and references of each command, for its help and its man page.

use std::fmt::Write as _;

use super::exit;

/// What to show beside the options of a command.
#[derive(Debug)]
pub(super) struct Page {
    /// The names of the command, below the program's: `explain race`.
    pub(super) command: &'static str,
    /// What for, and the line.
    examples: &'static [(&'static str, &'static str)],
    /// Man pages: names of commands, or pages with their section.
    see_also: &'static [&'static str],
}

pub(super) const PAGES: &[Page] = &[
    Page {
        command: "",
        examples: &[
            ("Print the events of /dev/evq", "evdev-client watch"),
            (
                "Post one",
                "evdev-client send --type 1 --code 2 --data 00ff",
            ),
            ("See what is missing on this machine", "evdev-client doctor"),
        ],
        see_also: &[
            "watch",
            "send",
            "record",
            "top",
            "daemon",
            "doctor",
            "evq(4)",
            "evq-recording(5)",
        ],
    },
    Page {
        command: "watch",
        examples: &[
            (
                "Print key presses of a keyboard and all events of the queue",
                "evdev-client watch --device /dev/input/event0 --device /dev/evq --type EV_KEY",
            ),
            (
                "Print ten events as JSON, and fail if some were lost",
                "evdev-client watch --format json --num-events 10 --fail-on-loss",
            ),
            (
                "Wait for a device that is plugged in later, by another mechanism",
                "evdev-client watch --device /dev/input/by-id/my-keyboard --wait --via epoll",
            ),
            (
                "Read what the queue still holds, with numbers and payloads only",
                "evdev-client watch --from oldest --idle-timeout 1 --format '%n %d'",
            ),
        ],
        see_also: &["record", "replay", "info", "evq(4)"],
    },
    Page {
        command: "send",
        examples: &[
            (
                "Post one event with a payload",
                "evdev-client send --type 1 --code 2 --data 00ff",
            ),
            (
                "Post a hundred events a second for ten seconds",
                "evdev-client send --type 7 --code 1 --count 1000 --rate 100",
            ),
            (
                "Post what a file lists, one event per line",
                "evdev-client send <events.txt",
            ),
        ],
        see_also: &["watch", "replay", "evq(4)"],
    },
    Page {
        command: "info",
        examples: &[
            ("Print the counters of /dev/evq", "evdev-client info"),
            (
                "List the mechanisms that work here",
                "evdev-client info --via",
            ),
            (
                "Let a program read the counters",
                "evdev-client info --format json",
            ),
        ],
        see_also: &["top", "doctor", "evq(4)"],
    },
    #[cfg(feature = "top")]
    Page {
        command: "top",
        examples: &[
            (
                "Watch two queues",
                "evdev-client top --device /dev/evq --device /dev/evq-mine",
            ),
            (
                "Print one look as JSON",
                "evdev-client top --stream json --num-looks 1",
            ),
        ],
        see_also: &["info", "evq(4)"],
    },
    Page {
        command: "doctor",
        examples: &[("Say what is missing, and what to do", "evdev-client doctor")],
        see_also: &["info", "evq(4)"],
    },
    Page {
        command: "record",
        examples: &[
            (
                "Record until Ctrl-C, and go on later where it ended",
                "evdev-client record events.evq",
            ),
            (
                "Record what the queue still holds, on disk after each write",
                "evdev-client record events.evq --from oldest --sync always --idle-timeout 1",
            ),
        ],
        see_also: &["replay", "convert", "evq-recording(5)", "evq(4)"],
    },
    Page {
        command: "replay",
        examples: &[
            (
                "Print a recording in its own time",
                "evdev-client replay events.evq",
            ),
            (
                "Print it at once",
                "evdev-client replay events.evq --speed max --format json",
            ),
            (
                "Print the key presses in it, with dates in UTC",
                "evdev-client replay events.evq --type EV_KEY --time utc --speed max",
            ),
            (
                "Post its events to a queue, twice as fast",
                "evdev-client replay events.evq --speed 2 --into /dev/evq",
            ),
        ],
        see_also: &["record", "convert", "watch", "evq-recording(5)"],
    },
    Page {
        command: "convert",
        examples: &[
            (
                "Make lines of JSON from a recording",
                "evdev-client convert events.evq events.jsonl",
            ),
            (
                "And a recording from those",
                "evdev-client convert events.jsonl events.evq",
            ),
        ],
        see_also: &["record", "replay", "evq-recording(5)"],
    },
    #[cfg(feature = "daemon")]
    Page {
        command: "daemon",
        examples: &[
            (
                "Check a configuration",
                "evdev-client daemon --config /etc/evq/daemon.toml --check",
            ),
            (
                "Run it in the foreground, with a log for programs",
                "evdev-client daemon --config daemon.toml --log-format json",
            ),
        ],
        see_also: &["watch", "evq(4)"],
    },
    Page {
        command: "explain",
        examples: &[(
            "Show the race of a flag and select",
            "evdev-client explain race",
        )],
        see_also: &[
            "explain race",
            "explain eventfd",
            "explain overflow",
            "evq(4)",
        ],
    },
    Page {
        command: "explain race",
        examples: &[
            ("Show it on pipes", "evdev-client explain race"),
            (
                "Show it on a queue",
                "evdev-client explain race --device /dev/evq-mine",
            ),
        ],
        see_also: &["explain eventfd", "explain overflow"],
    },
    Page {
        command: "explain eventfd",
        examples: &[("Show it on pipes", "evdev-client explain eventfd")],
        see_also: &["explain race", "explain overflow"],
    },
    Page {
        command: "explain overflow",
        examples: &[("Show it on pipes", "evdev-client explain overflow")],
        see_also: &["explain race", "explain eventfd"],
    },
    Page {
        command: "manual",
        examples: &[(
            "Write pages and completions to a folder",
            "evdev-client manual /tmp/manual",
        )],
        see_also: &["", "evq(4)"],
    },
    #[cfg(feature = "bench")]
    Page {
        command: "bench",
        examples: &[(
            "Measure for a short time, for a program",
            "evdev-client bench --rounds 3 --format json",
        )],
        see_also: &["info", "evq(4)"],
    },
];

/// The commands with their examples and references in the help.
pub(super) fn attach(program: clap::Command) -> clap::Command {
    PAGES.iter().fold(program, |program, page| {
        let words: Vec<&str> = page.command.split_whitespace().collect();
        with_help(program, &words, &page.help())
    })
}

fn with_help(command: clap::Command, words: &[&str], help: &str) -> clap::Command {
    match words {
        [] => command.after_help(help.to_owned()),
        [first, rest @ ..] => command.mut_subcommand(*first, |inner| with_help(inner, rest, help)),
    }
}

/// The name of a page, and its section.
fn reference(name: &str) -> (String, &str) {
    let outside = name
        .split_once('(')
        .and_then(|(name, section)| Some((name.to_owned(), section.strip_suffix(')')?)));
    outside.unwrap_or_else(|| (page_name(name), "1"))
}

/// The name of the man page of a command.
pub(super) fn page_name(command: &str) -> String {
    let words = ["evdev-client"]
        .into_iter()
        .chain(command.split_whitespace());
    words.collect::<Vec<_>>().join("-")
}

impl Page {
    fn help(&self) -> String {
        let mut text = String::new();
        if self.command.is_empty() {
            text += exit::HELP;
            text += "\n\n";
        }
        text += "Examples:\n";
        // Writing to a String cannot fail.
        for (why, line) in self.examples {
            let _ = writeln!(text, "  {why}:\n      {line}");
        }
        let pages = self.see_also.iter().map(|name| {
            let (name, section) = reference(name);
            format!("{name}({section})")
        });
        text + "\nSee also: " + &pages.collect::<Vec<_>>().join(", ")
    }

    /// The sections of the man page.
    pub(super) fn roff(&self) -> String {
        let mut text = String::from(".SH EXAMPLES\n");
        for (why, line) in self.examples {
            let (why, line) = (escaped(why), escaped(line));
            let _ = write!(text, ".PP\n{why}:\n.PP\n.RS 4\n.nf\n{line}\n.fi\n.RE\n");
        }
        text += ".SH \"SEE ALSO\"\n";
        let pages = self.see_also.iter().map(|name| {
            let (name, section) = reference(name);
            format!("\\fB{}\\fR({section})", escaped(&name))
        });
        text + &pages.collect::<Vec<_>>().join(",\n") + "\n"
    }
}

/// Text as roff takes it: no line of it begins with a dot.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::super::Cli;
    use super::*;

    /// The words of a line, as a shell has them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                // What follows is the shell's.
                '<' if !quoted => break,
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn examples_are_lines_that_are_understood() {
        for page in PAGES {
            assert!(!page.examples.is_empty() && !page.see_also.is_empty());
            for (_, line) in page.examples {
                if let Err(error) = Cli::try_parse_from(words(line)) {
                    panic!("{line}: {error}");
                }
                let command = format!("evdev-client {}", page.command);
                assert!(line.starts_with(command.trim_end()), "{line}");
            }
        }
    }

    /// Each command has a page here, and each page is of a command.
    #[test]
    fn every_command_has_examples() {
        fn walk(command: &clap::Command, name: &str, found: &mut Vec<String>) {
            found.push(name.trim().to_owned());
            for inner in command.get_subcommands() {
                walk(inner, &format!("{name} {}", inner.get_name()), found);
            }
        }
        let mut commands = Vec::new();
        walk(&Cli::command(), "", &mut commands);
        commands.sort();
        let mut pages: Vec<&str> = PAGES.iter().map(|page| page.command).collect();
        pages.sort_unstable();
        assert_eq!(pages, commands);
        attach(Cli::command()).debug_assert();
    }
}
