//! Entrypoints of well-known images as tables. Each directory has the table of one image, written afresh, and in
//! `cases.toml` inputs with the behaviour of the image's own script: the programs that it starts, with their
//! arguments, and what the last of them, the target, finds. `image.rs` says how a case is written; `world.rs` runs it,
//! with stand-ins for the image's programs, and needs no engine, no network and no root.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue panics")]
#![allow(
    clippy::disallowed_methods,
    reason = "the owners of the kernel's facilities are the program's; a test stands outside and starts and waits"
)]
#![allow(
    clippy::print_stderr,
    reason = "a skip is reported on the terminal, and so is what a mutation did not change"
)]
#![allow(clippy::format_push_string, reason = "texts are put together for reading, not for speed")]

#[path = "../it/dsl/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the language of all tests has more than these need")]
mod dsl;
mod image;
mod mutations;
#[path = "../support/skip.rs"]
#[allow(dead_code, reason = "each kind of test uses some of it")]
mod skip;
mod world;

use image::Image;

/// One test for each image, so that a failure names it and they run at the same time.
macro_rules! images {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            behaves(stringify!($name));
        })*

        /// The names of the directories here.
        const IMAGES: &[&str] = &[$(stringify!($name)),*];
    };
}

images! { airflow authentik chatwoot grafana immich keycloak minio netbox odoo superset temporal valkey vault }

/// Whether the table does what its cases say, and has no mistake that preverb can see.
#[track_caller]
fn behaves(name: &str) {
    let image = Image::read(name);
    if !world::has_user() {
        return;
    }
    assert!(image.cases.len() >= 8, "{name} has {} cases", image.cases.len());
    let mut complaints: Vec<String> = world::checked(&image).into_iter().collect();
    for case in &image.cases {
        complaints.extend(world::complaint(&image, &image.table, case, true));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}

#[test]
fn every_directory_is_an_image() {
    let mut found: Vec<String> = std::fs::read_dir(image::directory(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    let mut known = IMAGES.to_vec();
    known.sort_unstable();
    assert_eq!(found, known);
}

/// Lines that are neither blank nor comments.
fn lines(text: &str) -> usize {
    text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()).count()
}

fn hook_lines(image: &Image) -> usize {
    image.hooks.iter().map(|(_, text)| lines(text)).sum()
}

#[test]
fn hooks_are_short() {
    for name in IMAGES {
        let all = hook_lines(&Image::read(name));
        assert!(all <= 10, "the hooks of {name} have {all} lines");
    }
}

#[test]
fn the_documentation_has_the_right_line_counts() {
    let page = std::fs::read_to_string(image::directory("../../docs/migrating.md")).unwrap();
    for name in IMAGES {
        let image = Image::read(name);
        let start = format!("| [{name}](../tests/entrypoints/{name}/preverb.toml) | ");
        let row = page.lines().find_map(|line| line.strip_prefix(&start));
        let cells: Vec<&str> = row.unwrap_or_else(|| panic!("no row for {name}")).split(" | ").collect();
        let hooks = match hook_lines(&image) {
            0 => "-".to_owned(),
            some => some.to_string(),
        };
        assert_eq!(cells[1..3], [lines(&image.table).to_string(), hooks], "{name}");
    }
}
