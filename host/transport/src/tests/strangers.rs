//! Ports that others hold: what is heard of them, and that they keep nobody waiting.

use super::*;
use crate::board::Board;
use crate::probe::{Answer, MAX_ASKED, ask};
use pangea_wire::encode_hello;

/// What node a hears at these ports when it looks for b's page lane.
fn heard(ports: &RangeInclusive<u16>) -> Vec<(u16, String)> {
    let board = Board::new(own(A, 3, 1), tuning());
    let hello = board.own.hello(B, Lane::Page);
    let tell = |(port, answer)| {
        let text = match answer {
            Answer::Welcome(_, theirs) => format!("welcome of {}", theirs.from_name),
            Answer::Refusal(reason, theirs) => format!("{} says that {reason}", theirs.from_name),
            Answer::Closed => "closed".into(),
            Answer::TimedOut => "timed out".into(),
            Answer::Down => "down".into(),
            Answer::Unreachable(error) => error.to_string(),
            Answer::Stranger(what) => what,
        };
        (port - ports.start(), text)
    };
    ask(&board, [127, 0, 0, 1].into(), ports.clone(), &hello).into_iter().map(tell).collect()
}

/// Answers the next connection in pieces, each later than the next port is tried.
fn answer_slowly(at: SocketAddr, bytes: Vec<u8>, pieces: usize) -> JoinHandle<()> {
    let listener = TcpListener::bind(at).unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
            thread::sleep(Duration::from_millis(50));
            // The dialer may have heard enough by now.
            let _ = stream.write_all(piece);
        }
    })
}

#[test]
fn all_that_hold_ports_are_told_in_their_order_whoever_answers_first() {
    let ports = ports(6);
    let _silent = [0, 3].map(|index| TcpListener::bind(port(&ports, index)).unwrap());
    let ssh = answer_slowly(port(&ports, 1), b"SSH-2.0-OpenSSH\r\n".into(), 3);
    let c = Starting::new(node(C, 3), &(port(&ports, 2).port()..=*ports.end()));
    c.wait_for("listening on");
    let answers = heard(&ports);
    let texts: Vec<_> = answers.iter().map(|(index, text)| (*index, text.as_str())).collect();
    let [first, (1, ssh_says), rest @ ..] = &texts[..] else { panic!("{texts:?}") };
    assert!(ssh_says.contains("isn't a Pangea node"), "{ssh_says}");
    let silent = "it says nothing in time";
    assert_eq!(*first, (0, silent));
    let node_c = "c says that it is another node";
    assert_eq!(rest, [(2, node_c), (3, silent), (4, "closed"), (5, "closed")]);
    c.stop.store(true, Ordering::SeqCst);
    assert!(matches!(c.error(), LinkError::Stopped));
    ssh.join().unwrap();
}

#[test]
fn a_node_that_answers_late_and_in_pieces_is_found_all_the_same() {
    let ports = ports(3);
    let welcome = own(B, 3, 2).hello(A, Lane::Page);
    let record = encode_hello(Greeting::Welcome, &welcome).unwrap();
    let b = answer_slowly(port(&ports, 1), record.to_vec(), 4);
    let _silent = [0, 2].map(|index| TcpListener::bind(port(&ports, index)).unwrap());
    assert_eq!(heard(&ports), [(1, "welcome of b".into())]);
    b.join().unwrap();
}

/// One after the other they would take longer than anybody waits.
#[test]
fn more_silent_strangers_than_are_heard_at_once_are_passed_in_time() {
    let silent = u16::try_from(MAX_ASKED).unwrap() + 2;
    let ports = ports(silent + 2);
    let _silent: Vec<_> =
        (0..silent).map(|index| TcpListener::bind(port(&ports, index)).unwrap()).collect();
    let b = Starting::new(node(B, 2), &ports);
    b.wait_for(&format!("listening on {}", port(&ports, silent)));
    let a = Starting::new(node(A, 2), &ports);
    assert_eq!(a.links().peers[0].report.address, port(&ports, silent));
    b.links();
}
