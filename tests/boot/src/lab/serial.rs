//! The lab host's serial ports, as Unix sockets that QEMU connects to.
//!
//! One reader thread per port turns bytes into [`Event`]s of one channel, so that the run loop
//! waits in one place; a port's end is an event too. QEMU holds a port back while its socket is
//! full, so nothing is lost as long as the threads read.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use super::error::LabError;

/// A lab host's serial ports, in the order in which QEMU numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    /// ttyS0: kernel messages and standard error.
    Log,
    /// ttyS1: the script's standard input and output.
    Console,
    /// ttyS2: records (`report.rs`), and commands in the other direction.
    Report,
}

/// Something that came from the lab host.
#[derive(Debug)]
pub(super) enum Event {
    /// Bytes on a port.
    Bytes(Port, Vec<u8>),
    /// A port ended: QEMU is gone.
    End,
}

/// The listening ends, made before QEMU starts; it connects before it runs an instruction.
#[derive(Debug)]
pub(super) struct Listeners {
    ports: [Waiting; 3],
}

#[derive(Debug)]
struct Waiting {
    port: Port,
    path: PathBuf,
    listener: UnixListener,
    stream: Option<UnixStream>,
}

impl Listeners {
    /// Listens on three sockets in `directory`.
    pub(super) fn bind(directory: &Path) -> Result<Self, LabError> {
        let one = |port, name| {
            let path = directory.join(name);
            let listen = || {
                let listener = UnixListener::bind(&path)?;
                listener.set_nonblocking(true)?;
                Ok(listener)
            };
            let listener = listen().map_err(LabError::io("listen on a serial port's socket"))?;
            Ok::<_, LabError>(Waiting { port, path: path.clone(), listener, stream: None })
        };
        let log = one(Port::Log, "log")?;
        Ok(Self { ports: [log, one(Port::Console, "console")?, one(Port::Report, "report")?] })
    }

    /// The sockets' paths, for QEMU.
    pub(super) fn paths(&self) -> [&Path; 3] {
        self.ports.each_ref().map(|waiting| waiting.path.as_path())
    }

    /// Takes QEMU's connections and starts to read them; false while one is missing.
    pub(super) fn connect(&mut self, events: &Sender<Event>) -> Result<bool, LabError> {
        let failed = || LabError::io("take QEMU's serial ports");
        for waiting in &mut self.ports {
            if waiting.stream.is_some() {
                continue;
            }
            match waiting.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).map_err(failed())?;
                    let reader = stream.try_clone().map_err(failed())?;
                    let (port, events) = (waiting.port, events.clone());
                    std::thread::spawn(move || read(port, reader, &events));
                    waiting.stream = Some(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(failed()(error)),
            }
        }
        Ok(true)
    }

    /// Copies `input` to a port until either ends, on a thread of its own: whoever reads a
    /// terminal can't be interrupted, so nobody waits for it.
    pub(super) fn feed(&self, to: Port, mut input: Box<dyn Read + Send>) -> Result<(), LabError> {
        if let Some(stream) = self.stream(to) {
            let mut stream = stream.try_clone().map_err(LabError::io("share a serial port"))?;
            std::thread::spawn(move || std::io::copy(&mut input, &mut stream));
        }
        Ok(())
    }

    /// Sends a few bytes to a port of the lab host. Bytes to a port that has ended are dropped:
    /// that it has ended is told by [`Event::End`].
    pub(super) fn send(&self, to: Port, bytes: &[u8]) {
        if let Some(mut stream) = self.stream(to) {
            let _ = stream.write_all(bytes);
        }
    }

    fn stream(&self, port: Port) -> Option<&UnixStream> {
        self.ports.iter().find(|waiting| waiting.port == port)?.stream.as_ref()
    }
}

fn read(port: Port, mut stream: UnixStream, events: &Sender<Event>) {
    let mut buffer = [0; 16 << 10];
    loop {
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => {
                if events.send(Event::Bytes(port, buffer[..length].to_vec())).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => {
                let _ = events.send(Event::End);
                return;
            }
        }
    }
}
