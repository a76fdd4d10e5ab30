// The list of sites: one row each, made once and then kept up to date, so that focus and selection stay where they are.
import { $, h, icon, text } from "./dom.js";
import { compare, number, percent, plain, t } from "./i18n.js";
import { drags } from "./seats.js";

const rows = new Map(); // participant id → parts of its row
let actions; // what the buttons do; see app.js

export const useActions = (a) => { actions = a; };

const present = (p) => p.state !== "left";

/** Brings rows in line with `participants` (a Map) and the conference. */
export function renderSites(participants, conference, options) {
  const wanted = plain(options.find.trim());
  const all = [...participants.values()];
  const here = all.filter(present).filter((p) => !wanted || plain(`${p.name} ${p.uri}`).includes(wanted));
  here.sort(options.order === "joined" ? byArrival : byName);
  const list = $("participants");
  const keep = new Set(here.map((p) => p.id));
  for (const [id, row] of rows) {
    if (!keep.has(id)) {
      sight.unobserve(row.root);
      row.root.remove();
      rows.delete(id);
    }
  }
  let at = list.firstElementChild;
  for (const p of here) {
    const row = rows.get(p.id) ?? build(p.id);
    update(row, p, conference, options);
    if (row.root === at) at = at.nextElementSibling;
    else list.insertBefore(row.root, at);
  }
  const total = all.filter((p) => present(p) && !p.link).length;
  text($("sites-count"), total ? number(total) : "");
  const none = $("no-sites");
  none.hidden = here.length > 0;
  none.textContent = total ? t("nothingFound") : t("noSites");
  $("mute-all").disabled = $("unmute-all").disabled = total === 0;
  renderLeft(all.filter((p) => !present(p)));
}

// Rows in sight, and a little around: of a thousand sites only these follow the level twice a second.
const sight = new IntersectionObserver((changes) => {
  for (const change of changes) {
    const row = rows.get(change.target.dataset.id);
    if (!row) continue;
    row.seen = change.isIntersecting;
    if (row.seen) figures(row, row.of);
  }
}, { rootMargin: "200px" });

/** Levels and figures only: called up to twice a second for everybody. */
export function updateFigures(p) {
  const row = rows.get(p.id);
  if (!row) return;
  row.of = p;
  if (row.seen) figures(row, p);
}

const byName = (a, b) => Number(b.chair) - Number(a.chair) || compare(a.name, b.name) || (a.id < b.id ? -1 : 1);
const byArrival = (a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : 1);

function build(id) {
  const button = (name, act) => {
    const b = h("button", { type: "button", class: "tool", onclick: () => act(id) });
    b.dataset.icon = name;
    b.append(icon(name));
    return b;
  };
  const row = {
    meter: h("span", { class: "meter", "aria-hidden": "true" }, h("i")),
    name: h("button", { type: "button", class: "site-name", onclick: () => actions.look(id) }),
    badges: h("span", { class: "badges" }),
    facts: h("span", { class: "facts" }),
    line: h("span", { class: "line" }),
    stats: h("div", { class: "site-facts" }),
    mute: button("mic", (i) => actions.mute(i)),
    hide: button("eye", (i) => actions.hide(i)),
    bring: button("bringUp", (i) => actions.bringUp(i)),
    speak: button("speaker", (i) => actions.speak(i)),
    more: button("sliders", () => open(row, row.panel.hidden)),
    hang: button("hangUp", (i) => actions.hangUp(i)),
    volume: h("input", { type: "range", min: -40, max: 20, step: 1, onchange: (e) => actions.volume(id, Number(e.target.value)), oninput: (e) => level(row, Number(e.target.value)) }),
    volumeNow: h("output", {}),
    volumeName: h("span", {}),
    deaf: button("ear", (i) => actions.deafen(i)),
  };
  row.panel = h("div", { class: "site-panel", hidden: true }, h("label", { class: "inline" }, row.volumeName, row.volume, row.volumeNow), row.deaf);
  row.hang.classList.add("danger");
  row.stats.append(row.facts, row.line);
  row.root = h("li", { class: "site", dataset: { id } }, row.meter,
    h("div", { class: "site-text" }, h("div", { class: "site-head" }, row.name, row.badges), row.stats),
    h("div", { class: "tools" }, row.mute, row.hide, row.bring, row.speak, row.more, row.hang), row.panel);
  drags(row.root, id);
  rows.set(id, row);
  sight.observe(row.root);
  return row;
}

function open(row, on) {
  row.panel.hidden = !on;
  row.more.setAttribute("aria-expanded", String(on));
}

const level = (row, db) => text(row.volumeNow, `${db > 0 ? "+" : ""}${number(db)} dB`);

function update(row, p, conference, options) {
  row.of = p;
  text(row.name, p.name);
  row.name.title = p.uri;
  row.name.setAttribute("aria-label", t("look", p));
  row.root.classList.toggle("looked-at", options.looked === p.id);
  const speaker = conference.speaker === p.id;
  row.root.classList.toggle("is-speaker", speaker);
  row.root.classList.toggle("away", p.state !== "connected");
  badges(row, [
    p.state !== "connected" && ["warn", t(p.state)],
    p.link && ["", t(p.link.up ? "linkToAbove" : "linkToBelow")],
    p.chair && ["chair", t("chair")],
    speaker && ["speaker", t("isSpeaker")],
    ...p.troubles.map((trouble) => ["alarm", t(trouble.kind)]),
    p.deafened && ["warn", t("isDeaf")],
    p.volume_db !== 0 && ["", `${p.volume_db > 0 ? "+" : ""}${number(p.volume_db)} dB`],
  ].filter(Boolean));
  const named = speaker && conference.speaker_named;
  tool(row.mute, p.audio.muted ? "micOff" : "mic", t(p.audio.muted ? "unmute" : "mute", p), p.audio.muted, "off");
  tool(row.hide, p.video_hidden ? "eyeOff" : "eye", t(p.video_hidden ? "show" : "hide", p), p.video_hidden, "off");
  tool(row.speak, "speaker", named ? t("releaseSpeaker") : t("makeSpeaker", p), named, "on");
  tool(row.more, "sliders", t("more-of", p), undefined);
  tool(row.deaf, p.deafened ? "earOff" : "ear", t(p.deafened ? "undeafen" : "deafen", p), p.deafened, "off");
  text(row.volumeName, t("volume"));
  if (document.activeElement !== row.volume) row.volume.value = String(p.volume_db);
  level(row, Number(row.volume.value));
  tool(row.bring, "bringUp", t("bringUp", p), undefined);
  tool(row.hang, "hangUp", t("hangUp", p), undefined);
  if (row.seen) figures(row, p);
}

function figures(row, p) {
  const level = Math.max(0, Math.min(1, (p.audio.level_dbov + 60) / 60));
  row.meter.firstChild.style.transform = `scaleY(${p.audio.muted ? 0 : level.toFixed(2)})`;
  row.root.classList.toggle("speaking", p.audio.speaking && !p.audio.muted);
  const v = p.video;
  const size = v.width ? `${v.codec ?? ""} ${dimension(v)}`.trim() : v.codec;
  const facts = [p.audio.codec, size ?? (p.audio.codec ? t("soundOnly") : null)].filter(Boolean).map(pretty);
  // Why a site is not there yet, or again, says more than what was agreed with it.
  const why = p.state === "connected" ? null : reason(p) ?? p.uri;
  text(row.facts, why ?? (facts.length ? facts.join(" · ") : t("noMedia")));
  const q = p.quality;
  text(row.line, p.state === "connected" ? t("loss", { n: percent(q.loss) }) : "");
  const more = [q.rx_kbps && `↑ ${rate(q.rx_kbps)}`, q.tx_kbps && `↓ ${rate(q.tx_kbps)}`, q.rtt_ms != null && `RTT ${number(q.rtt_ms)} ms`, `jitter ${number(q.jitter_ms)} ms`];
  const title = more.filter(Boolean).join(" · ");
  if (row.stats.title !== title) row.stats.title = title;
  row.line.classList.toggle("bad", q.loss >= 0.05);
  row.line.classList.toggle("warn", q.loss >= 0.01 && q.loss < 0.05);
}

/** 720p30 for 16:9 pictures of a usual size, else 704×576 @ 25. */
function dimension({ width, height, fps }) {
  const rounded = Math.round(fps);
  if (Math.abs(width * 9 - height * 16) <= 16 * 8) return `${height}p${rounded || ""}`;
  return `${width}×${height}${rounded ? ` @ ${rounded}` : ""}`;
}

const rate = (kbps) => (kbps >= 1000 ? `${number(kbps / 1000, 1)} Mbit/s` : `${number(kbps)} kbit/s`);
const NAMES = { opus: "Opus", g722: "G.722", pcma: "G.711A", pcmu: "G.711µ", h264: "H.264" };
const pretty = (codec) => codec.replace(/^[\w.]+/, (word) => NAMES[word.toLowerCase()] ?? word);

function tool(button, name, title, pressed, kind) {
  if (button.dataset.icon !== name) {
    button.dataset.icon = name;
    button.replaceChildren(icon(name));
  }
  if (button.title !== title) {
    button.title = title;
    button.setAttribute("aria-label", title);
  }
  if (pressed !== undefined) button.setAttribute("aria-pressed", String(pressed));
  if (kind) button.classList.toggle(kind, Boolean(pressed));
}

function badges(row, list) {
  const key = list.join("|");
  if (row.badgeKey === key) return;
  row.badgeKey = key;
  row.badges.replaceChildren(...list.map(([kind, words]) => h("span", { class: `badge ${kind}` }, words)));
}

function renderLeft(gone) {
  const details = $("left");
  details.hidden = gone.length === 0;
  details.querySelector("summary").textContent = t("left", { n: number(gone.length) });
  gone.sort(byName);
  details.querySelector("ul").replaceChildren(...gone.slice(0, 100).map((p) =>
    h("li", {}, h("strong", {}, p.name), h("span", { class: "quiet" }, reason(p) ?? p.uri), again(p))));
}

/** A button to call a site again that was called before. */
function again(p) {
  if (p.direction !== "out") return "";
  const title = t("callAgain", p);
  return h("button", { type: "button", class: "tool", title, "aria-label": title, onclick: () => actions.callAgain(p.uri) }, icon("call"));
}

/** Why somebody left, in the language of the page. */
export const reason = (p) => (document.documentElement.lang === "en" ? p.reason_en ?? p.reason : p.reason) ?? null;
