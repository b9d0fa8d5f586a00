use super::lane::MAX_OUTBOX;
use super::*;
use crate::LossCause;
use pangea_topology::ApicId;
use pangea_wire::{Interrupt, InterruptKind, MAX_CONTROL_BODY, StopKind};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};

/// What a handler was told.
#[derive(Debug, PartialEq)]
enum Told {
    Message(NodeId, ControlMessage),
    Lost(PeerLost),
}

struct Recorder(Mutex<Sender<Told>>);

impl ControlHandler for Recorder {
    fn receive(&self, from: NodeId, message: ControlMessage) {
        let _ = self.0.lock().unwrap().send(Told::Message(from, message));
    }

    fn lost(&self, loss: PeerLost) {
        let _ = self.0.lock().unwrap().send(Told::Lost(loss));
    }
}

/// Long enough that a loaded machine doesn't lose a peer that a test doesn't want to lose.
const PATIENT: Duration = Duration::from_secs(60);
/// Longer than anything that a test waits for.
const EVENTUALLY: Duration = Duration::from_secs(30);
const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);

fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialed = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (dialed, listener.accept().unwrap().0)
}

fn start(
    me: NodeId,
    peers: Vec<(NodeId, TcpStream)>,
    deadline: Duration,
) -> (Control, Receiver<Told>) {
    let (tell, told) = mpsc::channel();
    let name = |node: NodeId| ["a", "b", "c"].get(node.index()).unwrap().to_string();
    let peers = peers.into_iter().map(|(node, stream)| (node, name(node), stream)).collect();
    let handler = Arc::new(Recorder(Mutex::new(tell)));
    (Control::start(me, peers, deadline, handler).unwrap(), told)
}

/// Node a with the raw other end of its lane to b.
fn with_raw_peer(deadline: Duration) -> (Control, Receiver<Told>, TcpStream) {
    let (ours, theirs) = socket_pair();
    let (control, told) = start(A, vec![(B, ours)], deadline);
    (control, told, theirs)
}

fn message(number: u32) -> ControlMessage {
    let kind = InterruptKind::Fixed { vector: 32 };
    ControlMessage::Interrupt(Interrupt { to: ApicId(number), kind })
}

fn stop() -> ControlMessage {
    ControlMessage::stop(StopKind::PowerOff, "the guest powered off")
}

fn loss(told: &Receiver<Told>) -> PeerLost {
    match told.recv_timeout(EVENTUALLY).unwrap() {
        Told::Lost(loss) => loss,
        other => panic!("{other:?} instead of a loss"),
    }
}

/// Nothing more is told, to the end of all handles.
fn nothing_more(told: &Receiver<Told>) {
    assert_eq!(told.recv_timeout(EVENTUALLY), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn ten_thousand_messages_arrive_in_order_both_ways() {
    let (left, right) = socket_pair();
    let (a, told_a) = start(A, vec![(B, left)], PATIENT);
    let (b, told_b) = start(B, vec![(A, right)], PATIENT);
    let send_all = |control: Control, to| {
        thread::spawn(move || {
            for number in 0..10_000 {
                control.send(to, &message(number)).unwrap();
            }
        })
    };
    let senders = [send_all(a.clone(), B), send_all(b.clone(), A)];
    for (told, from) in [(&told_a, B), (&told_b, A)] {
        for number in 0..10_000 {
            let next = told.recv_timeout(EVENTUALLY).unwrap();
            assert_eq!(next, Told::Message(from, message(number)));
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let counters = a.counters();
    assert_eq!((counters[0].node, counters[0].name.as_str()), (B, "b"));
    assert!(counters[0].sent_messages >= 10_000 && counters[0].received_messages >= 10_000);
    assert!(counters[0].sent_bytes > 10_000 && counters[0].received_bytes > 10_000);
}

#[test]
fn what_a_slow_reader_lets_wait_arrives_in_order() {
    let (control, _told, mut raw) = with_raw_peer(PATIENT);
    // More than two sockets' buffers take unread, less than the outbox: some of it must wait.
    let mut sent = 0;
    let large = ControlMessage::stop(StopKind::User, &"x".repeat(1000));
    while control.counters()[0].queued_messages < 100 {
        control.send(B, &message(sent)).unwrap();
        control.send(B, &large).unwrap();
        sent += 1;
    }
    let mut frames = pangea_wire::FrameReader::new();
    let mut next = 0;
    while next < sent {
        let count = raw.read(frames.space()).unwrap();
        assert!(count > 0);
        frames.filled(count);
        while let Some(got) = frames.next().unwrap() {
            if let ControlMessage::Interrupt(_) = got {
                assert_eq!(got, message(next));
                next += 1;
            }
        }
    }
}

#[test]
fn a_peer_that_never_reads_is_lost_when_the_outbox_is_full() {
    let (control, told, _raw) = with_raw_peer(PATIENT);
    let error = (0..u32::MAX).find_map(|number| control.send(B, &message(number)).err()).unwrap();
    assert_eq!(error.to_string(), "node b (node 1) is lost");
    let loss = loss(&told);
    let LossCause::Stuck { queued } = loss.cause else { panic!("{loss}") };
    assert!(queued > MAX_OUTBOX && queued < MAX_OUTBOX + 100, "{queued}");
    drop(control);
    nothing_more(&told);
}

#[test]
fn a_killed_peer_is_lost_once_and_its_messages_come_first() {
    let (control, told, mut raw) = with_raw_peer(PATIENT);
    raw.write_all(&encode_control(&message(7)).unwrap()).unwrap();
    drop(raw);
    assert_eq!(told.recv_timeout(EVENTUALLY).unwrap(), Told::Message(B, message(7)));
    let loss = loss(&told);
    assert_eq!((loss.node, loss.name.as_str()), (B, "b"));
    assert!(matches!(loss.cause, LossCause::Closed | LossCause::Reset), "{loss}");
    assert!(loss.to_string().starts_with("lost node b: "), "{loss}");
    assert_eq!(
        control.send(B, &message(1)),
        Err(SendError::Lost { node: B, name: "b".into() }),
        "nothing can be sent to a lost peer"
    );
    drop(control);
    nothing_more(&told);
}

#[test]
fn a_silent_peer_is_lost_after_the_deadline_and_not_before() {
    crate::tests::logged();
    let deadline = Duration::from_millis(80);
    let (control, told, mut raw) = with_raw_peer(deadline);
    raw.write_all(&encode_control(&ControlMessage::Heartbeat { seq: 1 }).unwrap()).unwrap();
    let loss = loss(&told);
    assert_eq!(loss.cause, LossCause::Silent);
    assert!(loss.silent_for > deadline, "{loss}");
    let logged = crate::tests::logged();
    let warned = |line: &str| line.contains("WARN") && line.contains("node b is late: silent for ");
    let mut warnings = logged.lines().filter(|line| warned(line));
    assert!(warnings.any(|line| line.ends_with(" ms, it is lost after 80 ms")), "{logged}");
    assert!(control.last_heard(B) >= loss.silent_for);
    drop((control, raw));
    nothing_more(&told);
}

#[test]
fn heartbeats_alone_keep_two_idle_nodes_together() {
    let deadline = Duration::from_secs(2);
    let (left, right) = socket_pair();
    let (a, told_a) = start(A, vec![(B, left)], deadline);
    let (_b, told_b) = start(B, vec![(A, right)], deadline);
    for told in [&told_a, &told_b] {
        assert_eq!(told.recv_timeout(deadline * 2), Err(RecvTimeoutError::Timeout));
    }
    assert!(a.last_heard(B) < deadline);
    assert_eq!(a.last_heard(A), Duration::ZERO);
    assert_eq!(a.last_heard(C), Duration::MAX);
}

#[test]
fn garbage_and_oversize_frames_are_a_loss_that_says_so() {
    let oversize = u32::try_from(MAX_CONTROL_BODY + 1).unwrap().to_le_bytes().to_vec();
    let cases: [(&[u8], &str); 4] = [
        (b"GET / HTTP/1.1\r\n\r\n", "the limit is 65536"),
        (&oversize, "`length` has 65537 bytes, the limit is 65536"),
        (&[1, 0, 0, 0, 0xff], "control message of 1 bytes"),
        (&[1, 0, 0, 0, 1], "`Linked` after start-up"),
    ];
    for (bytes, text) in cases {
        let (_control, told, mut raw) = with_raw_peer(PATIENT);
        raw.write_all(bytes).unwrap();
        let loss = loss(&told);
        let LossCause::Garbled(what) = &loss.cause else { panic!("{loss}") };
        assert!(what.contains(text), "{what}");
    }
}

#[test]
fn three_nodes_stop_together_and_none_is_lost() {
    let ((ab, ba), (ac, ca), (bc, cb)) = (socket_pair(), socket_pair(), socket_pair());
    let (a, told_a) = start(A, vec![(B, ab), (C, ac)], PATIENT);
    let (b, told_b) = start(B, vec![(A, ba), (C, bc)], PATIENT);
    let (c, told_c) = start(C, vec![(A, ca), (B, cb)], PATIENT);
    a.broadcast(&stop());
    // b hears of it and is gone before c has looked at its own copy.
    assert_eq!(told_b.recv_timeout(EVENTUALLY).unwrap(), Told::Message(A, stop()));
    let closing = thread::spawn(move || b.close());
    let mut from = Vec::new();
    for _ in 0..2 {
        match told_c.recv_timeout(EVENTUALLY).unwrap() {
            Told::Message(node, message) if message == stop() => from.push(node),
            other => panic!("{other:?} instead of a stop"),
        }
    }
    from.sort();
    assert_eq!(from, [A, B], "b passed the stop on before it closed");
    let closing_a = thread::spawn(move || a.close());
    c.close();
    assert_eq!(c.send(A, &message(1)), Err(SendError::Closed));
    closing.join().unwrap();
    closing_a.join().unwrap();
    drop(c);
    for told in [told_a, told_b, told_c] {
        nothing_more(&told);
    }
}

#[test]
fn closing_without_a_stop_is_a_loss_for_the_peer() {
    let (left, right) = socket_pair();
    let (a, _told) = start(A, vec![(B, left)], PATIENT);
    let (_b, told_b) = start(B, vec![(A, right)], PATIENT);
    a.close();
    assert_eq!(loss(&told_b).cause, LossCause::Closed);
}

#[test]
fn all_that_was_sent_before_closing_arrives() {
    let (left, right) = socket_pair();
    let (a, _told) = start(A, vec![(B, left)], PATIENT);
    let (_b, told_b) = start(B, vec![(A, right)], PATIENT);
    for number in 0..1000 {
        a.send(B, &message(number)).unwrap();
    }
    a.broadcast(&stop());
    a.close();
    for number in 0..1000 {
        assert_eq!(told_b.recv_timeout(EVENTUALLY).unwrap(), Told::Message(A, message(number)));
    }
    assert_eq!(told_b.recv_timeout(EVENTUALLY).unwrap(), Told::Message(A, stop()));
}

#[test]
fn a_handler_that_panics_ends_its_lane() {
    struct Panics;
    impl ControlHandler for Panics {
        fn receive(&self, _: NodeId, _: ControlMessage) {
            panic!("on purpose, for this test");
        }
        fn lost(&self, _: PeerLost) {}
    }
    let (left, right) = socket_pair();
    let peers = vec![(B, "b".to_owned(), left)];
    let _a = Control::start(A, peers, PATIENT, Arc::new(Panics)).unwrap();
    let (b, told_b) = start(B, vec![(A, right)], PATIENT);
    b.send(A, &message(1)).unwrap();
    assert!(matches!(loss(&told_b).cause, LossCause::Closed | LossCause::Reset));
}

#[test]
fn a_node_alone_has_lanes_to_nobody() {
    let (control, told) = start(A, vec![], PATIENT);
    control.broadcast(&message(1));
    assert_eq!(control.send(B, &message(1)), Err(SendError::NoSuchPeer(B)));
    assert!(control.counters().is_empty());
    control.close();
    drop(control);
    nothing_more(&told);
}
