//! The Dockerfile at the top: an image that is one static binary, for two processors.

use std::process::Command;
use std::time::Duration;

use crate::harness::{
    Context, Scratch, cache, copy_out, engine, preverb, preverb_image, repository, run, unique,
};

const TABLE: &str = "[verbs.greet]\nexec = ['/bin/busybox', 'echo', '${GREETING:-hello}']\n";

#[test]
fn the_image_is_no_larger_than_the_binary() {
    let Some(engine) = engine() else { return };
    let image = preverb_image();
    let size = engine.output(["image", "inspect", "--format", "{{.Size}}", image.tag()]);
    let size: u64 = size.succeeded().stdout.trim().parse().unwrap();
    assert_eq!(size, std::fs::metadata(preverb()).unwrap().len());
}

#[test]
fn the_image_runs_on_its_own() {
    let Some(engine) = engine() else { return };
    let output = engine.run(&preverb_image()).args(["--version"]).output();
    assert!(output.succeeded().stdout.starts_with("preverb "));
}

#[test]
fn another_image_copies_the_binary_from_it() {
    let Some(engine) = engine() else { return };
    let from = preverb_image();
    let dockerfile = format!(
        "FROM scratch\nCOPY busybox /bin/\nCOPY --from={} /preverb /usr/local/bin/\n\
         COPY preverb.toml /etc/preverb/\nRUN [\"/usr/local/bin/preverb\", \"--check\"]\n\
         ENTRYPOINT [\"/usr/local/bin/preverb\"]\nCMD [\"greet\"]\n",
        from.tag()
    );
    let image = Context::new().busybox().file("preverb.toml", TABLE).build(engine, &dockerfile);
    assert_eq!(engine.run(&image).output().succeeded().stdout, "hello\n");
}

#[test]
fn the_arm64_binary_is_built_and_runs() {
    let Some(engine) = engine() else { return };
    let qemu = "qemu-aarch64-static";
    let found =
        run(Command::new("sh").args(["-c", "command -v qemu-aarch64-static"]), b"", Duration::from_secs(9));
    assert_eq!(found.status, 0, "this test needs {qemu}, of Debian's qemu-user-static");
    drop(preverb_image());
    let image = engine.build(repository(), "preverb-arm64", &["--platform=linux/arm64"]);
    let binary = cache().join("preverb-arm64");
    copy_out(engine, &image, "/preverb", &binary);
    // The machine field of an ELF header: 183 is AArch64.
    assert_eq!(std::fs::read(&binary).unwrap()[18..20], [183, 0]);
    let scratch = Scratch::new();
    let table = scratch.file("preverb.toml", "[verbs.greet]\nexec = ['echo', '${GREETING:-hello}']\n");
    let emulated = |words: &[&str]| {
        let mut command = Command::new(qemu);
        command.arg(&binary).arg("--table").arg(&table).args(words);
        run(&mut command, b"", Duration::from_mins(1))
    };
    emulated(&["greet"]).exited(0);
    let greeted = emulated(&["greet", "you"]).succeeded();
    assert_eq!(greeted.stdout, "hello you\n");
    emulated(&["unknown"]).exited(64);
}

#[test]
fn an_unknown_processor_is_reported() {
    let Some(engine) = engine() else { return };
    drop(preverb_image());
    let mut build = engine.command();
    build.args(["build", "--build-arg=TARGETARCH=mips64le", "--tag", &unique("mips64le")]);
    build.arg(repository());
    let output = run(&mut build, b"", Duration::from_mins(5));
    assert_ne!(output.status, 0);
    assert!(output.stderr.contains("mips64le"), "{}", output.stderr);
}
