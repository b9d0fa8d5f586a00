//! Who is at the ports of an address.
//!
//! A stranger that takes a connection and says nothing costs all of [`HELLO_TIME`]. So each port is
//! waited for alone for a moment only. Those that haven't answered by then are heard on while the
//! next are tried: the time of all the silent ones passes together.
//!
//! ```text
//!   port 1: connect, hello .................................... silent, until its time is over
//!   port 2:    HEAD_START -> connect, hello ................................... silent
//!   port 3:                     HEAD_START -> connect, hello, welcome: found
//! ```

use crate::board::Board;
use crate::door::HELLO_TIME;
use crate::handshake::{Incoming, NoHello, Own, say};
use crate::socket::wait_for_any;
use pangea_wire::{Greeting, Hello, RefusalReason};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// How long a port may take to accept a connection.
const CONNECT_TIME: Duration = Duration::from_secs(1);
/// Ports in a row that time out before the address is left for this time: the host is down.
const MAX_TIMEOUTS: u32 = 3;
/// How long a port is waited for alone. A node on a LAN answers within it, so that no more ports
/// are tried than must be.
const HEAD_START: Duration = Duration::from_millis(20);
/// Ports that may owe an answer at once: more than the 50 that nodes listen on.
pub(crate) const MAX_ASKED: usize = 64;

/// What a port answered.
pub(crate) enum Answer {
    Welcome(TcpStream, Hello),
    Refusal(RefusalReason, Hello),
    /// Nobody listens.
    Closed,
    /// It doesn't take the connection.
    TimedOut,
    /// The last of so many ports that timed out that no more are tried.
    Down,
    /// The address can't be reached at all.
    Unreachable(io::Error),
    /// Somebody who isn't a node.
    Stranger(String),
}

/// Says `hello` to these ports in turn. The first welcome ends it, and is the only answer then;
/// otherwise the answers are in the order of the ports.
pub(crate) fn ask(
    board: &Board,
    ip: IpAddr,
    ports: impl IntoIterator<Item = u16>,
    hello: &Hello,
) -> Vec<(u16, Answer)> {
    let mut round = Round { own: &board.own, hello, asked: Vec::new(), answers: Vec::new() };
    match round.run(board, ip, ports) {
        ControlFlow::Break(welcome) => vec![welcome],
        ControlFlow::Continue(()) => {
            round.answers.sort_by_key(|(port, _)| *port);
            round.answers
        }
    }
}

struct Round<'a> {
    own: &'a Own,
    hello: &'a Hello,
    /// Those that owe an answer, in the order in which their time ends.
    asked: Vec<Asked>,
    answers: Vec<(u16, Answer)>,
}

/// A port that took the hello.
struct Asked {
    port: u16,
    stream: TcpStream,
    answer: Incoming,
    until: Instant,
}

impl Round<'_> {
    /// Breaks with a welcome.
    fn run(
        &mut self,
        board: &Board,
        ip: IpAddr,
        ports: impl IntoIterator<Item = u16>,
    ) -> ControlFlow<(u16, Answer)> {
        let mut timeouts = 0;
        for port in ports {
            if board.is_over() {
                return ControlFlow::Continue(());
            }
            self.hear_all_but(MAX_ASKED - 1)?;
            let answer = match knock(SocketAddr::new(ip, port), self.hello) {
                Ok((stream, until)) => {
                    timeouts = 0;
                    self.asked.push(Asked { port, stream, answer: Incoming::default(), until });
                    self.hear(Instant::now() + HEAD_START)?;
                    continue;
                }
                Err(Answer::TimedOut) if timeouts + 1 == MAX_TIMEOUTS => Answer::Down,
                Err(answer) => answer,
            };
            timeouts = if matches!(answer, Answer::TimedOut) { timeouts + 1 } else { 0 };
            let leave = matches!(answer, Answer::Down | Answer::Unreachable(_));
            self.answers.push((port, answer));
            if leave {
                break;
            }
        }
        self.hear_all_but(0)
    }

    /// Hears until no more than `left` owe an answer.
    fn hear_all_but(&mut self, left: usize) -> ControlFlow<(u16, Answer)> {
        while let Some(first) = self.asked.first()
            && self.asked.len() > left
        {
            self.hear(first.until)?;
        }
        ControlFlow::Continue(())
    }

    /// Waits until one of those that were asked says something, or until then, and takes it.
    fn hear(&mut self, until: Instant) -> ControlFlow<(u16, Answer)> {
        wait_for_any(self.asked.iter().map(|asked| &asked.stream), until);
        let now = Instant::now();
        for mut asked in std::mem::take(&mut self.asked) {
            let heard = match asked.answer.take(&asked.stream) {
                Some(heard) => heard,
                None if now < asked.until => {
                    self.asked.push(asked);
                    continue;
                }
                None => Err(NoHello::Silence),
            };
            match self.understand(asked.stream, heard) {
                welcome @ Answer::Welcome(..) => return ControlFlow::Break((asked.port, welcome)),
                answer => self.answers.push((asked.port, answer)),
            }
        }
        ControlFlow::Continue(())
    }

    fn understand(&self, stream: TcpStream, heard: Result<(Greeting, Hello), NoHello>) -> Answer {
        let hello = self.hello;
        match heard {
            Ok((Greeting::Welcome, theirs)) => match self.own.recognise(hello, &theirs) {
                Ok(()) => Answer::Welcome(stream, theirs),
                Err(reason) => Answer::Refusal(reason, theirs),
            },
            // Our own door, where several nodes share an address.
            Ok((Greeting::Refusal(_), theirs))
                if (theirs.from, theirs.run) == (hello.from, hello.run) =>
            {
                Answer::Closed
            }
            Ok((Greeting::Refusal(reason), theirs)) => Answer::Refusal(reason, theirs),
            Ok((Greeting::Hello, _)) => Answer::Stranger("it answers hello with hello".into()),
            Err(error) => Answer::Stranger(error.to_string()),
        }
    }
}

/// Connects to one port and says hello. The connection, and until when its answer is due.
fn knock(address: SocketAddr, hello: &Hello) -> Result<(TcpStream, Instant), Answer> {
    let stream =
        TcpStream::connect_timeout(&address, CONNECT_TIME).map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Answer::Closed,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Answer::TimedOut,
            _ => Answer::Unreachable(error),
        })?;
    // The ports lie among those that the kernel gives to dialers: on one's own address, a
    // connection to a free port can come out of that very port and meet itself.
    if stream.local_addr().is_ok_and(|own| own == address) {
        return Err(Answer::Closed);
    }
    let _ = stream.set_nodelay(true);
    let until = Instant::now() + HELLO_TIME;
    say(&stream, Greeting::Hello, hello, until)
        .map_err(|error| Answer::Stranger(error.to_string()))?;
    Ok((stream, until))
}
