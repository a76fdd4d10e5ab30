//! What is told of a conference (RFC 4575 5).

/// A conference as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Its address.
    pub entity: String,
    /// What it is.
    pub description: Description,
    /// Somebody may be in it.
    pub active: bool,
    /// Nobody else is let in.
    pub locked: bool,
    /// Who is in it, each `entity` once.
    pub users: Vec<User>,
}

/// What a conference is (RFC 4575 5.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub display_text: String,
    /// Most participants, when there is a limit.
    pub maximum_user_count: Option<u32>,
}

/// A participant (RFC 4575 5.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its address; the key.
    pub entity: String,
    /// The name shown.
    pub display_text: String,
    /// `chair`, `participant`.
    pub role: &'static str,
    /// Its devices in the conference, each `entity` once.
    pub endpoints: Vec<Endpoint>,
}

/// One device of a participant (RFC 4575 5.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The key.
    pub entity: String,
    /// Where its call stands.
    pub status: Status,
    /// Who called.
    pub joining: Joining,
    /// How it left, when it did.
    pub disconnection: Option<Disconnection>,
    /// Why, in words.
    pub reason: Option<String>,
    /// What it sends and gets.
    pub media: Vec<Media>,
}

/// Where the call of a device stands (RFC 4575 5.7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// We call, nothing has come back.
    DialingOut,
    /// It rings there.
    Alerting,
    /// In the conference.
    Connected,
    /// In the conference, and nobody hears it: the operator muted it.
    MutedViaFocus,
    /// In the conference, and neither sends nor takes.
    OnHold,
    /// Its line is broken and comes back, or so we hope.
    Pending,
    /// Gone.
    Disconnected,
}

/// Who called (RFC 4575 5.7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// The device.
    DialedIn,
    /// The focus.
    DialedOut,
}

/// How a device left (RFC 4575 5.7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnection {
    /// It hung up.
    Departed,
    /// The focus hung up.
    Booted,
    /// Its line or its software broke, or it was never reached.
    Failed,
    /// It was busy.
    Busy,
}

/// One medium of a device (RFC 4575 5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    /// The key.
    pub id: u8,
    /// `audio`, `video`.
    pub kind: &'static str,
    /// As the focus sees it.
    pub status: MediaStatus,
}

/// Direction of a medium (RFC 4575 5.8.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaStatus {
    /// Both ways.
    SendRecv,
    /// From the device only.
    SendOnly,
    /// To the device only.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Status {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::DialingOut => "dialing-out",
            Self::Alerting => "alerting",
            Self::Connected => "connected",
            Self::MutedViaFocus => "muted-via-focus",
            Self::OnHold => "on-hold",
            Self::Pending => "pending",
            Self::Disconnected => "disconnected",
        }
    }
}

impl Joining {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::DialedIn => "dialed-in",
            Self::DialedOut => "dialed-out",
        }
    }
}

impl Disconnection {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Departed => "departed",
            Self::Booted => "booted",
            Self::Failed => "failed",
            Self::Busy => "busy",
        }
    }
}

impl MediaStatus {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}
