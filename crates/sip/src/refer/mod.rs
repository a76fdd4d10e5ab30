//! REFER: what somebody asks the focus to do (RFC 3515, RFC 4488, RFC 4579 5.5 and 5.11).

use std::{net::SocketAddr, sync::Arc};

use crate::{
    event::CallId,
    message::{Headers, Name, NameAddr, Uri, scan},
    subscribe::SubscriptionId,
};

/// One REFER, to be accepted or refused.
#[derive(Clone, Debug)]
pub struct Refer {
    /// For `accept_refer`, `refer_result` and `refuse_refer`.
    pub id: SubscriptionId,
    /// The call it came in; `None`: outside of any.
    pub call: Option<CallId>,
    /// Request-URI: [`Uri::user`] gives the room.
    pub uri: Uri,
    /// From.
    pub from: NameAddr,
    /// The sender's address.
    pub remote: SocketAddr,
    /// The account whose credentials it had, when they were asked for.
    pub account: Option<Arc<str>>,
    /// Whom it is about, without `method` and headers.
    pub target: Uri,
    /// The name that stood with it.
    pub display: Option<String>,
    /// What to do.
    pub wanted: Wanted,
}

/// What to do with the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Call it (`method=INVITE`, or none).
    Invite,
    /// Hang it up (`method=BYE`).
    Bye,
}

/// What Refer-To says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub target: Uri,
    pub display: Option<String>,
    pub wanted: Wanted,
    /// No implicit subscription wanted (RFC 4488).
    pub quiet: bool,
}

/// Reads the order; `Err`: the status to refuse it with.
pub(crate) fn read(headers: &Headers) -> Result<Order, u16> {
    let value =
        headers.value(&Name::ReferTo).filter(|_| headers.count(&Name::ReferTo) == 1).ok_or(400_u16)?;
    let address = NameAddr::parse(value).map_err(|_| 400_u16)?;
    let mut target = address.uri;
    let wanted = match target.param("method").map(<[u8]>::to_ascii_uppercase).as_deref() {
        None | Some(b"INVITE") => Wanted::Invite,
        Some(b"BYE") => Wanted::Bye,
        // Passing a REFER on, or anything else, is not for us.
        Some(_) => return Err(501),
    };
    match &mut target {
        Uri::Sip(uri) => {
            // Taking over a call of others (Replaces) is another thing than calling.
            let replaces = uri.headers.as_ref().is_some_and(|h| {
                h.split(|b| *b == b'&').any(|p| {
                    scan::split_once(p, b'=').map_or(p, |(n, _)| n).eq_ignore_ascii_case(b"Replaces")
                })
            });
            if replaces {
                return Err(501);
            }
            uri.headers = None;
            uri.params.remove("method");
        }
        Uri::Tel(_) => {}
        Uri::Other(_) => return Err(416),
    }
    let quiet = headers
        .value(&Name::ReferSub)
        .is_some_and(|v| scan::split_list(v, b';').next().is_some_and(|v| v.eq_ignore_ascii_case(b"false")));
    Ok(Order { target, display: address.display, wanted, quiet })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lines: &[(Name, &str)]) -> Result<Order, u16> {
        let mut headers = Headers::new();
        for (name, value) in lines {
            headers.push(name.clone(), value.to_string());
        }
        read(&headers)
    }

    #[test]
    fn adding_and_removing() {
        let it = order(&[(
            Name::ReferTo,
            "\"Xã Hòa Phú\" <sip:a@10.0.0.5;transport=tcp;method=INVITE?Subject=x>",
        )])
        .unwrap();
        assert_eq!(
            (it.target.to_string().as_str(), it.wanted),
            ("sip:a@10.0.0.5;transport=tcp", Wanted::Invite)
        );
        assert_eq!((it.display.as_deref(), it.quiet), (Some("Xã Hòa Phú"), false));
        let it =
            order(&[(Name::ReferTo, "<sip:a@10.0.0.5;method=bye>"), (Name::ReferSub, "False;x=y")]).unwrap();
        assert_eq!((it.wanted, it.quiet), (Wanted::Bye, true));
        assert_eq!(order(&[(Name::ReferTo, "tel:+84243825")]).unwrap().wanted, Wanted::Invite);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let to = |text| order(&[(Name::ReferTo, text)]).map(|_| ());
        assert_eq!(order(&[]).map(|_| ()), Err(400));
        assert_eq!(
            order(&[(Name::ReferTo, "<sip:a@h>"), (Name::ReferTo, "<sip:b@h>")]).map(|_| ()),
            Err(400)
        );
        assert_eq!(to("<sip:a@h"), Err(400));
        assert_eq!(to("<http://h/>"), Err(416));
        assert_eq!(to("<sip:a@h;method=REFER?Refer-To=sip:b%40h>"), Err(501));
        assert_eq!(to("<sip:a@h?Replaces=x%40y%3Bto-tag%3D1>"), Err(501));
    }
}
