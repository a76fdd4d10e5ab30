// Words of the console, Vietnamese first. t() looks up, numbers and times follow the language.

const words = {
  vi: {
    tagline: "Điều khiển phiên họp trực tuyến", username: "Tên đăng nhập", password: "Mật khẩu", signIn: "Đăng nhập", signOut: "Đăng xuất",
    language: "Ngôn ngữ", conferences: "Các phiên họp", newConference: "Tạo phiên họp", noConference: "Chưa có phiên họp nào",
    noConferenceHint: "Tạo một phiên họp để các điểm cầu gọi vào.", room: "Phòng (số hoặc tên để gọi vào)", conferenceName: "Tên phiên họp",
    joinMuted: "Tắt tiếng điểm cầu khi vào họp", cancel: "Hủy", create: "Tạo", endConference: "Kết thúc",
    endTitle: "Kết thúc phiên họp?", endText: "“{name}”: mọi cuộc gọi sẽ bị ngắt và phòng không còn gọi vào được.",
    roomChip: "Phòng {room}", connectedChip: "{n} điểm cầu", live: "Trực tiếp", offline: "Mất kết nối, đang nối lại…",
    common: "Hình chung", commonAlt: "Hình chung của phiên họp", sentBy: "{name} gửi lên", seenBy: "{name} nhìn thấy", sent: "Gửi lên", seen: "Nhìn thấy",
    pictureOf: "Xem hình nào", backToCommon: "Về hình chung", noPicture: "Chưa có hình", nobodyYet: "Chưa có điểm cầu nào trong phiên họp",
    layout: "Bố cục", more: "Thêm bố cục…", fewer: "Thu gọn", speaker: "Điểm phát biểu", byVoice: "Tự động theo tiếng nói",
    speakerNow: "Đang phát biểu: {name}", speakerNone: "Chưa ai phát biểu", speakerNamed: "Do người điều hành chọn",
    names: "Tên trên hình", namesAuto: "Tự động", namesOn: "Hiện", namesOff: "Ẩn", namesHint: "Tự động: ẩn khi một điểm cầu chiếm cả hình.",
    sites: "Điểm cầu", muteAll: "Tắt tiếng tất cả", unmuteAll: "Bật tiếng tất cả", find: "Tìm điểm cầu", order: "Thứ tự", orderName: "Theo tên", orderJoined: "Theo lúc vào",
    noSites: "Chưa có điểm cầu nào. Hãy gọi vào theo địa chỉ bên dưới.", nothingFound: "Không tìm thấy điểm cầu nào.", left: "Đã rời ({n})",
    mute: "Tắt tiếng {name}", unmute: "Bật tiếng {name}", hide: "Ẩn hình {name}", show: "Hiện hình {name}", makeSpeaker: "Chọn {name} làm điểm phát biểu",
    releaseSpeaker: "Trả quyền chọn cho tiếng nói", hangUp: "Ngắt {name}", hangUpTitle: "Ngắt điểm cầu?", hangUpText: "“{name}” sẽ rời phiên họp. Điểm cầu có thể gọi lại.", hangUpOk: "Ngắt",
    chair: "Chủ tọa", isSpeaker: "Phát biểu", muted: "Tắt tiếng", hidden: "Ẩn hình", lossTitle: "Tỷ lệ mất gói", loss: "mất gói {n}", soundOnly: "chỉ có tiếng", noMedia: "chưa có tiếng và hình", look: "Xem hình của {name}",
    calling: "Đang gọi", ringing: "Đổ chuông", reconnecting: "Đang nối lại",
    dialOut: "Gọi điểm cầu", address: "Địa chỉ SIP (sip:tên@máy)", siteName: "Tên hiển thị", callSite: "Gọi", callAgain: "Gọi lại {name}",
    bringUp: "Đưa {name} lên màn hình chủ tọa", broughtUp_done: "{name} đã lên màn hình, nơi nhận đã xác nhận ({seconds} giây)", broughtUp_unconfirmed: "{name} đã lên màn hình, nơi nhận không xác nhận ({seconds} giây)",
    broughtUp_failed: "Không đưa được {name} lên: {why}",
    dialIn: "Gọi vào", dialHint: "Trong Linphone hoặc thiết bị hội nghị, gọi địa chỉ này bằng video.", copy: "Sao chép", copied: "Đã sao chép",
    happened: "Diễn biến", joined: "{name} vào họp", hasLeft: "{name} rời họp", hasLeftWhy: "{name} rời họp: {why}", refused: "Từ chối cuộc gọi của {from}: {why}",
    failed: "Không thực hiện được", unreachable: "Không liên lạc được với máy chủ.", signedOut: "Phiên đăng nhập đã hết hạn, hãy đăng nhập lại.",
    mutedAll: "Đã tắt tiếng {n} điểm cầu", unmutedAll: "Đã bật tiếng {n} điểm cầu", created: "Đã tạo phiên họp phòng {room}", seats: "{n} ô", roomRule: "Phòng gồm 1–64 chữ cái không dấu, chữ số, dấu chấm, gạch dưới, gạch nối; bắt đầu và kết thúc bằng chữ cái hoặc chữ số. Không dùng dấu cách.",
    roomNeeded: "Hãy nhập số hoặc tên phòng.", wrongSignIn: "Sai tên đăng nhập hoặc mật khẩu.",
    seatsTitle: "Xếp chỗ", seatsHint: "kéo điểm cầu vào ô, hoặc chọn trong ô", pinnedCount: "{n} ô đã ghim", unpin: "Bỏ ghim tất cả", seat: "Ô {n}",
    seatAuto: "Tự động", seatVoice: "Theo tiếng nói", seatTurns: "Luân phiên", cycle: "Luân phiên", cycleOff: "Không", seconds: "{n} giây",
    noSeatFor: "Bố cục này không đủ ô cho: {names}", message: "Thông báo", messageHint: "Dòng chữ trên hình của các điểm cầu", motion: "Cách hiện", scroll: "Chạy ngang",
    still: "Đứng yên", place: "Vị trí", bottom: "Dưới", top: "Trên", "show-message": "Hiện", "clear-message": "Gỡ", messageNow: "Đang hiện: {text}",
    rules: "Hình và tiếng", clock: "Đồng hồ trên hình", logo: "Biểu trưng trên hình", noLogo: "Chưa có biểu trưng: đặt picture.logo trong tệp cấu hình", fill: "Lấp đầy ô (cắt mép hình)", evenLevels: "Cân mức tiếng các điểm cầu",
    muteNoisy: "Tự tắt tiếng điểm cầu ồn", muteEchoing: "Tự tắt tiếng điểm cầu vọng", alarms: "Cảnh báo", lineLost: "mất đường truyền, đang kết nối lại",
    closeMic: "Tắt tiếng", openMic: "Bật tiếng", noise: "Ồn", hum: "Ù", echo: "Vọng", isDeaf: "Không nghe", volume: "Âm lượng", deafen: "Không cho {name} nghe",
    undeafen: "Cho {name} nghe lại", "more-of": "Âm lượng và hơn nữa của {name}",
    apart: "{n} điểm cầu đang xem: {what}.", together: "Cho tất cả xem bố cục chung",
    standbyReady: "MCU này chỉ huy (nhiệm kỳ {term}); MCU dự phòng sẵn sàng", standbyBehind: "MCU này chỉ huy (nhiệm kỳ {term}); MCU dự phòng chưa theo kịp", standbyLost: "MCU này chỉ huy (nhiệm kỳ {term}); MẤT MCU dự phòng",
    standingBy: "MCU này dự phòng (nhiệm kỳ {term}), có đủ bản sao", standingByBehind: "MCU này dự phòng (nhiệm kỳ {term}), chưa có đủ bản sao", masterLost: "MẤT MCU chỉ huy: {waiting}/{slaves} MCU cấp dưới chờ ở đây",
    tree: "Các MCU cấp dưới", treeCount: "{mcus} MCU · {here}/{sites} điểm cầu", treeFind: "Tìm điểm cầu, xã, tỉnh", treeEmpty: "Chưa có MCU cấp dưới nào.", treeMore: "và {n} nữa – hãy tìm theo tên",
    treeSites: "{here}/{sites} điểm cầu", treeShown: "đang đưa lên: {names}", treeFloor: "{by} giữ quyền điều khiển", foreignMcu: "MCU hãng khác: người điều hành ở đó chọn hình", treeProgress: "Đang gọi: {here}/{sites} đã vào, {failed} chưa được",
    node_idle: "chưa vào họp", node_calling: "đang gọi", node_connected: "trong phiên họp", node_lost: "mất kết nối", line_good: "đường truyền tốt", line_fair: "đường truyền trung bình", line_poor: "đường truyền kém", hand: "Giơ tay",
    callAllHere: "Gọi tất cả", callAllOf: "Gọi tất cả điểm cầu của {name}", callAllTitle: "Gọi tất cả?", callAllText: "{name}: {n} điểm cầu chưa vào họp sẽ được MCU của mình gọi.",
    prepare: "Chuẩn bị sẵn {name}", unprepare: "Thôi chuẩn bị {name}", preparedNow: "Chuẩn bị sẵn:", take: "Đưa lên", undo: "Hoàn tác", release: "Trả bố cục", clear: "Bỏ",
    linkToAbove: "Đường lên cấp trên", linkToBelow: "Đường xuống cấp dưới", links: "Đường nối MCU", linkUp: "Cấp trên: {name}", link_waiting: "chờ MCU cấp dưới dùng mã", link_expired: "mã đã hết hạn", link_enrolled: "đã đăng ký, chưa nối", link_connected: "đang nối", link_lost: "mất kết nối",
    addLink: "Thêm MCU cấp dưới", linkName: "Tên, ví dụ Đắk Lắk", unlink: "Gỡ đường nối {name}", unlinkTitle: "Gỡ đường nối?", unlinkText: "“{name}”: chứng thư bị thu hồi, MCU đó phải đăng ký lại bằng mã mới.", unlinkOk: "Gỡ",
    tokenTitle: "Mã đăng ký của {name}", tokenHint: "Chỉ hiện một lần. Ghi vào tệp cascade.token_file trên MCU cấp dưới rồi khởi động nó.", close: "Đóng",
    layoutNames: { full: "Toàn hình", grid: "Lưới đều", "side-by-side": "Song song", pip: "Hình trong hình", lecture: "Bài giảng" },
  },
  en: {
    tagline: "Video conference control", username: "User name", password: "Password", signIn: "Sign in", signOut: "Sign out",
    language: "Language", conferences: "Conferences", newConference: "New conference", noConference: "No conference yet",
    noConferenceHint: "Make a conference for sites to dial into.", room: "Room (number or word to dial)", conferenceName: "Name of the conference",
    joinMuted: "Sites join muted", cancel: "Cancel", create: "Create", endConference: "End",
    endTitle: "End the conference?", endText: "“{name}”: every call is hung up and the room can no longer be dialled.",
    roomChip: "Room {room}", connectedChip: "{n} sites", connectedChip_one: "{n} site", live: "Live", offline: "Connection lost, reconnecting…",
    common: "Common picture", commonAlt: "The common picture of the conference", sentBy: "Sent by {name}", seenBy: "Seen by {name}", sent: "Sends", seen: "Sees",
    pictureOf: "Which picture", backToCommon: "Common picture", noPicture: "No picture yet", nobodyYet: "Nobody is in the conference yet",
    layout: "Layout", more: "More layouts…", fewer: "Fewer", speaker: "Speaker", byVoice: "Automatic, by voice",
    speakerNow: "Speaking: {name}", speakerNone: "Nobody has spoken yet", speakerNamed: "Chosen by the operator",
    names: "Names on the picture", namesAuto: "Automatic", namesOn: "On", namesOff: "Off", namesHint: "Automatic: off while one site fills the picture.",
    sites: "Sites", muteAll: "Mute all", unmuteAll: "Unmute all", find: "Find a site", order: "Order", orderName: "By name", orderJoined: "By arrival",
    noSites: "No site yet. Dial in at the address below.", nothingFound: "No site found.", left: "Have left ({n})",
    mute: "Mute {name}", unmute: "Unmute {name}", hide: "Hide the picture of {name}", show: "Show the picture of {name}", makeSpeaker: "Make {name} the speaker",
    releaseSpeaker: "Let the voice choose again", hangUp: "Hang up {name}", hangUpTitle: "Hang up?", hangUpText: "“{name}” leaves the conference. The site may dial in again.", hangUpOk: "Hang up",
    chair: "Chair", isSpeaker: "Speaker", muted: "Muted", hidden: "Hidden", lossTitle: "Packet loss", loss: "loss {n}", soundOnly: "sound only", noMedia: "no sound or picture yet", look: "Look at {name}",
    calling: "Calling", ringing: "Ringing", reconnecting: "Reconnecting",
    dialOut: "Call a site", address: "SIP address (sip:name@host)", siteName: "Name to show", callSite: "Call", callAgain: "Call {name} again",
    bringUp: "Bring {name} before the chair", broughtUp_done: "{name} is on the screen, the receiver has confirmed it ({seconds} s)", broughtUp_unconfirmed: "{name} is on the screen, not confirmed by the receiver ({seconds} s)",
    broughtUp_failed: "{name} was not brought up: {why}",
    dialIn: "Dial in", dialHint: "In Linphone or on a conference device, call this address with video.", copy: "Copy", copied: "Copied",
    happened: "What happened", joined: "{name} joined", hasLeft: "{name} left", hasLeftWhy: "{name} left: {why}", refused: "Call from {from} refused: {why}",
    failed: "Not done", unreachable: "The server cannot be reached.", signedOut: "The session has expired, please sign in again.",
    mutedAll: "{n} sites muted", mutedAll_one: "{n} site muted", unmutedAll: "{n} sites unmuted", unmutedAll_one: "{n} site unmuted", created: "Conference of room {room} made", seats: "{n} seats", seats_one: "{n} seat", roomRule: "A room is 1–64 letters without accents, digits, dots, underscores, hyphens; it begins and ends with a letter or a digit. No blanks.",
    roomNeeded: "Enter the number or word of a room.", wrongSignIn: "Wrong user name or password.",
    seatsTitle: "Seats", seatsHint: "drag a site onto a seat, or choose in the seat", pinnedCount: "{n} pinned", unpin: "Unpin all", seat: "Seat {n}",
    seatAuto: "Automatic", seatVoice: "By voice", seatTurns: "In turn", cycle: "In turn", cycleOff: "No", seconds: "{n} s",
    noSeatFor: "This layout has no seat for: {names}", message: "Message", messageHint: "A line of text on the pictures of all sites", motion: "How it is shown", scroll: "Scrolls",
    still: "Stands still", place: "Place", bottom: "Below", top: "Above", "show-message": "Show", "clear-message": "Take away", messageNow: "On the pictures: {text}",
    rules: "Picture and sound", clock: "Clock on the picture", logo: "Logo on the picture", noLogo: "There is no logo: set picture.logo in the configuration", fill: "Fill the tiles (crops)", evenLevels: "Even the levels of all sites",
    muteNoisy: "Mute noisy sites by rule", muteEchoing: "Mute echoing sites by rule", alarms: "Alarms", lineLost: "line lost, reconnecting",
    closeMic: "Mute", openMic: "Unmute", noise: "Noise", hum: "Hum", echo: "Echo", isDeaf: "Deafened", volume: "Volume", deafen: "Let {name} hear nothing",
    undeafen: "Let {name} hear again", "more-of": "Volume and more of {name}",
    apart: "{n} sites are shown: {what}.", apart_one: "{n} site is shown: {what}.", together: "Show everybody the common layout",
    standbyReady: "This MCU commands (term {term}); its standby is ready", standbyBehind: "This MCU commands (term {term}); its standby is not in step", standbyLost: "This MCU commands (term {term}); its standby is LOST",
    standingBy: "This MCU stands by (term {term}) and has everything", standingByBehind: "This MCU stands by (term {term}) and is not in step", masterLost: "The master is LOST: {waiting} of {slaves} slaves wait here",
    tree: "MCUs below", treeCount: "{mcus} MCUs · {here}/{sites} sites", treeFind: "Find a site, commune, province", treeEmpty: "No MCU below yet.", treeMore: "and {n} more – search by name",
    treeSites: "{here}/{sites} sites", treeShown: "brought up: {names}", treeFloor: "{by} has the floor", foreignMcu: "another maker’s MCU: its own operator chooses the picture", treeProgress: "Calling: {here}/{sites} in, {failed} not reached",
    node_idle: "not in the meeting", node_calling: "being called", node_connected: "in the meeting", node_lost: "connection lost", line_good: "good line", line_fair: "fair line", line_poor: "poor line", hand: "Hand raised",
    callAllHere: "Call all", callAllOf: "Call all sites of {name}", callAllTitle: "Call all?", callAllText: "{name}: {n} sites that are not in the meeting are called by their own MCUs.",
    prepare: "Make {name} ready", unprepare: "Let {name} go", preparedNow: "Made ready:", take: "Take", undo: "Undo", release: "Back to layout", clear: "Clear",
    linkToAbove: "Link up", linkToBelow: "Link down", links: "Links between MCUs", linkUp: "Above: {name}", link_waiting: "waits for the slave to use its token", link_expired: "token expired", link_enrolled: "enrolled, not connected", link_connected: "connected", link_lost: "connection lost",
    addLink: "Add an MCU below", linkName: "Name, such as Đắk Lắk", unlink: "Remove the link of {name}", unlinkTitle: "Remove the link?", unlinkText: "“{name}”: its certificate is revoked; that MCU has to enrol with a new token.", unlinkOk: "Remove",
    tokenTitle: "Token of {name}", tokenHint: "Shown only once. Write it into the file cascade.token_file of the MCU below and start it.", close: "Close",
    layoutNames: { full: "Full screen", grid: "Grid", "side-by-side": "Side by side", pip: "Picture in picture", lecture: "Lecture" },
  },
};

const KEY = "cau.language";
let language = read() === "en" ? "en" : "vi";
const collator = new Intl.Collator("vi", { numeric: true, sensitivity: "base" });

function read() {
  try { return localStorage.getItem(KEY); } catch { return null; }
}

export const lang = () => language;

export function setLanguage(next) {
  language = next === "en" ? "en" : "vi";
  try { localStorage.setItem(KEY, language); } catch { /* private window: for this visit only */ }
  document.documentElement.lang = language;
}

/** The words of `key` with {holes} filled in; those of one (`key_one`) where the language has them and `n` is 1. */
export function t(key, holes = {}) {
  const text = (String(holes.n) === "1" && words[language][`${key}_one`]) || (words[language][key] ?? key);
  return text.replace(/\{(\w+)\}/g, (_, hole) => holes[hole] ?? "");
}

export const layoutName = (kind) => words[language].layoutNames[kind] ?? kind.replace("x", " × ").replace("+", " + ");

/** Vietnamese alphabetical order, whatever the language of the page: the names are Vietnamese. */
export const compare = (a, b) => collator.compare(a, b);

/** Text without accents and case, for finding `hoa phu` in “Hòa Phú”. */
export const plain = (s) => s.normalize("NFD").replace(/\p{M}/gu, "").replace(/[đĐ]/g, "d").toLowerCase();

// Making a formatter costs more than using it a thousand times.
const formatters = new Map();
function formatter(kind, options) {
  const key = `${language} ${JSON.stringify(options)}`;
  if (!formatters.has(key)) formatters.set(key, new kind(language, options));
  return formatters.get(key);
}

export const number = (n, digits = 0) => formatter(Intl.NumberFormat, { maximumFractionDigits: digits }).format(n);
export const percent = (n) => formatter(Intl.NumberFormat, { style: "percent", maximumFractionDigits: n < 0.1 ? 1 : 0 }).format(n);
const clock = (d) => formatter(Intl.DateTimeFormat, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }).format(d);
/** The time of day, with the day before it when that is not today. */
export const moment = (d) => (d.toDateString() === new Date().toDateString() ? clock(d) : `${formatter(Intl.DateTimeFormat, { day: "numeric", month: "short" }).format(d)} ${clock(d)}`);

/** Fills every element that names its words: data-t text, data-label, data-title, data-placeholder. */
export function translate(root = document) {
  document.documentElement.lang = language;
  for (const e of root.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
  for (const e of root.querySelectorAll("[data-label]")) e.setAttribute("aria-label", t(e.dataset.label));
  for (const e of root.querySelectorAll("[data-title]")) e.title = t(e.dataset.title);
  for (const e of root.querySelectorAll("[data-placeholder]")) e.placeholder = t(e.dataset.placeholder);
  for (const e of root.querySelectorAll("[data-language]")) e.setAttribute("aria-pressed", String(e.dataset.language === language));
}
