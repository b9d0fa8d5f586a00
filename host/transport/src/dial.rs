//! The dialing side: finds a node among the ports of its address, and opens both lanes to it.
//!
//! Several nodes may share an address, and others may hold ports there, so whoever answers is asked
//! who it is (`probe.rs`), until the wanted node says welcome. Then again after a pause that grows,
//! until start-up is over.

use crate::board::Board;
use crate::port::resolve;
use crate::probe::{Answer, ask};
use crate::{LinkError, measure};
use pangea_topology::NodeId;
use pangea_wire::{Hello, Lane, RefusalReason};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause after the first round without success, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// What is told of one round, at most.
const MAX_SEEN: usize = 4;

/// Why a round came to nothing.
enum NotYet {
    /// What was found instead.
    Seen(String),
    /// A reason to give up, if it lasts.
    Refused(LinkError),
}

/// Dials one higher node until start-up is over.
pub(crate) fn run(board: &Arc<Board>, node: NodeId, ports: &RangeInclusive<u16>) {
    let mut refused: Option<(Instant, LinkError)> = None;
    let mut pause = FIRST_PAUSE;
    while board.wait_until_missing(node) {
        match attempt(board, node, ports) {
            Ok(()) => {
                (refused, pause) = (None, FIRST_PAUSE);
                continue;
            }
            Err(NotYet::Seen(what)) => board.saw(node, what),
            Err(NotYet::Refused(error)) => {
                board.saw(node, error.to_string());
                let since = refused.map_or_else(Instant::now, |(since, _)| since);
                refused = Some((since, error));
            }
        }
        if refused.as_ref().is_some_and(|(since, _)| since.elapsed() >= board.tuning.patience) {
            if let Some((_, error)) = refused {
                board.fail(error);
            }
            return;
        }
        board.pause(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One round: find the node, open both lanes, measure.
fn attempt(board: &Board, node: NodeId, ports: &RangeInclusive<u16>) -> Result<(), NotYet> {
    let seen = |what: &str| {
        let what = what.to_owned();
        move |error: io::Error| NotYet::Seen(format!("{what}: {error}"))
    };
    let Some(wanted) = board.own.identity.nodes.get(node.index()) else { return Ok(()) };
    let addresses = resolve(&wanted.address).map_err(seen("its address can't be resolved"))?;
    let (page, address, run) = find(board, node, &addresses, ports)?;
    let hello = board.own.hello(node, Lane::Control);
    let control = match ask(board, address.ip(), [address.port()], &hello).pop() {
        Some((_, Answer::Welcome(control, theirs))) if theirs.run == run => control,
        _ => return Err(NotYet::Seen(format!("{address}: only one lane of two was given"))),
    };
    let generation = board.adopt(node, page, control);
    let measured =
        board.page(node, generation).and_then(|page| measure::drive(&page, &*board.tuning.clock));
    match measured {
        Ok(measured) => board.conclude(node, generation, address, measured),
        Err(error) => {
            board.abandon(node, generation);
            return Err(seen("the link to it couldn't be measured")(error));
        }
    }
    Ok(())
}

/// The node's page lane, its address, and which process it is.
fn find(
    board: &Board,
    node: NodeId,
    addresses: &[IpAddr],
    ports: &RangeInclusive<u16>,
) -> Result<(TcpStream, SocketAddr, u64), NotYet> {
    let hello = board.own.hello(node, Lane::Page);
    let mut seen = Vec::new();
    for &ip in addresses {
        for (port, answer) in ask(board, ip, ports.clone(), &hello) {
            let address = SocketAddr::new(ip, port);
            match answer {
                Answer::Welcome(stream, theirs) => return Ok((stream, address, theirs.run)),
                Answer::Closed | Answer::TimedOut => {}
                Answer::Down => seen.push(format!("{ip} doesn't answer at all")),
                Answer::Unreachable(error) => {
                    seen.push(format!("{ip} can't be reached: {error}"));
                }
                Answer::Stranger(what) => {
                    seen.push(format!("port {port} is held by a stranger: {what}"));
                }
                Answer::Refusal(reason, theirs) => {
                    match board.own.mismatch(reason, &theirs, address) {
                        // It finds us, and gives up: the one that started first stays.
                        Some(_) if theirs.from == hello.from && theirs.run > hello.run => {
                            let name = &theirs.from_name;
                            seen.push(format!("port {port} is a second process of node {name}"));
                        }
                        Some(error) => return Err(NotYet::Refused(error)),
                        None => seen.push(describe(board, port, reason, &theirs)),
                    }
                }
            }
        }
    }
    let more = seen.len().saturating_sub(MAX_SEEN);
    seen.truncate(MAX_SEEN);
    if more > 0 {
        seen.push(format!("and {more} more"));
    }
    Err(NotYet::Seen(if seen.is_empty() { "nobody listens there".into() } else { seen.join("; ") }))
}

fn describe(board: &Board, port: u16, reason: RefusalReason, theirs: &Hello) -> String {
    let Hello { cluster, from_name, .. } = theirs;
    if *cluster == board.own.identity.cluster {
        match reason {
            RefusalReason::WrongNode => format!("port {port} is node {from_name}"),
            reason => format!("port {port} is node {from_name}, which refuses: {reason}"),
        }
    } else {
        format!("port {port} is node {from_name} of another cluster, {cluster}")
    }
}

/// Looks for another process that is this node too, on all other ports of our address. The one that
/// started first stays.
pub(crate) fn look_for_twin(board: &Board, own: SocketAddr, ports: &RangeInclusive<u16>) {
    let hello = board.own.hello(board.own.identity.me, Lane::Control);
    let mut since = None;
    loop {
        let others = ports.clone().filter(|port| *port != own.port());
        let mut answers = ask(board, own.ip(), others, &hello).into_iter();
        let twin = answers.find_map(|(port, answer)| match answer {
            Answer::Refusal(reason, theirs)
                if theirs.from == board.own.identity.me && theirs.run < board.own.run =>
            {
                board.own.mismatch(reason, &theirs, SocketAddr::new(own.ip(), port))
            }
            _ => None,
        });
        let Some(error) = twin else { return };
        if since.get_or_insert_with(Instant::now).elapsed() >= board.tuning.patience {
            return board.fail(error);
        }
        board.pause(LONGEST_PAUSE.min(board.tuning.patience));
    }
}
