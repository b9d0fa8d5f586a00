//! Counts what test runners say at their ends, while passing on all that they print.
//!
//! ```text
//! cargo test   test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; ...
//! nextest      Summary [  0.3s] 12 tests run: 11 passed (1 slow), 1 failed, 2 skipped
//! ```
//! nextest runs the test program once for each test, and the program says "test result" of that one: under
//! nextest only nextest's own line counts.
//!
//! A runner that fails without having counted a failure (a build error) counts as one.

use std::fmt;
use std::io::{BufRead, BufReader, IsTerminal, Read, Write};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::Context;

/// Who runs the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    /// `cargo nextest run`.
    Nextest,
    /// `cargo test`.
    CargoTest,
}

/// How many did what.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Runs a test runner.
pub(super) fn of(command: &mut Command, runner: Runner) -> anyhow::Result<Tally> {
    if std::io::stderr().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("can't start cargo")?;
    let stdout = child.stdout.take().context("cargo has no output")?;
    let stderr = child.stderr.take().context("cargo has no error output")?;
    let errors = std::thread::spawn(move || pass(runner, stderr, std::io::stderr()));
    let mut tally = pass(runner, stdout, std::io::stdout());
    tally += errors.join().unwrap_or_default();
    let status = child.wait().context("can't wait for cargo")?;
    if !status.success() && tally.failed == 0 {
        tally.failed = 1;
    }
    Ok(tally)
}

fn pass(runner: Runner, from: impl Read, mut to: impl Write) -> Tally {
    let mut tally = Tally::default();
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    // A line ends the count only if it can't be read; output that nobody reads is let go.
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let _ = to.write_all(&line);
        tally += count(runner, &plain(&String::from_utf8_lossy(&line)));
        line.clear();
    }
    tally
}

/// What a line says, if it is the runner's last.
fn count(runner: Runner, line: &str) -> Tally {
    let last = match runner {
        Runner::Nextest => line.trim_start().starts_with("Summary ["),
        Runner::CargoTest => line.starts_with("test result: "),
    };
    if !last {
        return Tally::default();
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let number = |word: &str| {
        let place = words.iter().position(|other| other.trim_end_matches([',', ';']) == word)?;
        // "11 passed (1 slow)": the number stands before the word.
        words.get(place.checked_sub(1)?)?.parse::<u64>().ok()
    };
    let sum = |names: &[&str]| names.iter().filter_map(|name| number(name)).sum();
    let skipped = match runner {
        // What a filter of ours leaves out is not a skip, for it runs in its own tier.
        Runner::Nextest => 0,
        Runner::CargoTest => sum(&["ignored"]),
    };
    let timed_out = timed_out(&words);
    Tally { passed: sum(&["passed"]), failed: sum(&["failed"]) + timed_out, skipped }
}

/// nextest's "1 timed out", which isn't among its "failed".
fn timed_out(words: &[&str]) -> u64 {
    let place = words.windows(2).position(|pair| pair[0] == "timed" && pair[1].starts_with("out"));
    let number = place.and_then(|place| words.get(place.checked_sub(1)?));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A line without its colours.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once('m').map_or("", |(_, rest)| rest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo nextest run --no-capture` over a test that passes and one that fails, without the backtrace.
    const NEXTEST: &str = "\
────────────
 Nextest run ID 7ddb9456-9d68-43fe-b35c-eb614b0e64f2 with nextest profile: default
    Starting 2 tests across 1 binary (1 test skipped)
       START [         ] (1/2) scratch tests::fails

running 1 test

thread 'tests::fails' (17686) panicked at src/lib.rs:9:26:
assertion `left == right` failed: no
  left: 1
 right: 2
test tests::fails ... FAILED

failures:

failures:
    tests::fails

test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.09s

        FAIL [   0.103s] (1/2) scratch tests::fails
       START [         ] (2/2) scratch tests::passes

running 1 test
fine
test tests::passes ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.00s

        PASS [   0.009s] (2/2) scratch tests::passes
────────────
     Summary [   0.121s] 2 tests run: 1 passed, 1 failed, 1 skipped
        FAIL [   0.103s] (1/2) scratch tests::fails
error: test run failed
";

    /// `cargo test` over the same, with one that is ignored and an example in the docs.
    const CARGO_TEST: &str = "\
running 3 tests
test tests::ignored ... ignored
test tests::passes ... ok
test tests::fails ... FAILED

failures:

---- tests::fails stdout ----

thread 'tests::fails' (17739) panicked at src/lib.rs:9:26:
assertion `left == right` failed: no
  left: 1
 right: 2


failures:
    tests::fails

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s


running 1 test
test src/lib.rs - doc (line 2) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn a_test_counts_once() {
        for (runner, output, [passed, failed, skipped]) in
            [(Runner::Nextest, NEXTEST, [1, 1, 0]), (Runner::CargoTest, CARGO_TEST, [2, 1, 1])]
        {
            let mut shown = Vec::new();
            let tally = pass(runner, output.as_bytes(), &mut shown);
            assert_eq!(tally, Tally { passed, failed, skipped }, "{runner:?}");
            assert_eq!(shown, output.as_bytes());
        }
    }

    #[test]
    fn a_slow_test_has_passed_and_one_that_timed_out_has_failed() {
        let line =
            " Summary [ 9.0s] 4 tests run: 2 passed (1 slow), 1 failed, 1 timed out, 3 skipped";
        let tally = Tally { passed: 2, failed: 2, skipped: 0 };
        assert_eq!(count(Runner::Nextest, line), tally);
    }

    #[test]
    fn colours_dont_matter() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.012s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m";
        assert_eq!(
            count(Runner::Nextest, &plain(line)),
            Tally { passed: 2, failed: 0, skipped: 0 }
        );
    }
}
