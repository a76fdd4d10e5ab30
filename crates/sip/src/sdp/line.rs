//! What one media line of a description says, with what the session says for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Address, Bandwidth, Decline, Direction, Media, MediaKind, Protocol, Session};

/// What a media line is for. Exactly one line of `Audio` and one of `Video` is taken; the others are where content, floor
/// control and camera control come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sound.
    Audio,
    /// The people: a video line that is not labelled as something else.
    Video,
    /// Slides: `a=content:slides` (RFC 4796).
    Content,
    /// Floor control: BFCP (RFC 8856).
    Floor,
    /// Far-end camera control: H.224 (RFC 4573).
    Camera,
    /// Anything else, `m=control` and `UDP/UDT/IX` among it.
    Other,
}

impl Role {
    /// The role of a line.
    pub fn of(media: &Media) -> Self {
        match &media.kind {
            MediaKind::Audio => Self::Audio,
            MediaKind::Video if is_slides(media) => Self::Content,
            MediaKind::Video => Self::Video,
            MediaKind::Application => match &media.protocol {
                Protocol::Other(word) if word.to_ascii_uppercase().contains("BFCP") => Self::Floor,
                _ if media.attributes.all("rtpmap").any(|m| m.to_ascii_uppercase().contains(" H224/")) => {
                    Self::Camera
                }
                _ => Self::Other,
            },
            MediaKind::Other(_) => Self::Other,
        }
    }
}

fn is_slides(media: &Media) -> bool {
    let content = media.attributes.first("content").unwrap_or_default().to_ascii_lowercase();
    let mut labels = content.split(',').map(str::trim);
    labels.clone().any(|l| l == "slides") && labels.all(|l| l != "main")
}

/// Where media go to, and what is wanted there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Remote {
    pub rtp: SocketAddr,
    pub rtcp: SocketAddr,
    pub mux: bool,
    /// The writer's direction, with the hold of RFC 2543 (`c=0.0.0.0`) put into it.
    pub direction: Direction,
}

impl Remote {
    pub fn of(session: &Session, media: &Media) -> Self {
        let address = media.connection.as_ref().or(session.connection.as_ref());
        let hold = address.is_some_and(Address::is_hold);
        let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let rtp = SocketAddr::new(address.and_then(Address::ip).unwrap_or(unknown), media.port);
        let mux = media.attributes.has("rtcp-mux");
        let direction =
            Direction::of(&media.attributes).or(Direction::of(&session.attributes)).unwrap_or_default();
        let direction = Direction::new(direction.sends(), direction.receives() && !hold);
        Self { rtp, rtcp: rtcp(media, rtp), mux, direction }
    }

    /// Whether its address can be reached from `ours`; an address that is not known is learned later.
    pub fn reachable(&self, ours: IpAddr) -> bool {
        self.rtp.ip().is_unspecified() || ours.is_ipv4() == self.rtp.is_ipv4()
    }
}

/// `a=rtcp:<port> [IN IP4 <address>]` (RFC 3605), else the next port.
fn rtcp(media: &Media, rtp: SocketAddr) -> SocketAddr {
    let default = SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1));
    let Some(value) = media.attributes.first("rtcp") else { return default };
    let mut words = value.split_whitespace();
    let Some(port) = words.next().and_then(|p| p.parse().ok()).filter(|p| *p != 0) else { return default };
    let ip =
        words.last().and_then(super::parse::address).and_then(|a| a.ip()).filter(|ip| !ip.is_unspecified());
    SocketAddr::new(ip.filter(|ip| ip.is_ipv4() == rtp.is_ipv4()).unwrap_or(rtp.ip()), port)
}

/// Whether RTP on this line can be spoken at all.
pub(super) fn transport(media: &Media) -> Result<(), Decline> {
    match &media.protocol {
        _ if media.port == 0 => Err(Decline::Off),
        protocol if protocol.is_plain_rtp() => Ok(()),
        protocol if protocol.is_secure() => Err(Decline::Encrypted),
        _ => Err(Decline::Transport),
    }
}

/// kbit/s that one level, session or media, allows: the least of what it says. `None` when it says nothing; a zero says nothing.
fn allowed(lines: &[Bandwidth]) -> Option<u32> {
    let kbps = lines.iter().filter_map(|b| match b.kind.to_ascii_uppercase().as_str() {
        "AS" | "CT" => Some(b.value),
        "TIAS" => Some(b.value / 1_000),
        _ => None,
    });
    kbps.filter(|n| *n > 0).min().map(|n| u32::try_from(n).unwrap_or(u32::MAX))
}

/// kbit/s of pictures the writer lets in: the media line's `b=`, and the session's less the sound's share. The session's is
/// the call rate of a room system, sound included; half of it is left for pictures at least.
pub(super) fn video_kbps(session: &Session, media: &Media, audio_kbps: u32) -> Option<u32> {
    let rest = allowed(&session.bandwidth).map(|all| all.saturating_sub(audio_kbps).max(all.div_ceil(2)));
    [allowed(&media.bandwidth), rest].into_iter().flatten().min()
}

/// kbit/s of sound the writer lets in. `AS` and `CT` count headers: 16 kbit/s at 50 packets per second.
pub(super) fn audio_kbps(session: &Session, media: &Media) -> Option<u32> {
    let net = |lines: &[Bandwidth]| {
        let is_tias = |b: &&Bandwidth| b.kind.eq_ignore_ascii_case("TIAS") && b.value >= 1_000;
        match lines.iter().find(is_tias) {
            Some(tias) => u32::try_from(tias.value / 1_000).ok(),
            None => allowed(lines).map(|n| n.saturating_sub(16).max(6)),
        }
    };
    net(&media.bandwidth).or_else(|| net(&session.bandwidth))
}

/// Packet length the writer likes, ms: its `ptime`, at most its `maxptime`; 20 when it says nothing.
pub(super) fn ptime_ms(session: &Session, media: &Media) -> u16 {
    let says = |name| {
        let value = media.attributes.first(name).or_else(|| session.attributes.first(name))?;
        value.split(['.', ' ']).next()?.parse::<u16>().ok().filter(|n| *n > 0)
    };
    let most = says("maxptime").unwrap_or(u16::MAX);
    says("ptime").unwrap_or(20).min(most).clamp(10, 120)
}
