use crate::common::own;
use bytes::Bytes;
use cau_rtp::Packet;
use cau_rtp::packet::{Class, Error, classify};
use proptest::prelude::*;
use smallvec::SmallVec;

fn parse(bytes: &[u8]) -> Result<Packet, Error> {
    Packet::parse(Bytes::copy_from_slice(bytes))
}

#[test]
fn packets_of_browsers_with_extensions_are_read() {
    let read = |name: &str| Packet::parse(std::fs::read(own(name)).expect("test data").into());
    let p = read("mediasoup/packet1.raw").expect("packet 1");
    assert_eq!(
        (p.pt, p.seq, p.timestamp, p.ssrc, p.marker),
        (111, 23_617, 1_660_241_882, 2_674_985_186, false)
    );
    assert_eq!(p.payload.first_chunk(), Some(&[0xba, 0xe2, 0x1a, 0x9d]));
    let p = read("mediasoup/packet3.raw").expect("packet 3");
    assert_eq!((p.pt, p.seq, p.timestamp, p.ssrc), (111, 19_354, 863_466_045, 235_797_202));
    assert_eq!(p.payload.first_chunk(), Some(&[0x09, 0x4f, 0x43, 0x83]));
    assert_eq!(read("mediasoup/packet2.raw"), Err(Error::Padding(241)), "more padding than packet");
}

#[test]
fn fuzzers_finds_do_not_panic() {
    for entry in std::fs::read_dir(own("mediasoup")).expect("test data") {
        let bytes = std::fs::read(entry.expect("entry").path()).expect("file");
        let _ = parse(&bytes);
        let _ = classify(&bytes);
    }
}

#[test]
fn padding_is_taken_off_and_lies_about_it_refused() {
    let base = [0xa0, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    let with = |tail: &[u8]| parse(&[&base[..], tail].concat());
    assert_eq!(with(&[1, 2, 3, 0, 0, 3]).map(|p| p.payload), Ok(Bytes::from_static(&[1, 2, 3])));
    assert_eq!(with(&[0, 0, 3]).map(|p| p.payload.len()), Ok(0), "only padding");
    assert_eq!(with(&[1, 2, 0]), Err(Error::Padding(0)));
    assert_eq!(with(&[1, 2, 4]), Err(Error::Padding(4)));
}

#[test]
fn cut_off_packets_are_refused() {
    let p = Packet {
        pt: 96,
        marker: true,
        seq: 1,
        timestamp: 2,
        ssrc: 3,
        csrc: SmallVec::from_slice(&[4, 5]),
        payload: Bytes::new(),
    };
    let mut bytes = Vec::new();
    p.write(&mut bytes);
    assert_eq!(parse(&bytes), Ok(p));
    for n in 0..bytes.len() {
        assert_eq!(parse(&bytes[..n]), Err(Error::Short(n)));
    }
    assert_eq!(parse(&[0x40; 12]), Err(Error::Version(1)));
    let extension_too_long = [0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xbe, 0xde, 0, 2, 1, 2, 3, 4];
    assert_eq!(parse(&extension_too_long), Err(Error::Short(20)));
}

#[test]
fn first_bytes_tell_what_a_datagram_is() {
    assert_eq!(classify(&[0x80, 0x60, 0, 0]), Class::Rtp);
    assert_eq!(classify(&[0x80, 0x80 | 96]), Class::Rtp, "marker and type 96 are 224");
    assert_eq!(classify(&[0x81, 200]), Class::Rtcp);
    assert_eq!(classify(&[0x80, 192]), Class::Rtcp, "RFC 2032");
    assert_eq!(classify(&[0, 1]), Class::Stun);
    assert_eq!(classify(&[22, 254]), Class::Dtls);
    assert_eq!(classify(&[0x40, 0]), Class::Turn);
    assert_eq!(classify(&[]), Class::Unknown);
    assert_eq!(classify(&[0x80]), Class::Unknown);
    assert_eq!(classify(&[0xff, 0xff]), Class::Unknown);
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = classify(&bytes);
        if let Ok(p) = parse(&bytes) {
            prop_assert!(p.payload.len() + 12 <= bytes.len());
        }
    }

    #[test]
    fn what_is_written_is_read(pt in 0u8..128, marker: bool, seq: u16, timestamp: u32, ssrc: u32,
        csrc in proptest::collection::vec(any::<u32>(), 0..16), payload in proptest::collection::vec(any::<u8>(), 0..64)) {
        let p = Packet { pt, marker, seq, timestamp, ssrc, csrc: SmallVec::from_vec(csrc), payload: payload.into() };
        let mut out = Vec::new();
        p.write(&mut out);
        prop_assert_eq!(out.len(), p.wire_len());
        prop_assert_eq!(parse(&out), Ok(p));
    }
}
