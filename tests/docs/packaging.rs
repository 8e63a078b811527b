//! Everything that leaves the repository: the package, the workflows that release it, what a dependency may be.

use std::fs;
use std::process::Command;

use crate::skip::lacks;
use crate::{blocks, page, read, repository};

#[test]
fn the_package_is_small_and_complete() {
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
    assert!(size < 1_400_000, "the package holds {size} bytes");
}

#[test]
fn the_page_of_dependencies_lists_exactly_the_direct_ones() {
    let manifest = read("Cargo.toml");
    let page = read("docs/dependencies.md");
    let (in_binary, in_tests) = page.split_once("## In tests only").unwrap();
    for (key, text) in [("dependencies", in_binary), ("dev-dependencies", in_tests)] {
        let mut listed: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
        listed.sort_unstable();
        let section = manifest.split_once(&format!("\n[{key}]\n")).unwrap().1;
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        let mut wanted: Vec<&str> = lines
            .filter_map(|line| Some(line.split_once(" = ")?.0))
            .filter(|name| !name.starts_with('#'))
            .collect();
        wanted.sort_unstable();
        assert_eq!(listed, wanted, "{key}");
    }
}

#[test]
fn workflows_declare_their_permissions_and_pin_their_actions() {
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
fn the_alpine_package_has_this_version_and_a_valid_script() {
    let path = "packaging/alpine/APKBUILD";
    assert!(read(path).contains(concat!("\npkgver=", env!("CARGO_PKG_VERSION"), "\n")));
    if lacks("shellcheck") {
        return;
    }
    // abuild sets and reads variables that the script only reads or sets.
    let mut command = Command::new("shellcheck");
    command.args(["--shell=sh", "--exclude=SC2034,SC2154", path]).current_dir(repository(""));
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
}

#[test]
fn linters_find_nothing_in_the_workflows() {
    for (linter, options) in [("actionlint", &[][..]), ("zizmor", &["--offline", "--quiet"])] {
        if lacks(linter) {
            continue;
        }
        let workflows = [".github/workflows/ci.yml", ".github/workflows/release.yml"];
        let output =
            Command::new(linter).args(options).args(workflows).current_dir(repository("")).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{linter}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn yamllint_finds_nothing() {
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
