//! Threads pinned to CPUs that work together under one deadline.
//!
//! The main thread waits, prints that they live, and collects what they return. A member that
//! fails makes the others stop waiting for it. What members share to do so lies on pages of its
//! own, so that it doesn't disturb the pages under test.

use crate::cpu;
use crate::memory::{PAGE, Pages};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often a line shows that the crew still works.
const ALIVE: Duration = Duration::from_secs(3);
/// Looks at a word this often before giving other threads of the CPU a turn.
const SPINS: u32 = 200;
/// A member that waits this long for another gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a member says when it stopped because another one failed.
const STOPPED: &str = "stopped";

/// What each member of a crew knows.
pub(crate) struct Member<'a> {
    /// Its place in the crew, from 0.
    pub(crate) index: usize,
    /// How many are in the crew.
    pub(crate) crew: usize,
    /// When it should come to an end.
    pub(crate) deadline: Instant,
    stop: &'a AtomicU64,
    steps: &'a AtomicU64,
}

impl Member<'_> {
    /// Waits until the condition gives a value.
    pub(crate) fn wait<T>(&self, mut ready: impl FnMut() -> Option<T>) -> Result<T, String> {
        let start = Instant::now();
        loop {
            for _ in 0..SPINS {
                if let Some(value) = ready() {
                    return Ok(value);
                }
                std::hint::spin_loop();
            }
            if self.stopped() {
                return Err(STOPPED.into());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("waited {} s for another CPU", PATIENCE.as_secs()));
            }
            std::thread::yield_now();
        }
    }

    /// Has another member failed?
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Relaxed) != 0
    }

    /// Is it time to come to an end?
    pub(crate) fn late(&self) -> bool {
        self.stopped() || Instant::now() >= self.deadline
    }

    /// Tells the watcher how many steps are done. For one member only, and not too often: the
    /// page travels.
    pub(crate) fn steps(&self, done: u64) {
        self.steps.store(done, Relaxed);
    }
}

/// Runs `work` on a thread for each CPU (a CPU may be named several times), and returns what each
/// gave, in order; or the first failure.
pub(crate) fn run<T: Send>(
    what: &str,
    cpus: &[u32],
    deadline: Instant,
    work: impl Fn(&Member<'_>) -> Result<T, String> + Sync,
) -> Result<Vec<T>, String> {
    // Two pages without a policy of their own: one that is written only on failure, one that
    // shows progress.
    let control = Pages::anywhere(2)?;
    let (stop, steps) = control.words().split_at(PAGE / 8);
    let (stop, steps) = (&stop[0], &steps[0]);
    let (done, finished) = channel();
    let mut results: Vec<Option<T>> = cpus.iter().map(|_| None).collect();
    let mut failure = None;
    std::thread::scope(|scope| {
        for (index, cpu) in cpus.iter().copied().enumerate() {
            let (done, work) = (done.clone(), &work);
            scope.spawn(move || {
                let member = Member { index, crew: cpus.len(), deadline, stop, steps };
                let result = cpu::pin(cpu).and_then(|()| work(&member));
                if result.is_err() {
                    stop.store(1, Relaxed);
                }
                // The receiver lives until all have sent.
                let _ = done.send((index, result));
            });
        }
        let mut left = cpus.len();
        while left > 0 {
            match finished.recv_timeout(ALIVE) {
                Ok((index, Ok(value))) => results[index] = Some(value),
                Ok((index, Err(why))) if why != STOPPED => {
                    failure.get_or_insert(format!("{what}, CPU {}: {why}", cpus[index]));
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    println!("progress {what} steps {}", steps.load(Relaxed));
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
            left -= 1;
        }
    });
    match failure {
        Some(why) => Err(why),
        None => results.into_iter().collect::<Option<_>>().ok_or(format!("{what}: {STOPPED}")),
    }
}
