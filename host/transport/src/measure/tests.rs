use super::*;
use std::io::Write;
use std::net::TcpListener;
use std::sync::LazyLock;
use std::thread;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A clock that both sides share, off by `by` ns.
fn clock(by: i64) -> impl Fn() -> u64 + Send {
    move || (1_000_000_000_000 + START.elapsed().as_nanos() as u64).saturating_add_signed(by)
}

fn socket_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let dialed = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let taken = listener.accept().unwrap().0;
    dialed.set_nodelay(true).unwrap();
    taken.set_nodelay(true).unwrap();
    (dialed, taken)
}

/// Both sides of a measurement in which the listener's clock is off by `skew`.
fn measure(skew: i64) -> (Measured, Measured) {
    let (dialed, taken) = socket_pair();
    let server = thread::spawn(move || serve(&taken, &clock(skew)).unwrap());
    let ours = drive(&dialed, &clock(0)).unwrap();
    (ours, server.join().unwrap())
}

#[test]
fn both_sides_report_the_same_link() {
    let (dialer, listener) = measure(0);
    assert!(dialer.clocks_agree() && listener.clocks_agree(), "{dialer:?}");
    assert_eq!(listener, Measured { skew_ns: -dialer.skew_ns, ..dialer });
    assert!(dialer.rtt_min_ns > 0 && dialer.rtt_min_ns <= dialer.rtt_ns);
    assert!(dialer.fetch_ns > 0);
}

#[test]
fn a_clock_that_is_off_is_found_out_in_either_direction() {
    for skew in [1_000_000_000, -1_000_000_000, 3_600_000_000_000] {
        let (dialer, listener) = measure(skew);
        assert!(!dialer.clocks_agree() && !listener.clocks_agree(), "{dialer:?}");
        let error = dialer.skew_ns.abs_diff(skew);
        assert!(error <= dialer.skew_trip_ns / 2 + 1000, "{dialer:?} is off by {error} ns");
        assert_eq!(listener.skew_ns, -dialer.skew_ns);
    }
}

#[test]
fn one_clock_never_disagrees_with_itself_however_late_a_sample_is() {
    for _ in 0..20 {
        assert!(measure(0).0.clocks_agree());
    }
}

#[test]
fn the_limit_is_half_the_trip_and_the_grain() {
    let measured =
        |skew_ns| Measured { rtt_ns: 0, rtt_min_ns: 0, fetch_ns: 0, skew_ns, skew_trip_ns: 20_000 };
    assert_eq!(measured(0).skew_limit_ns(), 15_000);
    assert!(measured(15_000).clocks_agree() && measured(-15_000).clocks_agree());
    assert!(!measured(15_001).clocks_agree() && !measured(-15_001).clocks_agree());
    assert!(!measured(i64::MIN).clocks_agree());
}

#[test]
fn garbage_ends_a_measurement_on_either_side() {
    let (mut dialed, taken) = socket_pair();
    dialed.write_all(&[0x55; RECORD]).unwrap();
    let error = serve(&taken, &clock(0)).unwrap_err().to_string();
    assert_eq!(error, "a record of kind 85 with magic [55, 55, 55, 55] in a measurement");

    let (dialed, mut taken) = socket_pair();
    taken.write_all(&[0; RECORD]).unwrap();
    assert!(drive(&dialed, &clock(0)).unwrap_err().to_string().contains("kind 0"));
}

#[test]
fn a_listener_answers_only_so_many_records() {
    let (dialed, taken) = socket_pair();
    let server = thread::spawn(move || serve(&taken, &clock(0)));
    let (page, clock) = (&dialed, &clock(0));
    let mut asker = Asker { page, clock, until: Instant::now() + TIME, seq: 0 };
    for _ in 0..MAX_RECORDS {
        asker.ask(PING, [0; 6], &mut []).unwrap();
    }
    let error = server.join().unwrap().unwrap_err().to_string();
    assert_eq!(error, "over 393 records in a measurement");
}
