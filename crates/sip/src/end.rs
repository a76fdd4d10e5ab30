//! Why a call ended, in words an operator understands.

use std::fmt;

use crate::message::Reason;

/// Why a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The other side sent BYE.
    RemoteHangUp {
        /// Its words (Reason header, RFC 3326), when it gave any.
        reason: Option<String>,
    },
    /// The caller gave up before we answered (CANCEL).
    Cancelled {
        /// Its words (Reason header, RFC 3326), when it gave any: taken by somebody else, for instance.
        reason: Option<String>,
    },
    /// `Endpoint::hangup`.
    LocalHangUp,
    /// Our answer was never acknowledged (64·T1).
    NoAck,
    /// A provisional response sent reliably was never acknowledged (64·T1, RFC 3262).
    NoPrack,
    /// No response to our INVITE, re-INVITE or UPDATE (64·T1).
    NoResponse,
    /// Nobody answered: it rang too long.
    NoAnswer,
    /// The connection broke, or could not be made.
    TransportFailed,
    /// The other side does not know the call any more (481).
    Forgotten,
    /// The other side broke offer/answer: no answer in the ACK, no description in a 2xx.
    NoDescription,
    /// The session was not refreshed in time (RFC 4028).
    SessionExpired,
}

impl EndCause {
    /// In Vietnamese.
    pub fn vi(&self) -> &'static str {
        match self {
            Self::RemoteHangUp { .. } => "điểm cầu đã ngắt cuộc gọi",
            Self::Cancelled { .. } => "bên gọi đã hủy trước khi được trả lời",
            Self::LocalHangUp => "MCU đã ngắt cuộc gọi",
            Self::NoAck => "thiết bị không xác nhận (mất ACK): kiểm tra đường truyền, tường lửa",
            Self::NoPrack => {
                "thiết bị không xác nhận tín hiệu chờ (mất PRACK): kiểm tra đường truyền, tường lửa"
            }
            Self::NoResponse => "thiết bị không trả lời: kiểm tra nguồn, địa chỉ, đường truyền",
            Self::NoAnswer => "không có ai nhận cuộc gọi",
            Self::TransportFailed => "mất kết nối tới thiết bị",
            Self::Forgotten => "thiết bị không còn nhận ra cuộc gọi (có thể đã khởi động lại)",
            Self::NoDescription => "thiết bị không gửi mô tả âm thanh, hình ảnh (SDP)",
            Self::SessionExpired => "thiết bị không gia hạn phiên (hết hạn phiên)",
        }
    }

    /// In English.
    pub fn en(&self) -> &'static str {
        match self {
            Self::RemoteHangUp { .. } => "the site hung up",
            Self::Cancelled { .. } => "the caller gave up before the answer",
            Self::LocalHangUp => "the MCU hung up",
            Self::NoAck => "the device did not confirm (no ACK): check line and firewall",
            Self::NoPrack => {
                "the device did not confirm the early answer (no PRACK): check line and firewall"
            }
            Self::NoResponse => "the device does not answer: check its power, address and line",
            Self::NoAnswer => "nobody took the call",
            Self::TransportFailed => "the connection to the device is lost",
            Self::Forgotten => "the device does not know the call any more (it may have restarted)",
            Self::NoDescription => "the device sent no description of sound and picture (SDP)",
            Self::SessionExpired => "the device did not refresh the session (session timer expired)",
        }
    }

    /// A short name that holds still, for records and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RemoteHangUp { .. } => "remote-hang-up",
            Self::Cancelled { .. } => "cancelled",
            Self::LocalHangUp => "local-hang-up",
            Self::NoAck => "no-ack",
            Self::NoPrack => "no-prack",
            Self::NoResponse => "no-response",
            Self::NoAnswer => "no-answer",
            Self::TransportFailed => "transport-failed",
            Self::Forgotten => "forgotten",
            Self::NoDescription => "no-description",
            Self::SessionExpired => "session-expired",
        }
    }

    /// What the other side is told when the endpoint itself ends the call (RFC 3326); `None` when there is nobody to tell.
    pub(crate) fn reason(&self) -> Option<Reason> {
        let cause = match self {
            Self::NoAck | Self::NoPrack | Self::NoResponse | Self::SessionExpired => 408,
            Self::NoAnswer => 480,
            Self::NoDescription => 488,
            Self::RemoteHangUp { .. }
            | Self::Cancelled { .. }
            | Self::LocalHangUp
            | Self::TransportFailed
            | Self::Forgotten => return None,
        };
        Some(Reason::sip(cause, self.en()))
    }
}

impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.en())?;
        if let Self::RemoteHangUp { reason: Some(reason) } | Self::Cancelled { reason: Some(reason) } = self {
            write!(f, " ({reason})")?;
        }
        Ok(())
    }
}
