use super::*;
use crate::NodeAddress;
use pangea_wire::PROTOCOL;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

/// One of the nodes a, b, c of the cluster trio.
fn own(me: u8) -> Own {
    let node = |name: &str| NodeAddress { name: name.into(), address: "127.0.0.1".into() };
    let nodes = ["a", "b", "c"].map(node).to_vec();
    let identity = Identity { cluster: "trio".into(), bundle: [1; 32], me: NodeId(me), nodes };
    Own { identity, run: 7, protocol: PROTOCOL }
}

#[test]
fn a_listener_lets_in_whom_it_may() {
    let (a, b, c) = (own(0), own(1), own(2));
    assert_eq!(b.judge(&a.hello(NodeId(1), Lane::Page)), Ok(()));
    assert_eq!(c.judge(&b.hello(NodeId(2), Lane::Control)), Ok(()));

    let good = a.hello(NodeId(1), Lane::Page);
    type Case = (&'static str, fn(&mut Hello), RefusalReason);
    let cases: [Case; 13] = [
        ("cluster", |h| h.cluster = "duo".into(), RefusalReason::OtherCluster),
        ("protocol", |h| h.protocol = 9, RefusalReason::OtherProtocol),
        ("bundle", |h| h.bundle = [2; 32], RefusalReason::OtherBundle),
        ("its own twin", |h| (h.from, h.run) = (NodeId(1), 8), RefusalReason::DuplicateNode),
        (
            "itself, on the way to c",
            |h| *h = own(1).hello(NodeId(2), Lane::Page),
            RefusalReason::WrongNode,
        ),
        ("itself", |h| *h = own(1).hello(NodeId(1), Lane::Page), RefusalReason::WrongNode),
        ("another node", |h| h.to = NodeId(2), RefusalReason::WrongNode),
        ("another name", |h| h.to_name = "c".into(), RefusalReason::WrongNode),
        ("a false name", |h| h.from_name = "c".into(), RefusalReason::WrongNode),
        (
            "the higher node dials",
            |h| (h.from, h.from_name) = (NodeId(2), "c".into()),
            RefusalReason::WrongNode,
        ),
        (
            "no node of ours",
            |h| (h.from, h.from_name) = (NodeId(63), "node 63".into()),
            RefusalReason::WrongNode,
        ),
        (
            "another cluster with another bundle",
            |h| (h.cluster, h.bundle) = ("duo".into(), [2; 32]),
            RefusalReason::OtherCluster,
        ),
        (
            "another version with another bundle",
            |h| (h.protocol, h.bundle) = (9, [2; 32]),
            RefusalReason::OtherProtocol,
        ),
    ];
    for (what, change, reason) in cases {
        let mut hello = good.clone();
        change(&mut hello);
        assert_eq!(b.judge(&hello), Err(reason), "{what}");
    }
}

#[test]
fn a_dialer_recognises_only_whom_it_asked_for() {
    let (a, b, c) = (own(0), own(1), own(2));
    let asked = a.hello(NodeId(1), Lane::Page);
    assert_eq!(a.recognise(&asked, &b.hello(NodeId(0), Lane::Page)), Ok(()));
    let wrong = Err(RefusalReason::WrongNode);
    assert_eq!(a.recognise(&asked, &c.hello(NodeId(0), Lane::Page)), wrong);
    assert_eq!(a.recognise(&asked, &b.hello(NodeId(2), Lane::Page)), wrong);
    assert_eq!(a.recognise(&asked, &b.hello(NodeId(0), Lane::Control)), wrong);
    let mut other = b.hello(NodeId(0), Lane::Page);
    other.bundle = [2; 32];
    assert_eq!(a.recognise(&asked, &other), Err(RefusalReason::OtherBundle));
}

#[test]
fn only_a_real_mismatch_is_a_reason_to_give_up() {
    let (a, mut b) = (own(0), own(1));
    b.identity.bundle = [2; 32];
    let address = SocketAddr::from(([10, 0, 0, 2], 50051));
    let theirs = b.hello(NodeId(0), Lane::Page);
    let error = a.mismatch(RefusalReason::OtherBundle, &theirs, address).unwrap();
    assert_eq!(
        error.to_string(),
        "node b (10.0.0.2:50051) runs another bundle of this cluster: it has 020202020202, this \
         node has 010101010101"
    );
    assert!(error.help().contains("copy one bundle directory to all nodes"));
    assert!(a.mismatch(RefusalReason::WrongNode, &theirs, address).is_none());
    b.identity.cluster = "duo".into();
    let theirs = b.hello(NodeId(0), Lane::Page);
    assert!(a.mismatch(RefusalReason::OtherBundle, &theirs, address).is_none());
}

#[test]
fn bytes_that_trickle_in_have_one_deadline_for_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut trickle = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let stream = listener.accept().unwrap().0;
    let writer = std::thread::spawn(move || {
        for byte in encode_hello(Greeting::Hello, &own(0).hello(NodeId(1), Lane::Page)).unwrap() {
            std::thread::sleep(Duration::from_millis(5));
            if trickle.write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    let error = hear(&stream, Instant::now() + Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.to_string(), "it says nothing in time");
    drop(stream);
    writer.join().unwrap();
}

#[test]
fn a_stranger_is_known_by_its_first_bytes_without_waiting_for_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ssh = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    ssh.write_all(b"SSH-2.0-x\r\n").unwrap();
    let stream = listener.accept().unwrap().0;
    let error = hear(&stream, Instant::now() + Duration::from_secs(60)).unwrap_err();
    assert!(error.to_string().contains("isn't a Pangea node"), "{error}");
}
