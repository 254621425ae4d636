// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the host and the init of the guest say to one another.
//!
//! Two ports carry it:
//!
//! * **data, the command's stdio, in frames**: one byte for the stream, two
//!   bytes for the length (little endian), then that many bytes. Frames keep
//!   stdout and stderr apart, and together with the byte counts at the end
//!   they show that nothing is missing. A frame of length 0 on
//!   [`Stream::Stdin`] is the end of the input, one on [`Stream::Stdout`] the
//!   end of all output. A serial port has no flow control towards the guest,
//!   so the host sends one stdin frame and waits for its acknowledgement, an
//!   empty stdin frame the other way. It is the virtio port of the name
//!   [`VIRTIO_PORT`] where the kernel has one, a hundred times faster than
//!   ttyS1 in raw mode, which any kernel has.
//! * **control, in lines of text, ttyS2**: see [`Report`] for guest to host;
//!   the host sends `answer ID ok`, `answer ID error TEXT`,
//!   `size ROWS COLUMNS`, and `bye` when it has all the output: then the
//!   guest may reset the machine.

use std::fmt;
use std::io::{self, Read, Write};

/// Version of this protocol: the first word after `hello`.
pub const VERSION: u32 = 1;

/// Bytes of payload in one frame at most.
pub const FRAME_MAX: usize = 32 * 1024;

/// The same for stdin: a frame has to fit into the 4096 bytes that the line
/// discipline of the guest buffers.
pub const STDIN_MAX: usize = 2048;

/// Name of the virtio port for data.
pub const VIRTIO_PORT: &str = "evq.data";

/// On the kernel's command line: data over ttyS1, whatever the kernel has.
pub const SERIAL_DATA: &str = "evq_vm.data=serial";

/// Written to the kernel log last: what comes behind it is the reboot.
pub const LOG_END: &str = "evq-vm: end of run";

/// Where the guest's init finds what it has to do.
pub mod path {
    /// argv of the command, each word ended by NUL.
    pub const ARGV: &str = "/etc/evq-vm/argv";
    /// `NAME=VALUE` of the command's environment, each ended by NUL.
    pub const ENV: &str = "/etc/evq-vm/env";
    /// Modules to load in this order, one path per line.
    pub const LOAD: &str = "/etc/evq-vm/load";
    /// `pipe`, or `tty ROWS COLUMNS` for a command on a terminal of its own.
    pub const STDIO: &str = "/etc/evq-vm/stdio";
    /// Unix socket on which `vm-ctl` reaches init.
    pub const CONTROL: &str = "/run/vm-ctl.sock";
}

/// The stream that a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Host to guest, and its acknowledgement.
    Stdin,
    /// Guest to host.
    Stdout,
    /// Guest to host.
    Stderr,
}

impl Stream {
    fn tag(self) -> u8 {
        match self {
            Self::Stdin => 0x30,
            Self::Stdout => 0x31,
            Self::Stderr => 0x32,
        }
    }
}

/// Writes `data` as one frame, in one `write` call.
///
/// # Errors
/// Those of the writer; `InvalidInput` for more than [`FRAME_MAX`] bytes.
pub fn write_frame(to: &mut impl Write, stream: Stream, data: &[u8]) -> io::Result<()> {
    if data.len() > FRAME_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "frame too long",
        ));
    }
    let mut frame = Vec::with_capacity(data.len() + 3);
    frame.push(stream.tag());
    frame.extend_from_slice(&(data.len() as u16).to_le_bytes());
    frame.extend_from_slice(data);
    to.write_all(&frame)
}

/// Reads one frame; `None` at a clean end, between two frames. Blocks.
///
/// # Errors
/// `UnexpectedEof` for an end inside a frame, `InvalidData` for bytes that are
/// no frame.
pub fn read_frame(from: &mut impl Read) -> io::Result<Option<(Stream, Vec<u8>)>> {
    let mut tag = [0; 1];
    loop {
        match from.read(&mut tag) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let stream = [Stream::Stdin, Stream::Stdout, Stream::Stderr]
        .into_iter()
        .find(|stream| stream.tag() == tag[0])
        .ok_or_else(|| bad_frame(format!("a frame cannot begin with byte {:#04x}", tag[0])))?;
    let mut length = [0; 2];
    from.read_exact(&mut length)?;
    let length = usize::from(u16::from_le_bytes(length));
    if length > FRAME_MAX {
        return Err(bad_frame(format!("a frame cannot have {length} bytes")));
    }
    let mut data = vec![0; length];
    from.read_exact(&mut data)?;
    Ok(Some((stream, data)))
}

fn bad_frame(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// What carries the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataPort {
    /// ttyS1.
    Serial,
    /// The virtio port.
    Virtio,
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this status.
    Exited(u8),
    /// This signal killed it.
    Signalled(i32),
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signalled(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by signal {number} ({signal})"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// One line from the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// `hello VERSION`: init runs.
    Hello(u32),
    /// `tainted before|after VALUE`: /proc/sys/kernel/tainted.
    Tainted {
        /// False for the value before the first module was loaded.
        after: bool,
        /// The bits.
        value: u64,
    },
    /// `section MODULE NAME ADDRESS`: for a debugger.
    Section {
        /// Name of the module.
        module: String,
        /// Name of the section, `.text` for one.
        name: String,
        /// Where it was loaded, as the kernel prints it.
        address: String,
    },
    /// `failed TEXT`: init could not get as far as the command.
    Failed(String),
    /// `start PORT`: the command is started next, with its data on this port.
    Start(DataPort),
    /// `ask ID WORDS`: a request of vm-ctl.
    Ask {
        /// To be repeated in the answer.
        id: u64,
        /// `down KEY`, `up KEY` or `nmi`.
        words: String,
    },
    /// `exit CODE` or `signal NUMBER`.
    Status(Status),
    /// `done OUT ERR`: all output was sent, so many bytes of stdout and stderr.
    Done {
        /// Bytes of stdout.
        out: u64,
        /// Bytes of stderr.
        err: u64,
    },
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello(version) => write!(f, "hello {version}"),
            Self::Tainted {
                after: false,
                value,
            } => write!(f, "tainted before {value}"),
            Self::Tainted { after: true, value } => write!(f, "tainted after {value}"),
            Self::Section {
                module,
                name,
                address,
            } => {
                write!(f, "section {module} {name} {address}")
            }
            Self::Failed(text) => write!(f, "failed {}", text.replace('\n', "; ")),
            Self::Start(DataPort::Serial) => f.write_str("start serial"),
            Self::Start(DataPort::Virtio) => f.write_str("start virtio"),
            Self::Ask { id, words } => write!(f, "ask {id} {words}"),
            Self::Status(Status::Exited(code)) => write!(f, "exit {code}"),
            Self::Status(Status::Signalled(number)) => write!(f, "signal {number}"),
            Self::Done { out, err } => write!(f, "done {out} {err}"),
        }
    }
}

impl std::str::FromStr for Report {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> anyhow::Result<Self> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<&str> = rest.split(' ').collect();
        Ok(match (verb, words.as_slice()) {
            ("hello", [version]) => Self::Hello(version.parse()?),
            ("tainted", [when @ ("before" | "after"), value]) => Self::Tainted {
                after: *when == "after",
                value: value.parse()?,
            },
            ("section", [module, name, address]) => Self::Section {
                module: (*module).into(),
                name: (*name).into(),
                address: (*address).into(),
            },
            ("failed", _) => Self::Failed(rest.into()),
            ("start", ["serial"]) => Self::Start(DataPort::Serial),
            ("start", ["virtio"]) => Self::Start(DataPort::Virtio),
            ("ask", [id, _, ..]) => Self::Ask {
                id: id.parse()?,
                words: words[1..].join(" "),
            },
            ("exit", [code]) => Self::Status(Status::Exited(code.parse()?)),
            ("signal", [number]) => Self::Status(Status::Signalled(number.parse()?)),
            ("done", [out, err]) => Self::Done {
                out: out.parse()?,
                err: err.parse()?,
            },
            _ => anyhow::bail!("no report of the guest's init: {line:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_went() {
        let mut wire = Vec::new();
        write_frame(&mut wire, Stream::Stdout, b"one").unwrap();
        write_frame(&mut wire, Stream::Stderr, &[0xff; FRAME_MAX]).unwrap();
        write_frame(&mut wire, Stream::Stdin, b"").unwrap();
        let mut wire = wire.as_slice();
        assert_eq!(
            read_frame(&mut wire).unwrap().unwrap(),
            (Stream::Stdout, b"one".to_vec())
        );
        assert_eq!(
            read_frame(&mut wire).unwrap().unwrap(),
            (Stream::Stderr, vec![0xff; FRAME_MAX])
        );
        assert_eq!(
            read_frame(&mut wire).unwrap().unwrap(),
            (Stream::Stdin, Vec::new())
        );
        assert_eq!(read_frame(&mut wire).unwrap(), None);
    }

    #[test]
    fn a_cut_or_garbled_frame_is_an_error() {
        let mut wire = Vec::new();
        write_frame(&mut wire, Stream::Stdout, b"one").unwrap();
        for cut in 1..wire.len() {
            let error = read_frame(&mut &wire[..cut]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "cut at {cut}");
        }
        let error = read_frame(&mut &b"hello"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = read_frame(&mut &b"1\xff\xff"[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = write_frame(&mut Vec::new(), Stream::Stdout, &[0; FRAME_MAX + 1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn reports_come_back_as_they_went() {
        for report in [
            Report::Hello(VERSION),
            Report::Tainted {
                after: false,
                value: 0,
            },
            Report::Tainted {
                after: true,
                value: 12288,
            },
            Report::Section {
                module: "evq".into(),
                name: ".text".into(),
                address: "0xffffffffc0000000".into(),
            },
            Report::Failed("insmod evq.ko: bad format".into()),
            Report::Start(DataPort::Serial),
            Report::Start(DataPort::Virtio),
            Report::Ask {
                id: 7,
                words: "down shift".into(),
            },
            Report::Status(Status::Exited(255)),
            Report::Status(Status::Signalled(9)),
            Report::Done { out: 3, err: 0 },
        ] {
            assert_eq!(report.to_string().parse::<Report>().unwrap(), report);
        }
    }

    #[test]
    fn other_lines_are_refused() {
        for line in [
            "",
            "exit",
            "exit 256",
            "exit x",
            "done 1",
            "ask 1",
            "start now",
            "bye",
        ] {
            assert!(line.parse::<Report>().is_err(), "{line:?} was taken");
        }
    }
}
