// SPDX-License-Identifier: MIT OR Apache-2.0
//! `manual`: man pages and shell completions, made from the parser itself.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;

use super::exit::{self, Exit};
use super::{examples, Cli};

/// Write man pages and shell completions.
///
/// Makes FOLDER/man1 with a page for each command, and FOLDER/completions with
/// a file for each shell. For packages: `make man` puts the pages about device
/// and file format beside them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to; made if it is not there.
    folder: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let pages = folder(&args.folder, "man1")?;
    let writing = || format!("cannot write man pages to {}", pages.display());
    let program = Cli::command().after_help(exit::HELP);
    clap_mangen::generate_to(program, &pages).with_context(writing)?;
    for page in examples::PAGES {
        let path = pages.join(format!("{}.1", examples::page_name(page.command)));
        let file = fs::OpenOptions::new().append(true).open(path);
        let written = file.and_then(|mut file| file.write_all(page.roff().as_bytes()));
        written.with_context(writing)?;
    }
    let completions = folder(&args.folder, "completions")?;
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut Cli::command(), "evdev-client", &completions)
            .with_context(|| format!("cannot write completions to {}", completions.display()))?;
    }
    Ok(Exit::Done)
}

fn folder(above: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = above.join(name);
    fs::create_dir_all(&path)
        .with_context(|| format!("cannot make {}; give a folder to write to", path.display()))?;
    Ok(path)
}
