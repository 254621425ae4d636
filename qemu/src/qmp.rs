// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client of QEMU's monitor protocol.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{bail, ensure, Context};
use serde_json::{json, Value};

/// How long QEMU may take for an answer; it gives them within milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A connection on which commands are accepted.
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Reads the greeting and leaves negotiation mode.
    ///
    /// # Errors
    /// QEMU does not answer, or with something else.
    pub fn new(stream: UnixStream) -> anyhow::Result<Self> {
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        let mut this = Self {
            stream: BufReader::new(stream),
        };
        let greeting = this.read()?;
        ensure!(
            greeting.get("QMP").is_some(),
            "no greeting of QMP: {greeting}"
        );
        this.execute("qmp_capabilities", &json!({}))?;
        Ok(this)
    }

    /// Runs a command and waits for its result.
    ///
    /// # Errors
    /// QEMU refuses the command (its own words), or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> anyhow::Result<Value> {
        let line = json!({ "execute": command, "arguments": arguments }).to_string() + "\n";
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .with_context(|| format!("sending {command} to QEMU"))?;
        loop {
            let mut answer = self
                .read()
                .with_context(|| format!("the answer to {command}"))?;
            if let Some(result) = answer.get_mut("return") {
                return Ok(result.take());
            }
            if let Some(error) = answer.get("error") {
                bail!(
                    "{}",
                    error["desc"].as_str().unwrap_or("an error without a text")
                );
            }
            // Events come in between.
        }
    }

    /// Does what `vm-ctl` in the guest has asked for.
    ///
    /// # Errors
    /// The request is not understood, or QEMU refuses it.
    pub fn request(&mut self, words: &str) -> anyhow::Result<()> {
        match words.split(' ').collect::<Vec<_>>().as_slice() {
            ["down", key] => self.key(key, true),
            ["up", key] => self.key(key, false),
            ["nmi"] => self.execute("inject-nmi", &json!({})).map(drop),
            ["trace", "on"] => {
                self.single_step("on")?;
                self.monitor("log exec,nochain")
            }
            ["trace", "off"] => {
                self.monitor("log none")?;
                self.single_step("off")
            }
            _ => bail!("wanted 'down KEY', 'up KEY', 'nmi' or 'trace on|off', not {words:?}"),
        }
    }

    /// Translates each instruction by itself, so that each is recorded.
    fn single_step(&mut self, on: &str) -> anyhow::Result<()> {
        self.monitor(&format!("one-insn-per-tb {on}"))
            // Its name before QEMU 8.1.
            .or_else(|_| self.monitor(&format!("singlestep {on}")))
    }

    /// Runs a command of the monitor for people; those that are used here say
    /// nothing unless they fail.
    fn monitor(&mut self, line: &str) -> anyhow::Result<()> {
        let said = self.execute("human-monitor-command", &json!({ "command-line": line }))?;
        let said = said.as_str().unwrap_or("no text").trim();
        ensure!(said.is_empty(), "{line}: {said}");
        Ok(())
    }

    fn key(&mut self, key: &str, down: bool) -> anyhow::Result<()> {
        let key = json!({ "type": "qcode", "data": key });
        let event = json!({ "type": "key", "data": { "down": down, "key": key } });
        self.execute("input-send-event", &json!({ "events": [event] }))
            .map(drop)
    }

    fn read(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        let count = self
            .stream
            .read_line(&mut line)
            .context("reading from QEMU's monitor")?;
        ensure!(count > 0, "QEMU has closed its monitor");
        serde_json::from_str(&line).with_context(|| format!("QEMU's monitor sent {line:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Answers what the client sends with these lines, and returns what it sent.
    fn talk(answers: &'static [&'static str], words: &str) -> (anyhow::Result<()>, Vec<String>) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let qemu = thread::spawn(move || {
            let mut stream = &theirs;
            stream.write_all(b"{\"QMP\": {}}\n").unwrap();
            let mut lines = BufReader::new(&theirs).lines();
            let mut sent = vec![lines.next().unwrap().unwrap()];
            stream.write_all(b"{\"return\": {}}\n").unwrap();
            if let Some(Ok(line)) = lines.next() {
                sent.push(line);
                for answer in answers {
                    stream.write_all(format!("{answer}\n").as_bytes()).unwrap();
                }
            }
            if !answers.is_empty() {
                sent.extend(lines.map_while(Result::ok));
            }
            sent
        });
        let mut qmp = Qmp::new(ours).unwrap();
        let result = qmp.request(words);
        drop(qmp);
        (result, qemu.join().unwrap())
    }

    #[test]
    fn a_key_is_one_event_and_other_events_are_passed_over() {
        let (result, sent) = talk(&["{\"event\": \"RESUME\"}", "{\"return\": {}}"], "down a");
        result.unwrap();
        let command: Value = serde_json::from_str(&sent[1]).unwrap();
        assert_eq!(command["execute"], "input-send-event");
        let event = &command["arguments"]["events"][0]["data"];
        assert_eq!(event["down"], true);
        assert_eq!(event["key"]["data"], "a");
    }

    #[test]
    fn a_refusal_has_the_words_of_qemu() {
        let (result, _) = talk(&["{\"error\": {\"desc\": \"no such key\"}}"], "up what");
        assert_eq!(result.unwrap_err().to_string(), "no such key");
    }

    #[test]
    fn a_trace_is_an_instruction_a_line_whatever_the_monitor_calls_it() {
        let lines = |sent: &[String]| -> Vec<Value> {
            let command = |line: &String| -> Value { serde_json::from_str(line).unwrap() };
            let line = |line| command(line)["arguments"]["command-line"].clone();
            sent[1..].iter().map(line).collect()
        };
        let (result, sent) = talk(&["{\"return\": \"\"}", "{\"return\": \"\"}"], "trace on");
        result.unwrap();
        assert_eq!(lines(&sent), ["one-insn-per-tb on", "log exec,nochain"]);

        const UNKNOWN: &str = "{\"return\": \"unknown command: 'one-insn-per-tb'\\r\\n\"}";
        const ANSWERS: &[&str] = &[UNKNOWN, "{\"return\": \"\"}", "{\"return\": \"\"}"];
        let (result, sent) = talk(ANSWERS, "trace on");
        result.unwrap();
        assert_eq!(
            lines(&sent),
            ["one-insn-per-tb on", "singlestep on", "log exec,nochain"]
        );
    }

    #[test]
    fn what_the_monitor_says_is_why_not() {
        const SAID: &str = "{\"return\": \"cannot open the log\\r\\n\"}";
        let (result, _) = talk(&[SAID], "trace off");
        let error = result.unwrap_err().to_string();
        assert!(error.contains("cannot open the log"), "{error}");
    }

    #[test]
    fn a_lost_monitor_and_an_unknown_request_are_errors() {
        let (result, _) = talk(&[], "nmi");
        assert!(format!("{:#}", result.unwrap_err()).contains("closed"));
        let (result, sent) = talk(&[], "quit");
        assert!(result.unwrap_err().to_string().contains("wanted"));
        assert_eq!(sent.len(), 1);
    }
}
