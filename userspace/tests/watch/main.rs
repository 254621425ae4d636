// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evdev-client watch` on what every machine has: terminals, FIFOs, sockets,
//! timers, standard input. Queues and input devices are watched in the VM.

mod hotplug;
mod names;
mod options;
mod program;
mod signals;
mod sources;
mod times;
