//! `examples/build-env`: a compiler image as the one way to build a project.

use std::path::Path;
use std::time::Duration;

use crate::examples::{Caller, example};
use crate::harness::{Output, engine, repository, run};

#[test]
fn the_image_builds_a_project_and_the_files_belong_to_the_caller() {
    use std::os::unix::fs::MetadataExt;
    let Some(engine) = engine() else { return };
    let image = example(engine, "build-env");
    let caller = Caller::new();
    let project = caller.home().join("project");
    copy(&repository().join("examples/build-env/project"), &project);
    caller.give(&project);
    caller.shim(engine, &image, "make", "build");
    let build = |environment: &str, words: &[&str]| -> Output {
        let mut command = caller.command(engine, "project", "build");
        command.env("BUILD_ENV", environment).args(words);
        run(&mut command, b"", Duration::from_mins(1))
    };

    let made = build("", &[]).succeeded();
    assert!(made.stdout.contains("-g -O0"), "{}", made.stdout);
    assert_eq!(project.join("wc").metadata().unwrap().uid(), caller.id());
    assert!(interpreter(&project.join("wc")), "a build of dev is linked dynamically");
    build("", &["test"]).succeeded();
    // An argument with a dash goes to make, the default verb.
    let dry = engine.run(&image).args(["--version"]).output().succeeded();
    assert!(dry.stdout.starts_with("GNU Make"), "{}", dry.stdout);

    // The same project for a release: other flags, merged over those of all environments.
    build("release", &["clean"]).succeeded();
    let release = build("release", &[]).succeeded();
    assert!(release.stdout.contains("-std=c17 -Wall -Wextra -O2 -DNDEBUG"), "{}", release.stdout);
    assert!(!interpreter(&project.join("wc")), "a release is linked statically");

    // A warning in dev is an error in ci.
    caller.file(
        "project/count.c",
        "#include \"count.h\"\nunsigned long count_words(FILE *stream) { int unused; return !stream; }\n",
    );
    let warned = build("dev", &["-B", "count.o"]).succeeded();
    assert!(warned.stderr.contains("unused variable"), "{}", warned.stderr);
    let refused = build("ci", &["-B"]).exited(2);
    assert!(refused.stderr.contains("[-Werror=unused-variable]"), "{}", refused.stderr);
}

/// Whether a program of this 64-bit machine names a dynamic linker: one of its segments is `PT_INTERP`.
fn interpreter(program: &Path) -> bool {
    const PT_INTERP: u64 = 3;
    let bytes = std::fs::read(program).unwrap();
    let number = |at: usize, size: usize| {
        let mut whole = [0; 8];
        whole[..size].copy_from_slice(&bytes[at..at + size]);
        u64::from_le_bytes(whole)
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|n| number(usize::try_from(table + n * size).unwrap(), 4) == PT_INTERP)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in from.read_dir().unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
