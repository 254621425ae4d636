// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the kernel has answered beside what it must.

use evq::uapi::Event;

use super::expect::Expected;
use super::Run;
use crate::model::actor::{mapped_bytes, take_signals, Answer};
use crate::model::reference::Shown;
use crate::model::step::{Op, Slot, Who};
use crate::support::device::*;
use crate::support::memory::page;

impl Run<'_> {
    pub(super) fn compare(
        &mut self,
        who: Who,
        op: &Op,
        expected: &Expected,
        answer: &Answer,
    ) -> Result<(), String> {
        let same = match expected {
            Expected::Value(value) => answer.value == *value,
            Expected::Filled(bytes) => answer.value == 0 && answer.data == *bytes,
            Expected::Records(_) => {
                let Op::Read { slot, .. } = *op else {
                    unreachable!("only reads give records")
                };
                return self.compare_read(who, slot, expected, answer);
            }
            Expected::Shown(shown) => {
                let Op::Map { slot, .. } = *op else {
                    unreachable!("only mappings show anything")
                };
                return self.compare_map(who, slot, shown, answer);
            }
            Expected::Reports(reports) => {
                let words: Vec<_> = answer
                    .data
                    .chunks_exact(8)
                    .map(|word| u64::from_ne_bytes(word.try_into().expect("8 bytes")))
                    .collect();
                let told: Vec<_> = words
                    .chunks_exact(2)
                    .map(|word| (word[0], word[1] as u32))
                    .collect();
                told.iter().all(|(id, events)| {
                    reports
                        .iter()
                        .any(|report| (report.id, report.events) == (*id, *events))
                }) && reports
                    .iter()
                    .all(|report| !report.certain || told.iter().any(|(id, _)| *id == report.id))
                    && told
                        .iter()
                        .enumerate()
                        .all(|(at, (id, _))| told[..at].iter().all(|(other, _)| other != id))
            }
        };
        if same {
            Ok(())
        } else {
            Err(format!("expected {expected:?}, got {answer:?}"))
        }
    }

    /// The records, but for the time, and the time by itself.
    pub(super) fn compare_read(
        &mut self,
        who: Who,
        slot: Slot,
        expected: &Expected,
        answer: &Answer,
    ) -> Result<(), String> {
        let Expected::Records(records) = expected else {
            return self.compare(who, &Op::GetFlags { slot }, expected, answer);
        };
        if answer.value < 0
            || answer.value as usize != answer.data.len()
            || answer.data.len() % EVENT_SIZE != 0
        {
            return Err(format!(
                "expected {} records, got {answer:?}",
                records.len()
            ));
        }
        let got = events(&answer.data);
        let numbers = |events: &[Event]| {
            events
                .iter()
                .map(|event| (event.seq, event.lost))
                .collect::<Vec<_>>()
        };
        if numbers(&got) != numbers(records) {
            return Err(format!(
                "expected numbers and losses {:?}, got {:?}",
                numbers(records),
                numbers(&got)
            ));
        }
        for (event, expected) in got.iter().zip(records) {
            self.compare_event(who, slot, expected, event)?;
        }
        Ok(())
    }

    /// The header of the mapping, and the slots of the events that are kept.
    pub(super) fn compare_map(
        &mut self,
        who: Who,
        slot: Slot,
        shown: &Shown,
        answer: &Answer,
    ) -> Result<(), String> {
        if answer.value != 0 || answer.data.len() != mapped_bytes() {
            return Err(format!(
                "expected a mapping of {} bytes, got {answer:?}",
                mapped_bytes()
            ));
        }
        let word =
            |at: usize| u64::from_ne_bytes(answer.data[at..at + 8].try_into().expect("8 bytes"));
        let header = [0, 8, 16, 64].map(word);
        let expected = [
            1 | u64::from(shown.capacity) << 32,
            page() as u64,
            shown.instance,
            shown.newest,
        ];
        if header != expected {
            return Err(format!(
                "expected a mapping with {expected:x?} in its header, got {header:x?}"
            ));
        }
        for expected in &shown.events {
            let at = page() + (expected.seq as usize % shown.capacity as usize) * EVENT_SIZE;
            let event = events(&answer.data[at..at + EVENT_SIZE])[0];
            self.compare_event(who, slot, expected, &event)?;
        }
        Ok(())
    }

    pub(super) fn compare_event(
        &mut self,
        who: Who,
        slot: Slot,
        expected: &Event,
        event: &Event,
    ) -> Result<(), String> {
        let same = Event {
            time_ns: expected.time_ns,
            ..*event
        };
        if same != *expected {
            return Err(format!("expected {expected:?}, got {event:?}"));
        }
        self.model.learn_time(who, slot, event)
    }

    /// F1 to F4: each process has been sent what the model says, and nothing else.
    pub(super) fn compare_signals(&mut self) -> Result<(), String> {
        let expected = self.model.take_pending(Who::Parent);
        let got = take_signals();
        if got != expected {
            return Err(format!(
                "signals to the Parent: expected {expected:?}, got {got:?}"
            ));
        }
        let Some(partner) = &mut self.partner else {
            return Ok(());
        };
        let expected = self.model.take_pending(Who::Child);
        let got = partner.take_signals();
        if got != expected {
            return Err(format!(
                "signals to the Child: expected {expected:?}, got {got:?}"
            ));
        }
        Ok(())
    }
}
