//! Checks of the examples' files that need no run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::examples::python;
use crate::harness::{engine, repository, run};

/// The files below `examples/` that `choose` selects.
fn files(choose: impl Fn(&Path) -> bool + Copy) -> Vec<PathBuf> {
    fn walk(directory: &Path, choose: impl Fn(&Path) -> bool + Copy, found: &mut Vec<PathBuf>) {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, choose, found);
            } else if choose(&path) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&repository().join("examples"), choose, &mut found);
    found.sort();
    found
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfiles() {
    if engine().is_none() {
        return;
    }
    let dockerfiles = files(|path| path.ends_with("Dockerfile"));
    assert!(dockerfiles.len() >= 5, "{dockerfiles:?}");
    let mut hadolint = Command::new(python("hadolint"));
    // Debian's security updates are wanted, so no version is pinned; `preverb` is an image, not a stage.
    hadolint.args(["--ignore", "DL3008", "--ignore", "DL3022"]).args(dockerfiles);
    let output = run(&mut hadolint, b"", Duration::from_mins(1)).succeeded();
    assert_eq!(output.stdout, "");
}

#[test]
fn shellcheck_finds_nothing_in_the_scripts() {
    if engine().is_none() {
        return;
    }
    let is_script = |path: &Path| {
        let text = std::fs::read(path).unwrap();
        text.starts_with(b"#!/bin/sh") || text.starts_with(b"#!/bin/bash")
    };
    let scripts = files(is_script);
    assert!(scripts.len() >= 2, "{scripts:?}");
    let mut shellcheck = Command::new(python("shellcheck"));
    run(shellcheck.args(scripts), b"", Duration::from_mins(1)).succeeded();

    // A sourced file has no `#!` line, and is plain sh.
    let sourced = files(|path| path.extension().is_some_and(|extension| extension == "sh"));
    assert!(!sourced.is_empty());
    let mut shellcheck = Command::new(python("shellcheck"));
    run(shellcheck.arg("--shell=sh").args(sourced), b"", Duration::from_mins(1)).succeeded();
}
