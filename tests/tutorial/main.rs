// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tutorial, done as a newcomer does it: every command of the page is run,
//! on the host or in the VM that one of them starts, and what it prints is
//! compared with the page. The files that the page quotes are those that are
//! used.

mod lines;
mod page;
mod shell;

use std::fs;
use std::path::{Path, PathBuf};

use page::{Block, Place, Step};
use shell::Shell;

const PAGE: &str = "docs/tutorial.md";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn blocks() -> Vec<Block> {
    let text = fs::read_to_string(checkout().join(PAGE)).expect("reading the page");
    page::blocks(&text).unwrap_or_else(|error| panic!("{PAGE}:{error}"))
}

fn steps() -> Vec<Step> {
    blocks()
        .into_iter()
        .flat_map(|block| match block {
            Block::Console(steps) => steps,
            Block::File { .. } => Vec::new(),
        })
        .collect()
}

#[test]
fn the_files_are_as_they_are_quoted() {
    let mut quoted = Vec::new();
    for block in blocks() {
        if let Block::File { line, path, text } = block {
            let file = fs::read_to_string(checkout().join(&path))
                .unwrap_or_else(|error| panic!("{PAGE}:{line}: reading {path}: {error}"));
            assert_eq!(text, file, "{PAGE}:{line} is not what {path} has");
            quoted.push(checkout().join(path));
        }
    }
    let folder = fs::read_dir(checkout().join("docs/tutorial")).expect("its files");
    for entry in folder {
        let path = entry.expect("an entry").path();
        assert!(quoted.contains(&path), "{PAGE} does not quote {path:?}");
    }
}

#[test]
fn each_command_does_what_the_page_shows() {
    let steps = steps();
    assert!(!steps.is_empty(), "{PAGE} has no commands");
    let mut host = Shell::start(&checkout(), "bash");
    let mut guest: Option<Shell> = None;
    for (at, step) in steps.iter().enumerate() {
        let next = steps.get(at + 1).map(|step| step.place);
        let result = match (step.place, &mut guest) {
            (Place::Host, Some(_)) => Err("the guest has not been left with `exit`".into()),
            (Place::Guest, None) => Err("no command before it starts a guest".into()),
            // What starts a machine takes the commands that follow.
            (Place::Host, None) if next == Some(Place::Guest) => {
                guest = Some(Shell::start(&checkout(), &step.command));
                guest.as_mut().map_or(Ok(()), |guest| guest.greet(step))
            }
            (Place::Host, None) => host.run(step),
            (Place::Guest, Some(shell)) if step.command == "exit" => {
                let left = shell.leave(step);
                guest = None;
                left
            }
            (Place::Guest, Some(shell)) => shell.run(step),
        };
        if let Err(error) = result {
            panic!("{PAGE}:{}: {}\n{error}", step.line, step.command);
        }
    }
    assert!(guest.is_none(), "{PAGE}: the last guest is not left");
}
