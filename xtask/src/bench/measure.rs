//! One boot, measured.

use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use pangea_boot::cluster::ClusterRun;
use pangea_topology::Cluster;
use serde_json::Value;

use crate::cluster::{self, ClusterFile};
use crate::place::{Console, Place};

/// What the root node logs when its vCPUs start.
const RUNS: &str = "the guest runs";
/// What the default guest's first process says first, with its uptime after it.
const INIT: &str = "pangea: init reached, uptime ";

/// What stays the same for all boots.
pub(super) struct Bench {
    pub(super) place: Place,
    pub(super) file: ClusterFile,
    pub(super) program: PathBuf,
    pub(super) limit: Duration,
    pub(super) stop: Arc<AtomicBool>,
}

/// What one boot showed.
#[derive(Debug)]
pub(super) struct Boot {
    pub(super) name: String,
    /// The guest's uptime when its init started, in seconds.
    pub(super) guest_s: f64,
    /// From the vCPUs' start to then, as this machine counts, in seconds.
    pub(super) wall_s: f64,
    /// Each node's name, and its counters as it wrote them.
    pub(super) nodes: Vec<(String, Value)>,
}

/// When what was seen.
#[derive(Debug, Default)]
struct Seen {
    runs: Option<Instant>,
    init: Option<Instant>,
    console: Vec<u8>,
}

impl Bench {
    /// Boots a cluster whose guest reports and powers off.
    pub(super) fn boot(&self, mut cluster: Cluster) -> anyhow::Result<Boot> {
        cluster.guest.command_line.push_str(" quiet pangea.run=\"report\"");
        let directory = tempfile::tempdir().context("can't make a temporary directory")?;
        let bundle = directory.path().join("bundle");
        cluster::bundle(&self.file, &cluster, &bundle, false)?;
        let run = ClusterRun {
            program: &self.program,
            bundle: &bundle,
            cluster: &cluster,
            arguments: &[],
        };
        let seen = Arc::new(Mutex::new(Seen::default()));
        let console = Console::To(Box::new(Watch(seen.clone())));
        let watch = seen.clone();
        let log = move |line: &str| {
            if line.ends_with(RUNS) {
                lock(&watch).runs.get_or_insert_with(Instant::now);
            }
            eprintln!("{line}");
        };
        let outcomes = self.place.run(&run, console, self.limit, &self.stop, log)?;
        for node in &outcomes {
            if node.exit_code != Some(0) {
                bail!(
                    "node {} of {} didn't end well: {:?}",
                    node.name,
                    cluster.name,
                    node.exit_code
                );
            }
        }
        let seen = lock(&seen);
        let console = String::from_utf8_lossy(&seen.console);
        let uptime = console.split_once(INIT).and_then(|(_, rest)| rest.split(' ').next());
        let (Some(uptime), Some(runs), Some(init)) = (uptime, seen.runs, seen.init) else {
            bail!("the guest of {} didn't reach its init:\n{console}", cluster.name);
        };
        let counters = outcomes.into_iter().map(|node| {
            let text =
                node.stats.with_context(|| format!("node {} left no counters", node.name))?;
            let value = serde_json::from_str(&text).context("a node's counters aren't JSON")?;
            Ok((node.name, value))
        });
        Ok(Boot {
            name: cluster.name,
            guest_s: uptime.parse().with_context(|| format!("{uptime:?} is no uptime"))?,
            wall_s: init.saturating_duration_since(runs).as_secs_f64(),
            nodes: counters.collect::<anyhow::Result<_>>()?,
        })
    }
}

/// Notes when the guest's init speaks.
struct Watch(Arc<Mutex<Seen>>);

impl Write for Watch {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut seen = lock(&self.0);
        seen.console.extend_from_slice(bytes);
        if seen.init.is_none() && String::from_utf8_lossy(&seen.console).contains(INIT) {
            seen.init = Some(Instant::now());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    // What was noted before a panic is still right.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
