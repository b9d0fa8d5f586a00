use super::*;
use crate::{
    AccessOp, CpuidEntry, Interrupt, InterruptKind, MAX_CPUID_ENTRIES, MAX_NAME, MAX_TEXT, StopKind,
};
use pangea_topology::{ApicId, Gpa, NodeId};
use proptest::prelude::*;

fn interrupt() -> impl Strategy<Value = Interrupt> {
    let kind = prop_oneof![
        any::<u8>().prop_map(|vector| InterruptKind::Fixed { vector }),
        Just(InterruptKind::Nmi),
        Just(InterruptKind::Init),
        any::<u8>().prop_map(|vector| InterruptKind::Startup { vector }),
    ];
    (any::<u32>(), kind).prop_map(|(to, kind)| Interrupt { to: ApicId(to), kind })
}

fn access_op() -> impl Strategy<Value = AccessOp> {
    let size = prop_oneof![Just(1u8), Just(2), Just(4)];
    prop_oneof![
        (any::<u16>(), size.clone()).prop_map(|(port, size)| AccessOp::PortIn { port, size }),
        (any::<u16>(), size, any::<u32>()).prop_map(|(port, size, value)| AccessOp::PortOut {
            port,
            size,
            value
        }),
        (any::<u64>(), 1..=8u8).prop_map(|(gpa, len)| AccessOp::MmioRead { gpa: Gpa(gpa), len }),
        (any::<u64>(), 1..=8u8, any::<[u8; 8]>())
            .prop_map(|(gpa, len, data)| AccessOp::MmioWrite { gpa: Gpa(gpa), len, data }),
    ]
}

fn entries() -> impl Strategy<Value = Vec<CpuidEntry>> {
    let entry = any::<[u32; 7]>().prop_map(|[function, index, flags, eax, ebx, ecx, edx]| {
        CpuidEntry { function, index, flags, eax, ebx, ecx, edx }
    });
    prop::collection::vec(entry, 0..=MAX_CPUID_ENTRIES)
}

fn message() -> impl Strategy<Value = ControlMessage> {
    let stop = prop_oneof![
        Just(StopKind::PowerOff),
        Just(StopKind::Reset),
        Just(StopKind::User),
        (0..64u8, any::<u64>())
            .prop_map(|(node, silent_ms)| StopKind::PeerLost { node: NodeId(node), silent_ms }),
        Just(StopKind::Fault),
    ];
    prop_oneof![
        any::<u64>().prop_map(|seq| ControlMessage::Heartbeat { seq }),
        Just(ControlMessage::Linked),
        interrupt().prop_map(ControlMessage::Interrupt),
        (any::<u64>(), any::<u32>(), access_op())
            .prop_map(|(token, cpu, op)| ControlMessage::Access { token, cpu: ApicId(cpu), op }),
        any::<(u64, [u8; 8])>()
            .prop_map(|(token, data)| ControlMessage::AccessDone { token, data }),
        any::<(u32, u8)>()
            .prop_map(|(cpu, vector)| ControlMessage::EndOfInterrupt { cpu: ApicId(cpu), vector }),
        any::<[u64; 24]>().prop_map(ControlMessage::IoapicRoutes),
        (entries(), "[ -~]{0,64}", "[ -~]{0,64}").prop_map(|(entries, vendor, model)| {
            ControlMessage::CpuidOffer { entries, vendor, model }
        }),
        entries().prop_map(|entries| ControlMessage::CpuidAgreed { entries }),
        any::<(u64, u64, u64, u32)>().prop_map(|(kvmclock_ns, realtime_ns, tsc, tsc_khz)| {
            ControlMessage::Clock { kvmclock_ns, realtime_ns, tsc, tsc_khz }
        }),
        Just(ControlMessage::Ready),
        Just(ControlMessage::Start),
        (stop, ".{0,500}").prop_map(|(kind, text)| ControlMessage::stop(kind, &text)),
    ]
}

/// All that a reader makes of `bytes` when they come in pieces of these sizes.
fn read_in_pieces(mut bytes: &[u8], sizes: &[usize]) -> Result<Vec<ControlMessage>, WireError> {
    let mut reader = FrameReader::new();
    let mut messages = Vec::new();
    let mut sizes = sizes.iter().cycle();
    while !bytes.is_empty() {
        let space = reader.space();
        let count = sizes.next().copied().unwrap_or(1).min(bytes.len()).min(space.len());
        assert!(count > 0, "a reader that wants more has room for it");
        let (piece, rest) = bytes.split_at(count);
        space[..count].copy_from_slice(piece);
        reader.filled(count);
        bytes = rest;
        while let Some(message) = reader.next()? {
            messages.push(message);
        }
    }
    assert_eq!(reader.pending(), 0);
    Ok(messages)
}

proptest! {
    #[test]
    fn messages_come_back_in_order_however_they_are_cut(
        messages in prop::collection::vec(message(), 1..20),
        sizes in prop::collection::vec(1..5000usize, 1..10),
    ) {
        let mut bytes = Vec::new();
        for message in &messages {
            bytes.extend(encode_control(message).unwrap());
        }
        prop_assert_eq!(read_in_pieces(&bytes, &sizes), Ok(messages));
    }

    #[test]
    fn any_body_is_refused_or_is_a_message_within_its_limits(
        body in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        if let Ok(message) = decode_control(&body) {
            prop_assert!(encode_control(&message).is_ok(), "{:?}", message);
        }
    }

    #[test]
    fn a_changed_byte_never_breaks_a_limit(
        message in message(), at: prop::sample::Index, flip in 1..=255u8,
    ) {
        let mut frame = encode_control(&message).unwrap();
        let at = at.index(frame.len() - FRAME_PREFIX) + FRAME_PREFIX;
        frame[at] ^= flip;
        if let Ok(message) = decode_control(&frame[FRAME_PREFIX..]) {
            prop_assert!(encode_control(&message).is_ok(), "{:?}", message);
        }
    }

    #[test]
    fn any_stream_ends_in_messages_or_one_error(
        bytes in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let mut reader = FrameReader::new();
        let space = reader.space();
        space[..bytes.len()].copy_from_slice(&bytes);
        reader.filled(bytes.len());
        while let Ok(Some(_)) = reader.next() {}
    }
}

#[test]
fn lengths_at_the_limit_and_past_it() {
    let at = u32::try_from(MAX_CONTROL_BODY).unwrap();
    assert_eq!(control_body_len(at.to_le_bytes()), Ok(MAX_CONTROL_BODY));
    let error = |len: u32| control_body_len(len.to_le_bytes()).unwrap_err().to_string();
    assert_eq!(error(at + 1), "control frame: `length` has 65537 bytes, the limit is 65536");
    assert_eq!(error(u32::MAX), "control frame: `length` has 4294967295 bytes, the limit is 65536");
    assert_eq!(error(0), "control frame: field `length` is 0, expected 1 to 65536");
}

#[test]
fn the_largest_message_fits_a_frame_and_a_larger_one_is_refused() {
    let entry =
        CpuidEntry { function: !0, index: !0, flags: !0, eax: !0, ebx: !0, ecx: !0, edx: !0 };
    let name = "x".repeat(MAX_NAME);
    let offer = |count| ControlMessage::CpuidOffer {
        entries: vec![entry; count],
        vendor: name.clone(),
        model: name.clone(),
    };
    let frame = encode_control(&offer(MAX_CPUID_ENTRIES)).unwrap();
    assert!(frame.len() < MAX_CONTROL_BODY / 2, "{} bytes", frame.len());
    assert_eq!(
        encode_control(&offer(MAX_CPUID_ENTRIES + 1)).unwrap_err().to_string(),
        "control message: `entries` has 257 entries, the limit is 256"
    );
}

#[test]
fn a_stop_keeps_as_much_of_its_text_as_may_travel() {
    let text = "é".repeat(MAX_TEXT);
    let ControlMessage::Stop { text, .. } = ControlMessage::stop(StopKind::Fault, &text) else {
        panic!("not a stop")
    };
    assert_eq!(text.len(), MAX_TEXT);
    let whole = ControlMessage::Stop { kind: StopKind::Fault, text: "x".repeat(MAX_TEXT + 1) };
    assert!(encode_control(&whole).is_err());
}

#[test]
fn what_the_types_cannot_say_is_checked_on_arrival() {
    let odd = AccessOp::PortIn { port: 0x3f8, size: 1 };
    let good =
        encode_control(&ControlMessage::Access { token: 1, cpu: ApicId(2), op: odd }).unwrap();
    let mut body = good[FRAME_PREFIX..].to_vec();
    *body.last_mut().unwrap() = 3;
    assert_eq!(
        decode_control(&body).unwrap_err().to_string(),
        "control message: field `size` is 3, expected 1, 2 or 4 bytes"
    );
    let trailing = [&good[FRAME_PREFIX..], &[0]].concat();
    assert!(
        decode_control(&trailing).unwrap_err().to_string().contains("ends after"),
        "bytes after a message's end are an error"
    );
}
