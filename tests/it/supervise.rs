//! Chapter 8, point 5, and `--supervise`: what an init does for its child.
//!
//! Each case that applies to any init runs under preverb, and under Debian's tini and dumb-init
//! if they are installed. If they behave differently, the case says how, which shows that each case can
//! fail.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rustix_libc_wrappers::process::SignalExt as _;

use crate::dsl::{Running, Test, children, lacks, preverb, state};

/// A program that supervises a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Init {
    Preverb,
    Tini,
    DumbInit,
}

use Init::{DumbInit, Preverb, Tini};

impl Init {
    /// The command that starts it, up to the target, with these options.
    fn words(self, options: &[&'static str]) -> Vec<&'static str> {
        let (program, end): (&[&str], &[&str]) = match self {
            Preverb => (&[preverb(), "--supervise"], &["--"]),
            // Without -s it complains when it is not PID 1.
            Tini => (&["tini", "-s"], &["--"]),
            DumbInit => (&["dumb-init"], &["--"]),
        };
        [program, options, end].concat()
    }

    /// The command in a script.
    fn line(self) -> String {
        self.words(&[]).join(" ")
    }

    /// A case in which a shell runs this script as its target.
    fn script(self, script: &str) -> Test {
        self.with(&[], script)
    }

    /// The same with options.
    fn with(self, options: &[&'static str], script: &str) -> Test {
        Test::new().under(self.words(options)).under_shell(script)
    }

    /// A case in which Python runs this script as its target.
    fn python(self, options: &[&'static str], script: &str) -> Test {
        Test::new().under(self.words(options)).under(["python3", "-c", script])
    }

    /// A case in which Python prepares something and then becomes this program.
    fn after(self, preparation: &str, target: &[&str]) -> Test {
        let words = [&self.words(&[]), target].concat();
        let program =
            format!("import os, signal\n{preparation}\nwords = {words:?}\nos.execvp(words[0], words)\n");
        Test::new().under(["python3", "-c", &program])
    }
}

/// Runs a case under every program that is there.
fn under(inits: &[Init], case: impl Fn(Init) -> Test) {
    for init in inits {
        let program = init.words(&[])[0];
        if lacks(program) {
            continue;
        }
        eprintln!("under {init:?}");
        case(*init).run();
    }
}

/// Sends any signal, a real-time one too.
#[track_caller]
fn send(pid: Pid, number: i32) {
    let pid = rustix::process::Pid::from_raw(pid.as_raw()).unwrap();
    let signal = rustix::process::Signal::from_raw(number).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Whether a file of the test's directory has this line.
fn has_line(run: &Running, file: &str, line: &str) -> bool {
    lines(run, file).iter().any(|each| each == line)
}

fn lines(run: &Running, file: &str) -> Vec<String> {
    let text = fs::read_to_string(run.dir().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Waits until the target is the only child, and gives its process id.
#[track_caller]
fn target(run: &Running) -> Pid {
    run.wait_until("the target to start", || !run.children().is_empty());
    run.children()[0]
}

#[track_caller]
fn wait_for_state(run: &Running, pid: Pid, letters: &str) {
    run.wait_until(&format!("{pid} to be in one of the states {letters}"), || {
        state(pid).is_some_and(|state| letters.contains(state))
    });
}

/// Writes each signal that it gets to the file `heard`; ends when there is a file `end`.
const RECORDER: &str = "
import os, signal, time
log = os.open('heard', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
for number in set(range(1, 65)) - {9, 19, 32, 33}:
    signal.signal(number, lambda number, frame: os.write(log, b'%d\\n' % number))
open('ready', 'w')
while not os.path.exists('end'):
    time.sleep(0.01)
";

fn end(run: &Running) {
    fs::write(run.dir().join("end"), "").unwrap();
}

// The end of the target

#[test]
fn the_exit_code_of_the_target_is_kept() {
    under(&[Preverb, Tini, DumbInit], |init| init.script("exit 0").pid1());
    for code in [1, 42, 64, 126, 127, 128, 255] {
        under(&[Preverb, Tini, DumbInit], |init| init.script(&format!("exit {code}")).status(code));
    }
}

#[test]
fn exit_codes_of_the_target_can_be_replaced_but_not_preverbs_own() {
    let by_option =
        |words: &[&str]| Test::new().args(["--supervise", "--exit", "143=0,3=4"]).args(["--"]).args(words);
    by_option(&["sh", "-c", "exit 143"]).status(0).pid1().run();
    by_option(&["sh", "-c", "kill -TERM $$"]).status(0).run();
    by_option(&["sh", "-c", "exit 3"]).status(4).run();
    by_option(&["sh", "-c", "exit 5"]).status(5).run();
    Test::new()
        .args(["--supervise", "--exit", "127=0", "--", "no-such-program"])
        .status(127)
        .any_stderr()
        .run();
    let table = "[verbs.v]\nexec = [\"sh\", \"-c\", \"exit 143\"]\ninit = { exit = { 143 = 0 } }\n";
    Test::new().table(table).args(["v"]).status(0).pid1().run();
}

#[test]
fn a_target_killed_by_a_signal_is_128_plus_its_number() {
    for signal in [1, 2, 6, 9, 11, 15, 31, 36, 64] {
        under(&[Preverb, Tini, DumbInit], |init| {
            init.script(&format!("kill -{signal} $$")).status(128 + signal).pid1()
        });
    }
}

#[test]
fn a_target_that_dumps_core_is_128_plus_its_signal() {
    under(&[Preverb, Tini, DumbInit], |init| init.script("ulimit -c unlimited; kill -QUIT $$").status(131));
}

#[test]
fn a_missing_target_is_127_and_one_that_cannot_run_is_126() {
    Test::new()
        .env("PATH", "/bin:/usr/bin")
        .args(["--supervise", "--", "nonesuch"])
        .stderr("preverb: cannot run `nonesuch`: not found on PATH `/bin:/usr/bin`\n")
        .status(127)
        .pid1()
        .run();
    Test::new()
        .file("plain", "", 0o644)
        .args(["--supervise", "--", "./plain"])
        .stderr("preverb: cannot run `./plain`: it is not executable (mode 0644)\nhint: `chmod +x` it when the image is built\n")
        .status(126)
        .pid1()
        .run();
    let by = |init: Init, program: &'static str| {
        Test::new().under([&init.words(&[])[..], &[program]].concat()).any_stderr()
    };
    under(&[Tini, DumbInit], |init| by(init, "nonesuch").status(if init == Tini { 127 } else { 2 }));
    under(&[Tini, DumbInit], |init| by(init, "/etc/passwd").status(if init == Tini { 126 } else { 2 }));
}

#[test]
fn a_target_that_cannot_run_is_reported_the_same_on_a_terminal() {
    Test::new()
        .program("script", "no line that names an interpreter\n")
        .terminal()
        .args(["--supervise", "--", "script"])
        .stdout("preverb: cannot run `[DIR]/bin/script`: it has no `#!` line and is not a binary\nhint: a script begins with a line such as `#!/bin/sh`\n")
        .status(126)
        .run();
}

// Signals

#[test]
fn each_signal_that_can_be_caught_reaches_the_target() {
    under(&[Preverb, Tini, DumbInit], |init| {
        let lost: &[i32] = match init {
            Preverb => &[],
            // The synchronous ones are tini's own, it ignores two, and takes CHLD for itself.
            Tini => &[4, 5, 7, 8, 11, 6, 31, 17, 21, 22],
            // Three come as STOP.
            DumbInit => &[17, 20, 21, 22],
        };
        init.python(&[], RECORDER)
            .during(move |run| {
                run.wait_for_file("ready");
                let numbers = (1..=31).chain(35..=64).filter(|number| ![9, 19].contains(number));
                for number in numbers.filter(|number| !lost.contains(number)) {
                    send(run.pid(), number);
                    run.wait_until(&format!("signal {number} to be heard"), || {
                        has_line(run, "heard", &number.to_string())
                    });
                }
                // Nothing came twice, and nothing came that was not sent.
                let heard = lines(run, "heard").len();
                assert_eq!(heard, 59 - lost.len());
                end(run);
            })
            .pid1()
    });
}

#[test]
fn a_signal_that_tini_does_not_forward_is_forwarded() {
    under(&[Preverb, Tini], |init| {
        init.python(&[], RECORDER).during(move |run| {
            run.wait_for_file("ready");
            send(run.pid(), 22);
            send(run.pid(), 10);
            run.wait_until("signal 10 to be heard", || has_line(run, "heard", "10"));
            assert_eq!(has_line(run, "heard", "22"), init == Preverb);
            end(run);
        })
    });
}

#[test]
fn signals_can_be_rewritten_or_dropped() {
    under(&[Preverb, DumbInit], |init| {
        let options: &[&str] = match init {
            Preverb => &["--signals", "TERM=USR2,HUP=none,USR1=RTMIN+3,RTMIN+4=SIGINT"],
            DumbInit | Tini => &["-r", "15:12", "-r", "1:0", "-r", "10:28"],
        };
        init.python(options, RECORDER)
            .during(move |run| {
                run.wait_for_file("ready");
                let mut expected = vec!["12"];
                send(run.pid(), 15);
                run.wait_until("the first to be heard", || lines(run, "heard") == expected);
                send(run.pid(), 1);
                send(run.pid(), 10);
                expected.push(if init == Preverb { "37" } else { "28" });
                run.wait_until("the second to be heard", || lines(run, "heard") == expected);
                if init == Preverb {
                    send(run.pid(), 38);
                    expected.push("2");
                    run.wait_until("the third to be heard", || lines(run, "heard") == expected);
                }
                end(run);
            })
            .pid1()
    });
}

#[test]
fn a_signal_goes_to_the_target_alone_or_to_its_group() {
    const PAIR: &str = "
import os, signal, time
child = os.fork() == 0
name = 'child' if child else 'parent'
log = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
signal.signal(signal.SIGUSR1, lambda number, frame: os.write(log, b'10\\n'))
signal.signal(signal.SIGUSR2, lambda number, frame: os.write(log, b'12\\n'))
open(name + '-ready', 'w')
while not os.path.exists('end'):
    time.sleep(0.01)
if not child:
    os.wait()
";
    for group in [false, true] {
        under(&[Preverb, Tini, DumbInit], |init| {
            let options: &[&str] = match (init, group) {
                (Preverb, true) => &["--group"],
                (Tini, true) => &["-g"],
                (DumbInit, false) => &["--single-child"],
                (Preverb | Tini, false) | (DumbInit, true) => &[],
            };
            init.python(options, PAIR)
                .during(move |run| {
                    run.wait_for_file("parent-ready");
                    run.wait_for_file("child-ready");
                    // Two pending signals have no order, so the test waits for each one in every receiver.
                    for (number, line) in [(10, "10"), (12, "12")] {
                        send(run.pid(), number);
                        run.wait_until("the parent to hear", || has_line(run, "parent", line));
                        if group {
                            run.wait_until("the child to hear", || has_line(run, "child", line));
                        }
                    }
                    let heard: &[&str] = if group { &["10", "12"] } else { &[] };
                    assert_eq!(lines(run, "child"), heard);
                    end(run);
                })
                .pid1()
        });
    }
}

#[test]
fn a_supervised_sleep_ends_at_once_on_term() {
    under(&[Preverb, Tini, DumbInit], |init| {
        Test::new()
            .under(init.words(&[]))
            .under(["sh", "-c", "exec sleep 1000"])
            .during(|run| {
                let target = target(run);
                let comm = format!("/proc/{target}/comm");
                run.wait_until("sleep to start", || {
                    fs::read_to_string(&comm).is_ok_and(|name| name == "sleep\n")
                });
                run.signal(Signal::SIGTERM);
                run.ends_within(Duration::from_millis(500));
            })
            .status(143)
            .pid1()
    });
}

#[test]
fn a_signal_that_was_pending_at_the_start_reaches_the_target() {
    let pending = "
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
os.kill(os.getpid(), signal.SIGTERM)
";
    let until_seen = "
import signal, time
while signal.SIGTERM not in signal.sigpending():
    time.sleep(0.01)
print('pending')
";
    let case = |init: Init| init.after(pending, &["python3", "-c", until_seen]);
    under(&[Preverb, Tini], |init| case(init).stdout("pending\n"));
}

// Stopping and continuing

#[test]
fn a_stop_and_a_continue_from_outside_apply_to_target_and_supervisor() {
    for signal in [20, 21, 22] {
        under(&[Preverb, Tini, DumbInit], |init| {
            Test::new()
                .under(init.words(&[]))
                .under(["sh", "-c", "sleep 1000", "sh"])
                .during(move |run| {
                    let target = target(run);
                    wait_for_state(run, target, "S");
                    if init == Tini && signal != 20 {
                        // It ignores them.
                        send(target, 9);
                        return;
                    }
                    send(run.pid(), signal);
                    wait_for_state(run, target, "T");
                    if init == Tini {
                        // It keeps running without the target.
                        wait_for_state(run, run.pid(), "S");
                    } else {
                        wait_for_state(run, run.pid(), "T");
                    }
                    send(run.pid(), 18);
                    wait_for_state(run, target, "S");
                    wait_for_state(run, run.pid(), "S");
                    send(target, 9);
                })
                .status(137)
        });
    }
}

#[test]
fn as_process_1_a_stop_stops_the_target_and_a_continue_continues_it() {
    let case = || {
        Test::new().args(["--supervise", "--", "sh", "-c", "sleep 1000"]).during(|run| {
            let target = target(run);
            wait_for_state(run, target, "S");
            for _ in 0..3 {
                send(run.pid(), 20);
                wait_for_state(run, target, "T");
                send(run.pid(), 18);
                wait_for_state(run, target, "S");
            }
            send(target, 9);
        })
    };
    case().status(137).pid1().run();
}

#[test]
fn stopping_the_target_alone_does_not_stop_the_supervisor() {
    under(&[Preverb, Tini], |init| {
        Test::new()
            .under(init.words(&[]))
            .under(["sh", "-c", "sleep 1000", "sh"])
            .during(|run| {
                let target = target(run);
                wait_for_state(run, target, "S");
                for signal in [19, 20, 22] {
                    send(target, signal);
                    wait_for_state(run, target, "T");
                    send(target, 18);
                    wait_for_state(run, target, "S");
                }
                // By now it would have stopped.
                wait_for_state(run, run.pid(), "S");
                send(run.pid(), 15);
                run.ends_within(Duration::from_secs(5));
            })
            .status(143)
    });
}

#[test]
fn a_target_that_stops_itself_continues_with_the_supervisor() {
    under(&[Preverb, Tini], |init| {
        init.script("kill -STOP $$; exit 5")
            .during(move |run| {
                wait_for_state(run, target(run), "T");
                wait_for_state(run, run.pid(), "S");
                send(run.pid(), 18);
            })
            .status(5)
            .pid1()
    });
}

#[test]
fn a_job_that_stops_itself_returns_the_terminal_to_the_shell() {
    let script = format!(
        "{} sh -c 'kill -STOP $$; exit 5'; echo stopped $?; fg >/dev/null; echo ended $?",
        Preverb.line()
    );
    Test::new()
        .under(["bash", "-mc", &script])
        .terminal()
        .any_stdout()
        .stdout_contains("stopped 147\n")
        .stdout_contains("ended 5\n")
        .run();
}

// Orphans

/// Leaves a hundred orphans that end all at once when there is a file `go`, then waits for `end`.
const BREEDER: &str = "
import os, time
read, write = os.pipe()
for _ in range(100):
    if os.fork() == 0:
        if os.fork() == 0:
            os.close(write)
            os.read(read, 1)
        os._exit(0)
    os.wait()
def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)
open('bred', 'w')
wait_for('go')
os.close(write)
wait_for('end')
";

#[test]
fn a_hundred_orphans_that_end_at_once_are_all_reaped() {
    let case = |init: Init, adopts: bool| {
        init.python(&[], BREEDER).during(move |run| {
            run.wait_for_file("bred");
            let adopted = if adopts { 101 } else { 1 };
            run.wait_until("the orphans to be adopted", || run.children().len() == adopted);
            fs::write(run.dir().join("go"), "").unwrap();
            run.wait_until("no zombie to be left", || run.children().len() == 1);
            end(run);
        })
    };
    under(&[Preverb, Tini], |init| case(init, true).pid1());
    // It adopts no process where it is not process 1.
    under(&[DumbInit], |init| case(init, false));
}

#[test]
fn the_target_is_not_a_subreaper() {
    let ask = "
import ctypes
answer = ctypes.c_int(7)
ctypes.CDLL(None).prctl(37, ctypes.byref(answer), 0, 0, 0)
print(answer.value)
";
    under(&[Preverb, Tini], |init| init.python(&[], ask).stdout("0\n"));
}

#[test]
fn the_exit_of_an_adopted_process_does_not_end_the_supervisor() {
    under(&[Preverb, Tini, DumbInit], |init| {
        init.script("(sh -c 'exit 9' &); sleep 0.2; exit 3").status(3).pid1()
    });
}

// Leftover processes

/// Leaves two processes: one that handles TERM, and one that does not.
const LEAVER: &str = r#"
    sh -c 'trap "echo handled >bye; exit" TERM; : >willing; while :; do sleep 0.01; done' 2>/dev/null &
    sh -c 'trap "" TERM; echo $$ >unwilling; exec sleep 1000' &
    until [ -e willing ] && [ -s unwilling ]; do sleep 0.01; done
    exit 3
"#;

#[test]
fn with_grace_leftover_processes_get_term_and_then_kill() {
    Preverb
        .with(&["--grace", "500ms"], LEAVER)
        .status(3)
        .check(|output| {
            assert_eq!(output.file("bye").as_deref(), Some(&b"handled\n"[..]));
            assert!(output.took >= Duration::from_millis(500), "{:?}", output.took);
            assert!(output.took < Duration::from_secs(20), "{:?}", output.took);
        })
        .pid1()
        .run();
}

#[test]
fn with_grace_leftovers_of_other_sessions_and_generations_are_killed() {
    let script = r#"
        sh -c 'setsid sh -c "sleep 1000 & echo \$! >first; exec sleep 1000" & echo $! >second; exec sleep 1000' &
        until [ -s first ] && [ -s second ]; do sleep 0.01; done
    "#;
    Preverb
        .with(&["--grace", "100ms"], script)
        .check(|output| {
            for file in ["first", "second"] {
                let pid = String::from_utf8(output.file(file).unwrap()).unwrap();
                let pid = Pid::from_raw(pid.trim().parse().unwrap());
                assert_eq!(state(pid), None, "{file}");
            }
        })
        .run();
}

#[test]
fn grace_ends_as_soon_as_no_process_is_left() {
    Preverb
        .with(&["--grace", "1h"], "sleep 1000 & kill -STOP $!; sleep 1000 & exit 4")
        .during(|run| run.ends_within(Duration::from_secs(10)))
        .status(4)
        .pid1()
        .run();
}

#[test]
fn signals_during_the_grace_period_are_rewritten() {
    let left = "trap '' TERM; trap 'echo >asked; exit' USR1; : >willing; while :; do sleep 0.01; done";
    Preverb
        .with(
            &["--grace", "1h", "--signals", "TERM=USR1,HUP=none"],
            &format!("sh -c \"{left}\" & until [ -e willing ]; do sleep 0.01; done; exit 3"),
        )
        .during(|run| {
            run.wait_for_file("willing");
            run.wait_until("the target to be collected", || {
                let children = run.children();
                !children.is_empty() && children.iter().all(|pid| leads_no_group(*pid))
            });
            run.signal(Signal::SIGHUP);
            run.signal(Signal::SIGTERM);
            run.ends_within(Duration::from_secs(10));
        })
        .status(3)
        // Its shell may name the signal that ended a command of its own.
        .any_stderr()
        .check(|output| assert!(output.file("asked").is_some()))
        .pid1()
        .run();
}

/// Whether the process is not the first one of its group, as a target is.
fn leads_no_group(pid: Pid) -> bool {
    nix::unistd::getpgid(Some(pid)).is_ok_and(|group| group != pid)
}

#[test]
fn without_grace_the_supervisor_ends_with_its_target() {
    under(&[Preverb, Tini, DumbInit], |init| {
        init.script(
            "sh -c 'trap \"\" TERM; echo $$ >left; exec sleep 1000' & until [ -s left ]; do :; done; exit 6",
        )
        .status(6)
        .check(|output| {
            assert!(output.took < Duration::from_secs(10));
            let pid = String::from_utf8(output.file("left").unwrap()).unwrap();
            let pid = Pid::from_raw(pid.trim().parse().unwrap());
            assert!(state(pid).is_some());
            send(pid, 9);
        })
    });
}

#[test]
fn without_grace_process_1_ends_with_its_target() {
    under(&[Preverb, Tini], |init| {
        init.script("sh -c 'trap \"\" TERM; : >left; exec sleep 1000' & until [ -e left ]; do :; done; [ $PPID = 1 ] || kill $!; exit 6")
            .during(|run| run.ends_within(Duration::from_secs(10)))
            .status(6)
            .pid1()
    });
}

// Inherited by the target, and released by the supervisor

/// A set of signals from `/proc/self/status`. The C library may have taken 32 and 33.
fn signals(text: &str, set: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(set)).expect(text);
    u64::from_str_radix(line.trim(), 16).unwrap() & !0x1_8000_0000
}

fn bits(numbers: &[u32]) -> u64 {
    numbers.iter().fold(0, |bits, number| bits | 1 << (number - 1))
}

#[test]
fn blocked_and_ignored_signals_reach_the_target_as_they_were() {
    let prepare = |ignored: &[u32]| {
        format!(
            "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n\
             for number in {ignored:?}: signal.signal(number, signal.SIG_IGN)\n\
             signal.pthread_sigmask(signal.SIG_BLOCK, [2, 10, 17, 22, 40, 64])"
        )
    };
    under(&[Preverb, Tini, DumbInit], |init| {
        let (before, blocked, ignored): (&[u32], &[u32], &[u32]) = match init {
            // An ignored PIPE or CHLD would surprise every program.
            Preverb => (&[1, 12, 13, 17, 20, 41], &[2, 10, 17, 22, 40, 64], &[1, 12, 20, 41]),
            // Where CHLD is ignored it never learns that its child has ended.
            Tini => (&[1, 12, 13, 20, 41], &[2, 10, 17, 22, 40, 64], &[1, 12, 13, 20, 41]),
            // It resets both, and forgets the real-time ones.
            DumbInit => (&[1, 12, 13, 20, 41], &[], &[41]),
        };
        init.after(&prepare(before), &["grep", "^Sig", "/proc/self/status"]).any_stdout().check(
            move |output| {
                assert_eq!(signals(output.text(), "SigBlk:"), bits(blocked), "blocked");
                assert_eq!(signals(output.text(), "SigIgn:"), bits(ignored), "ignored");
            },
        )
    });
}

#[test]
fn descriptors_reach_the_target_and_the_supervisor_closes_its_copies() {
    under(&[Preverb, Tini], |init| {
        let script = format!(
            "exec 5</etc/passwd 200</etc/group; exec {} sh -c \
             'ls -l /proc/$$/fd >fds; pwd >pwd; : >ready; until [ -e end ]; do sleep 0.01; done'",
            init.line()
        );
        Test::new()
            .under(["bash", "-c", &script])
            .during(move |run| {
                run.wait_for_file("ready");
                let fds = lines(run, "fds").join("\n");
                assert!(fds.contains(" 5 -> /etc/passwd") && fds.contains(" 200 -> /etc/group"), "{fds}");
                assert_eq!(lines(run, "pwd"), [run.dir().to_str().unwrap()]);
                let of = |name: &str| fs::read_link(format!("/proc/{}/{name}", run.pid())).ok();
                let is = |name: &str, path: &str| of(name).is_some_and(|found| found == Path::new(path));
                if init == Tini {
                    assert!(is("fd/5", "/etc/passwd") && of("cwd").unwrap() == run.dir());
                } else {
                    run.wait_until("the supervisor to let go", || {
                        is("cwd", "/")
                            && is("fd/0", "/dev/null")
                            && is("fd/1", "/dev/null")
                            && is("fd/2", "/dev/null")
                            && is("fd/3", "anon_inode:[signalfd]")
                            && fs::read_dir(format!("/proc/{}/fd", run.pid())).unwrap().count() == 4
                    });
                }
                end(run);
            })
            .pid1()
    });
}

#[test]
fn a_pipe_ends_when_the_target_closes_it() {
    // The target closes its output and lives on: the reader after it has ended.
    for (both, closing) in [("", "exec >&-"), ("2>&1", "exec >&- 2>&-")] {
        under(&[Preverb], |init| {
            let script = format!(
                "{} sh -c 'echo said; {closing}; until [ -e read ]; do sleep 0.01; done' {both} | {{ cat; : >read; }}",
                init.line()
            );
            Test::new().under(["sh", "-c", &script]).stdout("said\n").pid1()
        });
    }
}

#[test]
fn the_target_has_a_process_group_of_its_own_in_the_same_session() {
    under(&[Preverb, Tini, DumbInit], |init| {
        init.script(
            "set -- $(cat /proc/$$/stat /proc/$PPID/stat); [ $5 = $1 ] && echo own; shift 52; echo; exit 0",
        )
        .any_stdout()
        .stdout_contains("own\n")
    });
}

#[test]
fn the_process_name_of_the_supervisor_has_the_pid_of_its_target() {
    let words =
        ["[DIR]/bin/other", "--supervise", "--", "sh", "-c", "until [ -e end ]; do sleep 0.01; done", "sh"];
    Test::new()
        .link("bin/other", preverb())
        .under(words)
        .during(|run| {
            let comm = format!("/proc/{}/comm", run.pid());
            let expected = format!("preverb:{}\n", target(run));
            run.wait_until("its name", || fs::read_to_string(&comm).is_ok_and(|name| name == expected));
            end(run);
        })
        .run();
}

#[test]
fn listen_pid_is_changed_to_the_target() {
    let print = "echo $LISTEN_PID $LISTEN_FDS ${LISTEN_PIDFDID-none}; [ $LISTEN_PID = $$ ] && echo mine";
    under(&[Preverb, Tini], |init| {
        let words = [init.words(&[]), vec!["sh", "-c", print]].concat();
        let script = "export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_PIDFDID=77; exec \"$@\"";
        let test = Test::new().under(["sh", "-c", script, "sh"]).under(words).pid1();
        if init == Preverb {
            test.stdout_contains(" 2 none\nmine\n")
        } else {
            test.stdout_contains(" 2 77\n").stdout_lacks("mine").status(1)
        }
    });
    under(&[Preverb], |init| init.script("echo $LISTEN_PID").env("LISTEN_PID", "4711").stdout("4711\n"));
}

// The terminal

/// Says whether this shell's process group has the terminal's foreground.
const FOREGROUND: &str =
    r#"set -- $(cat /proc/$$/stat); [ "$5" = "$8" ] && echo foreground || echo background"#;

#[test]
fn the_target_starts_in_the_foreground_of_the_terminal() {
    under(&[Preverb, Tini], |init| {
        init.script(&format!("{FOREGROUND}; read line; echo \"got $line\""))
            .terminal()
            .during(|run| {
                run.wait_for_screen("ground");
                run.type_in(b"words\n");
            })
            .any_stdout()
            .stdout_contains("foreground\n")
            .stdout_contains("got words\n")
            .pid1()
    });
}

#[test]
fn a_supervisor_in_the_background_does_not_take_the_foreground() {
    under(&[Preverb, Tini], |init| {
        let script = format!("{} sh -c '{FOREGROUND}' & wait", init.line());
        let expected = if init == Preverb { "background\n" } else { "foreground\n" };
        Test::new().under(["bash", "-mc", &script]).terminal().any_stdout().stdout_contains(expected)
    });
}

#[test]
fn a_process_1_in_the_background_does_not_take_the_foreground() {
    // In there every group of the outer namespace is 0, as the foreground's is.
    let ask = "import os; print('foreground' if os.tcgetpgrp(0) == os.getpgrp() else 'background')";
    let script = |line: &str| format!("unshare -pf --mount-proc {line} python3 -c \"{ask}\"");
    under(&[Preverb], |init| {
        Test::new()
            .under(["bash", "-mc", &format!("{} & wait", script(&init.line()))])
            .needs("python3")
            .terminal()
            .needs_root()
            .any_stdout()
            .stdout_contains("background\n")
    });
    under(&[Preverb], |init| {
        Test::new()
            .under(["bash", "-mc", &script(&init.line())])
            .needs("python3")
            .terminal()
            .needs_root()
            .any_stdout()
            .stdout_contains("foreground\n")
    });
}

#[test]
fn the_foreground_is_given_back_at_the_end() {
    under(&[Preverb, Tini], |init| {
        let script = format!("{} true; read line; echo \"got <$line>\"", init.line());
        let expected = if init == Preverb { "got <words>\n" } else { "got <>\n" };
        Test::new()
            .under(["sh", "-c", &script])
            .terminal()
            .during(|run| run.type_in(b"words\n"))
            .any_stdout()
            .stdout_contains(expected)
    });
}

#[test]
fn the_foreground_is_given_back_without_a_file_of_the_terminal() {
    // A scratch image has no /dev/tty.
    let script =
        format!("mount -t tmpfs none /dev; {} true; read line; echo \"got <$line>\"", Preverb.line());
    Test::new()
        .under(["unshare", "-m", "sh", "-c", &script])
        .terminal()
        .needs_root()
        .during(|run| run.type_in(b"words\n"))
        .any_stdout()
        .stdout_contains("got <words>\n")
        .run();
}

#[test]
fn ctrl_c_reaches_the_target_once() {
    under(&[Preverb, Tini], |init| {
        init.script("trap 'echo interrupted; n=1' INT; echo ready; until [ $n ]; do sleep 0.01; done; sleep 0.1; exit 5")
            .terminal()
            .during(|run| {
                run.wait_for_screen("ready");
                run.type_in(b"\x03");
            })
            .stdout("ready\n^Cinterrupted\n")
            .status(5)
            .pid1()
    });
}

#[test]
fn ctrl_z_returns_the_terminal_to_the_shell_and_fg_gives_it_back() {
    let script = |init: Init| format!("{} cat; echo stopped $?; fg >/dev/null; echo ended $?", init.line());
    under(&[Preverb], |init| {
        Test::new()
            .under(["bash", "-mc", &script(init)])
            .terminal()
            .during(|run| {
                run.type_in(b"one\n");
                run.wait_for_screen("one\none\n");
                run.type_in(b"\x1a");
                run.wait_for_screen("stopped 147");
                run.type_in(b"two\n");
                run.wait_for_screen("two\ntwo\n");
                run.type_in(b"\x04");
                run.wait_for_screen("ended 0");
            })
            .any_stdout()
    });
    // The shell learns nothing of it, and everything hangs.
    under(&[Tini], |init| {
        Test::new()
            .under(["bash", "-mc", &script(init)])
            .terminal()
            .during(|run| {
                run.type_in(b"one\n");
                run.wait_for_screen("one\none\n");
                run.type_in(b"\x1a");
                let tini = target(run);
                run.wait_until("cat to stop", || children(tini).iter().any(|cat| state(*cat) == Some('T')));
                wait_for_state(run, tini, "S");
                send(children(tini)[0], 9);
            })
            .any_stdout()
            .stdout_lacks("stopped 147")
    });
}

#[test]
fn a_target_that_reads_the_terminal_in_the_background_is_a_stopped_job() {
    let script = format!("{} cat & wait %1; echo waited; fg >/dev/null; echo ended $?", Preverb.line());
    Test::new()
        .under(["bash", "-mc", &script])
        .terminal()
        .during(|run| {
            run.wait_for_screen("waited");
            run.type_in(b"two\n");
            run.wait_for_screen("two\ntwo\n");
            run.type_in(b"\x04");
            run.wait_for_screen("ended 0");
        })
        .any_stdout()
        .run();
}

#[test]
fn fg_gives_the_terminal_to_a_running_job() {
    // To bash it runs, so it gets no CONT. It reads once its supervisor is in front.
    let job = r#"sh -c ': >ready; until set -- $(cat /proc/$PPID/stat) && [ "$5" = "$8" ]; do sleep 0.01; done; read line; echo "got <$line>"'"#;
    let script =
        format!("{} {job} & until [ -e ready ]; do sleep 0.01; done; fg %1; echo ended $?", Preverb.line());
    Test::new()
        .under(["bash", "-mc", &script])
        .terminal()
        .during(|run| {
            run.type_in(b"words\n");
            run.wait_for_screen("ended 0");
        })
        .any_stdout()
        .stdout_contains("got <words>\n")
        .run();
}

// In a table

#[test]
fn a_real_time_signal_can_be_a_stop_signal() {
    Test::new()
        .table(
            r#"
            stop-signals = ["SIGRTMIN+3"]
            log = "quiet"
            [[setup]]
            run = ["sh", "-c", ": >ready; exec sleep 1000"]
            [verbs.worker]
            exec = ["true"]
            "#,
        )
        .args(["worker"])
        .during(|run| {
            run.wait_for_file("ready");
            // Another one is not a request.
            send(run.pid(), 40);
            send(run.pid(), 37);
            run.ends_within(Duration::from_secs(4));
        })
        .any_stderr()
        .stderr_contains("signal 37")
        .status(165)
        .pid1()
        .run();
}

#[test]
fn a_verb_with_init_runs_under_a_supervisor_with_the_same_variables() {
    Test::new()
        .table(
            r#"
            [verbs.worker]
            exec = ["sh", "-c", ': >ready; until [ -e end ]; do sleep 0.01; done; exit 7']
            init = { signals = { TERM = "none" }, grace = "1s" }
            env = { LEVEL = "high" }
            "#,
        )
        .args(["worker"])
        .during(|run| {
            run.wait_for_file("ready");
            let variables = |pid: Pid| fs::read(format!("/proc/{pid}/environ")).unwrap();
            let target = target(run);
            assert_eq!(variables(run.pid()), variables(target));
            let has = |part: &[u8]| variables(target).split(|byte| *byte == 0).any(|each| each == part);
            assert!(has(b"LEVEL=high") && has(b"PREVERB_VERB=worker"));
            run.signal(Signal::SIGTERM);
            end(run);
        })
        .status(7)
        .pid1()
        .run();
}

/// Starts the program after `--` with TERM blocked and pending.
const TERM_IS_PENDING: &str = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); os.kill(os.getpid(), signal.SIGTERM); os.execvp(sys.argv[1], sys.argv[1:])";

#[test]
fn a_stop_while_preverb_becomes_the_supervisor_ends_the_run_before_the_target_starts() {
    // Handled signals stay blocked across that exec, and the supervisor knows what was blocked for it.
    Test::new()
        .table(
            "[verbs.worker]\nexec = [\"sh\", \"-c\", '''tr '\\0' ' ' </proc/$PPID/cmdline''']\ninit = true\n",
        )
        .args(["worker"])
        .stdout_contains("preverb --supervise --blocked 15,2,1,3,17 -- sh")
        .pid1()
        .run();
    Test::new()
        .args(["--supervise", "--blocked", "15,2,1,3,17", "--", "echo", "the target"])
        .under(["python3", "-c", TERM_IS_PENDING])
        .status(143)
        .stderr("preverb: stopped by SIGTERM before the target started\n")
        .pid1()
        .run();
}

#[test]
fn a_target_with_init_in_the_table_inherits_the_mask_that_preverb_inherited() {
    for stop in ["TERM", "SIGRTMIN+3"] {
        for blocked in [&[][..], &[2, 10, 17]] {
            let block = format!(
                "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {blocked:?}); os.execvp(sys.argv[1], sys.argv[1:])"
            );
            Test::new()
                .table(format!("stop-signals = [\"{stop}\"]\n[verbs.worker]\nexec = [\"grep\", \"^SigBlk\", \"/proc/self/status\"]\ninit = true\n"))
                .args(["worker"])
                .under(["python3", "-c", &block])
                .any_stdout()
                .check(move |output| {
                    assert_eq!(signals(output.text(), "SigBlk:"), bits(blocked));
                })
                .run();
        }
    }
}
