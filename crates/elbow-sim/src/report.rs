//! What a simulation tells: counts if all held, and if not, what happened until then.

use std::fmt;

use crate::simulation::Users;

/// Lines of the trace that a failure shows; the example shows all with `--trace`.
const LINES_SHOWN: usize = 60;
/// Lines around a difference that say what it is about.
const AROUND: usize = 6;
/// Longest line that a failure shows; rules and target groups have much longer ones.
const LINE_MAX: usize = 420;

/// What a simulation did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field counts what its name says")]
pub struct Summary {
    pub phases: u64,
    pub edits: u64,
    pub bindings: u64,
    pub crashes: u64,
    pub stops: u64,
    pub meddles: u64,
    pub rounds: u64,
    pub plans: u64,
    pub calls: u64,
    pub changes: u64,
    /// Requests and connections that were tried in the middle of a change.
    pub asks: u64,
    /// Plans that announced a loss of traffic.
    pub excused: u64,
    /// Phases that ended with objects that AWS refuses.
    pub refused: u64,
    /// Readiness gates that opened.
    pub gates: u64,
    /// Those that were closed at rest, for AWS does not call their targets healthy.
    pub closed_gates: u64,
    /// Calls for users' target groups that came after the machine that made them was killed.
    pub late: u64,
    /// Listeners that somebody made by hand.
    pub by_hand: u64,
    /// Times that one of them held a target group.
    pub held: u64,
}

impl Summary {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            phases: self.phases + other.phases,
            edits: self.edits + other.edits,
            bindings: self.bindings + other.bindings,
            crashes: self.crashes + other.crashes,
            stops: self.stops + other.stops,
            meddles: self.meddles + other.meddles,
            rounds: self.rounds + other.rounds,
            plans: self.plans + other.plans,
            calls: self.calls + other.calls,
            changes: self.changes + other.changes,
            asks: self.asks + other.asks,
            excused: self.excused + other.excused,
            refused: self.refused + other.refused,
            gates: self.gates + other.gates,
            closed_gates: self.closed_gates + other.closed_gates,
            late: self.late + other.late,
            by_hand: self.by_hand + other.by_hand,
            held: self.held + other.held,
        }
    }
}

/// What happened, line by line.
#[derive(Debug, Clone, Default)]
pub struct Trace {
    begin_ms: u64,
    lines: Vec<String>,
}

impl Trace {
    pub(crate) fn new(begin_ms: u64) -> Self {
        Self {
            begin_ms,
            lines: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, now_ms: u64, what: impl AsRef<str>) {
        let what = what
            .as_ref()
            .replace("arn:aws:elasticloadbalancing:us-east-1:123456789012:", "");
        let now_ms = now_ms.saturating_sub(self.begin_ms);
        self.lines
            .push(format!("{:>9}.{:03} {what}", now_ms / 1000, now_ms % 1000));
    }

    /// Every line.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// A property that did not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed that leads there.
    pub seed: u64,
    /// What the users of the cluster did.
    pub(crate) users: Users,
    /// When, in milliseconds of virtual time.
    pub at_ms: u64,
    /// What did not hold.
    pub what: String,
    /// What happened until then.
    pub trace: Trace,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed,
            users,
            at_ms,
            what,
            trace,
        } = self;
        let hidden = trace.lines.len().saturating_sub(LINES_SHOWN);
        if hidden > 0 {
            writeln!(f, "({hidden} lines before these)")?;
        }
        for line in &trace.lines[hidden..] {
            let line: String = line.chars().take(LINE_MAX).collect();
            writeln!(f, "{line}")?;
        }
        writeln!(
            f,
            "seed {seed}, after {} s of virtual time:\n{what}",
            at_ms.saturating_sub(trace.begin_ms) / 1000
        )?;
        let flag = users.flag();
        write!(f, "replay it with: just sim --seed {seed}{flag} --trace")
    }
}

impl std::error::Error for Failure {}

/// The lines in which two texts differ, with some around them.
pub(crate) fn difference(expected: &str, got: &str) -> String {
    let diff = similar::TextDiff::from_lines(expected, got);
    let text = diff.unified_diff().context_radius(AROUND).to_string();
    let lines: Vec<&str> = text.lines().take(LINES_SHOWN).collect();
    lines.join("\n")
}
