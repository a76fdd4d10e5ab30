//! From what `sip` negotiated to what the mixer wants to know.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use cau_mixer::command::{
    AudioCodec, AudioLeg, Feedback, LegConfig, Limits, Mode, Rtx, Stream, Tools, VideoLeg,
};
use cau_sip::sdp::{self, h264::Profile};

/// A leg as negotiated. `peer` is where signalling comes from: media goes there where the description names no address,
/// until a packet shows a better one.
pub(crate) fn leg(
    negotiated: Option<&sdp::Negotiated>,
    name: Arc<str>,
    cname: &str,
    peer: IpAddr,
) -> LegConfig {
    LegConfig {
        name,
        cname: Some(cname.to_owned()),
        audio: negotiated.and_then(|n| n.audio.as_ref()).map(|audio| self::audio(audio, peer)),
        video: negotiated.and_then(|n| n.video.as_ref()).map(|video| self::video(video, peer)),
    }
}

fn stream(stream: &sdp::Stream, peer: IpAddr) -> Stream {
    let known = |addr: SocketAddr| {
        let ip = addr.ip();
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        // Nobody's address, or everybody's: what is meant can only be where the call comes from.
        let nobody = ip.is_unspecified() || ip.is_multicast() || broadcast;
        SocketAddr::new(if nobody { peer } else { ip }, addr.port())
    };
    Stream {
        remote: known(stream.remote),
        remote_rtcp: known(stream.remote_rtcp),
        peer,
        rtcp_mux: stream.rtcp_mux,
        send: stream.send,
        recv: stream.recv,
    }
}

fn audio(audio: &sdp::Audio, peer: IpAddr) -> AudioLeg {
    AudioLeg {
        stream: stream(&audio.stream, peer),
        codec: codec(&audio.codec),
        pt_send: audio.pt_send,
        pt_recv: audio.pt_recv.iter().map(|(pt, format)| (*pt, codec(format))).collect(),
        dtmf: audio.dtmf_recv.clone(),
        comfort_noise: audio.comfort_noise,
        max_kbps: Some(audio.max_kbps),
    }
}

fn codec(codec: &sdp::AudioCodec) -> AudioCodec {
    match codec {
        sdp::AudioCodec::Opus(opus) => AudioCodec::Opus { fec: opus.fec },
        sdp::AudioCodec::G722 => AudioCodec::G722,
        sdp::AudioCodec::Pcma => AudioCodec::Pcma,
        sdp::AudioCodec::Pcmu => AudioCodec::Pcmu,
    }
}

fn video(video: &sdp::Video, peer: IpAddr) -> VideoLeg {
    VideoLeg {
        stream: stream(&video.stream, peer),
        pt_send: video.pt_send,
        mode: mode(video.mode),
        limits: Limits {
            max_fs: video.limits.max_fs,
            max_mbps: video.limits.max_mbps,
            max_kbps: video.limits.max_br_kbps,
        },
        tools: tools(video),
        pt_recv: video.pt_recv.iter().map(|(pt, packetization)| (*pt, mode(*packetization))).collect(),
        feedback: Feedback {
            pli: video.feedback.pli,
            fir: video.feedback.fir,
            nack: video.feedback.nack,
            tmmbr: video.feedback.tmmbr,
        },
        rtx: video.repairs.as_ref().map(|r| Rtx { pt_send: r.pt_send, pt_recv: r.pt_recv.clone() }),
        max_kbps: Some(video.max_kbps),
    }
}

fn tools(video: &sdp::Video) -> Tools {
    let takes = |profile| video.decodes(profile);
    match (takes(Profile::High), takes(Profile::Main)) {
        (true, _) => Tools::High,
        (_, true) => Tools::Main,
        _ => Tools::Baseline,
    }
}

fn mode(mode: sdp::h264::Mode) -> Mode {
    match mode {
        sdp::h264::Mode::SingleNal => Mode::Single,
        sdp::h264::Mode::NonInterleaved => Mode::NonInterleaved,
    }
}
