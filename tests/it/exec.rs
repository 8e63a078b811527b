//! The exec itself: which file a name means, and why it cannot be run. Each reason is
//! reported the same way wherever preverb starts something: as the target, supervised, after `--as`, as a hook.

use crate::dsl::{PATH, Test, lacks, skip};

/// The C library's own programs exist on every machine that runs these tests.
const REAL: &str = "/bin/true";

/// Something that cannot be run.
struct Case {
    /// The fault, for the reader of a failure.
    what: &'static str,
    /// Makes it.
    make: Box<dyn Fn(Test) -> Test>,
    /// The word that names it.
    word: String,
    /// The expected message from `cannot run` on, with its hint.
    message: String,
    status: i32,
    /// Whether a user other than root must try.
    as_other_user: bool,
}

fn case(what: &'static str, status: i32, message: &str, make: impl Fn(Test) -> Test + 'static) -> Case {
    Case {
        what,
        make: Box::new(make),
        word: "[DIR]/it/thing".to_owned(),
        message: format!("cannot run `[DIR]/it/thing`: {message}"),
        status,
        as_other_user: false,
    }
}

impl Case {
    fn refused_to_others(mut self) -> Self {
        self.as_other_user = true;
        self
    }

    /// Another argument, and the whole message about it.
    fn word(self, word: &str, message: &str) -> Self {
        Self { word: word.to_owned(), message: message.to_owned(), ..self }
    }

    fn test(&self, table: &str) -> Test {
        let test = (self.make)(Test::new().directory("it", 0o755).table(table));
        if self.as_other_user { test.needs_root() } else { test }
    }

    /// The case as everything that preverb starts.
    fn run(&self) {
        let user = if self.as_other_user { "user = \"nobody\"\n" } else { "" };
        let word = &self.word;
        let message = format!("preverb: {}\n", self.message);
        eprintln!("{}", self.what);
        let verb = |keys: &str| format!("[verbs.a]\nexec = ['{word}']\n{user}{keys}");
        self.test(&verb("")).args(["a"]).status(self.status).stderr(&message).pid1().run();
        self.test(&verb("init = true\n")).args(["a"]).status(self.status).stderr(&message).pid1().run();
        self.test(user).args(["--", word]).status(self.status).stderr(&message).run();
        let who = if self.as_other_user { "nobody" } else { "root" };
        if nix::unistd::geteuid().is_root() {
            self.test("").args(["--as", who, "--", word]).status(self.status).stderr(&message).run();
        }
        if !self.as_other_user {
            self.test("").args(["--supervise", "--", word]).status(self.status).stderr(&message).run();
        }
        // For a hook it is one sentence, and a failure of the hook.
        let sentence = self.message.split('\n').next().unwrap();
        self.test(&format!(
            "{user}[[setup]]\nname = \"it\"\nrun = ['{word}']\n[verbs.a]\nexec = [\"true\"]\n"
        ))
        .args(["a"])
        .status(80)
        .stderr_contains("of step `it` in environment `prod` ")
        .stderr_contains(format!("{sentence}\n"))
        .run();
    }
}

fn run(cases: &[Case]) {
    for case in cases {
        case.run();
    }
}

/// A file of this content and mode.
fn file<B: AsRef<[u8]>>(bytes: B, mode: u32) -> impl Fn(Test) -> Test + use<B> {
    let bytes = bytes.as_ref().to_vec();
    move |test| test.file("it/thing", &bytes, mode)
}

#[test]
fn a_missing_program_is_reported_with_the_path_that_was_searched() {
    let none = |test| test;
    run(&[
        case("no such file", 127, "it does not exist", none),
        case("no such name", 127, "", none).word(
            "no-such-program",
            &format!("cannot run `no-such-program`: not found on PATH `[DIR]/bin:{PATH}`"),
        ),
        case("a link to nothing", 127, "it is a link to `/no/where`, which does not exist", |test| {
            test.link("it/thing", "/no/where")
        }),
        case("a file for a directory", 127, "", |test| test.file("it/file", "", 0o644)).word(
            "[DIR]/it/file/thing",
            "cannot run `[DIR]/it/file/thing`: a part of its path is not a directory: `[DIR]/it/file`",
        ),
        case("a file that a slash follows", 127, "", |test| test.file("it/file", "", 0o644)).word(
            "[DIR]/it/file/",
            "cannot run `[DIR]/it/file/`: its path ends in a slash, but it is not a directory",
        ),
        case("a name that no file can have", 127, "", none).word(
            &"x".repeat(300),
            &format!("cannot run `[DIR]/bin/{}`: its path is too long", "x".repeat(300)),
        ),
    ]);
}

/// A `#!` line of more than 256 bytes.
const LONG: &str = "#!/directory/directory/directory/directory/directory/directory/directory/directory/directory/\
    directory/directory/directory/directory/directory/directory/directory/directory/directory/\
    directory/directory/directory/directory/directory/directory/directory/directory/directory/sh\n";

#[test]
fn a_file_that_is_not_a_program_is_reported() {
    run(&[
        case("a directory", 126, "it is a directory", |test| test.directory("it/thing", 0o755)),
        case("a link to a directory", 126, "it is a directory", |test| test.link("it/thing", "/etc")),
        case("a link to itself", 126, "its path goes through too many symbolic links", |test| {
            test.link("it/thing", "thing")
        }),
        case("a device", 126, "it is not a regular file", |test| test.link("it/thing", "/dev/zero")),
        case("a pipe", 126, "it is not a regular file", |test| {
            test.under_shell("[ -p it/thing ] || mkfifo -m 755 it/thing; exec \"$@\"")
        }),
        case(
            "a text",
            126,
            "it has no `#!` line and is not a binary\nhint: a script begins with a line such as `#!/bin/sh`",
            file("echo hello\n", 0o755),
        ),
        case("an empty file", 126, "it is empty", file("", 0o755)),
        case("no interpreter", 126, "its `#!` line names no interpreter", file("#!\necho\n", 0o755)),
        case("the beginning of a line", 126, "its `#!` line names no interpreter", file("#!", 0o755)),
        case(
            "a long line",
            126,
            "its `#!` line is too long: the kernel reads only 256 bytes of it",
            file(LONG, 0o755),
        ),
        case("a blank interpreter", 126, "its `#!` line names no interpreter", file("#! \t \n", 0o755)),
        case(
            "a byte order mark",
            126,
            "it begins with a byte order mark (BOM), which hides its `#!` line\nhint: save the file as UTF-8 without BOM",
            file("\u{feff}#!/bin/sh\n", 0o755),
        ),
        case(
            "another system's",
            126,
            "it is a program for another operating system",
            file("MZ\u{90}\0", 0o755),
        ),
    ]);
}

#[test]
fn a_missing_permission_is_reported_with_mode_owner_and_ids() {
    let me = "and this is uid 65534, gid 65534";
    run(&[
        case(
            "a file that no user may execute",
            126,
            "it is not executable (mode 0644)\nhint: `chmod +x` it when the image is built",
            file("#!/bin/sh\n", 0o644),
        ),
        case("a file for root alone", 126, &format!("permission denied: mode 0700, owner 0:0, {me}"), file("#!/bin/sh\n", 0o700))
            .refused_to_others(),
        case("a closed directory", 126, "", |test| {
            test.directory("it/closed", 0o700).file("it/closed/in/thing", "#!/bin/sh\n", 0o755)
        })
        .word(
            "[DIR]/it/closed/in/thing",
            &format!("cannot run `[DIR]/it/closed/in/thing`: permission denied: `[DIR]/it/closed` cannot be entered: mode 0700, owner 0:0, {me}"),
        )
        .refused_to_others(),
        case(
            "a link into a closed directory",
            126,
            &format!("permission denied: `[DIR]/it/closed` cannot be entered: mode 0700, owner 0:0, {me}"),
            |test| test.directory("it/closed", 0o700).file("it/closed/in", "", 0o755).link("it/thing", "closed/in"),
        )
        .refused_to_others(),
        case(
            "a script whose interpreter may not be executed",
            126,
            &format!("its interpreter `[DIR]/it/shell` cannot be run: permission denied: mode 0700, owner 0:0, {me}"),
            |test| test.file("it/shell", "", 0o700).file("it/thing", "#![DIR]/it/shell\n", 0o755),
        )
        .refused_to_others(),
    ]);
}

#[test]
fn group_membership_counts_for_the_permission() {
    // The file's group may not execute it, and all others may: the kernel checks only the group.
    Test::new()
        .needs_root()
        .under_shell("chgrp 4711 thing; exec setpriv --reuid=65534 --regid=65534 --groups=4711 -- \"$@\"")
        .file("thing", "#!/bin/sh\n", 0o705)
        .table("[verbs.a]\nexec = [\"[DIR]/thing\"]\n")
        .args(["a"])
        .status(126)
        .stderr("preverb: cannot run `[DIR]/thing`: permission denied: mode 0705, owner 0:4711, and this is uid 65534, gid 65534\n")
        .run();
}

#[test]
fn an_interpreter_that_cannot_be_run_is_reported() {
    run(&[
        case(
            "it is missing",
            126,
            "its interpreter `/no/such/shell` does not exist",
            file("#! /no/such/shell -e\n", 0o755),
        ),
        case(
            "it is a bare name",
            126,
            "its interpreter `no-such-shell` does not exist\nhint: the kernel does not search PATH for an interpreter: write `#!/usr/bin/env` before it",
            file("#!no-such-shell\n", 0o755),
        ),
        case(
            "its line ends in a carriage return",
            126,
            "its `#!` line names `/bin/sh` and ends in a carriage return (CR), which is read as a part of it\nhint: save the file with Unix line ends",
            file("#!/bin/sh\r\necho\r\n", 0o755),
        ),
        case(
            "it is a carriage return",
            126,
            "its `#!` line names nothing and ends in a carriage return (CR), which is read as a part of it\nhint: save the file with Unix line ends",
            file("#! \r\n", 0o755),
        ),
        // Here the CR is not the interpreter's.
        case(
            "its arguments end in a carriage return",
            126,
            "its interpreter `/no/such/shell` does not exist\nhint: its `#!` line ends in a carriage return (CR), too: save the file with Unix line ends",
            file("#!/no/such/shell -e\r\n", 0o755),
        ),
        case("it is a directory", 126, "its interpreter `/etc` is a directory", file("#!/etc\n", 0o755)),
        case(
            "it is not executable",
            126,
            "its interpreter `[DIR]/it/shell` cannot be run: it is not executable (mode 0644)\nhint: `chmod +x` it when the image is built",
            |test| test.file("it/shell", "", 0o644).file("it/thing", "#![DIR]/it/shell\n", 0o755),
        ),
        case(
            "it is a script without an interpreter",
            126,
            "its interpreter `[DIR]/it/shell` cannot be run: its interpreter `/no/such/shell` does not exist",
            |test| {
                test.file("it/shell", "#!/no/such/shell\n", 0o755).file(
                    "it/thing",
                    "#![DIR]/it/shell\n",
                    0o755,
                )
            },
        ),
        case(
            "it is not a program",
            126,
            "its interpreter `[DIR]/it/shell` cannot be run: it is empty",
            |test| test.file("it/shell", "", 0o755).file("it/thing", "#![DIR]/it/shell\n", 0o755),
        ),
        case(
            "interpreters without end",
            126,
            "its interpreter is a script, whose interpreter is a script, and so on for too long",
            |test| test.file("it/thing", "#![DIR]/it/thing\n", 0o755),
        ),
    ]);
}

/// A dynamically linked program whose loader has this path instead.
fn with_loader(loader: &str) -> Option<Vec<u8>> {
    let mut program = std::fs::read(REAL).unwrap();
    let at = program.windows(10).position(|bytes| bytes == b"/ld-linux-")?;
    let start = program[..at].iter().rposition(|byte| *byte == 0)? + 1;
    let length = program[start..].iter().position(|byte| *byte == 0)?;
    let path: Vec<u8> = loader.bytes().chain(std::iter::repeat(0)).take(length).collect();
    program[start..start + length].copy_from_slice(&path);
    Some(program)
}

/// A program with this number at this place of its header.
fn with_header(at: usize, number: u16) -> Vec<u8> {
    let mut program = std::fs::read(REAL).unwrap();
    program[at..at + 2].copy_from_slice(&number.to_le_bytes());
    program
}

#[test]
fn a_missing_loader_is_reported_with_its_c_library() {
    let (Some(musl), Some(glibc)) =
        (with_loader("/lib/ld-musl-x.so.1"), with_loader("/lib64/ld-linux-x.so.9"))
    else {
        return skip("the programs of this machine have no loader");
    };
    let library = |name: &str| {
        format!("it is linked for {name}: use an image with that C library, or link it statically")
    };
    run(&[
        case(
            "a musl program where glibc is",
            126,
            &format!("its ELF loader `/lib/ld-musl-x.so.1` does not exist\nhint: {}", library("musl")),
            file(musl, 0o755),
        ),
        case(
            "a glibc program where it is not",
            126,
            &format!("its ELF loader `/lib64/ld-linux-x.so.9` does not exist\nhint: {}", library("glibc")),
            file(glibc, 0o755),
        ),
    ]);
    let closed = with_loader("/usr/ld").unwrap();
    run(&[case(
        "a loader that is a directory",
        126,
        "its ELF loader `/etc` cannot be run: it is a directory",
        {
            let mut program = closed;
            let at = program.windows(8).position(|bytes| bytes == b"/usr/ld\0").unwrap();
            program[at..at + 7].copy_from_slice(b"/etc\0\0\0");
            file(program, 0o755)
        },
    )]);
}

#[test]
fn a_program_for_another_processor_is_reported_with_both_processors() {
    let here = std::env::consts::ARCH;
    let (other, number) = if here == "aarch64" { ("x86-64", 62) } else { ("aarch64", 183) };
    let built = "hint: the image, or the file in it, was built for another platform";
    run(&[case(
        "a processor that does not exist",
        126,
        &format!("it is a program for ELF machine 4660, and this is {here}\n{built}"),
        file(with_header(18, 0x1234), 0o755),
    )]);
    // Where the other one is emulated, its name is left to the unit test.
    let emulator = format!("/proc/sys/fs/binfmt_misc/qemu-{}", other.replace('-', "_"));
    if !std::path::Path::new(&emulator).exists() {
        run(&[case(
            "another processor",
            126,
            &format!("it is a program for {other}, and this is {here}\n{built}"),
            file(with_header(18, number), 0o755),
        )]);
    }
}

#[test]
fn a_damaged_binary_and_an_object_file_are_reported() {
    run(&[
        case(
            "an object file",
            126,
            "it is an object file or a core dump, not a program",
            file(with_header(16, 1), 0o755),
        ),
        case(
            "its header ends early",
            126,
            "it is a damaged binary",
            file(std::fs::read(REAL).unwrap().into_iter().take(40).collect::<Vec<_>>(), 0o755),
        ),
        case("no segments", 126, "it is a damaged binary", file(with_header(56, 0), 0o755)),
    ]);
}

#[test]
fn a_noexec_mount_is_reported() {
    run(&[case("noexec", 126, "its file system is mounted noexec", |test| {
        test.mounts("mount -t tmpfs -o noexec none it; printf '#!/bin/sh\\n' >it/thing; chmod 755 it/thing")
    })]);
    run(&[case(
        "a noexec interpreter",
        126,
        "its interpreter `[DIR]/it/no/shell` cannot be run: its file system is mounted noexec",
        |test| {
            test.mounts("mount -t tmpfs -o noexec none it/no; cp /bin/sh it/no/shell")
                .directory("it/no", 0o755)
                .file("it/thing", "#![DIR]/it/no/shell\n", 0o755)
        },
    )]);
}

#[test]
fn a_program_that_is_open_for_writing_is_reported() {
    // Not as a hook: hooks do not inherit the descriptor that holds it open, although preverb has it.
    run(&[case("text busy", 126, "it is open for writing somewhere (text file busy)", |test| {
        test.file("it/thing", std::fs::read(REAL).unwrap(), 0o755)
            .under_shell("exec 9>>it/thing; exec \"$@\"")
    })]);
}

#[test]
fn an_argument_or_variable_that_is_too_large_is_reported_with_its_size() {
    let long = "x".repeat(200_000);
    let verb =
        "[verbs.a]\nexec = [\"true\", \"b\"]\n[verbs.supervised]\nexec = [\"true\", \"b\"]\ninit = true\n";
    // The target gets this argument from its table, because the tests could not pass it to preverb either.
    for name in ["a", "supervised"] {
        let file = if name == "a" { "[..]/true" } else { "true" };
        Test::new()
            .table(format!("{verb}args = [\"${{LONG}}\"]\nenv = {{ LONG = \"{long}\" }}\nunset = [\"LONG\"]\n").replacen(
                "[verbs.supervised]",
                &format!("args = [\"${{LONG}}\"]\nenv = {{ LONG = \"{long}\" }}\nunset = [\"LONG\"]\n[verbs.supervised]"),
                1,
            ))
            .args([name])
            .status(126)
            .stderr(format!(
                "preverb: cannot run `{file}`: argument 2 is too large: 200000 bytes, and the kernel accepts 131071 in one string\n"
            ))
            .run();
        Test::new()
            .table(format!("[env]\nLONG = \"{long}\"\n{verb}"))
            .args([name])
            .status(126)
            .stderr(format!(
                "preverb: cannot run `{file}`: variable `LONG` is too large: 200005 bytes with its name, and the kernel accepts 131071 in one string\n"
            ))
            .run();
        // Each one fits, all together do not. The value is never shown.
        let many: String = (0..30).map(|number| format!("V{number} = \"{}\"\n", &long[..100_000])).collect();
        Test::new()
            .table(format!("[env]\n{many}{verb}"))
            .args([name])
            .status(126)
            .under_shell("ulimit -s 8192; exec \"$@\"")
            .stderr(format!(
                "preverb: cannot run `{file}`: its arguments (7 bytes) and variables (30[..] bytes, the largest is `V[..]` with 10000[..]) are too \
                 large together: the kernel takes 2097152 with a pointer for each\n"
            ))
            .run();
    }
    Test::new()
        .table(format!(
            "[[setup]]\nname = \"it\"\nrun = [\"true\", \"{long}\"]\n[verbs.a]\nexec = [\"true\"]\n"
        ))
        .args(["a"])
        .status(80)
        .stderr_contains(
            "argument 1 is too large: 200000 bytes, and the kernel accepts 131071 in one string\n",
        )
        .run();
}

#[test]
fn a_secret_that_is_too_large_is_reported_by_name_only() {
    let long = "s3cret".repeat(30_000);
    Test::new()
        .table("[variables.TOKEN]\nsecret = true\n[verbs.a]\nexec = [\"true\"]\n")
        .file("token", &long, 0o600)
        .env("TOKEN_FILE", "[DIR]/token")
        .args(["a"])
        .status(126)
        .stderr("preverb: cannot run `[..]/true`: variable `TOKEN` is too large: 180006 bytes with its name, and the kernel accepts 131071 in one string\n")
        .run();
}

/// A program that prints its name and its path.
const TELL: &str = "#!/bin/sh\necho \"$0\"\n";

#[test]
fn the_program_is_looked_up_on_the_targets_own_path() {
    let table = |path: &str| format!("[env]\nPATH = \"{path}\"\n[verbs.a]\nexec = [\"tell\"]\n");
    let test = |path: &str| {
        Test::new()
            .table(table(path))
            .file("one/tell", TELL, 0o755)
            .file("two/tell", TELL, 0o755)
            .file("plain/tell", TELL, 0o644)
            .directory("dir/tell", 0o755)
            .file("broken/tell", "#!/no/such/shell\n", 0o755)
            .link("dangling/tell", "/no/where")
            .args(["a"])
    };
    // The first that can be executed; others are skipped.
    test("[DIR]/one:[DIR]/two").stdout("[DIR]/one/tell\n").run();
    test("[DIR]/nowhere:[DIR]/preverb.toml:[DIR]/two:[DIR]/one").stdout("[DIR]/two/tell\n").run();
    for passed in ["plain", "dir", "broken", "dangling"] {
        test(&format!("[DIR]/{passed}:[DIR]/one")).stdout("[DIR]/one/tell\n").run();
    }
    // A directory of PATH that is too long, that loops, or that is not a directory, holds no program.
    test(&format!("[DIR]/{}:[DIR]/one", "x".repeat(300))).stdout("[DIR]/one/tell\n").run();
    test(&format!("[DIR]/{}:[DIR]/one", "x/".repeat(3000))).stdout("[DIR]/one/tell\n").run();
    // A name with a slash is not looked up.
    Test::new()
        .table("workdir = \"[DIR]/two\"\n[env]\nPATH = \"[DIR]/one\"\n[verbs.a]\nexec = [\"./tell\"]\n")
        .file("one/tell", TELL, 0o755)
        .file("two/tell", TELL, 0o755)
        .args(["a"])
        .stdout("./tell\n")
        .run();
}

#[test]
fn an_empty_element_of_the_search_path_is_the_working_directory() {
    for path in ["", ":[DIR]/two", "[DIR]/none:", "[DIR]/none::[DIR]/two", "."] {
        Test::new()
            .table(format!(
                "workdir = \"[DIR]/one\"\n[env]\nPATH = \"{path}\"\n[verbs.a]\nexec = [\"tell\"]\n"
            ))
            .file("one/tell", TELL, 0o755)
            .file("two/tell", TELL, 0o755)
            .args(["a"])
            .stdout("./tell\n")
            .run();
    }
}

#[test]
fn without_path_the_default_search_path_is_used() {
    Test::new()
        .table("[verbs.a]\nexec = [\"env\"]\nunset = [\"PATH\", \"PREVERB_TABLE\", \"PREVERB_VERB\", \"PREVERB_ENVIRONMENT\"]\n")
        .args(["a"])
        .run();
    Test::new()
        .table("[verbs.a]\nexec = [\"no-such-program\"]\nunset = [\"PATH\"]\n")
        .args(["a"])
        .status(127)
        .stderr(format!(
            "preverb: cannot run `no-such-program`: not found; PATH is not set, so `{PATH}` was searched\n"
        ))
        .run();
}

#[test]
fn the_first_missing_permission_on_the_search_path_is_reported() {
    let test = |path: &str| {
        Test::new()
            .table(format!("[env]\nPATH = \"{path}\"\n[verbs.a]\nexec = [\"tell\"]\n"))
            .file("plain/tell", TELL, 0o644)
            .file("other/tell", TELL, 0o600)
            .file("broken/tell", "#!/no/such/shell\n", 0o755)
            .args(["a"])
    };
    let plain = "preverb: cannot run `[DIR]/plain/tell`: it is not executable (mode 0644)\nhint: `chmod +x` it when the image is built\n";
    for path in ["[DIR]/plain:[DIR]/none", "[DIR]/none:[DIR]/plain:[DIR]/other", "[DIR]/broken:[DIR]/plain"] {
        test(path).status(126).stderr(plain).run();
    }
    // A file without an interpreter still exists.
    test("[DIR]/none:[DIR]/broken:[DIR]/none")
        .status(126)
        .stderr("preverb: cannot run `[DIR]/broken/tell`: its interpreter `/no/such/shell` does not exist\n")
        .run();
}

#[test]
fn an_inaccessible_directory_on_the_search_path_does_not_hide_a_missing_program() {
    let test = |exec: &str| {
        Test::new()
            .needs_root()
            .under(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
            .directory("closed", 0o700)
            .file("open/tell", TELL, 0o755)
            .table(format!("[env]\nPATH = \"[DIR]/closed:[DIR]/open\"\n[verbs.a]\nexec = [\"{exec}\"]\n"))
            .args(["a"])
    };
    test("tell").stdout("[DIR]/open/tell\n").run();
    test("no-such-program")
        .status(127)
        .stderr(
            "preverb: cannot run `no-such-program`: not found on PATH `[DIR]/closed:[DIR]/open`\n\
             hint: uid 65534 cannot search directory `[DIR]/closed` of that PATH\n",
        )
        .run();
}

#[test]
fn the_first_element_of_exec_is_argv_0() {
    let show = "import sys; sys.stdout.write(open('/proc/self/cmdline').read().replace('\\0', '|'))";
    if lacks("python3") {
        return;
    }
    for word in ["python3", "/usr/bin/python3", "/usr/bin/../bin/python3"] {
        let table = format!("[verbs.a]\nexec = [\"{word}\", \"-c\", \"{}\"]\n", show.replace('\\', "\\\\"));
        let expected = format!("{word}|-c|{show}|a||b c|");
        Test::new().table(&table).args(["a", "a", "", "b c"]).stdout(&expected).run();
        Test::new().table(table + "init = true\n").args(["a", "a", "", "b c"]).stdout(&expected).run();
        Test::new()
            .args(["--as", "root", "--", word, "-c", show, "a", "", "b c"])
            .needs_root()
            .stdout(&expected)
            .run();
    }
}

#[test]
fn a_nul_in_the_table_is_an_error_and_never_drops_an_argument_or_variable() {
    for table in [
        "[verbs.a]\nexec = [\"echo\", \"a\\u0000b\"]\n",
        "[verbs.a]\nexec = [\"echo\"]\nargs = [\"a\\u0000b\"]\n",
        "[env]\nA = \"a\\u0000b\"\n[verbs.a]\nexec = [\"echo\"]\n",
        "[env]\n\"A\\u0000\" = \"b\"\n[verbs.a]\nexec = [\"echo\"]\n",
        "[variables.A]\ndefault = \"a\\u0000b\"\n[verbs.a]\nexec = [\"echo\"]\n",
        "[verbs.a]\nexec = [\"echo\"]\nworkdir = \"/\\u0000\"\n",
        "[verbs.a]\nexec = [\"echo\"]\nuser = \"a\\u0000\"\n",
    ] {
        Test::new().table(table).args(["a"]).status(78).stderr_contains("preverb.toml:").run();
    }
}

#[test]
fn dead_children_are_reaped_before_the_exec_and_live_ones_are_reported() {
    // The program before preverb may have left it children, and as process 1 it also inherits all orphans.
    let list =
        "exec = [\"sh\", \"-c\", \"cat /proc/[0-9]*/stat 2>/dev/null | grep -c \\\") Z $$ \\\"; true\"]\n";
    let verb =
        |hook: &str| format!("[[setup]]\nname = \"h\"\nrun = [\"sh\", \"-c\", '{hook}']\n[verbs.a]\n{list}");
    let ran = "preverb: running hook `h`\npreverb: hook `h` done in [TIME]\n";
    Test::new()
        .table(verb("for i in 1 2 3 4 5 6 7 8 9; do (sleep 0 &) ; done; sleep 0.2"))
        .args(["a"])
        .stdout("0\n")
        .stderr(ran)
        .pid1()
        .run();
    Test::new()
        .table(verb("sleep 3 & echo $! >child; until grep -q sleep /proc/$!/comm; do :; done"))
        .args(["a"])
        .stdout("0\n")
        .stderr(format!("{ran}preverb: setup left process [..] (`sleep`) running beside the target\n"))
        .check(|output| {
            let child = String::from_utf8(output.file("child").unwrap()).unwrap();
            assert!(output.messages().contains(&format!("process {} ", child.trim())));
        })
        .pid1()
        .run();
    // A probe leaves some as a hook does.
    Test::new()
        .table("[[setup]]\nwait = [{ exec = [\"sh\", \"-c\", \"sleep 3 & until grep -q sleep /proc/$!/comm; do :; done\"] }]\n[verbs.a]\nexec = [\"true\"]\n")
        .args(["a"])
        .stderr("preverb: setup left process [..] (`sleep`) running beside the target\n")
        .pid1()
        .run();
    // One in a session of its own is still PID 1's.
    Test::new()
        .in_pid_namespace()
        .table(verb("setsid sleep 3 &"))
        .args(["a"])
        .stdout("0\n")
        .stderr(format!("{ran}preverb: setup left process [..] (`[..]`) running beside the target\n"))
        .run();
    // In another namespace's /proc the numbers are those of other processes.
    Test::new()
        .under(["unshare", "--pid", "--fork", "--kill-child"])
        .needs_root()
        .table(
            "[[setup]]\nname = \"h\"\nrun = [\"sh\", \"-c\", \"sleep 3 &\"]\n[verbs.a]\nexec = [\"true\"]\n",
        )
        .args(["a"])
        .stderr(ran)
        .run();
    // A child that preverb has inherited is not a hook's.
    Test::new()
        .under_shell("sleep 2 & exec \"$@\"")
        .table(verb("true"))
        .args(["a"])
        .stdout("0\n")
        .stderr(ran)
        .run();
    // A zombie of another process.
    if lacks("python3") {
        return;
    }
    let leave = "import os, sys\np = os.fork()\np or os._exit(0)\nos.waitid(os.P_PID, p, os.WEXITED | os.WNOWAIT)\n\
                 os.execv(sys.argv[1], sys.argv[1:])";
    Test::new()
        .under(["/usr/bin/python3", "-c", leave])
        .table(format!("[verbs.a]\n{list}"))
        .args(["a"])
        .stdout("0\n")
        .run();
}
