//! What leaves the repository: the package, the workflows that release it, what a dependency may be.

use std::fs;
use std::process::Command;

use crate::skip::lacks;
use crate::{blocks, page, read, repository};

#[test]
fn the_package_is_small_and_has_what_a_user_needs() {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo
        .args(["package", "--list", "--offline", "--allow-dirty"])
        .current_dir(repository(""))
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let files: Vec<&str> = list.lines().collect();
    for wanted in [
        "Cargo.lock",
        "CHANGELOG.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "build.rs",
        "completions/preverb.bash",
        "link/no-backtrace.ld",
        "link/no-unwinding.ld",
        "man/preverb.1",
        "man/preverb.toml.5",
        "schema/preverb.json",
        "src/main.rs",
    ] {
        assert!(files.contains(&wanted), "{wanted} is not in the package:\n{list}");
    }
    for unwanted in ["tests/", "benches/", "examples/", "docs/", "fuzz/", ".ci/", ".github/"] {
        assert!(!files.iter().any(|file| file.starts_with(unwanted)), "{unwanted} is in the package");
    }
    let size: u64 =
        files.iter().filter_map(|file| fs::metadata(repository(file)).ok()).map(|file| file.len()).sum();
    assert!(size < 1_250_000, "the package holds {size} bytes");
}

#[test]
fn workflows_have_no_rights_but_those_they_name_and_use_what_they_know() {
    for name in ["ci.yml", "release.yml"] {
        let workflow = read(&format!(".github/workflows/{name}"));
        assert!(workflow.contains("\npermissions: {}\n"), "{name} has rights that no job asked for");
        for line in
            workflow.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "))
        {
            let (action, version) =
                line.split_once(" # v").unwrap_or_else(|| panic!("{name}: {line}: no version"));
            let commit = action.split_once('@').unwrap().1;
            let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit && !version.is_empty(), "{name}: {line} is not pinned by its commit");
        }
    }
}

#[test]
fn yamllint_has_nothing_to_say() {
    if lacks("yamllint") {
        return;
    }
    let output = Command::new("yamllint")
        .args(["--strict", ".github/workflows", "compose.yaml", ".hadolint.yaml"])
        .current_dir(repository(""))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    let directory = tempfile::tempdir().unwrap();
    for name in blocks::pages() {
        for block in page::blocks(&name, &read(&name)).into_iter().filter(|block| block.language == "yaml") {
            let path = directory.path().join("block.yaml");
            fs::write(&path, block.text).unwrap();
            let output =
                Command::new("yamllint").args(["--strict", "-d", "relaxed"]).arg(&path).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "{name}:{}", block.line);
        }
    }
}
