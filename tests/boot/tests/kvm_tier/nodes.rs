//! Node processes that a test starts, hears, signals and ends; none outlives it.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a guest may take for all that it does: its ring 0 is emulated, and the machine busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How long the other nodes may take to end once one did.
pub(crate) const END: Duration = Duration::from_secs(30);

/// What a stream has said so far.
#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Said {
    fn listen(stream: impl Read + Send + 'static) -> (Arc<Said>, JoinHandle<()>) {
        let said = Arc::new(Said::default());
        let to = said.clone();
        let thread = std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                to.lines.lock().unwrap().0.push(line);
                to.more.notify_all();
            }
            to.lines.lock().unwrap().1 = true;
            to.more.notify_all();
        });
        (said, thread)
    }

    /// Waits for a line that contains `text`; false if the stream ends or `PATIENCE` does.
    fn wait_for(&self, text: &str) -> bool {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            let (said, ended) = &*lines;
            if said.iter().any(|line| line.contains(text)) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if *ended || left.is_zero() {
                return false;
            }
            lines = self.more.wait_timeout(lines, left).unwrap().0;
        }
    }

    fn text(&self) -> String {
        self.lines.lock().unwrap().0.join("\n")
    }
}

/// One `pangea node`.
pub(crate) struct Node {
    name: String,
    child: Child,
    console: Arc<Said>,
    log: Arc<Said>,
    listeners: Vec<JoinHandle<()>>,
}

/// What a node left.
pub(crate) struct Ended {
    pub(crate) name: String,
    /// None: a signal ended it.
    pub(crate) code: Option<i32>,
    /// Its standard output: on the root node, the guest's serial console.
    pub(crate) console: String,
    /// Its standard error.
    pub(crate) log: String,
}

impl Node {
    /// Starts a node; `arguments` come after the bundle's and its name.
    pub(crate) fn start(program: &Path, bundle: &Path, name: &str, arguments: &[&str]) -> Node {
        // Whatever becomes of the test, the process goes with it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(program).arg("node");
        command.arg("--bundle").arg(bundle).args(["--node", name]).args(arguments);
        command.env("NO_COLOR", "1").env_remove("PANGEA_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("setpriv (package util-linux) starts");
        let (console, out) = Said::listen(child.stdout.take().unwrap());
        let (log, err) = Said::listen(child.stderr.take().unwrap());
        Node { name: name.to_owned(), child, console, log, listeners: vec![out, err] }
    }

    /// Waits until the guest's console, on this node, says something.
    pub(crate) fn wait_for_guest(&self, text: &str) {
        let said = self.console.wait_for(text);
        let (console, log) = (self.console.text(), self.log.text());
        assert!(said, "the guest never says {text:?}; console:\n{console}\nlog:\n{log}");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self, limit: Duration) -> Ended {
        let until = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
                None => panic!(
                    "node {} hasn't ended after {} s; console:\n{}\nlog:\n{}",
                    self.name,
                    limit.as_secs(),
                    self.console.text(),
                    self.log.text()
                ),
            }
        };
        for listener in self.listeners.drain(..) {
            listener.join().unwrap();
        }
        Ended {
            name: self.name.clone(),
            code: status.code(),
            console: self.console.text(),
            log: self.log.text(),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// Asserts its exit code, and that its log has these words.
    pub(crate) fn check(&self, code: i32, words: &[&str]) {
        let Ended { name, log, console, .. } = self;
        assert_eq!(self.code, Some(code), "node {name}; console:\n{console}\nlog:\n{log}");
        for word in words {
            assert!(log.contains(word), "node {name}: no {word:?} in its log:\n{log}");
        }
    }
}
