//! Start-up with real sockets: each node is a thread, each test has ports of its own.

mod leaving;
mod links;
mod refusals;
mod strangers;

use crate::board::Tuning;
use crate::connect::connect_with;
use crate::handshake::{Own, hear, say};
use crate::*;
use pangea_topology::NodeId;
use pangea_wire::{Greeting, Lane, PROTOCOL, RefusalReason};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);
/// Longer than anything that a test waits for.
const EVENTUALLY: Duration = Duration::from_secs(60);

/// Ports that no other test uses, below those that the kernel gives to dialers.
fn ports(count: u16) -> RangeInclusive<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    static WINDOW: LazyLock<(File, u16)> = LazyLock::new(window);
    let first = WINDOW.1 + NEXT.fetch_add(count, Ordering::SeqCst);
    assert!(first + count <= WINDOW.1 + WINDOW_PORTS, "more ports than a process has");
    first..=first + count - 1
}

const WINDOWS: u32 = 20;
const WINDOW_PORTS: u16 = 600;

/// Ports of this process alone, for as long as the file is open: tests may each have a process.
fn window() -> (File, u16) {
    let start = std::process::id();
    for window in (0..WINDOWS).map(|n| (start + n) % WINDOWS) {
        let path = std::env::temp_dir().join(format!("pangea-transport-ports-{window}.lock"));
        // Another user's will do: it is only locked.
        let file = File::open(&path).or_else(|_| File::create(&path));
        if let Ok(file) = file
            && file.try_lock().is_ok()
        {
            return (file, 20_000 + window as u16 * WINDOW_PORTS);
        }
    }
    panic!("{WINDOWS} processes test at once");
}

fn port(ports: &RangeInclusive<u16>, index: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], ports.start() + index))
}

/// One node of a cluster of `count` nodes a, b, c.. on this machine.
fn node(me: NodeId, count: usize) -> Identity {
    let nodes = ["a", "b", "c"].iter().take(count);
    let nodes = nodes.map(|n| NodeAddress { name: n.to_string(), address: "127.0.0.1".into() });
    Identity { cluster: "test".into(), bundle: [1; 32], me, nodes: nodes.collect() }
}

/// A node that is starting up on a thread of its own.
struct Starting {
    thread: JoinHandle<Result<Links, LinkError>>,
    stop: Arc<AtomicBool>,
    progress: Arc<Mutex<Vec<String>>>,
}

impl Starting {
    fn new(identity: Identity, ports: &RangeInclusive<u16>) -> Starting {
        Starting::with(identity, ports, EVENTUALLY, tuning())
    }

    fn with(
        identity: Identity,
        ports: &RangeInclusive<u16>,
        wait: Duration,
        tuning: Tuning,
    ) -> Starting {
        let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (flag, told, ports) = (stop.clone(), Arc::clone(&progress), ports.clone());
        let thread = thread::spawn(move || {
            let tell = |news: &Progress| {
                let told: &Mutex<Vec<String>> = &told;
                told.lock().unwrap().push(news.to_string());
            };
            let options = Options { wait, ports, progress: &tell, stop: &flag };
            connect_with(&identity, &options, tuning)
        });
        Starting { thread, stop, progress }
    }

    /// Waits until the node has told something with this in it.
    fn wait_for(&self, text: &str) {
        let until = Instant::now() + EVENTUALLY;
        while !self.progress.lock().unwrap().iter().any(|line| line.contains(text)) {
            assert!(Instant::now() < until, "no {text:?} in {:?}", self.progress.lock().unwrap());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn finish(self) -> Result<Links, LinkError> {
        self.thread.join().unwrap()
    }

    fn links(self) -> Links {
        self.finish().unwrap()
    }

    fn error(self) -> LinkError {
        self.finish().unwrap_err()
    }
}

/// Refusals are believed soon, so that tests are short.
fn tuning() -> Tuning {
    Tuning { patience: Duration::from_millis(300), ..Tuning::default() }
}

/// What this process has logged since the first call, of whatever test runs in it.
pub(crate) fn logged() -> String {
    static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    struct Tap;
    impl Write for Tap {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            LOG.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    // Fails from the second call on: then it is there already.
    let _ = tracing_subscriber::fmt().with_ansi(false).with_writer(|| Tap).try_init();
    String::from_utf8(LOG.lock().unwrap().clone()).unwrap()
}

/// Who a raw connection says it is.
fn own(me: NodeId, count: usize, run: u64) -> Own {
    Own { identity: node(me, count), run, protocol: PROTOCOL }
}

/// Says hello to a door, without being a node.
fn hail(address: SocketAddr, own: &Own, to: NodeId, lane: Lane) -> (TcpStream, Greeting) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let until = Instant::now() + EVENTUALLY;
    say(&stream, Greeting::Hello, &own.hello(to, lane), until).unwrap();
    let (greeting, theirs) = hear(&stream, until).unwrap();
    assert_eq!(theirs.cluster, "test", "a refusal says who refuses");
    (stream, greeting)
}

/// What one side writes to a lane is what the other reads.
fn assert_joined(mut left: &TcpStream, mut right: &TcpStream) {
    let mut bytes = [0; 5];
    left.write_all(b"there").unwrap();
    right.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"there");
    right.write_all(b"again").unwrap();
    left.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"again");
}
