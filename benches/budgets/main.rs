//! The budgets of preverb, measured: `cargo bench` runs every figure side by side, prints a table and writes
//! `docs/bench/`; `--quick` takes fewer samples, `--row NAME` (a budget, a contender or a set) measures one
//! thing and its peers, `--list` names them, `--binary FILE` measures another build, `--out FOLDER` writes
//! elsewhere. Only a whole run writes without `--out`. `--ceilings` measures no time, and fails over a
//! ceiling.
//!
//! `ground` builds the programs, `contest` lists the contenders, `sample` is the stopwatch, `counts` counts
//! calls and instructions, `ceilings` checks the counts, `moments` measures everything except starts, and
//! `report` judges and shows.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench is a program that prints")]
#![expect(
    clippy::disallowed_methods,
    reason = "who owns what is a rule of preverb's; a bench starts others and waits"
)]

mod ceilings;
mod chart;
mod contest;
mod counts;
mod ground;
mod moments;
mod report;
mod sample;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use contest::{Contender, Materials, Set};
use ground::{Scratch, Symbols, build_preverb, compile_c, find};
use report::{Measured, Report, Verdict, micros};
use sample::Runner;

/// The options of the caller.
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    list: bool,
    ceilings: bool,
    row: Option<String>,
    binary: Option<PathBuf>,
    out: Option<PathBuf>,
}

/// A budget on a ratio of two medians.
struct RatioBudget {
    name: &'static str,
    what: &'static str,
    set: Set,
    of: &'static str,
    to: &'static str,
    most: Most,
}

/// How large a ratio may be.
enum Most {
    Times(f64),
    Below(f64),
    /// The reverse: the second must be this many times the first.
    TimesFaster(f64),
    /// Shown only.
    Any,
}

const RATIOS: [RatioBudget; 10] = [
    ratio("exec-10", "10 verbs, against the floor", Set::Start, "verbs-10", "floor", Most::Times(2.4)),
    ratio(
        "exec-10-dash",
        "10 verbs, against `case` in dash",
        Set::Start,
        "verbs-10",
        "case-dash",
        Most::TimesFaster(1.9),
    ),
    ratio("exec-100", "100 verbs, against the floor", Set::Start, "verbs-100", "floor", Most::Times(4.5)),
    ratio(
        "exec-1000",
        "1,000 verbs, against the floor",
        Set::Start,
        "verbs-1000",
        "floor",
        Most::Times(27.0),
    ),
    ratio(
        "supervise-start",
        "`--supervise`, against tini",
        Set::Start,
        "supervise",
        "tini",
        Most::Below(1.0),
    ),
    ratio("as-start", "`--as`, against gosu", Set::Start, "as", "gosu", Most::Any),
    ratio(
        "hooks-20",
        "20 hooks, against `sh -c '. hook; env -0'` for each",
        Set::Hooks,
        "hooks",
        "sh-each",
        Most::Times(1.3),
    ),
    ratio(
        "whole-stack",
        "the whole stack, against the usual one",
        Set::Stack,
        "preverb-stack",
        "usual-stack",
        Most::Any,
    ),
    ratio(
        "dash-floor",
        "the floor itself, against `case` in dash",
        Set::Start,
        "floor",
        "case-dash",
        Most::Any,
    ),
    ratio("growth", "10,000 verbs, against 10", Set::Start, "verbs-10000", "verbs-10", Most::Any),
];

const fn ratio(
    name: &'static str, what: &'static str, set: Set, of: &'static str, to: &'static str, most: Most,
) -> RatioBudget {
    RatioBudget { name, what, set, of, to, most }
}

/// Budgets that are not a ratio of two medians.
const OTHERS: [&str; 7] = [
    "calls-10",
    "supervise-memory",
    "run-memory",
    "term-in-hook",
    "port-opens",
    "binary-size",
    "instructions-10",
];

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            // cargo passes this to every bench.
            "--bench" => {}
            "--quick" => options.quick = true,
            "--list" => options.list = true,
            "--ceilings" => options.ceilings = true,
            "--row" => options.row = Some(words.next().context("`--row` needs a name; `--list` shows them")?),
            "--binary" => options.binary = Some(words.next().context("`--binary` needs a file")?.into()),
            "--out" => options.out = Some(words.next().context("`--out` needs a folder")?.into()),
            other => {
                bail!(
                    "unknown option `{other}`; there are --quick, --row NAME, --list, --ceilings, --binary FILE and --out FOLDER"
                )
            }
        }
    }
    Ok(options)
}

/// Measures the requested rows; false if something that should have run did not.
fn run(options: &Options) -> Result<bool> {
    if options.ceilings {
        return ceilings::hold();
    }
    let scratch = Scratch::new("bench")?;
    // The measured programs are in one folder that every user may read; ours is a copy like the others.
    let (floor, target, preverb) = (scratch.path("floor"), scratch.path("target"), scratch.path("preverb"));
    compile_c("floor.c", &floor)?;
    compile_c("target.c", &target)?;
    let built = match (&options.binary, options.list) {
        (Some(binary), _) => binary.clone(),
        // Names need no binary.
        (None, true) => target.clone(),
        (None, false) => build_preverb(Symbols::Stripped)?,
    };
    fs::copy(&built, &preverb).with_context(|| format!("copying `{}`", built.display()))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let materials = Materials {
        scratch: &scratch,
        preverb: preverb.clone(),
        floor,
        target: target.clone(),
        listener: &listener,
        root: nix::unistd::geteuid().is_root(),
    };
    let (contenders, absent) = materials.contenders()?;
    if options.list {
        list(&contenders);
        return Ok(true);
    }
    let row = options.row.as_deref();
    let contenders = chosen(row, contenders);
    if contenders.is_empty() && !OTHERS.iter().any(|name| row == Some(name)) {
        bail!("there is no row `{}`; `--list` names them", row.unwrap_or_default());
    }
    let mut report =
        Report { machine: report::machine(&VERSIONS), measured: Vec::new(), verdicts: Vec::new(), absent };
    let mut whole = measure(options, contenders, &listener, &mut report)?;
    let with_symbols = if options.binary.is_none() && find("valgrind").is_some() {
        Some(ceilings::readable_by_valgrind(&build_preverb(Symbols::Kept)?, &scratch)?)
    } else {
        None
    };
    count(&mut report, &preverb, with_symbols.as_deref(), &target, &scratch);
    judge_ratios(&mut report);
    for name in OTHERS {
        if row.is_none_or(|row| row == name)
            && let Err(error) = judge(name, options, &materials, &mut report)
        {
            report.absent.push(format!("FAILED: `{name}`: {error:#}"));
            whole = false;
        }
    }
    print!("{}", report.markdown()?);
    let whole_run = row.is_none() && options.binary.is_none() && !options.quick && whole;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bench");
    if let Some(folder) = options.out.as_deref().or(whole_run.then_some(docs.as_path())) {
        report.write(folder)?;
        println!("\nwritten to {}", folder.display());
    }
    Ok(whole)
}

const VERSIONS: [(&str, &[&str]); 7] = [
    ("bash", &["bash", "--version"]),
    ("dash", &["dpkg-query", "-W", "-f=${Version}", "dash"]),
    ("tini", &["tini", "--version"]),
    ("dumb-init", &["dumb-init", "--version"]),
    ("catatonit", &["dpkg-query", "-W", "-f=${Version}", "catatonit"]),
    ("gosu", &["gosu", "--version"]),
    ("rustc", &["rustc", "--version"]),
];

fn list(contenders: &[Contender]) {
    for budget in &RATIOS {
        println!("{:24} {}", budget.name, budget.what);
    }
    for name in OTHERS {
        println!("{name}");
    }
    for set in Set::ALL {
        println!("{}", set.name());
        for it in contenders.iter().filter(|it| it.set == set) {
            println!("    {:20} {}", it.name, it.about);
        }
    }
}

/// Whether a row needs a contender: it is the row, it is in the set, or the row is a budget that uses it.
fn asked_for(row: &str, contender: &Contender) -> bool {
    let (set, name) = (contender.set, contender.name.as_str());
    let counted = matches!(row, "calls-10" | "instructions-10") && set == Set::Start && name == "verbs-10";
    let compared = RATIOS
        .iter()
        .any(|budget| budget.name == row && budget.set == set && (budget.of == name || budget.to == name));
    row == name || row == set.name() || counted || compared
}

/// The contenders that a row needs, with the floor of each of their sets.
fn chosen(row: Option<&str>, contenders: Vec<Contender>) -> Vec<Contender> {
    let Some(row) = row else { return contenders };
    let sets: Vec<Set> = contenders.iter().filter(|it| asked_for(row, it)).map(|it| it.set).collect();
    contenders
        .into_iter()
        .filter(|it| asked_for(row, it) || it.name == "floor" && sets.contains(&it.set))
        .collect()
}

/// Runs the sets. A contender that fails at its first run is left out and reported, so the rest is still
/// useful.
fn measure(
    options: &Options, contenders: Vec<Contender>, listener: &TcpListener, report: &mut Report,
) -> Result<bool> {
    let mut whole = true;
    let mut fit = Vec::new();
    for contender in contenders {
        match trial(&contender) {
            Ok(()) => fit.push(contender),
            Err(error) => {
                report.absent.push(format!(
                    "FAILED: `{}` of `{}`: {error:#}",
                    contender.name,
                    contender.set.name()
                ));
                whole = false;
            }
        }
    }
    for set in Set::ALL {
        let members: Vec<Contender> = fit.extract_if(.., |it| it.set == set).collect();
        let (full, quick) = set.rounds();
        let rounds = if options.quick { quick } else { full };
        let runners: Vec<Runner> =
            members.iter().map(|it| Runner::new(&it.name, &it.words, &it.env)).collect::<Result<_>>()?;
        if runners.is_empty() {
            continue;
        }
        eprintln!("bench: {} contenders of `{}`, {rounds} rounds", runners.len(), set.name());
        // The kernel accepts clients that wait for the port; here the queue is cleared.
        let times = sample::interleave(&runners, rounds, || while listener.accept().is_ok() {})?;
        report.measured.extend(members.into_iter().zip(times).map(|(contender, samples)| Measured {
            contender,
            samples,
            calls: None,
            instructions: None,
        }));
    }
    Ok(whole)
}

/// Starts a contender once and shows its errors.
fn trial(contender: &Contender) -> Result<()> {
    let (program, rest) = contender.words.split_first().context("no program")?;
    let output = std::process::Command::new(program)
        .args(rest)
        .env_clear()
        .envs(contender.env.iter().map(|(name, value)| (name, value)))
        .env("BENCH_TARGET_SAYS", "yes")
        .stdin(std::process::Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    // The hook loops of the images write to standard output.
    if !output.stdout.ends_with(b"here I am\n") {
        bail!("it ended well without starting the target");
    }
    Ok(())
}

/// Adds system calls and instructions, if the tools are installed.
fn count(report: &mut Report, preverb: &Path, with_symbols: Option<&Path>, target: &Path, scratch: &Scratch) {
    let folder = scratch.path("");
    let strace = find("strace").is_some();
    if !strace {
        report.absent.push("`strace` is not installed: no system calls".to_owned());
    }
    if with_symbols.is_none() {
        report
            .absent
            .push("no instructions: `valgrind` is not installed, or another binary is measured".to_owned());
    }
    for it in &mut report.measured {
        let contender = &it.contender;
        if contender.point.is_some() {
            continue;
        }
        if strace {
            match counts::system_calls(&contender.words, &contender.env, target, &folder) {
                Ok(calls) => it.calls = Some(calls),
                Err(error) => report.absent.push(format!("system calls of `{}`: {error:#}", contender.name)),
            }
        }
        if let Some(with_symbols) = with_symbols
            && contender.countable
        {
            let mut words: Vec<&OsStr> = contender.words.iter().map(AsRef::as_ref).collect();
            if words[0] == preverb {
                words[0] = with_symbols.as_ref();
            }
            match counts::instructions(&words, &contender.env, &folder) {
                Ok(count) => it.instructions = Some(count),
                Err(error) => report.absent.push(format!("instructions of `{}`: {error:#}", contender.name)),
            }
        }
    }
}

fn judge_ratios(report: &mut Report) {
    for budget in &RATIOS {
        let Some(ratio) = report.ratio(budget.set, budget.of, budget.to) else { continue };
        let (found, allowed, kept) = match budget.most {
            Most::Times(most) => (format!("{ratio:.2} ×"), format!("at most {most} ×"), Some(ratio <= most)),
            Most::Below(most) => (format!("{ratio:.2} ×"), format!("below {most} ×"), Some(ratio < most)),
            Most::TimesFaster(least) => (
                format!("{:.2} × faster", 1.0 / ratio),
                format!("at least {least} × faster"),
                Some(1.0 / ratio >= least),
            ),
            Most::Any if ratio < 1.0 => (format!("{:.2} × faster", 1.0 / ratio), String::new(), None),
            Most::Any => (format!("{ratio:.2} ×"), String::new(), None),
        };
        let raw = json!({ "of": budget.of, "to": budget.to, "set": budget.set.name(), "ratio": ratio });
        let what = budget.what.to_owned();
        report.verdicts.push(Verdict { name: budget.name, what, found, budget: allowed, kept, raw });
    }
}

/// One of the budgets that are not a ratio.
fn judge(name: &'static str, options: &Options, materials: &Materials, report: &mut Report) -> Result<()> {
    let Materials { scratch, preverb, target, .. } = materials;
    let verdict = |what: &str, found: String, budget: &str, kept, raw| Verdict {
        name,
        what: what.to_owned(),
        found,
        budget: budget.to_owned(),
        kept,
        raw,
    };
    let at_ten =
        report.measured.iter().find(|it| it.contender.set == Set::Start && it.contender.name == "verbs-10");
    let verdict = match name {
        "calls-10" => {
            let Some(calls) = at_ten.and_then(|it| it.calls.as_ref()) else { return Ok(()) };
            let sum: usize = calls.values().sum();
            verdict("system calls, 10 verbs", sum.to_string(), "at most 40", Some(sum <= 40), json!(calls))
        }
        "instructions-10" => {
            let Some(count) = at_ten.and_then(|it| it.instructions) else { return Ok(()) };
            verdict("instructions, 10 verbs", count.to_string(), "", None, json!(count))
        }
        "binary-size" => {
            let size = fs::metadata(preverb)?.len();
            verdict(
                "the binary",
                format!("{size} bytes"),
                "at most 1300000 bytes",
                Some(size <= 1_300_000),
                json!(size),
            )
        }
        "supervise-memory" => {
            let ours = moments::memory_of_supervisor(
                &[preverb.as_os_str(), "--supervise".as_ref(), "--".as_ref()],
                target,
            )?;
            let tini = find("tini").context("`tini` is not installed")?;
            let theirs =
                moments::memory_of_supervisor(&[tini.as_os_str(), "-s".as_ref(), "--".as_ref()], target)?;
            let found = format!("{} KiB (tini {})", ours.resident, theirs.resident);
            let kept = ours.resident <= theirs.resident + 1024;
            let raw = json!({ "preverb": memory(&ours), "tini": memory(&theirs) });
            verdict("resident memory of `--supervise`", found, "at most tini's + 1024 KiB", Some(kept), raw)
        }
        "run-memory" => {
            let small = moments::memory_of_run(preverb, 10, target, scratch)?;
            let large = moments::memory_of_run(preverb, 10_000, target, scratch)?;
            let found = format!("{} KiB, {} KiB", small.peak, large.peak);
            let raw = json!({ "10": memory(&small), "10000": memory(&large) });
            verdict("peak resident memory of a run, 10 and 10,000 verbs", found, "", None, raw)
        }
        "term-in-hook" => {
            let times = (0..if options.quick { 3 } else { 20 })
                .map(|_| moments::term_in_hook(preverb, target, scratch))
                .collect::<Result<Vec<Duration>>>()?;
            let (middle, worst) = (sample::median(&times), sample::quantile(&times, 100));
            let found = format!("{:.1} ms, at worst {:.1}", micros(middle) / 1e3, micros(worst) / 1e3);
            let kept = worst <= Duration::from_millis(50);
            let raw = json!(times.iter().map(|time| micros(*time)).collect::<Vec<f64>>());
            verdict("a TERM during a hook that sleeps", found, "gone within 50 ms", Some(kept), raw)
        }
        _ => {
            let mut found = Vec::new();
            let mut raw = Vec::new();
            let mut kept = true;
            for after in if options.quick { &[100, 400][..] } else { &[50, 100, 200, 400, 1000, 2000] } {
                let after = Duration::from_millis(*after);
                let tries = (0..if options.quick { 1 } else { 3 })
                    .map(|_| moments::port_that_opens(preverb, target, scratch, after))
                    .collect::<Result<Vec<Duration>>>()?;
                let worst = sample::quantile(&tries, 100);
                kept &= worst <= Duration::from_millis(50).max(after / 10);
                found.push(format!("{:.0} after {}", micros(worst) / 1e3, after.as_millis()));
                raw.push(json!({ "after_us": micros(after), "took_us": tries.iter().map(|it| micros(*it)).collect::<Vec<f64>>() }));
            }
            let found = format!("ms: {}", found.join(", "));
            verdict(
                "a wait for a port that opens, at worst",
                found,
                "50 ms, or a tenth of the wait",
                Some(kept),
                json!(raw),
            )
        }
    };
    report.verdicts.push(verdict);
    std::io::stdout().flush()?;
    Ok(())
}

fn memory(memory: &moments::Memory) -> serde_json::Value {
    json!({
        "resident_kib": memory.resident, "peak_kib": memory.peak, "anonymous_kib": memory.anonymous,
        "proportional_kib": memory.proportional,
    })
}
