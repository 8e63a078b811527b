//! The state that the target inherits: the same target is started with preverb in between and without,
//! everything that the kernel tells of the two processes is compared, and what differs is what the
//! specification lists and nothing else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::dsl::{Running, Test, lacks, skip};

/// Sets up what a shell cannot, then execs. Its first argument says what, its second whether preverb is used:
/// if not, everything before the last `--` is left out.
const LAUNCH: &str = r#"
import ctypes, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
sigaction, sigprocmask = {"x86_64": (13, 14), "aarch64": (134, 135)}[os.uname().machine]
what, between = sys.argv[1].split(","), sys.argv[2] == "with"
words = [os.fsencode(word) for word in sys.argv[3:]]
if not between:
    words = words[len(words) - words[::-1].index(b"--"):]
env = [name + b"=" + value for name, value in os.environb.items()]
ignored, blocked = set(), set()
for each in what:
    if each == "ignored":
        ignored = set(range(1, 65)) - {9, 19}
    elif each == "blocked":
        # 32 to 34 are the C libraries' own: musl unblocks them as soon as a program has a handler.
        blocked = set(range(1, 65)) - {9, 19, 32, 33, 34}
    elif each == "some":
        ignored, blocked = {1, 2, 10, 40}, {10, 12, 17, 50}
    elif each == "pending":
        blocked = {10, 35, 64}
    elif each == "descriptors":
        for number, flags in (5, os.O_RDONLY), (200, os.O_RDWR | os.O_APPEND | os.O_NONBLOCK):
            file = os.open("preverb.toml", flags)
            os.dup2(file, number)
            os.close(file)
        os.lseek(5, 3, os.SEEK_SET)
    elif each == "environment":
        env[:0] = [b"A=1", b"noequals", b"A=2", b"=x", b"=x=y", b"", b"B==", b"a b=c\xff\n", b"\xff\xfe"]
        env += [b"A=3", b"HOME=", b"", b"noequals"]
    elif each == "empty-environment":
        env = []
    elif each.startswith("closed"):
        for number in each[6:]:
            os.close(int(number))
    elif each == "background":
        # The leader of a session has the group that it has; the kernel ends the child with it.
        if os.fork():
            os.wait()
            os._exit(98)
        libc.prctl(1, 9)
        os.setpgid(0, 0)
for number in range(1, 65):
    if number not in (9, 19):
        # Python has dispositions of its own; these are the kernel's, without the C library's opinion.
        action = (ctypes.c_ulong * 4)(1 if number in ignored else 0)
        libc.syscall(sigaction, number, action, None, ctypes.c_size_t(8))
mask = ctypes.c_ulong(sum(1 << (number - 1) for number in blocked))
libc.syscall(sigprocmask, 2, ctypes.byref(mask), None, ctypes.c_size_t(8))
if "pending" in what:
    os.kill(os.getpid(), 10)
    os.kill(os.getpid(), 64)
pointers = lambda texts: (ctypes.c_char_p * (len(texts) + 1))(*texts, None)
libc.execve(words[0], pointers(words), pointers(env))
os._exit(99)
"#;

/// The target: it does nothing, and can be looked at.
const SLEEP: &str = "/bin/sleep";

/// The kernel's facts about a process.
type Portrait = BTreeMap<String, String>;

/// The lines of `/proc/PID/status` that depend on a process's own work, or name it.
const OF_ITSELF: [&str; 17] = [
    "Pid", "Tgid", "Ngid", "PPid", "NStgid", "NSpid", "NSpgid", "NSsid", "SigQ", "VmPeak", "VmSize", "VmLck",
    "VmPin", "VmHWM", "RssAnon", "RssFile", "RssShmem",
];

fn portrait(run: &Running) -> Portrait {
    let mut found = None;
    run.wait_until("the target to run, and to have nothing left to start", || {
        let asleep = |pid: &Pid| {
            let at = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
            at("cmdline").starts_with(SLEEP) && at("wchan").contains("nanosleep")
        };
        found = std::iter::once(run.pid()).chain(run.children()).find(asleep);
        found.is_some()
    });
    let pid = found.unwrap();
    let at = |name: &str| format!("/proc/{pid}/{name}");
    let dir = run.dir().to_str().unwrap().to_owned();
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string().replace(&dir, "[DIR]");
    let (own, leader) = (pid.to_string(), run.pid().to_string());
    let mut portrait = Portrait::new();
    let mut put = |name: String, value: String| {
        assert!(portrait.insert(name.clone(), value).is_none(), "{name} twice");
    };
    for line in fs::read_to_string(at("status")).unwrap().lines() {
        let (name, value) = line.split_once(':').unwrap();
        let busy = name.starts_with("Vm") || name.ends_with("ctxt_switches") || name == "State";
        if !busy && !OF_ITSELF.contains(&name) {
            put(format!("status {name}"), value.trim().to_owned());
        }
    }
    for name in ["environ", "cmdline", "cgroup", "oom_score_adj", "coredump_filter", "personality", "limits"]
    {
        put(name.to_owned(), text(&fs::read(at(name)).unwrap_or_default()));
    }
    for name in ["cwd", "root", "exe", "ns/pid", "ns/mnt", "ns/user", "ns/net"] {
        let link = fs::read_link(at(name)).map(|link| link.to_string_lossy().replace(&dir, "[DIR]"));
        put(name.to_owned(), link.unwrap_or_default());
    }
    // proc_pid_stat(5): what follows the name.
    let stat = fs::read_to_string(at("stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
    for (name, number) in [
        ("pgrp", 5),
        ("session", 6),
        ("tty_nr", 7),
        ("tpgid", 8),
        ("priority", 18),
        ("nice", 19),
        ("threads", 20),
        ("itrealvalue", 21),
        ("exit_signal", 38),
        ("rt_priority", 40),
        ("policy", 41),
    ] {
        // A process that leads its group or session is known by its own number.
        let value = fields[number - 3];
        let value = match value {
            _ if value == own => "its own",
            _ if value == leader => "the leader's",
            number => number,
        };
        put(format!("stat {name}"), value.to_owned());
    }
    for entry in fs::read_dir(at("fd")).unwrap().flatten() {
        let number = entry.file_name().into_string().unwrap();
        let link = fs::read_link(entry.path()).unwrap().to_string_lossy().replace(&dir, "[DIR]");
        let info = fs::read_to_string(at(&format!("fdinfo/{number}"))).unwrap();
        let line =
            |name: &str| info.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        // Each run has a terminal of its own.
        let link = if link.starts_with("/dev/pts/") { "a terminal".to_owned() } else { link };
        // Output of hooks has a place in the file.
        let place = if number == "2" { String::new() } else { line("pos") };
        put(format!("fd {number}"), format!("{link} {place} {}", line("flags")));
    }
    portrait
}

/// A way to start a target, and the variables that it adds.
struct Way {
    words: &'static [&'static str],
    adds: &'static [&'static str],
}

const PLAIN: Way = Way { words: &["--skip-setup", "--"], adds: &["PREVERB_ENVIRONMENT=prod"] };
/// With two hooks, one of which is sourced.
const SETUP: Way = Way { words: &["--"], adds: &["PREVERB_ENVIRONMENT=prod"] };
const VERB: Way =
    Way { words: &["--skip-setup", "a", "--"], adds: &["PREVERB_ENVIRONMENT=prod", "PREVERB_VERB=a"] };
const AS: Way = Way { words: &["--as", "root", "--"], adds: &[] };
const WAIT: Way = Way { words: &["--wait", "file:///", "--"], adds: &[] };

/// Runs the target this way, or without preverb, and returns its state.
fn look(test: Test, what: &str, between: &str, way: &Way) -> Portrait {
    let seen = Rc::new(RefCell::new(Portrait::new()));
    let put = Rc::clone(&seen);
    // The verb's target has its own arguments, without a `--` among them.
    let words: Vec<&str> =
        way.words.iter().copied().filter(|word| way.adds.len() < 2 || *word != "--").collect();
    let table = format!(
        "[[setup]]\nhooks = \"[DIR]/hooks\"\n[[setup]]\nrun = [\"true\"]\n[verbs.a]\nexec = [\"{SLEEP}\"]\n"
    );
    let (words, target): (Vec<&str>, &[&str]) = match (way.adds.len(), between) {
        (2, "with") => (words, &["600"]),
        (2, _) => (vec!["--"], &[SLEEP, "600"]),
        _ => (words, &[SLEEP, "600"]),
    };
    test.under(["/usr/bin/python3", "-I", "-c", LAUNCH, what, between])
        .table(table)
        .hook("1.sh", ": nothing\n")
        .args(words)
        .args(target)
        .during(move |run| {
            *put.borrow_mut() = portrait(run);
            run.signal(Signal::SIGKILL);
        })
        .status(137)
        .any_stderr()
        .any_stdout()
        .run();
    seen.take()
}

/// The bits of SIGPIPE and SIGCHLD, which are default in the target.
const DEFAULT: u64 = 1 << 12 | 1 << 16;

/// Compares the two, and names everything that differs.
#[track_caller]
fn compare(test: impl Fn() -> Test, what: &str, way: &Way) {
    if lacks("python3") {
        return;
    }
    let mut without = look(test(), what, "without", way);
    let with = look(test(), what, "with", way);
    // The launcher has done its part.
    for (each, line) in [("ignored", "SigIgn"), ("blocked", "SigBlk"), ("pending", "ShdPnd")] {
        let none = without[&format!("status {line}")].trim_matches('0').is_empty();
        assert!(!none || !what.contains(each), "{each}: {without:?}");
    }
    let ignored = without.get_mut("status SigIgn").unwrap();
    *ignored = format!("{:016x}", u64::from_str_radix(ignored, 16).unwrap() & !DEFAULT);
    // Root's home is the one thing that `--as root` changes.
    let mut environ = without["environ"].clone();
    if way.words[0] == "--as" {
        environ = if environ.contains("HOME=") {
            environ.replacen("HOME=\\x00", "HOME=/root\\x00", 1)
        } else {
            environ + "HOME=/root\\x00"
        };
    }
    for variable in way.adds {
        environ += &format!("{variable}\\x00");
    }
    without.insert("environ".to_owned(), environ);
    for closed in what.split(',').filter_map(|each| each.strip_prefix("closed")).flat_map(str::chars) {
        let name = format!("fd {closed}");
        assert_eq!(without.get(&name), None, "it was closed");
        if let Some(stream) = with.get(&name) {
            assert!(stream.starts_with("/dev/null "), "{stream}");
            without.insert(name, stream.clone());
        }
    }
    let names: std::collections::BTreeSet<_> = with.keys().chain(without.keys()).collect();
    let differs: Vec<String> = names
        .into_iter()
        .filter(|name| with.get(*name) != without.get(*name))
        .map(|name| format!("{name}\n  without: {:?}\n  with:    {:?}", without.get(name), with.get(name)))
        .collect();
    assert!(differs.is_empty(), "{what}, {:?}:\n{}", way.words, differs.join("\n"));
}

#[test]
fn a_target_starts_in_the_same_state_as_without_preverb() {
    for way in [PLAIN, SETUP, VERB, AS, WAIT] {
        if way.words[0] == "--as" && !nix::unistd::geteuid().is_root() {
            skip("`--as root` needs root");
            continue;
        }
        compare(Test::new, "nothing", &way);
    }
}

#[test]
fn ignored_blocked_and_pending_signals_stay_unchanged() {
    for way in [PLAIN, SETUP, AS, WAIT] {
        if way.words[0] == "--as" && !nix::unistd::geteuid().is_root() {
            continue;
        }
        for what in ["ignored", "blocked", "ignored,blocked", "some", "pending"] {
            compare(Test::new, what, &way);
        }
    }
}

#[test]
fn descriptors_keep_their_numbers_and_offsets() {
    for way in [PLAIN, SETUP, VERB, WAIT] {
        compare(Test::new, "descriptors", &way);
    }
}

#[test]
fn unusual_environments_stay_unchanged_byte_for_byte() {
    for way in [PLAIN, SETUP, VERB, WAIT] {
        compare(Test::new, "environment", &way);
    }
    compare(Test::new, "empty-environment", &WAIT);
    if nix::unistd::geteuid().is_root() {
        compare(Test::new, "environment", &AS);
        compare(Test::new, "empty-environment", &AS);
    }
}

#[test]
fn closed_standard_streams_stay_closed_or_become_dev_null() {
    for way in [PLAIN, SETUP, WAIT] {
        for what in ["closed0", "closed1", "closed2", "closed01", "closed012,descriptors"] {
            compare(Test::new, what, &way);
        }
    }
}

#[test]
fn priority_umask_limits_and_scheduling_stay_unchanged() {
    let script = "umask 0123; ulimit -Sn 211; ulimit -Sc 0; echo 500 >/proc/self/oom_score_adj; mkdir -p down; cd down; \
                  exec nice -n 7 chrt -b 0 taskset -c 0 setarch -R \"$@\"";
    for way in [PLAIN, SETUP, VERB, WAIT] {
        // The launcher finds the table by its path.
        compare(|| Test::new().under_shell(script), "nothing", &way);
    }
}

#[test]
fn capabilities_and_groups_stay_unchanged() {
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--groups=4,65534"];
    let ambient = ["--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"];
    for way in [PLAIN, SETUP, VERB, WAIT] {
        compare(|| Test::new().needs_root().under(nobody), "nothing", &way);
        compare(|| Test::new().needs_root().under(nobody).under(ambient), "nothing", &way);
        compare(|| Test::new().needs_root().under(["setpriv", "--no-new-privs"]), "nothing", &way);
        compare(
            || Test::new().needs_root().under(["setpriv", "--bounding-set", "-kill,-chown"]),
            "nothing",
            &way,
        );
    }
}

#[test]
fn process_group_session_and_terminal_stay_unchanged() {
    for way in [PLAIN, SETUP, VERB, WAIT] {
        // The leader of a session in the foreground of its terminal.
        compare(|| Test::new().terminal(), "nothing", &way);
        // A group of its own in the background of it.
        compare(|| Test::new().terminal(), "background", &way);
    }
}

#[test]
fn real_time_signals_that_do_not_stop_a_run_stay_unchanged() {
    // 40 is blocked and pending, 50 is blocked.
    let script = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [40, 50]); \
                  os.kill(os.getpid(), 40); os.execvp(sys.argv[1], sys.argv[1:])";
    Test::new()
        .table(
            "stop-signals = [\"37\"]\nlog = \"quiet\"\n[[setup]]\nrun = [\"true\"]\n\
             [verbs.a]\nexec = [\"grep\", \"-E\", \"^(SigBlk|ShdPnd)\", \"/proc/self/status\"]\n",
        )
        .args(["a"])
        .under(["python3", "-c", script])
        .any_stdout()
        .check(|output| {
            let mask = |name: &str| {
                let line = output.text().lines().find_map(|line| line.strip_prefix(name)).unwrap();
                // The C library may have taken 32 and 33.
                u64::from_str_radix(line.trim(), 16).unwrap() & !0x1_8000_0000
            };
            assert_eq!(mask("SigBlk:"), 1 << 39 | 1 << 49);
            assert_eq!(mask("ShdPnd:"), 1 << 39);
        })
        .run();
}
