// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tutorials, done as a newcomer does it: every command of the page is run,
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

/// The pages; the files of each are in the folder of its name.
const PAGES: [&str; 2] = ["docs/tutorial", "docs/tutorial-rust"];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn blocks(page: &str) -> Vec<Block> {
    let path = checkout().join(format!("{page}.md"));
    let text = fs::read_to_string(path).expect("reading the page");
    page::blocks(&text).unwrap_or_else(|error| panic!("{page}.md:{error}"))
}

fn steps(page: &str) -> Vec<Step> {
    blocks(page)
        .into_iter()
        .flat_map(|block| match block {
            Block::Console(steps) => steps,
            Block::File { .. } => Vec::new(),
        })
        .collect()
}

#[test]
fn the_files_are_as_they_are_quoted() {
    for page in PAGES {
        let mut quoted = Vec::new();
        for block in blocks(page) {
            if let Block::File { line, path, text } = block {
                let file = fs::read_to_string(checkout().join(&path))
                    .unwrap_or_else(|error| panic!("{page}.md:{line}: reading {path}: {error}"));
                assert_eq!(text, file, "{page}.md:{line} is not what {path} has");
                quoted.push(checkout().join(path));
            }
        }
        let folder = fs::read_dir(checkout().join(page)).expect("its files");
        for entry in folder {
            let path = entry.expect("an entry").path();
            assert!(quoted.contains(&path), "{page}.md does not quote {path:?}");
        }
    }
}

#[test]
fn each_command_does_what_the_page_shows() {
    run(PAGES[0]);
}

/// A module in Rust, built from a folder outside of the source.
#[test]
fn each_command_does_what_the_page_in_rust_shows() {
    run(PAGES[1]);
}

fn run(page: &str) {
    let steps = steps(page);
    assert!(!steps.is_empty(), "{page}.md has no commands");
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
            panic!("{page}.md:{}: {}\n{error}", step.line, step.command);
        }
    }
    assert!(guest.is_none(), "{page}.md: the last guest is not left");
}
