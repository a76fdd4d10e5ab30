//! Why a line, or a whole description, is not taken: for the peer (Warning, RFC 3261 20.43) and for the operator.

use super::MediaKind;

/// Why one media line was answered with port 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decline {
    /// The peer itself has switched it off: port 0.
    Off,
    /// Its role is not taken yet: content, floor control, camera control, others.
    Role(super::Role),
    /// Another line of the same role is in use.
    Second,
    /// We have no such codec or no port for it.
    NotWanted,
    /// Encrypted media are not spoken yet.
    Encrypted,
    /// Neither `RTP/AVP` nor `RTP/AVPF`.
    Transport,
    /// No format in common.
    Format,
    /// The peer's address is of the other IP version.
    Address,
}

/// Why there is no call: no line of an offer can be used, or an answer does not fit its offer.
///
/// An offer is refused with 488 and [`Refused::warning`]; after a wrong answer the call is ended (RFC 3261 13.2.2.4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither sound nor pictures are in it.
    #[error("the description offers neither sound nor pictures")]
    NoMedia,
    /// Only encrypted media are in it.
    #[error("encrypted media is not supported yet")]
    Encrypted,
    /// The media come over something other than RTP on UDP.
    #[error("the media transport is not supported")]
    Transport,
    /// No codec in common.
    #[error("no codec in common")]
    NoCommonFormat,
    /// The peer's media address is IPv6 and ours IPv4, or the other way round.
    #[error("the media address is of another IP version")]
    AddressVersion,
    /// The answer declines everything.
    #[error("the other side takes neither sound nor pictures")]
    AllDeclined,
    /// The answer has another number of media lines than the offer (RFC 3264 6).
    #[error("the answer has {answered} media lines, the offer has {offered}")]
    LineCount {
        /// Lines in the offer.
        offered: usize,
        /// Lines in the answer.
        answered: usize,
    },
    /// A line of the answer is of another kind than the offer's.
    #[error("line {index} of the answer is {answered}, the offer has {offered} there")]
    LineKind {
        /// Place of the line, from 0.
        index: usize,
        /// Kind in the offer.
        offered: MediaKind,
        /// Kind in the answer.
        answered: MediaKind,
    },
    /// A line of the answer has another transport than the offer's.
    #[error("line {index} of the answer has the transport {answered}, {offered} was offered")]
    LineTransport {
        /// Place of the line, from 0.
        index: usize,
        /// Transport in the offer.
        offered: String,
        /// Transport in the answer.
        answered: String,
    },
    /// A line that was offered with port 0 is answered with a port (RFC 3264 6).
    #[error("line {index} is closed, but the answer opens it")]
    LineOpened {
        /// Place of the line, from 0.
        index: usize,
    },
}

impl Refused {
    /// From the reasons of all lines.
    pub(super) fn from_reasons(reasons: impl Iterator<Item = Decline> + Clone) -> Self {
        let says = |wanted: Decline| reasons.clone().any(|r| r == wanted);
        if says(Decline::Encrypted) {
            Self::Encrypted
        } else if says(Decline::Format) {
            Self::NoCommonFormat
        } else if says(Decline::Address) {
            Self::AddressVersion
        } else if says(Decline::Transport) {
            Self::Transport
        } else {
            Self::NoMedia
        }
    }

    /// Warning code (RFC 3261 20.43).
    pub fn warning_code(&self) -> u16 {
        match self {
            Self::NoMedia | Self::AllDeclined => 304,
            Self::Encrypted | Self::Transport | Self::LineTransport { .. } => 302,
            Self::NoCommonFormat => 305,
            Self::AddressVersion => 301,
            Self::LineCount { .. } | Self::LineKind { .. } | Self::LineOpened { .. } => 399,
        }
    }

    /// Value of the `Warning` header; `agent` is our host name or address.
    pub fn warning(&self, agent: &str) -> String {
        format!("{} {agent} \"{}\"", self.warning_code(), self.to_string().replace(['"', '\\'], "'"))
    }

    /// Words for an operator, in English.
    pub fn words_en(&self) -> String {
        self.to_string()
    }

    /// Words for an operator, in Vietnamese.
    pub fn words_vi(&self) -> String {
        match self {
            Self::NoMedia => "thiết bị không mời âm thanh lẫn hình ảnh".to_owned(),
            Self::Encrypted => "chưa hỗ trợ âm thanh, hình ảnh mã hóa".to_owned(),
            Self::Transport => "không hỗ trợ giao thức truyền âm thanh, hình ảnh của thiết bị".to_owned(),
            Self::NoCommonFormat => "không có bộ mã hóa chung".to_owned(),
            Self::AddressVersion => "địa chỉ nhận âm thanh, hình ảnh khác phiên bản IP".to_owned(),
            Self::AllDeclined => "thiết bị từ chối cả âm thanh lẫn hình ảnh".to_owned(),
            Self::LineCount { offered, answered } => {
                format!("trả lời SDP sai: có {answered} dòng m=, lời mời có {offered}")
            }
            Self::LineKind { index, offered, answered } => {
                format!("trả lời SDP sai: dòng m= thứ {index} là {answered}, lời mời là {offered}")
            }
            Self::LineTransport { index, offered, answered } => {
                format!("trả lời SDP sai: dòng m= thứ {index} dùng {answered}, lời mời là {offered}")
            }
            Self::LineOpened { index } => {
                format!("trả lời SDP sai: dòng m= thứ {index} đã đóng mà lại được mở")
            }
        }
    }
}
