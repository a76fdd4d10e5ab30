// The console: state, what the server tells, what the operator does.
import { Problem, get, listen, onSignedOut, patch, post, put, remove } from "./api.js";
import { $, confirm, h, icon, label, text, toast } from "./dom.js";
import { compare, lang, layoutName, moment, number, setLanguage, t, translate } from "./i18n.js";
import { renderExtras, useExtras } from "./extras.js";
import { MOST, line, past } from "./journal.js";
import { drawingOf, rectsOf, showLayouts, useLayouts } from "./layouts.js";
import { captionPicture, chosenPicture, pictureLeft, setPicture, showPictureOf } from "./picture.js";
import { carried, renderSeats, useSeats } from "./seats.js";
import { reason, renderSites, updateFigures, useActions } from "./sites.js";
import { draw as drawTree, loadTree, operationSeen, siteName, treeChanged, useTree } from "./tree.js";

const state = { hasLogo: false, conferences: new Map(), participants: new Map(), selected: null, sip: [], live: false, log: [] };
let stopListening = null;

const conference = () => state.conferences.get(state.selected);
const nameOf = (id) => state.participants.get(id)?.name;
const path = (rest = "") => `/conferences/${state.selected}${rest}`;

// ---- what is shown -------------------------------------------------------------------------------------------------

let scheduled = false;
/** Everything once, however many events came. */
function render() {
  if (scheduled) return;
  scheduled = true;
  const go = () => { scheduled = false; renderNow(); };
  // A list of thousands is put in order a few times a second, not sixty.
  if (state.participants.size > 200) setTimeout(go, 300);
  else requestAnimationFrame(go);
}

function renderNow() {
  const c = conference();
  renderConferences();
  $("empty").hidden = state.conferences.size > 0;
  $("meeting").hidden = !c;
  const live = $("live");
  text(live, t(state.live ? "live" : "offline"));
  live.classList.toggle("on", state.live);
  if (!c) return setPicture(null, true);
  document.title = `${c.name} – Cầu`;
  const here = [...state.participants.values()].filter((p) => p.state !== "left");
  const sites = here.filter((p) => !p.link).length;
  text($("name"), c.name);
  text($("room"), t("roomChip", c));
  text($("count"), t("connectedChip", { n: number(sites) }));
  setPicture(c.id, here.length === 0);
  renderSites(state.participants, c, { find: $("find").value, order: $("order").value, looked: chosenPicture() });
  renderSpeaker(c, here);
  for (const b of $("names").children) b.setAttribute("aria-pressed", String(b.dataset.value === c.names));
  renderApart(c);
  renderDial(c);
  renderExtras(c, state.hasLogo);
  renderAlarms(here);
  showLayouts(c, here.length).then(() => renderSeats(c, drawingOf(c.layout), state.participants)).catch(failed);
}

/** What is wrong now: lines lost and sound found bad, each with the button that helps. */
function renderAlarms(here) {
  const all = here.flatMap((p) => [
    ...(p.state === "reconnecting" ? [{ p, words: t("lineLost") }] : []),
    ...p.troubles.map((trouble) => ({ p, words: trouble.detail[lang()], muted: trouble.muted || p.audio.muted })),
  ]);
  const section = $("alarms");
  const key = JSON.stringify([lang(), all.map(({ p, words, muted }) => [p.id, p.name, words, muted])]);
  if (section.dataset.key === key) return;
  section.dataset.key = key;
  section.hidden = all.length === 0;
  section.querySelector("ul").replaceChildren(...all.slice(0, 30).map(({ p, words, muted }) =>
    h("li", {}, h("span", {}, h("strong", {}, p.name), ` – ${words}`),
      muted === undefined ? "" : h("button", { type: "button", class: "ghost small", onclick: () => run(patch(path(`/participants/${p.id}`), { audio_muted: !muted })) }, t(muted ? "openMic" : "closeMic")))));
}

/** Who sees something else than the common picture, and what: after a bring-up that is mostly everybody. */
function renderApart(c) {
  const box = $("apart");
  const sites = (ids) => ids.filter((id) => !state.participants.get(id)?.link);
  const apart = c.layouts.map((l) => ({ ...l, n: sites(l.for).length })).filter((l) => l.n > 0);
  box.hidden = apart.length === 0;
  const one = ({ layout, seats, n }) => {
    const names = seats.map((s) => nameOf(s.participant)).filter(Boolean).join(", ");
    return t("apart", { n: number(n), what: names ? `${layoutName(layout)} – ${names}` : layoutName(layout) });
  };
  text(box.querySelector("span"), apart.map(one).join(" "));
}

function renderConferences() {
  const all = [...state.conferences.values()].sort((a, b) => compare(a.name, b.name));
  const key = all.map((c) => [c.id, c.name, c.room, c.connected, c.id === state.selected]).join("|") + lang();
  const nav = $("conferences");
  if (nav.dataset.key === key) return;
  const focused = nav.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  nav.dataset.key = key;
  nav.replaceChildren(...all.map((c) =>
    h("button", { type: "button", class: "tab", dataset: { id: c.id }, "aria-current": c.id === state.selected ? "true" : undefined, title: t("roomChip", c), onclick: () => select(c.id) },
      h("span", {}, c.name), h("span", { class: "pill" }, number(c.connected)))));
  if (focused) nav.querySelector(`[data-id="${focused}"]`)?.focus();
}

function renderSpeaker(c, here) {
  const select = $("speaker");
  const sites = here.filter((p) => p.state === "connected").sort((a, b) => compare(a.name, b.name));
  const key = sites.map((p) => [p.id, p.name]).join("|") + lang();
  if (select.dataset.key !== key && document.activeElement !== select) {
    select.dataset.key = key;
    select.replaceChildren(h("option", { value: "" }, t("byVoice")), ...sites.map((p) => h("option", { value: p.id }, p.name)));
  }
  select.value = c.speaker_named ? c.speaker ?? "" : "";
  const name = state.participants.get(c.speaker)?.name;
  text($("speaker-now"), !name ? t("speakerNone") : c.speaker_named ? t("speakerNamed") : t("speakerNow", { name }));
}

function renderDial(c) {
  const hosts = state.sip.length ? state.sip : [location.hostname];
  const key = `${c.room}|${hosts}|${lang()}`;
  const box = $("addresses");
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(...hosts.slice(0, 3).map((host) => {
    const address = `sip:${c.room}@${host.replace(/:5060$/, "")}`;
    const copy = h("button", { type: "button", class: "tool", title: t("copy"), "aria-label": t("copy"), onclick: () => copyText(address) }, icon("copy"));
    return h("div", { class: "address" }, h("code", {}, address), copy);
  }));
}

async function copyText(words) {
  try {
    await navigator.clipboard.writeText(words);
    toast(t("copied"));
  } catch {
    toast(words); // no clipboard without TLS: at least large enough to read out
  }
}

function happened(what, detail, name) {
  state.log.unshift({ at: new Date(), ...line(what, detail, name) });
  state.log.length = Math.min(state.log.length, MOST);
  renderLog();
}

function renderLog() {
  $("log").replaceChildren(...state.log.map((e) => h("li", { class: e.kind }, h("time", {}, moment(e.at)), h("span", {}, e.words()))));
}

// ---- what the server tells -----------------------------------------------------------------------------------------

const handlers = {
  live(on) { state.live = on; render(); },
  reset: () => load().catch(failed),
  conference(c) {
    if (c.removed) {
      state.conferences.delete(c.id);
      if (c.id === state.selected) choose();
    } else {
      state.conferences.set(c.id, c);
      if (!state.selected) choose();
    }
    render();
  },
  participant(p) {
    if (p.conference !== state.selected) return;
    const { conference: _, change, ...shown } = p;
    state.participants.set(p.id, shown);
    if (change === "joined") happened("participant.joined", p);
    if (change === "left") {
      happened("participant.left", p);
      pictureLeft(p.id);
    }
    render();
  },
  level({ conference: id, participants }) {
    if (id !== state.selected) return;
    for (const figures of participants) {
      const p = state.participants.get(figures.id);
      if (!p) continue;
      Object.assign(p, figures);
      updateFigures(p);
    }
  },
  alarm(a) {
    if (a.conference && a.conference !== state.selected) return;
    happened("alarm", a, nameOf(a.participant));
  },
  operation(o) {
    if (o.conference !== state.selected || o.state === "running") return;
    operationSeen();
    const name = state.participants.get(o.site)?.name ?? siteName(o.site);
    happened("operation", o, name);
    if (o.state === "failed") toast(line("operation", o, name).words(), "error");
  },
  cascade: treeChanged,
  "call-refused": (r) => happened("call.refused", r),
};

/** The state as a whole: at the start, and when the stream lost its place. */
async function load() {
  const [conferences, about] = await Promise.all([get("/conferences?limit=10000"), get("/about")]);
  state.conferences = new Map(conferences.map((c) => [c.id, c]));
  state.sip = about.sip;
  state.hasLogo = about.logo;
  if (!conference()) choose();
  await Promise.all([loadParticipants(), loadTree()]);
  render();
}

/** Room of the last visit, else the first by name. */
function choose() {
  const all = [...state.conferences.values()].sort((a, b) => b.connected - a.connected || compare(a.name, b.name));
  const wanted = decodeURIComponent(location.hash.slice(1));
  select((all.find((c) => c.room === wanted) ?? all[0])?.id ?? null);
}

function select(id) {
  state.selected = id;
  state.participants = new Map();
  state.log = [];
  $("log").replaceChildren();
  const c = conference();
  if (c) history.replaceState(null, "", `#${encodeURIComponent(c.room)}`);
  loadParticipants().catch(failed);
  render();
}

async function loadParticipants() {
  const id = state.selected;
  if (!id) return;
  const list = await get(`/conferences/${id}/participants?limit=10000`);
  if (id !== state.selected) return;
  state.participants = new Map(list.map((p) => [p.id, p]));
  loadLog().catch(failed);
  render();
}

/** What happened before, and what came in while it was asked for. */
async function loadLog() {
  const id = state.selected;
  const before = await past(id, nameOf);
  if (id !== state.selected) return;
  const known = new Set(before.map((e) => e.key));
  state.log = [...state.log.filter((e) => !known.has(e.key)), ...before].slice(0, MOST);
  renderLog();
}

// ---- what the operator does ----------------------------------------------------------------------------------------

function failed(e) {
  if (e instanceof Problem) {
    if (e.status !== 401) toast(e.message, "error");
  } else {
    console.error(e);
    toast(t("failed"), "error");
  }
}

/** Runs a command; its effect comes back as an event, so nothing is shown that did not happen. */
const run = (work) => work.catch(failed);

useActions({
  look: (id) => { showPictureOf(chosenPicture() === id ? null : id, state.participants.get(id)?.name); render(); },
  mute: (id) => run(patch(path(`/participants/${id}`), { audio_muted: !state.participants.get(id)?.audio.muted })),
  hide: (id) => run(patch(path(`/participants/${id}`), { video_hidden: !state.participants.get(id)?.video_hidden })),
  speak: (id) => run(put(path("/speaker"), { participant: conference()?.speaker_named && conference().speaker === id ? null : id })),
  volume: (id, volume_db) => run(patch(path(`/participants/${id}`), { volume_db })),
  deafen: (id) => run(patch(path(`/participants/${id}`), { deafened: !state.participants.get(id)?.deafened })),
  bringUp: (id) => run(post(path("/bring-up"), { site: id })),
  callAgain: (uri) => run(post(path("/participants"), { uri })),
  async hangUp(id) {
    const p = state.participants.get(id);
    if (p && await confirm(t("hangUpTitle"), t("hangUpText", p), t("hangUpOk"))) run(remove(path(`/participants/${id}`)));
  },
});

/** Pins the layout of a conference has no seat for, until one comes that has. */
const parked = new Map();

/** The layout as it is with something changed: what the operator pinned and set turning stays. */
function setLayout({ layout = conference().layout, seats, cycle = conference().cycle }) {
  const c = conference();
  const drawing = drawingOf(layout);
  const waiting = seats ? [] : (parked.get(c.id) ?? []).filter((p) => !c.seats.some((s) => s.seat === p.seat || s.participant === p.participant));
  // `grid` grows with its pins.
  const count = layout === "grid" ? 64 : drawing ? rectsOf(drawing).length : 1;
  const { kept, lost } = carried([...(seats ?? c.seats), ...waiting], count, drawing?.follow_voice ?? 0);
  const surprised = lost.filter((pin) => !waiting.includes(pin)).map((s) => nameOf(s.participant)).filter(Boolean);
  if (surprised.length) toast(t("noSeatFor", { names: surprised.join(", ") }));
  parked.set(c.id, lost);
  // The audience of a lecture turns by itself; that is no wish of the operator.
  const turning = c.layout === "lecture" && layout !== "lecture" ? null : cycle;
  // Taken in at once: the next change must build on this one, not on what the event still brings.
  return put(path("/layout"), { layout, seats: kept, ...(turning && { cycle: turning }) }).then(handlers.conference);
}
useTree({ conference, path, run, failed, copy: copyText });
useLayouts((layout) => run(setLayout({ layout })));
$("together").addEventListener("click", () => run(setLayout({})));
useSeats({
  pin(seat, participant) {
    const others = conference().seats.filter((s) => s.seat !== seat && (!participant || s.participant !== participant));
    run(setLayout({ seats: participant ? [...others, { seat, participant }] : others })).finally(render);
  },
});
$("unpin").addEventListener("click", () => run(setLayout({ seats: [] })));
useExtras({
  message: (body) => run((body ? put(path("/message"), body) : remove(path("/message"))).then(() => { if (body) $("message-form").reset(); })),
  settings: (change) => run(patch(path(), change)).finally(render),
  cycle: (seconds) => run(setLayout({ cycle: seconds ? { ...conference().cycle, period_s: seconds } : null })).finally(render),
});
$("speaker").addEventListener("change", (e) => run(put(path("/speaker"), { participant: e.target.value || null }).finally(render)));
$("names").addEventListener("click", (e) => { if (e.target.dataset.value) run(patch(path(), { names: e.target.dataset.value })); });
const muteAll = async (audio_muted) => {
  const list = await patch(path("/participants"), { audio_muted });
  toast(t(audio_muted ? "mutedAll" : "unmutedAll", { n: number(list.length) }));
};
$("call").addEventListener("submit", async (e) => {
  e.preventDefault();
  const form = new FormData(e.target);
  const [uri, name] = [form.get("uri").trim(), form.get("name").trim()];
  try {
    // A bare host or user@host is meant as a SIP address.
    await post(path("/participants"), { uri: /^\w+:/.test(uri) && !/^[\w.]+:\d+$/.test(uri) ? uri : `sip:${uri}`, ...(name && { name }) });
    e.target.reset();
  } catch (problem) { failed(problem); }
});
$("mute-all").addEventListener("click", () => run(muteAll(true)));
$("unmute-all").addEventListener("click", () => run(muteAll(false)));
$("find").addEventListener("input", render);
$("order").addEventListener("change", render);
$("picture-common").addEventListener("click", () => { showPictureOf(null); render(); });
$("end-conference").addEventListener("click", async () => {
  const c = conference();
  if (c && await confirm(t("endTitle"), t("endText", c), t("endConference"))) run(remove(`/conferences/${c.id}`));
});
document.addEventListener("keydown", (e) => {
  if (e.key === "/" && !e.target.closest("input, select, textarea, dialog")) {
    e.preventDefault();
    $("find").focus();
  } else if (e.key === "Escape" && e.target === $("find")) {
    $("find").value = "";
    render();
  }
});

const dialog = $("conference-dialog");
for (const id of ["new-conference", "new-first"]) $(id).addEventListener("click", () => {
  dialog.querySelector("form").reset();
  problem(dialog, null);
  checkRoom();
  dialog.showModal();
});
dialog.querySelector("[value=cancel]").addEventListener("click", () => dialog.close());
dialog.addEventListener("submit", async (e) => {
  e.preventDefault();
  const form = new FormData(e.target);
  const name = form.get("name").trim();
  try {
    const made = await post("/conferences", { room: form.get("room").trim(), ...(name && { name }), join_muted: form.has("join_muted") });
    state.conferences.set(made.id, made);
    select(made.id);
    dialog.close();
    toast(t("created", made));
  } catch (e) { problem(dialog, e); }
});

// The browser says only that the pattern is not met; what is allowed is said here, in the language of the page.
const roomField = dialog.querySelector("[name=room]");
function checkRoom() {
  const v = roomField.validity;
  roomField.setCustomValidity(v.valueMissing ? t("roomNeeded") : v.patternMismatch ? t("roomRule") : "");
}
roomField.addEventListener("input", checkRoom);

const problems = new Map(); // form → what it says; `words` says it in the language of the page

function problem(root, e) {
  const p = root.querySelector(".form-error");
  problems.set(root, e);
  p.hidden = !e;
  p.textContent = e ? e.words?.() ?? e.message : "";
}

// ---- signing in and out --------------------------------------------------------------------------------------------

$("signin-form").addEventListener("submit", async (e) => {
  e.preventDefault();
  const form = e.target;
  const button = form.querySelector("[type=submit]");
  button.disabled = true;
  try {
    await post("/sessions", { username: form.username.value, password: form.password.value });
    form.password.value = "";
    problem(form, null);
    await enter();
  } catch (error) {
    if (error.status === 401) error.words = () => t("wrongSignIn");
    problem(form, error);
    form.password.select();
  } finally { button.disabled = false; }
});
$("sign-out").addEventListener("click", () => run(remove("/sessions/current").then(() => leave())));
onSignedOut(() => leave(() => t("signedOut")));

async function enter() {
  await get("/sessions/current");
  await load();
  $("signin").hidden = true;
  $("console").hidden = false;
  stopListening?.();
  stopListening = listen(handlers);
  renderNow();
}

function leave(words) {
  if ($("signin").hidden === false) return;
  stopListening?.();
  stopListening = null;
  setPicture(null, true);
  state.selected = null;
  $("console").hidden = true;
  $("signin").hidden = false;
  problem($("signin-form"), words && !$("console").dataset.fresh ? { words } : null);
  $("signin-form").password.focus();
}

for (const b of document.querySelectorAll("[data-language]")) b.addEventListener("click", () => { setLanguage(b.dataset.language); words(); });

function words() {
  translate();
  label($("new-conference"), "plus", t("newConference"));
  label($("sign-out"), "exit", t("signOut"));
  label($("end-conference"), "stop", t("endConference"));
  label($("mute-all"), "micOff", t("muteAll"));
  label($("unmute-all"), "mic", t("unmuteAll"));
  label($("tree-call-all"), "call", t("callAllHere"));
  drawTree();
  checkRoom();
  // What the server said it said in one language: gone rather than in the wrong one.
  for (const [root, e] of problems) problem(root, e?.words ? e : null);
  captionPicture();
  renderLog();
  render();
}

words();
$("console").dataset.fresh = "true"; // the first 401 is no expiry, only nobody signed in yet
enter().catch((e) => {
  if (e.status !== 401) { leave(); problem($("signin-form"), e); }
}).finally(() => delete $("console").dataset.fresh);
