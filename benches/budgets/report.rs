//! The measurements and how they are shown: a table for people (on standard output, and as
//! `docs/bench/README.md`), JSON with every single sample, and two charts. Knows the budgets' numbers;
//! measures nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde_json::{Value, json};

use crate::chart::{Chart, Line, Scale};
use crate::contest::{Contender, Set};
use crate::sample::{median, quantile};

/// A contender and its costs.
#[derive(Debug)]
pub(crate) struct Measured {
    /// The contender.
    pub(crate) contender: Contender,
    /// Each time, in the order in which it was taken.
    pub(crate) samples: Vec<Duration>,
    /// System calls of all its processes up to the target's exec.
    pub(crate) calls: Option<BTreeMap<String, usize>>,
    /// Instructions up to the exec.
    pub(crate) instructions: Option<u64>,
}

/// A budget and its result.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// `--row NAME` finds it.
    pub(crate) name: &'static str,
    /// The measured property.
    pub(crate) what: String,
    /// The measured value.
    pub(crate) found: String,
    /// The limit.
    pub(crate) budget: String,
    /// Whether it is kept; `None` without a limit.
    pub(crate) kept: Option<bool>,
    /// The samples behind the verdict.
    pub(crate) raw: Value,
}

/// The results of one run of the bench.
#[derive(Debug)]
pub(crate) struct Report {
    /// The machine and the versions, as pairs.
    pub(crate) machine: Vec<(String, String)>,
    /// Contenders, set by set.
    pub(crate) measured: Vec<Measured>,
    /// Budgets.
    pub(crate) verdicts: Vec<Verdict>,
    /// Measurements that are missing, and why.
    pub(crate) absent: Vec<String>,
}

impl Report {
    /// The median of a contender of a set.
    #[must_use]
    pub(crate) fn median_of(&self, set: Set, name: &str) -> Option<Duration> {
        let found = self.measured.iter().find(|it| it.contender.set == set && it.contender.name == name)?;
        Some(median(&found.samples))
    }

    /// One median divided by another one of the same set.
    #[must_use]
    pub(crate) fn ratio(&self, set: Set, name: &str, other: &str) -> Option<f64> {
        Some(self.median_of(set, name)?.as_secs_f64() / self.median_of(set, other)?.as_secs_f64())
    }

    /// The report as Markdown, which is legible on a terminal too.
    ///
    /// # Errors
    /// Never; writing into a string cannot fail, but says that it could.
    pub(crate) fn markdown(&self) -> Result<String> {
        let mut out = String::new();
        for (what, value) in &self.machine {
            writeln!(out, "- {what}: {value}")?;
        }
        let mut rows = vec![["row", "what", "found", "budget", ""].map(str::to_owned)];
        for verdict in &self.verdicts {
            let sign = match verdict.kept {
                Some(true) => "kept",
                Some(false) => "**over**",
                None => "",
            };
            let (name, what) = (verdict.name.to_owned(), verdict.what.clone());
            rows.push([name, what, verdict.found.clone(), verdict.budget.clone(), sign.to_owned()]);
        }
        if !self.verdicts.is_empty() {
            writeln!(out, "\nBudgets:\n")?;
            out += &aligned(&rows, &[false, false, true, false, false]);
        }
        for set in Set::ALL {
            let members: Vec<&Measured> = self.measured.iter().filter(|it| it.contender.set == set).collect();
            if members.is_empty() {
                continue;
            }
            let rounds = members[0].samples.len();
            writeln!(out, "\nSet `{}`, {rounds} interleaved runs of each:\n", set.name())?;
            if members.iter().any(|it| it.contender.point.is_some()) {
                out += &self.growth(set);
                continue;
            }
            let head = ["row", "what", "median µs", "10 % – 90 %", "× floor", "calls", "instructions"];
            let mut rows = vec![head.map(str::to_owned)];
            for it in members {
                let share = |percent| format!("{:.0}", micros(quantile(&it.samples, percent)));
                rows.push([
                    it.contender.name.clone(),
                    it.contender.about.clone(),
                    format!("{:.1}", micros(median(&it.samples))),
                    format!("{} – {}", share(10), share(90)),
                    self.ratio(set, &it.contender.name, "floor")
                        .map_or_else(String::new, |it| format!("{it:.2}")),
                    it.calls
                        .as_ref()
                        .map_or_else(String::new, |calls| calls.values().sum::<usize>().to_string()),
                    it.instructions.map_or_else(String::new, |count| count.to_string()),
                ]);
            }
            out += &aligned(&rows, &[false, false, true, true, true, true, true]);
        }
        if !self.absent.is_empty() {
            writeln!(out, "\nNot measured:\n")?;
            for line in &self.absent {
                writeln!(out, "- {line}")?;
            }
        }
        Ok(out)
    }

    /// A growth as a table: a row for each number, a column for each line, medians in microseconds.
    fn growth(&self, set: Set) -> String {
        let lines = self.lines(set, false);
        let mut counts: Vec<f64> =
            lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
        counts.sort_by(f64::total_cmp);
        counts.dedup();
        let cell = |line: Option<&Line>, count: f64| {
            let found =
                line.and_then(|line| line.points.iter().find(|point| point.0.total_cmp(&count).is_eq()));
            found.map_or_else(String::new, |point| format!("{:.0}", point.1 * 1000.0))
        };
        // As many columns as a growth has lines at most.
        let head = std::array::from_fn(|column| match column {
            0 => "number".to_owned(),
            column => lines.get(column - 1).map_or_else(String::new, |line| line.name.clone()),
        });
        let mut rows: Vec<[String; 6]> = vec![head];
        rows.extend(counts.iter().map(|count| {
            std::array::from_fn(|column| match column {
                0 => format!("{count}"),
                column => cell(lines.get(column - 1), *count),
            })
        }));
        aligned(&rows, &[true; 6])
    }

    /// Writes `results.json`, `README.md` and, where their sets were run, the charts into `folder`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("results.json"), self.json())?;
        fs::write(folder.join("README.md"), format!("{PREFACE}\n{}", self.markdown()?))?;
        let verbs = self.lines(Set::VerbGrowth, true);
        if verbs.iter().any(|line| !line.points.is_empty()) {
            let chart = Chart {
                title: "From start to exec, as the table grows",
                across: "verbs in the table",
                up: "milliseconds",
                scale: Scale::Logarithmic,
                lines: verbs,
            };
            fs::write(folder.join("verbs.svg"), chart.draw()?)?;
        }
        let hooks = self.lines(Set::HookGrowth, false);
        if hooks.iter().any(|line| !line.points.is_empty()) {
            let chart = Chart {
                title: "From start to exec, as sourced hooks are added",
                across: "hooks",
                up: "milliseconds",
                scale: Scale::Linear,
                lines: hooks,
            };
            fs::write(folder.join("hooks.svg"), chart.draw()?)?;
        }
        Ok(())
    }

    /// The lines of a growth chart, ours first; the floor, which does not grow, as a level one.
    fn lines(&self, set: Set, with_floor: bool) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for it in self.measured.iter().filter(|it| it.contender.set == set) {
            let Some((name, count)) = it.contender.point else { continue };
            let across = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
            let point = (across, micros(median(&it.samples)) / 1000.0);
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { name: name.to_owned(), points: vec![point] }),
            }
        }
        lines.sort_by_key(|line| line.name != "preverb");
        if with_floor
            && let Some(floor) = self.median_of(set, "floor")
            && let Some(ends) =
                lines.first().and_then(|line| Some((line.points.first()?.0, line.points.last()?.0)))
        {
            let height = micros(floor) / 1000.0;
            lines.push(Line {
                name: "the floor".to_owned(),
                points: vec![(ends.0, height), (ends.1, height)],
            });
        }
        lines
    }

    /// One contender a line, so that a difference between two runs can be read.
    fn json(&self) -> String {
        let machine: serde_json::Map<String, Value> =
            self.machine.iter().map(|(what, value)| (what.clone(), json!(value))).collect();
        let contenders: Vec<String> = self
            .measured
            .iter()
            .map(|it| {
                let samples: Vec<f64> =
                    it.samples.iter().map(|sample| (micros(*sample) * 10.0).round() / 10.0).collect();
                json!({
                    "set": it.contender.set.name(), "name": it.contender.name, "about": it.contender.about,
                    "median_us": (micros(median(&it.samples)) * 10.0).round() / 10.0,
                    "instructions": it.instructions, "calls": it.calls, "samples_us": samples,
                })
                .to_string()
            })
            .collect();
        let verdicts: Vec<String> = self
            .verdicts
            .iter()
            .map(|it| {
                json!({
                    "name": it.name, "what": it.what, "found": it.found, "budget": it.budget, "kept": it.kept,
                    "raw": it.raw,
                })
                .to_string()
            })
            .collect();
        format!(
            "{{\n\"machine\": {},\n\"budgets\": [\n{}\n],\n\"contenders\": [\n{}\n]\n}}\n",
            Value::Object(machine),
            verdicts.join(",\n"),
            contenders.join(",\n")
        )
    }
}

const PREFACE: &str = "\
# Costs

`cargo bench` writes this page, the charts and `results.json`, which contains every sample; do not edit them.
`cargo bench -- --row NAME` repeats one row, and `cargo bench -- --quick` repeats all rows with fewer samples.

The programs of a set are run in turn, one after the other in each round, and compared by their medians. A run is timed from
`posix_spawn` to the end of `waitpid`. The floor is a static C program that only calls `execv` with its arguments; every
program ends by starting the same static program. System calls (strace, all processes, up to the target's exec) and
instructions (callgrind, up to the exec) do not depend on the load of the machine.

![time against verbs](verbs.svg)

![time against hooks](hooks.svg)
";

/// A description of this machine and of the peers' versions.
#[must_use]
pub(crate) fn machine(versions: &[(&str, &[&str])]) -> Vec<(String, String)> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let virtual_machine = if cpu.contains(" hypervisor") { ", in a virtual machine" } else { "" };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut facts = vec![
        ("processor".to_owned(), format!("{model}, {cores} cores{virtual_machine}")),
        ("kernel".to_owned(), format!("Linux {}", kernel.trim())),
        ("date".to_owned(), humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
    ];
    for (name, words) in versions {
        let Some((program, rest)) = words.split_first() else { continue };
        let Ok(output) = std::process::Command::new(program).args(rest).output() else { continue };
        let text = [output.stdout, output.stderr].concat();
        if let Some(line) = String::from_utf8_lossy(&text).lines().find(|line| !line.trim().is_empty()) {
            facts.push(((*name).to_owned(), line.trim().to_owned()));
        }
    }
    facts
}

/// Microseconds.
#[must_use]
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn aligned<const N: usize>(rows: &[[String; N]], right: &[bool; N]) -> String {
    let widths: Vec<usize> = (0..N)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(3))
        .collect();
    let mut out = String::new();
    // A column that no row fills is not shown.
    let shown: Vec<usize> = (0..N).filter(|column| rows.iter().any(|row| !row[*column].is_empty())).collect();
    for (index, row) in rows.iter().enumerate() {
        out.push('|');
        for &column in &shown {
            let fill = " ".repeat(widths[column] - row[column].chars().count());
            let cell = &row[column];
            let (before, after) = if right[column] { (fill.as_str(), "") } else { ("", fill.as_str()) };
            out.extend([" ", before, cell, after, " |"]);
        }
        out.push('\n');
        if index == 0 {
            out.push('|');
            for &column in &shown {
                let dashes = "-".repeat(widths[column] + 1);
                out.extend([dashes.as_str(), if right[column] { ":|" } else { "-|" }]);
            }
            out.push('\n');
        }
    }
    out
}
