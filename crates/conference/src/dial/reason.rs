//! Why a site could not be reached, in words for the operator: one table.

use cau_model::{Words, name};
use cau_sip::{EndCause, Told, Unlocated};

/// SIP status (RFC 3261 21), and what an operator can do about it.
const STATUS: &[(u16, &str, &str)] = &[
    (
        300,
        "thiết bị chỉ sang nhiều địa chỉ khác, không gọi được địa chỉ nào",
        "the site names several other addresses, none could be called",
    ),
    (
        301,
        "điểm cầu đã đổi địa chỉ, địa chỉ mới không gọi được",
        "the site has moved, and its new address cannot be called",
    ),
    (
        302,
        "điểm cầu chuyển cuộc gọi sang nơi không gọi được",
        "the site sends calls on to where we cannot call",
    ),
    (305, "phải gọi qua một proxy khác", "it has to be called through another proxy"),
    (380, "điểm cầu đề nghị một dịch vụ khác", "the site proposes another service"),
    (400, "thiết bị không hiểu lời gọi", "the device does not understand the call"),
    (
        401,
        "thiết bị đòi mật khẩu: hãy kiểm tra tên và mật khẩu SIP",
        "the device asks for a password: check the SIP user and password",
    ),
    (403, "thiết bị không cho phép cuộc gọi này", "the device does not allow this call"),
    (
        404,
        "không có địa chỉ này ở nơi được gọi: hãy kiểm tra địa chỉ",
        "there is no such address there: check the address",
    ),
    (405, "thiết bị không nhận cuộc gọi", "the device takes no calls"),
    (406, "thiết bị không nhận loại cuộc gọi này", "the device does not take this kind of call"),
    (
        407,
        "proxy đòi mật khẩu: hãy kiểm tra tên và mật khẩu SIP",
        "the proxy asks for a password: check the SIP user and password",
    ),
    (
        408,
        "thiết bị không trả lời: kiểm tra nguồn, địa chỉ, đường truyền",
        "the device does not answer: check its power, address and line",
    ),
    (410, "địa chỉ này không còn dùng nữa", "the address is no longer in use"),
    (413, "lời gọi quá lớn đối với thiết bị", "the call is too large for the device"),
    (
        415,
        "thiết bị không hiểu mô tả âm thanh, hình ảnh",
        "the device does not understand the description of sound and picture",
    ),
    (416, "thiết bị không hiểu dạng địa chỉ này", "the device does not understand this kind of address"),
    (420, "thiết bị thiếu một tính năng SIP bắt buộc", "the device lacks a required extension of SIP"),
    (
        421,
        "thiết bị đòi một tính năng SIP mà MCU không có",
        "the device requires an extension of SIP the MCU lacks",
    ),
    (422, "thiết bị đòi thời hạn phiên dài hơn", "the device wants a longer session interval"),
    (423, "thiết bị đòi thời hạn dài hơn", "the device wants a longer interval"),
    (433, "thiết bị không nhận cuộc gọi ẩn danh", "the device takes no anonymous calls"),
    (
        480,
        "điểm cầu tạm thời không nhận cuộc gọi (tắt máy, chưa đăng ký hoặc không làm phiền)",
        "the site cannot be reached now (switched off, not registered, or do not disturb)",
    ),
    (481, "thiết bị không nhận ra cuộc gọi", "the device does not know the call"),
    (482, "cuộc gọi chạy vòng: kiểm tra cấu hình proxy", "the call goes round in circles: check the proxies"),
    (483, "cuộc gọi qua quá nhiều proxy", "the call passes too many proxies"),
    (484, "địa chỉ chưa đủ số", "the address is incomplete"),
    (485, "địa chỉ chỉ tới nhiều nơi", "the address is ambiguous"),
    (486, "điểm cầu đang bận", "the site is busy"),
    (487, "cuộc gọi đã bị hủy", "the call was cancelled"),
    (
        488,
        "không có codec chung hoặc thiết bị không nhận mô tả âm thanh, hình ảnh",
        "no codec in common, or the device refuses the description of sound and picture",
    ),
    (489, "thiết bị không hiểu yêu cầu", "the device does not understand the request"),
    (493, "thiết bị không giải mã được lời gọi", "the device cannot decipher the call"),
    (494, "thiết bị đòi thỏa thuận bảo mật", "the device requires a security agreement"),
    (500, "thiết bị gặp lỗi", "the device failed"),
    (501, "thiết bị không có chức năng nhận cuộc gọi này", "the device cannot do this"),
    (502, "máy chủ trên đường gọi nhận được trả lời sai", "a server on the way got a bad answer"),
    (
        503,
        "thiết bị hoặc máy chủ trên đường gọi đang quá tải hoặc bảo trì",
        "the device, or a server on the way, is overloaded or out of service",
    ),
    (504, "một máy chủ trên đường gọi không trả lời", "a server on the way does not answer"),
    (505, "thiết bị không hiểu phiên bản SIP này", "the device does not understand this version of SIP"),
    (513, "lời gọi quá lớn đối với thiết bị", "the call is too large for the device"),
    (580, "thiết bị không dành được băng thông", "the device could not reserve the bandwidth"),
    (600, "điểm cầu đang bận ở mọi nơi", "the site is busy everywhere"),
    (603, "điểm cầu từ chối cuộc gọi", "the site declined the call"),
    (604, "địa chỉ này không có ở đâu cả", "the address does not exist anywhere"),
    (
        606,
        "không có codec chung hoặc thiết bị không nhận mô tả âm thanh, hình ảnh",
        "no codec in common, or the device refuses the description of sound and picture",
    ),
    (607, "người nhận không muốn cuộc gọi này", "the call is unwanted"),
];

/// Codes of Warning (RFC 3261 20.43), which say more than 488 or 606 does.
const WARNING: &[(u16, &str, &str)] = &[
    (300, "giao thức mạng không tương thích", "incompatible network protocol"),
    (301, "dạng địa chỉ mạng không tương thích", "incompatible network address formats"),
    (302, "giao thức truyền không tương thích (mã hóa?)", "incompatible transport protocol (encryption?)"),
    (303, "đơn vị băng thông không tương thích", "incompatible bandwidth units"),
    (304, "thiết bị không có loại phương tiện này", "the device lacks a kind of media"),
    (305, "không có codec chung", "no codec in common"),
    (
        306,
        "thiết bị không hiểu một thuộc tính của mô tả",
        "an attribute of the description is not understood",
    ),
    (307, "thiết bị không hiểu một tham số của mô tả", "a parameter of the description is not understood"),
    (330, "không có multicast", "multicast is not available"),
    (331, "không có unicast", "unicast is not available"),
    (370, "không đủ băng thông", "not enough bandwidth"),
];

/// ITU-T Q.850 causes of a Reason header: what a network behind a gateway says.
const Q850: &[(u16, &str, &str)] = &[
    (1, "số này chưa được cấp", "the number is not assigned"),
    (3, "không có đường tới đích", "there is no route to the destination"),
    (17, "điểm cầu đang bận", "the site is busy"),
    (18, "thiết bị không trả lời", "the device does not answer"),
    (19, "không có ai nhận cuộc gọi", "nobody took the call"),
    (20, "thiết bị tắt hoặc ngoài vùng phủ", "the device is switched off or out of reach"),
    (21, "điểm cầu từ chối cuộc gọi", "the site declined the call"),
    (22, "số đã đổi", "the number has changed"),
    (27, "thiết bị hỏng", "the device is out of order"),
    (28, "địa chỉ chưa đủ số", "the address is incomplete"),
    (34, "hết kênh trên đường truyền", "no circuit is free"),
    (38, "mạng hỏng", "the network is out of order"),
    (41, "mạng tạm thời hỏng", "a temporary failure of the network"),
    (42, "mạng quá tải", "the network is overloaded"),
    (58, "băng thông hiện không có", "the bandwidth is not available now"),
    (88, "thiết bị không tương thích", "the device is incompatible"),
];

fn look(table: &[(u16, &str, &str)], code: u16) -> Option<Words> {
    table.iter().find(|(c, ..)| *c == code).map(|(_, vi, en)| Words::new(*vi, *en))
}

/// The refusal of a call. What a gateway or a Warning says in its own words stands in brackets behind ours.
pub(crate) fn refused(status: u16, phrase: &str, told: &Told) -> Words {
    let warned = told.warning.as_ref();
    let media = matches!(status, 488 | 606);
    let from_warning = warned.filter(|_| media).and_then(|(code, _)| look(WARNING, *code));
    let from_cause = told.q850.and_then(|cause| look(Q850, cause));
    let words = from_warning
        .or(from_cause)
        .or_else(|| look(STATUS, status))
        .or_else(|| look(STATUS, status / 100 * 100))
        .unwrap_or_else(|| Words::new("cuộc gọi bị từ chối", "the call was refused"));
    let own = warned.map(|(_, text)| text.as_str()).or(told.reason.as_deref()).unwrap_or(phrase);
    let own = name::clean(own);
    let behind = if own.is_empty() { status.to_string() } else { format!("{status} {own}") };
    Words::new(format!("{} ({behind})", words.vi), format!("{} ({behind})", words.en))
}

/// A call that got no final answer.
pub(crate) fn ended(cause: &EndCause) -> Words {
    match cause {
        EndCause::TransportFailed => Words::new(
            "không kết nối được tới thiết bị: kiểm tra địa chỉ, cổng, tường lửa",
            "no connection to the device can be made: check address, port and firewall",
        ),
        cause => Words::new(cause.vi(), cause.en()),
    }
}

/// An account of ours without a device.
pub(crate) fn unregistered() -> Words {
    Words::new(
        "thiết bị chưa đăng ký với MCU: kiểm tra xem thiết bị đã bật chưa, tên và mật khẩu SIP",
        "the device is not registered with the MCU: check that it is on, and its SIP user and password",
    )
}

/// An address that was not found.
pub(crate) fn unlocated(why: Unlocated) -> Words {
    match why {
        Unlocated::NoSuchName => Words::new(
            "tên trong địa chỉ không có trong DNS: hãy kiểm tra địa chỉ",
            "the name in the address is not in the DNS: check the address",
        ),
        Unlocated::NoAnswer => Words::new(
            "máy chủ DNS không trả lời: kiểm tra mạng, hoặc gọi bằng địa chỉ IP",
            "the DNS server does not answer: check the network, or call by IP address",
        ),
        Unlocated::Transport => Words::new(
            "địa chỉ đòi một giao thức truyền chưa có (TLS)",
            "the address asks for a transport that is not available (TLS)",
        ),
        Unlocated::NoRoute => {
            Words::new("không có đường mạng tới địa chỉ này", "there is no network route to this address")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_words_in_both_languages_and_the_status_for_those_who_know_it() {
        for status in 300..700 {
            let words = refused(status, "Some Phrase", &Told::default());
            for text in [&words.vi, &words.en] {
                assert!(text.ends_with(&format!("({status} Some Phrase)")) && text.len() > 30, "{text}");
            }
            assert_ne!(words.vi, words.en);
        }
    }

    #[test]
    fn a_warning_or_a_cause_says_more_than_the_status() {
        let told = Told { warning: Some((305, "only G.729 here".into())), ..Told::default() };
        assert_eq!(refused(488, "Not Acceptable Here", &told).en, "no codec in common (488 only G.729 here)");
        let told = Told { q850: Some(38), reason: Some("trunk down".into()), ..Told::default() };
        assert_eq!(refused(503, "", &told).en, "the network is out of order (503 trunk down)");
        // A warning of another kind is quoted, and does not hide what the status says.
        let told = Told { warning: Some((399, "on leave".into())), ..Told::default() };
        assert_eq!(refused(486, "Busy Here", &told).vi, "điểm cầu đang bận (486 on leave)");
    }
}
