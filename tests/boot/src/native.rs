//! All nodes of a cluster as processes of this machine, for one that has VT-x or SVM.
//!
//! ```text
//!   our terminal, or the caller <-- standard input and output --> root node
//!   log, "[name] " before each line <-- standard error -- every node
//! ```
//! The root node shares our process group, so that it may read the terminal; the others have their
//! own, so that Ctrl-C reaches them through us only, once. None outlives us (`setpriv`), and when one
//! fails the others are ended after [`FAIL_GRACE`], in which they can find out and say why.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use pangea_topology::Node;
use rustix::process::{Pid, Signal, kill_process};

use crate::cluster::{ClusterRun, NodeOutcome, log_prefix};

/// How long nodes may go on after one of them failed.
pub const FAIL_GRACE: Duration = Duration::from_secs(5);
/// How long a node may take to end after it was asked to, before it is made to.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often the processes are looked at.
const TICK: Duration = Duration::from_millis(20);

/// Why nodes couldn't be run.
#[derive(Debug, thiserror::Error)]
pub enum NativeError {
    /// A node's process didn't start.
    #[error("node {node} can't be started")]
    Start {
        /// The node's name.
        node: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A node's process can't be waited for.
    #[error("node {node} can't be waited for")]
    Wait {
        /// The node's name.
        node: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// There is no place for the nodes' counters.
    #[error("no temporary directory can be made")]
    Directory(#[source] std::io::Error),
    /// The nodes had not ended in time; they were made to.
    #[error("the nodes had not ended after {} s", limit.as_secs())]
    Timeout {
        /// The time they were given.
        limit: Duration,
    },
}

/// Where the guest's console goes.
pub enum Console {
    /// To our own standard input and output.
    Ours,
    /// To the caller; nothing is typed.
    To(Box<dyn Write + Send>),
}

/// Runs all nodes until they have ended. `log` gets their lines; once `stop` is true they are
/// asked to end.
pub fn run(
    run: &ClusterRun<'_>,
    console: Console,
    limit: Option<Duration>,
    stop: &AtomicBool,
    mut log: impl FnMut(&str),
) -> Result<Vec<NodeOutcome>, NativeError> {
    let counters = tempfile::tempdir().map_err(NativeError::Directory)?;
    let (sender, lines) = channel();
    let mut nodes = Vec::new();
    let mut console = Some(console);
    for node in &run.cluster.nodes {
        // The first is the root node.
        nodes.push(Process::start(run, node, console.take(), counters.path(), &sender)?);
    }
    drop(sender);
    let ended = supervise(&mut nodes, &lines, limit, stop, &mut log);
    // What the last of them said is still to be read; their ends close the pipes.
    while let Ok(line) = lines.recv_timeout(STOP_GRACE) {
        log(&line);
    }
    ended?;
    Ok(nodes.iter().map(|node| node.outcome(counters.path())).collect())
}

fn supervise(
    nodes: &mut [Process],
    lines: &Receiver<String>,
    limit: Option<Duration>,
    stop: &AtomicBool,
    log: &mut impl FnMut(&str),
) -> Result<(), NativeError> {
    let started = Instant::now();
    // When the end began: asked for, or because a node failed.
    let mut asked: Option<Instant> = None;
    let mut failed: Option<Instant> = None;
    let mut late = None;
    loop {
        match lines.recv_timeout(TICK) {
            Ok(line) => log(&line),
            Err(RecvTimeoutError::Timeout) => {}
            // All pipes are closed: their processes are about to end.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(TICK),
        }
        let mut running = 0;
        for node in nodes.iter_mut() {
            match node.ended()? {
                None => running += 1,
                Some(false) => drop(failed.get_or_insert_with(Instant::now)),
                Some(true) => {}
            }
        }
        if running == 0 {
            return late.map_or(Ok(()), Err);
        }
        if let Some(limit) = limit.filter(|limit| started.elapsed() > *limit) {
            late = Some(NativeError::Timeout { limit });
        }
        let fail = failed.is_some_and(|failed| failed.elapsed() > FAIL_GRACE);
        if asked.is_none() && (fail || late.is_some() || stop.load(Ordering::Relaxed)) {
            asked = Some(Instant::now());
            nodes.iter_mut().filter(|node| !node.shares_terminal).for_each(Process::ask);
        }
        if let Some(asked) = asked {
            if asked.elapsed() > STOP_GRACE / 2 {
                // Ctrl-C reached this one by itself, and a second signal would cut it short.
                nodes.iter_mut().filter(|node| node.shares_terminal).for_each(Process::ask);
            }
            if asked.elapsed() > STOP_GRACE {
                nodes.iter_mut().for_each(Process::end);
            }
        }
    }
}

/// One node's process; ended when dropped.
struct Process {
    name: String,
    child: Child,
    shares_terminal: bool,
    asked: bool,
    status: Option<std::process::ExitStatus>,
}

impl Process {
    fn start(
        run: &ClusterRun<'_>,
        node: &Node,
        console: Option<Console>,
        counters: &Path,
        lines: &Sender<String>,
    ) -> Result<Self, NativeError> {
        let ours = matches!(console, Some(Console::Ours));
        let shares_terminal = ours && std::io::stdin().is_terminal();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM"]).arg(run.program).arg("node");
        command.arg("--bundle").arg(run.bundle).args(["--node", &node.name]);
        command.arg("--stats-json").arg(counters.join(&node.name)).args(run.arguments);
        command.stderr(Stdio::piped());
        match console {
            Some(Console::Ours) => {}
            Some(Console::To(_)) => drop(command.stdin(Stdio::null()).stdout(Stdio::piped())),
            None => drop(command.stdin(Stdio::null()).stdout(Stdio::null())),
        }
        if !shares_terminal {
            command.process_group(0);
        }
        if !std::io::stderr().is_terminal() {
            command.env("NO_COLOR", "1");
        }
        let start = |source| NativeError::Start { node: node.name.clone(), source };
        let mut child = command.spawn().map_err(start)?;
        if let (Some(mut stdout), Some(Console::To(mut to))) = (child.stdout.take(), console) {
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut to));
        }
        if let Some(stderr) = child.stderr.take() {
            let (prefix, lines) = (log_prefix(&node.name), lines.clone());
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line);
                    if lines.send(format!("{prefix}{}", line.trim_end())).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { name: node.name.clone(), child, shares_terminal, asked: false, status: None })
    }

    /// Whether it ended well; none if it runs.
    fn ended(&mut self) -> Result<Option<bool>, NativeError> {
        if self.status.is_none() {
            let wait = |source| NativeError::Wait { node: self.name.clone(), source };
            self.status = self.child.try_wait().map_err(wait)?;
        }
        Ok(self.status.map(|status| status.success()))
    }

    /// Asks it to end, once.
    fn ask(&mut self) {
        if self.status.is_none() && !std::mem::replace(&mut self.asked, true) {
            // It may end in this moment, which is what is wanted.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
    }

    /// Makes it end.
    fn end(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
        }
    }

    fn outcome(&self, counters: &Path) -> NodeOutcome {
        NodeOutcome {
            name: self.name.clone(),
            exit_code: self.status.and_then(|status| status.code()),
            stats: std::fs::read_to_string(counters.join(&self.name)).ok(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if self.status.is_none() {
            let _ = self.child.wait();
        }
    }
}
