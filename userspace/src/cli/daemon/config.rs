// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration file: TOML, checked as a whole before anything of it counts.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use evq::Position;
use serde::Deserialize;
use toml::Spanned;

use super::rule::{Action, Rule, Wanted};
use super::shape;
use crate::cli::decode::Decoders;
use crate::cli::filter::Filter;
use crate::cli::watch::position;
use crate::cli::whose::SourceWanted;

/// What a file says.
#[derive(Debug, PartialEq)]
pub(super) struct Config {
    pub(super) devices: Vec<Device>,
    pub(super) rules: Vec<Rule>,
    pub(super) hooks: Limits,
    pub(super) metrics: Option<Listen>,
    /// What events mean.
    pub(super) decoders: Decoders,
}

/// A device to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) path: PathBuf,
    /// Where to start in a queue that was not kept from before.
    pub(super) from: Position,
    /// Whether to wait for it if it is not there.
    pub(super) wait: bool,
}

/// What bounds the hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Hooks that run at the same time.
    pub(super) running: usize,
    /// For a hook that names no limit of its own.
    pub(super) time_limit: Duration,
    /// Between SIGTERM and SIGKILL.
    pub(super) grace: Duration,
    /// For what is left to do when the daemon is told to stop.
    pub(super) stop: Duration,
}

/// Hooks at a time, unless the file says otherwise: more than a small machine
/// has processors, far fewer than it has processes.
const RUNNING: usize = 8;
const TIME_LIMIT: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(5);
/// Below the 90 s after which systemd kills by default.
const STOP: Duration = Duration::from_secs(20);
/// Whatever takes longer has no limit; clocks do not reach much further.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// Where metrics are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listen {
    Unix(PathBuf),
    /// A loopback address.
    Tcp(SocketAddr),
}

/// A file that cannot be used, and where in it the reason is.
#[derive(Debug)]
pub(super) struct BadConfig {
    path: PathBuf,
    /// Line and column, from 1.
    place: Option<(usize, usize)>,
    message: String,
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for BadConfig {}

/// What is wrong, and with which part of the text.
pub(super) type Wrong = (Option<Range<usize>>, String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileTable {
    #[serde(default)]
    decode: Vec<Spanned<PathBuf>>,
    #[serde(default, rename = "device")]
    devices: Vec<DeviceTable>,
    #[serde(default, rename = "rule")]
    rules: Vec<Spanned<RuleTable>>,
    #[serde(default)]
    hooks: HooksTable,
    metrics: Option<MetricsTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceTable {
    path: Spanned<PathBuf>,
    from: Option<Spanned<FromValue>>,
    #[serde(default)]
    wait: bool,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "give newest, oldest, or a sequence number from 1"
)]
enum FromValue {
    Name(String),
    Seq(u64),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleTable {
    name: Spanned<String>,
    device: Option<Spanned<PathBuf>>,
    source: Option<Spanned<String>>,
    #[serde(rename = "type")]
    types: Option<Spanned<Choice>>,
    #[serde(rename = "code")]
    codes: Option<Spanned<Choice>>,
    #[serde(rename = "value")]
    values: Option<Spanned<Vec<i32>>>,
    event: Option<Spanned<String>>,
    #[serde(default)]
    fields: BTreeMap<String, FieldValue>,
    run: Option<Spanned<Vec<String>>>,
    time_limit: Option<Spanned<String>>,
    append: Option<Spanned<PathBuf>>,
    log: Option<Spanned<bool>>,
    journal: Option<Spanned<bool>>,
    #[serde(default)]
    show_keys: bool,
}

/// One of them, or several.
#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "give a number from 0 to 65535, a name as watch prints it, or a list of them"
)]
enum Choice {
    One(Number),
    Several(Vec<Number>),
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Number {
    Plain(u16),
    Name(String),
}

/// What a field of a decoded event must say.
#[derive(Deserialize)]
#[serde(untagged, expecting = "give a text or a number")]
enum FieldValue {
    Integer(i64),
    Float(f64),
    Text(String),
}

impl FieldValue {
    /// As text has it.
    fn text(self) -> String {
        match self {
            FieldValue::Integer(number) => number.to_string(),
            FieldValue::Float(number) => number.to_string(),
            FieldValue::Text(text) => text,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HooksTable {
    running: Option<Spanned<usize>>,
    time_limit: Option<Spanned<String>>,
    grace: Option<Spanned<String>>,
    stop: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MetricsTable {
    listen: Spanned<String>,
}

impl Config {
    /// Reads and checks a file.
    pub(super) fn read(path: &Path) -> Result<Config, BadConfig> {
        let bad = |place, message| BadConfig {
            path: path.to_owned(),
            place,
            message,
        };
        let bytes = fs::read(path).map_err(|error| {
            bad(
                None,
                format!("cannot read it: {error}; give the path of a configuration with --config"),
            )
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let place = place(&String::from_utf8_lossy(valid), valid.len());
            bad(Some(place), "this is no text (UTF-8)".into())
        })?;
        Config::parse(&text)
            .map_err(|(span, message)| bad(span.map(|span| place(&text, span.start)), message))
    }

    fn parse(text: &str) -> Result<Config, Wrong> {
        shape::check(text)?;
        let file: FileTable = toml::from_str(text).map_err(|error| {
            let message = error.message();
            let message = shape::hint_for_missing(message).unwrap_or_else(|| message.into());
            (error.span(), message)
        })?;
        let mut paths = HashSet::new();
        let mut devices = Vec::new();
        for table in file.devices {
            let (span, path) = (table.path.span(), table.path.into_inner());
            if !is_whole(&path) {
                return wrong(&span, "give the whole path of a device, such as /dev/evq");
            }
            if !paths.insert(path.clone()) {
                return wrong(&span, "this device is there already; leave one of them out");
            }
            devices.push(Device {
                path,
                from: table.from.map_or(Ok(Position::Newest), from)?,
                wait: table.wait,
            });
        }
        if devices.is_empty() {
            return Err((
                None,
                "there is nothing to watch; add [[device]] with path = \"/dev/evq\"".into(),
            ));
        }
        let hooks = file.hooks.limits()?;
        let decoders = decoders(file.decode)?;
        let mut names = HashSet::new();
        let mut rules = Vec::new();
        for table in file.rules {
            let whole = table.span();
            let rule = table.into_inner();
            if !names.insert(rule.name.get_ref().clone()) {
                return wrong(&rule.name.span(), "another rule has this name already");
            }
            if let Some(device) = rule
                .device
                .as_ref()
                .filter(|device| !paths.contains(device.get_ref()))
            {
                return wrong(
                    &device.span(),
                    "no [[device]] has this path; add one, or mend the path",
                );
            }
            if let Some(event) = rule
                .event
                .as_ref()
                .filter(|event| !decoders.know(event.get_ref()))
            {
                return wrong(
                    &event.span(),
                    "no decoder file has this name; add the file to decode = [\"/FILE\"], or \
                     mend the name: a decoder's, or a decoder's and a code's, such as \
                     \"doorbell front\"",
                );
            }
            rules.push(rule.checked(whole, hooks.time_limit)?);
        }
        Ok(Config {
            devices,
            rules,
            hooks,
            metrics: file.metrics.map(listen).transpose()?,
            decoders,
        })
    }
}

impl RuleTable {
    fn checked(self, whole: Range<usize>, time_limit: Duration) -> Result<Rule, Wrong> {
        if let (None, Some(limit)) = (&self.run, &self.time_limit) {
            return wrong(&limit.span(), "only a rule with run has a limit of time");
        }
        let [log, journal] =
            [self.log, self.journal].map(|flag| flag.is_some_and(Spanned::into_inner));
        let action = match (self.run, self.append, log, journal) {
            (Some(run), None, false, false) => {
                let (span, argv) = (run.span(), run.into_inner());
                if !argv.first().is_some_and(|program| program.starts_with('/')) {
                    return wrong(
                        &span,
                        "give the whole path of a program, then its arguments: [\"/usr/bin/logger\", \"hello\"]; no shell looks at it",
                    );
                }
                if argv.iter().any(|argument| argument.contains('\0')) {
                    return wrong(&span, "an argument cannot contain a NUL");
                }
                let time_limit = self.time_limit.map_or(Ok(time_limit), duration)?;
                Action::Run { argv, time_limit }
            }
            (None, Some(append), false, false) => {
                if !is_whole(append.get_ref()) {
                    return wrong(&append.span(), "give the whole path of a file");
                }
                Action::Append(append.into_inner())
            }
            (None, None, true, false) => Action::Log,
            (None, None, false, true) => Action::Journal,
            _ => return wrong(
                &whole,
                "a rule does one thing: run = [\"/PROGRAM\", …], append = \"/FILE\", log = true or journal = true",
            ),
        };
        let values = self.values.map(some);
        let source = self.source.map(source).transpose()?;
        Ok(Rule {
            name: self.name.into_inner(),
            wanted: Wanted {
                device: self.device.map(Spanned::into_inner),
                filter: Filter::new(
                    numbers(self.types)?,
                    numbers(self.codes)?,
                    source.into_iter().collect(),
                ),
                values: values.transpose()?,
                event: self.event.map(Spanned::into_inner),
                fields: self
                    .fields
                    .into_iter()
                    .map(|(name, value)| (name, value.text()))
                    .collect(),
            },
            action,
            show_keys: self.show_keys,
        })
    }
}

impl HooksTable {
    fn limits(self) -> Result<Limits, Wrong> {
        let running = match self.running {
            Some(running) if *running.get_ref() == 0 => {
                return wrong(&running.span(), "at least one hook must be able to run")
            }
            Some(running) => running.into_inner(),
            None => RUNNING,
        };
        Ok(Limits {
            running,
            time_limit: self.time_limit.map_or(Ok(TIME_LIMIT), duration)?,
            grace: self.grace.map_or(Ok(GRACE), duration)?,
            stop: self.stop.map_or(Ok(STOP), duration)?,
        })
    }
}

fn wrong<T>(span: &Range<usize>, message: &str) -> Result<T, Wrong> {
    Err((Some(span.clone()), message.to_owned()))
}

fn from(value: Spanned<FromValue>) -> Result<Position, Wrong> {
    let text = match value.get_ref() {
        FromValue::Name(name) => name.clone(),
        FromValue::Seq(seq) => seq.to_string(),
    };
    position(&text).map_err(|message| (Some(value.span()), message))
}

fn duration(text: Spanned<String>) -> Result<Duration, Wrong> {
    match humantime::parse_duration(text.get_ref()) {
        Ok(duration) if !duration.is_zero() && duration <= LONGEST => Ok(duration),
        _ => wrong(
            &text.span(),
            "give a time above 0, and up to a year, with its unit, such as \"500ms\" or \"2min\"",
        ),
    }
}

fn source(text: Spanned<String>) -> Result<SourceWanted, Wrong> {
    let parsed = text.get_ref().parse();
    parsed.map_err(|message: &str| (Some(text.span()), message.into()))
}

/// Numbers or names; none if nothing is said.
fn numbers<T>(choice: Option<Spanned<Choice>>) -> Result<Vec<T>, Wrong>
where
    T: From<u16> + FromStr<Err = String>,
{
    let Some(choice) = choice else {
        return Ok(Vec::new());
    };
    let span = choice.span();
    let several = match choice.into_inner() {
        Choice::One(number) => vec![number],
        Choice::Several(numbers) => numbers,
    };
    let numbers = several.into_iter().map(|number| match number {
        Number::Plain(number) => Ok(number.into()),
        Number::Name(name) => name
            .parse()
            .map_err(|message| (Some(span.clone()), message)),
    });
    some(Spanned::new(
        span.clone(),
        numbers.collect::<Result<_, _>>()?,
    ))
}

/// A list that has something in it: nothing would match an empty one.
fn some<T>(list: Spanned<Vec<T>>) -> Result<Vec<T>, Wrong> {
    if list.get_ref().is_empty() {
        return wrong(
            &list.span(),
            "give one at least, or leave it out to have all",
        );
    }
    Ok(list.into_inner())
}

/// All of them are read now: a reload reads them again.
fn decoders(files: Vec<Spanned<PathBuf>>) -> Result<Decoders, Wrong> {
    let whole = files.first().map(Spanned::span);
    if let Some(file) = files.iter().find(|file| !is_whole(file.get_ref())) {
        return wrong(&file.span(), "give the whole path of a decoder file");
    }
    let paths: Vec<_> = files.into_iter().map(Spanned::into_inner).collect();
    Decoders::load(&paths).map_err(|bad| (whole, bad.to_string()))
}

/// Whether a path could be opened, from wherever.
fn is_whole(path: &Path) -> bool {
    path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0)
}

fn listen(table: MetricsTable) -> Result<Listen, Wrong> {
    let text = table.listen.get_ref();
    let unix = text.strip_prefix("unix:").map(PathBuf::from);
    match (unix, text.parse::<SocketAddr>()) {
        (Some(path), _) if is_whole(&path) => Ok(Listen::Unix(path)),
        (None, Ok(address)) if address.ip().is_loopback() => Ok(Listen::Tcp(address)),
        _ => wrong(
            &table.listen.span(),
            "give unix:/PATH of a socket, or a loopback address with a port: 127.0.0.1:9752",
        ),
    }
}

/// Line and column of a byte, from 1.
fn place(text: &str, at: usize) -> (usize, usize) {
    let boundary = (0..=at.min(text.len())).rfind(|&at| text.is_char_boundary(at));
    let before = &text[..boundary.unwrap_or(0)];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use evq::Event;

    use super::super::rule::Seen;
    use super::*;

    /// What a decoder file says of events can be asked for.
    #[test]
    fn rules_want_what_decoders_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decoder.toml");
        let decoder = "[[decoder]]\nname = \"bell\"\nsource = \"pid\"\n\
                       codes = { 3 = \"front door\" }\n[[decoder.field]]\nname = \"level\"\n\
                       kind = \"u8\"\nvalues = { 1 = \"low\" }\n";
        fs::write(&path, decoder).unwrap();
        let parse = |rule: &str| {
            Config::parse(&format!(
                "decode = [{path:?}]\n[[device]]\npath = \"/dev/evq\"\n\
                 [[rule]]\nname = \"x\"\nlog = true\n{rule}"
            ))
        };
        // Another source; the front door, low and high; another code.
        let events = [(0x8001_0000, 3, 1), (42, 3, 1), (42, 3, 2), (42, 4, 1)];
        let events = events.map(|(source, code, level)| {
            let event = Event::new(1, code, &[level]).unwrap();
            Seen::Queue(Event { source, ..event })
        });
        for (rule, wanted) in [
            ("event = \"bell\"", [false, true, true, true]),
            ("event = \"bell front door\"", [false, true, true, false]),
            ("fields = { level = \"low\" }", [false, true, false, true]),
            ("fields = { level = 2 }", [false, false, true, false]),
            (
                "code = 3\nevent = \"bell\"\nfields = { level = \"low\" }",
                [false, true, false, false],
            ),
            ("fields = { volume = 2 }", [false; 4]),
        ] {
            let config = parse(rule).unwrap();
            let is = |seen| {
                let rule = &config.rules[0];
                rule.wanted.is("/dev/evq", seen, &config.decoders)
            };
            assert_eq!(events.each_ref().map(is), wanted, "{rule}");
        }
        for unknown in ["event = \"horn\"", "event = \"bell back\""] {
            let (span, message) = parse(unknown).unwrap_err();
            assert!(
                span.is_some() && message.contains("no decoder file"),
                "{message}"
            );
        }
    }

    /// A name is of a code of one type; a number may be of any.
    #[test]
    fn rules_want_what_their_names_mean() {
        let cases = [
            ("code = \"KEY_POWER\"", [true, false, false]),
            ("code = 116", [true, true, false]),
            ("type = [\"EV_REL\", 7]", [false, true, false]),
            (
                "type = \"EV_KEY\"\ncode = [116, \"KEY_B\"]",
                [true, false, true],
            ),
            ("source = \"pid\"", [false, true, false]),
            ("value = [0, 1]", [true, false, false]),
        ];
        // KEY_POWER, a program's own 116, KEY_B
        let events = [(1, 116, 0x8001_0000), (7, 116, 42), (1, 48, 0x8001_0000)];
        let events = events.map(|(type_, code, source)| {
            let data = if code == 116 { 1_i32 } else { 2 };
            let event = Event::new(type_, code, &data.to_ne_bytes()).unwrap();
            Seen::Queue(Event { source, ..event })
        });
        for (rule, wanted) in cases {
            let text = format!(
                "[[device]]\npath = \"/dev/evq\"\n[[rule]]\nname = \"x\"\nlog = true\n{rule}"
            );
            let config = Config::parse(&text).unwrap();
            let is = |seen| {
                config.rules[0]
                    .wanted
                    .is("/dev/evq", seen, &config.decoders)
            };
            assert_eq!(events.each_ref().map(is), wanted, "{rule}");
        }
    }
}
