//! The command line: one command and `--name value` options.

use crate::USAGE;
use std::time::{Duration, Instant};

/// The most that any count on the command line may be.
const MAX_COUNT: u64 = 1_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) command: String,
    /// Fewer rounds everywhere.
    pub(crate) quick: bool,
    /// Seconds for each check, instead of its own.
    pub(crate) limit: Option<u64>,
    pub(crate) cpus: Option<Vec<u32>>,
    pub(crate) cpu: Option<u32>,
    pub(crate) rounds: Option<u64>,
    pub(crate) count: Option<u64>,
    pub(crate) handoffs: Option<u64>,
    pub(crate) mib: Option<u64>,
    /// When the running check should come to an end; set when it starts.
    pub(crate) deadline: Instant,
}

impl Args {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
        let command = words.next().ok_or(USAGE)?;
        let mut args = Args {
            command,
            quick: false,
            limit: None,
            cpus: None,
            cpu: None,
            rounds: None,
            count: None,
            handoffs: None,
            mib: None,
            deadline: Instant::now(),
        };
        while let Some(name) = words.next() {
            if name == "--quick" {
                args.quick = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
            match name.as_str() {
                "--cpus" => args.cpus = Some(value.split(',').map(cpu).collect::<Result<_, _>>()?),
                "--cpu" => args.cpu = Some(cpu(&value)?),
                "--limit" => args.limit = Some(count(&name, &value)?),
                "--rounds" => args.rounds = Some(count(&name, &value)?),
                "--count" => args.count = Some(count(&name, &value)?),
                "--handoffs" => args.handoffs = Some(count(&name, &value)?),
                "--mib" => args.mib = Some(count(&name, &value)?),
                _ => return Err(format!("no option `{name}`\n{USAGE}")),
            }
        }
        Ok(args)
    }

    /// A count: from the command line, else the usual one, or a quarter of it with --quick.
    pub(crate) fn or(&self, given: Option<u64>, usual: u64) -> u64 {
        given.unwrap_or(if self.quick { usual.div_ceil(4) } else { usual })
    }

    /// When the next of `left` equal parts of this check should end.
    pub(crate) fn share(&self, left: usize) -> Instant {
        let now = Instant::now();
        let rest = self.deadline.saturating_duration_since(now);
        now + (rest / left.max(1) as u32).max(Duration::from_millis(200))
    }
}

fn cpu(text: &str) -> Result<u32, String> {
    text.trim().parse().map_err(|_| format!("`{text}` isn't a CPU number\n{USAGE}"))
}

fn count(name: &str, text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(value) if (1..=MAX_COUNT).contains(&value) => Ok(value),
        _ => Err(format!("{name} {text}: it must be from 1 to {MAX_COUNT}\n{USAGE}")),
    }
}
