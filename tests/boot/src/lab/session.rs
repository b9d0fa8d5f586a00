//! One lab run, from QEMU's start to its end: the loop in which everything is waited for.
//!
//! ```text
//! start -> ports connected -> "ready" -> script runs -> "exit CODE" -> QEMU powers off
//!   |______ boot limit ___________|                          |__ END_GRACE __|
//!   |______ timeout ______________________________________________|
//!                                     stop asked -> STOP_GRACE -> killed
//! ```

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use super::error::LabError;
use super::qemu::Qemu;
use super::report::{End, Report};
use super::serial::{Event, Listeners, Port};
use super::{ConsoleIo, LabOutcome};

/// How long a script may take to end after it was asked to.
pub const STOP_GRACE: Duration = Duration::from_secs(30);
/// How long QEMU may take to end after the lab host's last record.
const END_GRACE: Duration = Duration::from_secs(15);
/// How often the limits are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How much of the log an error shows.
const TAIL_LINES: usize = 20;

/// Takes the log line by line while the lab runs.
pub type LineSink = Box<dyn FnMut(&str) + Send>;

/// The limits of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) boot: Duration,
    pub(super) total: Duration,
}

/// A run under way.
pub(super) struct Session<'a> {
    qemu: Qemu,
    listeners: Listeners,
    events: Receiver<Event>,
    sender: Option<mpsc::Sender<Event>>,
    open_ports: usize,
    limits: Limits,
    stop: &'a AtomicBool,
    commands: Receiver<String>,
    input: Option<Box<dyn Read + Send>>,
    output: Option<Box<dyn Write + Send>>,
    lines: Option<LineSink>,
    log: Vec<u8>,
    logged: usize,
    console: Vec<u8>,
    report: Report,
    started: Instant,
    up: Option<Duration>,
    asked: Option<Instant>,
    last: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn new(
        qemu: Qemu,
        listeners: Listeners,
        limits: Limits,
        stop: &'a AtomicBool,
        commands: Receiver<String>,
        console: ConsoleIo,
        lines: Option<LineSink>,
    ) -> Self {
        let (sender, events) = mpsc::channel();
        Self {
            qemu,
            listeners,
            events,
            sender: Some(sender),
            open_ports: 3,
            limits,
            stop,
            commands,
            input: console.input,
            output: console.output,
            lines,
            log: Vec::new(),
            logged: 0,
            console: Vec::new(),
            report: Report::default(),
            started: Instant::now(),
            up: None,
            asked: None,
            last: None,
        }
    }

    /// Runs until QEMU has ended or a limit is passed.
    pub(super) fn run(mut self) -> Result<LabOutcome, LabError> {
        while self.open_ports > 0 {
            self.connect()?;
            match self.events.recv_timeout(TICK) {
                Ok(Event::Bytes(port, bytes)) => self.take(port, &bytes)?,
                Ok(Event::End) => self.open_ports -= 1,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.sender.is_some() && self.qemu.ended()?.is_some() {
                // It ended before it connected: there will be no events.
                break;
            }
            self.check_limits()?;
            self.pass_commands();
            if self.last.is_some_and(|last| last.elapsed() > END_GRACE) {
                break;
            }
        }
        self.flush_line();
        self.outcome()
    }

    fn connect(&mut self) -> Result<(), LabError> {
        if let Some(sender) = self.sender.take()
            && !self.listeners.connect(&sender)?
        {
            self.sender = Some(sender);
        }
        Ok(())
    }

    fn take(&mut self, port: Port, bytes: &[u8]) -> Result<(), LabError> {
        match port {
            Port::Log => {
                self.log.extend_from_slice(bytes);
                self.tell_lines();
            }
            Port::Console => {
                self.console.extend_from_slice(bytes);
                if let Some(output) = &mut self.output
                    && output.write_all(bytes).and_then(|()| output.flush()).is_err()
                {
                    // Nobody reads any more (a closed pipe): the console is still kept.
                    self.output = None;
                }
            }
            Port::Report => {
                self.report.feed(bytes)?;
                if self.up.is_none() && self.report.ready().is_some() {
                    self.up = Some(self.started.elapsed());
                    if let Some(input) = self.input.take() {
                        self.listeners.feed(Port::Console, input)?;
                    }
                }
                if self.report.end().is_some() {
                    self.last.get_or_insert_with(Instant::now);
                }
            }
        }
        Ok(())
    }

    /// Passes on what others want run in the lab host, once it listens.
    fn pass_commands(&mut self) {
        while self.up.is_some() && self.last.is_none() {
            match self.commands.try_recv() {
                Ok(command) => {
                    self.listeners.send(Port::Report, format!("run {command}\n").as_bytes());
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return,
            }
        }
    }

    fn check_limits(&mut self) -> Result<(), LabError> {
        if self.last.is_some() {
            return Ok(());
        }
        let ran = self.started.elapsed();
        if self.up.is_none() && ran > self.limits.boot {
            return Err(LabError::Boot { limit: self.limits.boot, tail: self.tail() });
        }
        if ran > self.limits.total {
            return Err(LabError::Timeout { limit: self.limits.total, tail: self.tail() });
        }
        if self.stop.load(Ordering::Relaxed) && self.asked.is_none() {
            self.asked = Some(Instant::now());
            self.listeners.send(Port::Report, b"stop\n");
        }
        let Some(asked) = self.asked else { return Ok(()) };
        // Before it is up nothing listens to the request.
        if self.up.is_none() {
            return Err(LabError::StoppedEarly);
        }
        if asked.elapsed() > STOP_GRACE {
            return Err(LabError::Stopped { grace: STOP_GRACE });
        }
        Ok(())
    }

    fn outcome(mut self) -> Result<LabOutcome, LabError> {
        let tail = self.tail();
        match self.report.end().cloned() {
            Some(End::Exit(exit_code)) => Ok(LabOutcome {
                exit_code,
                log: String::from_utf8_lossy(&self.log).into_owned(),
                console: self.console,
                host: self.report.ready().cloned(),
                up: self.up.unwrap_or_default(),
                total: self.started.elapsed(),
                files: self.report.into_files(),
            }),
            Some(End::Fail(reason)) => Err(LabError::Host { reason, tail }),
            None => {
                let status = self.qemu.wait(END_GRACE)?;
                Err(LabError::Died { status, complaints: self.qemu.complaints(), tail })
            }
        }
    }

    /// Tells the whole lines that haven't been told.
    fn tell_lines(&mut self) {
        while let Some(end) = self.log[self.logged..].iter().position(|&byte| byte == b'\n') {
            let line = &self.log[self.logged..self.logged + end];
            self.logged += end + 1;
            if let Some(lines) = &mut self.lines {
                lines(String::from_utf8_lossy(line).trim_end());
            }
        }
    }

    fn flush_line(&mut self) {
        if self.logged < self.log.len() {
            self.log.push(b'\n');
            self.tell_lines();
        }
    }

    fn tail(&self) -> String {
        let log = String::from_utf8_lossy(&self.log);
        let lines: Vec<&str> = log.lines().map(str::trim_end).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}
