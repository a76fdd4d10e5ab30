//! The edges of a leg: addresses, hold, keys, time-outs, reports, and what comes from strangers.

use crate::common::{Endpoint, World, ms, p};
use bytes::Bytes;
use cau_mixer::{Command, Event, Media, Port, command::AudioCodec};
use cau_model::layout::Kind;
use cau_rtp::rtcp;

fn two() -> World {
    let mut world = World::new();
    world.join(Endpoint::new(1).tone(500.0));
    world.join(Endpoint::new(2).tone(700.0));
    world.show(Kind::Grid, &[1, 2]);
    world.run(ms(2000));
    world
}

#[test]
fn media_goes_back_to_where_it_comes_from() {
    let mut world = World::new();
    let mut e = Endpoint::new(1);
    e.move_to("203.0.113.9:40000".parse().unwrap(), "203.0.113.9:40010".parse().unwrap());
    world.join(e);
    world.show(Kind::Full, &[1]);
    world.run(ms(1000));
    world.at_mut(1).received.to.clear();
    world.run(ms(6000));
    let mut to: Vec<_> = world.at(1).received.to.iter().map(ToString::to_string).collect();
    to.sort();
    assert_eq!(to, ["203.0.113.9:40000", "203.0.113.9:40001", "203.0.113.9:40010", "203.0.113.9:40011"]);
}

#[test]
fn a_held_site_gets_reports_only_and_after_the_resume_everything_again() {
    let mut world = two();
    let (audio, video) = (world.at(2).received.audio_packets, world.at(2).received.video_packets);
    for line in [true, false] {
        let e = world.at_mut(2);
        let s =
            if line { &mut e.audio.as_mut().unwrap().stream } else { &mut e.video.as_mut().unwrap().stream };
        (s.send, s.recv) = (false, false);
    }
    world.reinvite(p(2));
    let reports = world.at(2).sender_reports;
    world.run(ms(40_000));
    let r = &world.at(2).received;
    assert_eq!((r.audio_packets, r.video_packets), (audio, video));
    assert!(world.at(2).sender_reports >= reports);
    let timed_out =
        |w: &World, n| w.events.iter().any(|(_, e)| *e == Event::MediaTimeout { participant: p(n) });
    assert!(!timed_out(&world, 2), "held is not dead");
    assert!(world.at(1).received.level_of(700.0) < -60.0);
    let (x, y) = (480, 180);
    assert!(!crate::common::endpoint::is(world.at(1).seen(x, y).unwrap(), world.at(2).colour()), "its card");
    let asked = world.at(2).asked;
    for line in [true, false] {
        let e = world.at_mut(2);
        let s =
            if line { &mut e.audio.as_mut().unwrap().stream } else { &mut e.video.as_mut().unwrap().stream };
        (s.send, s.recv) = (true, true);
    }
    let keys = world.at(2).received.keys.len();
    world.reinvite(p(2));
    world.run(ms(1500));
    assert!(world.at(2).asked > asked, "it sends no key frame of itself after a resume");
    assert_eq!(world.at(2).received.keys.len(), keys + 1, "and gets one");
    assert!(crate::common::endpoint::is(world.at(1).seen(x, y).unwrap(), world.at(2).colour()));
    assert!(world.at(1).received.level_of(700.0) > -20.0);
    assert_eq!(world.at(2).received.ssrcs.len(), 1, "one SSRC for the whole call");
    assert_eq!((world.at(2).received.gaps, world.at(2).received.broken), (0, 0));
}

#[test]
fn silence_of_a_site_that_should_send_is_reported_once() {
    let mut world = two();
    world.at_mut(2).camera = false;
    world.at_mut(2).mute_line = true;
    // RTCP is a sign of life, too: this one is dead altogether.
    let dead = world.endpoints.remove(&p(2)).unwrap();
    world.run(ms(35_000));
    let count =
        |w: &World| w.events.iter().filter(|(_, e)| *e == Event::MediaTimeout { participant: p(2) }).count();
    assert_eq!(count(&world), 1);
    world.endpoints.insert(p(2), dead);
    world.at_mut(2).mute_line = false;
    world.run(ms(1000));
    world.endpoints.remove(&p(2));
    world.run(ms(31_000));
    assert_eq!(count(&world), 2, "and again after it had come back");
}

#[test]
fn a_site_muted_by_us_is_not_missed() {
    let mut world = two();
    let switches =
        Command::Sound { participant: p(2), muted: true, deafened: false, volume_db: 0.0, hidden: false };
    world.command(switches);
    world.endpoints.remove(&p(2));
    world.run(ms(35_000));
    assert!(!world.events.iter().any(|(_, e)| *e == Event::MediaTimeout { participant: p(2) }));
}

#[test]
fn a_key_is_reported_once_however_often_its_packets_come() {
    let mut world = two();
    let mut seq = 9000u16;
    // Two payload types, as devices with Opus offer them: one in the clock of the sound, one of 8 kHz.
    for (digit, at, pt) in [(5u8, 160_000u32, 101), (11, 200_000, 102)] {
        for (duration, end) in [(160u16, 0u8), (320, 0), (480, 0x80), (480, 0x80), (480, 0x80)] {
            let mut data = vec![0x80, pt];
            data.extend(seq.to_be_bytes());
            data.extend(at.to_be_bytes());
            data.extend(world.at(1).audio_ssrc().unwrap().to_be_bytes());
            data.extend([digit, 10 | end]);
            data.extend(duration.to_be_bytes());
            seq += 1;
            world.at_mut(1).extra.push((Media::Audio, false, data.into()));
            world.step();
        }
    }
    world.run(ms(300));
    let digits: String = world
        .events
        .iter()
        .filter_map(|(_, e)| if let Event::Dtmf { digit, .. } = e { Some(*digit) } else { None })
        .collect();
    assert_eq!(digits, "5#");
}

#[test]
fn what_strangers_send_is_counted_and_changes_nothing() {
    let mut world = two();
    let stranger = "198.51.100.1:6666".parse().unwrap();
    let port = |media, rtcp| Port { participant: p(1), media, rtcp };
    for i in 0..200u32 {
        let junk: Vec<u8> = (0..(i % 60)).map(|b| (b * 37 + i * 11) as u8).collect();
        for media in [Media::Audio, Media::Video] {
            for rtcp in [false, true] {
                world.worker.handle_packet(
                    world.now,
                    world.now,
                    port(media, rtcp),
                    stranger,
                    Bytes::from(junk.clone()),
                );
            }
        }
        let mut rtp = vec![0x80, 8, 0, i as u8, 0, 0, 0, 0, 9, 9, 9, 9];
        rtp.extend([0x55; 160]);
        world.worker.handle_packet(
            world.now,
            world.now,
            port(Media::Audio, false),
            stranger,
            rtp.clone().into(),
        );
        rtp[1] = 77;
        world.worker.handle_packet(world.now, world.now, port(Media::Audio, false), stranger, rtp.into());
        world.step();
    }
    let nobody = Port { participant: p(99), media: Media::Audio, rtcp: false };
    world.worker.handle_packet(world.now, world.now, nobody, stranger, Bytes::from_static(&[0x80; 20]));
    world.run(ms(1500));
    let t = world.totals;
    assert!(t.dropped_malformed > 100 && t.dropped_source >= 200, "{t:?}");
    assert!(t.dropped_payload_type >= 200 && t.dropped_unexpected >= 1, "{t:?}");
    assert!(!world.at(1).received.to.contains(&stranger));
    assert!(world.at(2).received.level_of(500.0) > -20.0);
    assert_eq!(world.at(1).received.gaps, 0);
}

#[test]
fn a_site_without_video_and_one_without_sound_take_part() {
    let mut world = World::new();
    world.join(Endpoint::new(1).sound_only().tone(500.0));
    let mut silent = Endpoint::new(2);
    silent.audio = None;
    world.join(silent);
    world.join(Endpoint::new(3).codec(AudioCodec::G722, 9));
    world.show(Kind::Grid, &[1, 2, 3]);
    world.run(ms(2500));
    assert!(world.at(3).received.level_of(500.0) > -20.0);
    assert!(world.at(3).seen(480, 90).is_some_and(|c| crate::common::endpoint::is(c, world.at(2).colour())));
    assert_eq!(world.at(1).received.video_packets, 0);
    assert_eq!(world.at(2).received.audio_packets, 0);
    assert_eq!(world.statistics[&p(1)].video, None);
    assert_eq!(world.statistics[&p(3)].audio_codec, Some("G722"));
}

#[test]
fn a_codec_changed_by_a_reinvite_goes_on_in_one_stream() {
    let mut world = two();
    let mut other = Endpoint::new(2).codec(AudioCodec::Opus { fec: true }, 96).tone(700.0).no_camera();
    other.video = world.at(2).video.clone();
    other.received.ssrcs = world.at(2).received.ssrcs.clone();
    world.endpoints.insert(p(2), other);
    world.reinvite(p(2));
    world.run(ms(3000));
    assert!(world.at(2).received.level_of(500.0) > -20.0);
    assert_eq!(world.at(2).received.odd, 0);
    assert!(world.at(1).received.level_of(700.0) > -20.0);
    assert_eq!(world.statistics[&p(2)].audio_codec, Some("opus"));
}

#[test]
fn rates_loss_and_round_trip_are_measured() {
    let mut world = two();
    world.run(ms(12_000));
    let s = &world.statistics[&p(1)];
    assert!(s.rx_kbps > 60.0 && s.tx_kbps > 60.0, "{s:?}");
    assert_eq!(s.loss, 0.0);
    assert!(s.rtt_ms.is_some_and(|r| r < 50.0), "{:?}", s.rtt_ms);
    assert_eq!(s.loss_out, Some(0.0));
    assert!(world.at(1).sender_reports > 1);
}

#[test]
fn packets_lost_on_the_way_in_are_asked_for_again_and_nobody_sees_anything() {
    let mut world = World::new();
    let mut sender = Endpoint::new(1).with_nack();
    sender.lose_every = Some(15);
    world.join(sender);
    world.join(Endpoint::new(2));
    world.show(Kind::Grid, &[1, 2]);
    world.run(ms(1000));
    let asked = world.at(1).asked;
    world.run(ms(10_000));
    assert!(world.at(1).repeated >= 15, "{} packets were asked for again", world.at(1).repeated);
    assert_eq!(world.at(1).asked, asked, "no key frame was needed");
    assert_eq!(world.totals.dropped_decode + world.totals.codec_errors, 0);
    assert_eq!((world.at(2).received.broken, world.at(2).received.gaps), (0, 0));
}

#[test]
fn packets_lost_on_the_way_out_are_sent_again_to_who_asks() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    let mut viewer = Endpoint::new(2).with_nack();
    // Below the 5 % from which it is tried whether a lower rate helps: a change of rate is a key frame, too.
    viewer.miss_every = Some(30);
    world.join(viewer);
    world.show(Kind::Grid, &[1, 2]);
    world.run(ms(25_000));
    assert!(world.totals.repeated >= 20, "{}", world.totals.repeated);
    assert_eq!(world.at(2).received.broken, 0, "every picture was whole");
    let keys = &world.at(2).received.keys;
    assert!(keys.len() <= 3, "the first and one every ten seconds, as for everybody: {keys:?}");
    assert_eq!(world.at(1).received.gaps, 0);
}

/// Who sends no picture reports on ours without one of its own, and where reports come on the port of the media (RFC 5761) the SSRC in them stands where a
/// packet has its own: no loop.
#[test]
fn what_a_mere_receiver_asks_on_the_port_of_the_media_is_heard() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    let mut viewer = Endpoint::new(2).no_camera().with_nack();
    viewer.no_reports = true;
    world.join(viewer);
    world.show(Kind::Full, &[1]);
    world.run(ms(2_000));
    let ssrc = *world.at(2).received.ssrcs.last().unwrap();
    let mut w = rtcp::Writer::new();
    let seq = world.at(2).received.last_seq();
    let highest = u32::from(seq);
    let block =
        rtcp::ReportBlock { ssrc, highest, fraction_lost: 0, lost: 0, jitter: 0, last_sr: 0, delay: 0 };
    w.receiver_report(99, &[block]).nack(99, ssrc, &[seq]);
    world.at_mut(2).extra.push((Media::Video, false, w.finish().into()));
    world.run(ms(1_500));
    assert_eq!((world.totals.repeated, world.totals.dropped_loop), (1, 0));
}

#[test]
fn our_own_packets_that_come_back_are_no_source() {
    let mut world = two();
    let echo: Vec<_> = world.at(1).received.ssrcs.clone();
    for _ in 0..50 {
        let mut data = vec![0x80, 96, 0, 1, 0, 0, 0, 0];
        data.extend(echo[0].to_be_bytes());
        data.extend([0x65; 20]);
        world.at_mut(1).extra.push((Media::Video, false, data.into()));
        world.step();
    }
    world.run(ms(1500));
    assert_eq!(world.totals.dropped_loop, 50);
    assert_eq!(world.at(2).received.broken, 0);
}

#[test]
fn who_names_an_address_that_is_not_his_and_never_speaks_floods_nobody() {
    let mut world = two();
    let mut liar = Endpoint::new(3);
    liar.dead = true;
    world.join(liar);
    world.show(Kind::Grid, &[1, 2]);
    world.run(ms(6000));
    let (video, audio) = (world.at(3).received.video_packets, world.at(3).received.audio_packets);
    assert!(video > 50 && audio > 200, "for a moment he may be late: {video}, {audio}");
    world.run(ms(4000));
    assert_eq!((video, audio), (world.at(3).received.video_packets, world.at(3).received.audio_packets));
    world.at_mut(3).dead = false;
    world.run(ms(2000));
    assert!(world.at(3).received.audio_packets > audio + 80, "as soon as he is heard he hears");
}

#[test]
fn who_asks_only_to_get_started_is_healed_when_his_reports_tell_of_loss() {
    let mut world = World::new();
    world.join(Endpoint::new(1));
    world.join(Endpoint::new(2));
    world.show(Kind::Grid, &[1, 2]);
    world.at_mut(2).pli();
    world.run(ms(8000));
    let keys = world.at(2).received.keys.len();
    world.at_mut(2).miss_every = Some(5);
    world.run(ms(200));
    world.at_mut(2).miss_every = None;
    let lost = world.now;
    world.run(ms(8000));
    let healed = world.at(2).received.keys.get(keys).map(|at| *at - lost);
    assert!(healed.is_some_and(|time| time < ms(6000)), "healed after {healed:?}");
    assert!(world.at(2).received.keys.len() <= keys + 2, "once, and once more to join the others again");
}
