// The MCUs below and their sites: a tree of thousands, of which only what is open or looked for is drawn.
import { get, post, remove } from "./api.js";
import { $, confirm, h, icon, text, toast } from "./dom.js";
import { compare, lang, number, plain, t } from "./i18n.js";

/** Rows drawn at most below one MCU, or found. */
const MOST = 300;
const PAGE = 5000;

const nodes = new Map(); // path → node
const children = new Map(); // path of an MCU → paths of what is right below it
const opened = new Set();
let own = null; // path of this MCU; null: it is in no cascade
let links = [];
let prepared = [];
let progress = null;
let standby = null; // of two masters: who commands; null: there is one only
let hooks; // see app.js
let timer = null;

const isMcu = (node) => node.kind !== "site";
const parent = (path) => path.slice(0, Math.max(0, path.lastIndexOf("/")));
const nameOf = (path) => nodes.get(path)?.name ?? path;
/** “Đắk Lắk › Buôn Ma Thuột”: where something is, without its own name. */
const place = (path) => {
  const names = [];
  for (let at = parent(path); at && at !== own; at = parent(at)) names.unshift(nameOf(at));
  return names.join(" › ");
};
export const siteName = nameOf;

function put(node) {
  if (!nodes.has(node.path) && node.path !== own) {
    const above = parent(node.path);
    children.set(above, (children.get(above) ?? new Set()).add(node.path));
  }
  nodes.set(node.path, node);
}

function drop(path) {
  nodes.delete(path);
  children.get(parent(path))?.delete(path);
}

/** Everything anew; an MCU in no cascade has no tree and the card stays away. */
export async function loadTree() {
  const all = [];
  for (let after = null; ;) {
    const page = await get(`/cascade/tree?limit=${PAGE}${after === null ? "" : `&after=${encodeURIComponent(after)}`}`);
    all.push(...page);
    if (page.length < PAGE) break;
    after = page.at(-1).path;
  }
  nodes.clear();
  children.clear();
  own = all[0]?.path ?? null;
  all.forEach(put);
  if (own !== null) {
    await loadLinks();
    await loadStandby();
    await loadPrepared();
  }
  draw();
}

async function loadLinks() { links = await get("/cascade/links?limit=10000"); }

async function loadStandby() {
  try {
    standby = await get("/cascade/standby");
  } catch (e) {
    if (e.status !== 422) throw e;
    standby = null;
  }
}

async function loadPrepared() {
  const conference = hooks.conference();
  prepared = conference ? await get(`/conferences/${conference.id}/prepared`) : [];
}

/** An event `cascade`: what changed in the tree, a link, or how far the calling is. */
export function treeChanged(event) {
  if (own === null) return;
  if (event.reset) return loadTree().catch(hooks.failed);
  event.changed?.forEach(put);
  event.gone?.forEach(drop);
  if (event.link) loadLinks().then(draw).catch(hooks.failed);
  if (event.standby || event.drill) loadStandby().then(draw).catch(hooks.failed);
  if (event.progress) progress = event.progress;
  if (event.prepared) loadPrepared().then(draw).catch(hooks.failed);
  draw();
}

/** What an operation does changes what is made ready. */
export function operationSeen() {
  if (own !== null) loadPrepared().then(draw).catch(hooks.failed);
}

// ---- drawing -------------------------------------------------------------------------------------------------------

/** A few times a second at most, however much changes. */
export function draw() {
  timer ??= setTimeout(() => { timer = null; drawNow(); }, 250);
}

function drawNow() {
  const below = own === null ? [] : mcusOf(own);
  $("tree").hidden = own === null;
  if (own === null) return;
  const all = [...nodes.values()].filter((node) => node.path !== own && !(node.kind === "site" && parent(node.path) === own));
  const sites = all.filter((node) => !isMcu(node));
  const here = sites.filter((site) => site.state === "connected").length;
  text($("tree-count"), t("treeCount", { mcus: number(all.length - sites.length), here: number(here), sites: number(sites.length) }));
  $("tree-call-all").disabled = sites.length === here;
  drawStandby();
  drawProgress();
  drawPrepared();
  drawLinks();
  const wanted = plain($("tree-find").value.trim());
  const list = $("tree-list");
  const rows = wanted ? found(all, wanted) : below.flatMap((path) => branch(path, 0));
  keyed(list, rows.slice(0, MOST * 4));
  const none = $("tree-none");
  none.hidden = rows.length > 0;
  text(none, t(wanted ? "nothingFound" : "treeEmpty"));
}

const sorted = (paths) => [...paths].map((path) => nodes.get(path)).filter(Boolean).sort((a, b) => Number(isMcu(b)) - Number(isMcu(a)) || compare(a.name, b.name) || (a.path < b.path ? -1 : 1));
const mcusOf = (path) => sorted(children.get(path) ?? []).filter(isMcu).map((node) => node.path);

/** One line: who of two masters commands, and whether the other one could. */
function drawStandby() {
  const line = $("tree-standby");
  line.hidden = standby === null;
  if (standby === null) return;
  const { commands, connected, in_step: step, other_commands: other, slaves, waiting } = standby;
  const how = commands ? (connected ? (step ? "standbyReady" : "standbyBehind") : "standbyLost")
    : other ? (step ? "standingBy" : "standingByBehind") : "masterLost";
  text(line, t(how, { term: number(standby.term), waiting: number(waiting), slaves: number(slaves) }));
}

/** The row of an MCU and, when it is open, those below it. */
function branch(path, depth) {
  const node = nodes.get(path);
  const rows = [{ node, depth }];
  if (!isMcu(node) || !opened.has(path)) return rows;
  const below = sorted(children.get(path) ?? []);
  for (const child of below.slice(0, MOST)) rows.push(...(isMcu(child) ? branch(child.path, depth + 1) : [{ node: child, depth: depth + 1 }]));
  if (below.length > MOST) rows.push({ more: below.length - MOST, of: path, depth: depth + 1 });
  return rows;
}

/** Sites and MCUs whose name, or path, has it; whose name begins with it first. */
function found(all, wanted) {
  const hits = all.filter((node) => plain(node.name).includes(wanted) || node.path.includes(wanted.replaceAll(" ", "-")));
  hits.sort((a, b) => Number(plain(b.name).startsWith(wanted)) - Number(plain(a.name).startsWith(wanted)) || compare(a.name, b.name));
  const rows = hits.slice(0, MOST).map((node) => ({ node, depth: 0, where: place(node.path) }));
  if (hits.length > MOST) rows.push({ more: hits.length - MOST, of: "", depth: 0 });
  return rows;
}

/** Rows keep their element as long as nothing about them changes, so that focus and pointer stay. */
function keyed(list, rows) {
  const old = new Map([...list.children].map((e) => [e.dataset.key, e]));
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  const fresh = rows.map((row) => {
    const { node, more, depth, where } = row;
    const key = JSON.stringify([lang(), node ?? row.of, more, depth, where, node && isMcu(node) && [opened.has(node.path), counts(node.path), node.slots.map((slot) => siteName(slot.site))], node && prepared.some((p) => p.site === node.path)]);
    const e = old.get(key) ?? element(row);
    e.dataset.key = key;
    e.style.setProperty("--depth", depth);
    return e;
  });
  const path = focused?.closest("li")?.dataset.path;
  const act = focused?.dataset.act;
  list.replaceChildren(...fresh);
  if (path && !list.contains(focused)) list.querySelector(`li[data-path="${CSS.escape(path)}"] [data-act="${act}"]`)?.focus();
  else focused?.focus();
}

/** Sites below an MCU, and how many of them are in the meeting. */
function counts(path) {
  let [here, sites] = [0, 0];
  for (const child of children.get(path) ?? []) {
    const node = nodes.get(child);
    if (!node) continue;
    if (isMcu(node)) {
      const [h2, s2] = counts(child);
      here += h2;
      sites += s2;
    } else {
      sites += 1;
      here += Number(node.state === "connected");
    }
  }
  return [here, sites];
}

function element(row) {
  if (row.more) return h("li", { class: "branch quiet" }, t("treeMore", { n: number(row.more) }));
  const { node } = row;
  return isMcu(node) ? mcu(row) : site(row);
}

const state = (node) => h("span", { class: `dot ${node.state}`, title: t(`node_${node.state}`), role: "img", "aria-label": t(`node_${node.state}`) });
const button = (act, name, title, onclick, more = {}) => h("button", { type: "button", class: "tool", title, "aria-label": title, dataset: { act }, onclick, ...more }, icon(name));

function mcu({ node, where }) {
  const isOpen = opened.has(node.path);
  const [here, sites] = counts(node.path);
  const shown = node.slots.filter((slot) => slot.site && slot.by).map((slot) => nameOf(slot.site));
  const facts = [where, node.kind === "foreign" ? t("foreignMcu") : t("treeSites", { here: number(here), sites: number(sites) }), node.state === "lost" && t("node_lost"), shown.length && t("treeShown", { names: shown.join(", ") }), node.floor && t("treeFloor", { by: node.floor })];
  const toggle = () => {
    if (isOpen) opened.delete(node.path); else opened.add(node.path);
    drawNow();
  };
  return h("li", { class: "branch mcu", dataset: { path: node.path } }, state(node),
    h("div", { class: "site-text" },
      h("button", { type: "button", class: "site-name", dataset: { act: "open" }, "aria-expanded": String(isOpen), onclick: toggle }, `${isOpen ? "▾" : "▸"} ${node.name}`),
      h("div", { class: "site-facts" }, facts.filter(Boolean).join(" · "))),
    h("div", { class: "tools" },
      node.kind === "foreign" ? bringer(node) : "",
      node.kind === "mcu" && here < sites ? button("call", "call", t("callAllOf", node), () => callAll(node)) : ""));
}

const bringer = (node) => button("bring", "bringUp", t("bringUp", node), () => hooks.run(post(hooks.path("/bring-up"), { site: node.path })));

function site({ node, where }) {
  const ready = prepared.find((p) => p.site === node.path);
  const facts = [where, node.state !== "connected" && t(`node_${node.state}`), node.state === "connected" && node.quality !== "unknown" && t(`line_${node.quality}`)].filter(Boolean);
  const prepare = () => hooks.run(prepareSites(ready ? prepared.map((p) => p.site).filter((s) => s !== node.path) : [...prepared.map((p) => p.site), node.path]));
  return h("li", { class: `branch${node.state === "connected" ? "" : " away"}`, dataset: { path: node.path } }, state(node),
    h("div", { class: "site-text" },
      h("div", { class: "site-head" }, h("span", { class: "branch-name", title: node.path }, node.name), node.hand ? h("span", { class: "badge chair" }, t("hand")) : "", node.level ? h("span", { class: `loud l${node.level}`, "aria-hidden": "true" }) : ""),
      h("div", { class: `site-facts${node.quality === "poor" ? " bad" : ""}` }, facts.join(" · "))),
    h("div", { class: "tools" },
      button("prepare", ready ? "eyeOff" : "eye", t(ready ? "unprepare" : "prepare", node), prepare, { "aria-pressed": String(Boolean(ready)) }),
      bringer(node)));
}

function drawProgress() {
  const box = $("tree-progress");
  const { total, connected, failed } = progress ?? {};
  box.hidden = !progress || connected >= total;
  if (!box.hidden) text(box, t("treeProgress", { here: number(connected), sites: number(total), failed: number(failed) }));
}

function drawPrepared() {
  const box = $("tree-prepared");
  box.hidden = prepared.length === 0;
  const list = box.querySelector("span");
  text(list, prepared.map((p) => `${nameOf(p.site)}${p.ready ? " ✓" : " …"}`).join(", "));
}

function drawLinks() {
  const key = JSON.stringify([lang(), links]);
  const list = $("tree-links");
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  text($("tree-links-count"), number(links.length));
  list.replaceChildren(...links.map((link) => {
    const why = (lang() === "en" ? link.reason_en : link.reason) ?? null;
    const dot = link.state === "connected" ? "connected" : link.state === "lost" || link.state === "expired" ? "lost" : "idle";
    return h("li", {}, h("span", { class: `dot ${dot}` }),
      h("div", { class: "site-text" }, h("strong", {}, link.direction === "up" ? t("linkUp", link) : link.name), h("div", { class: "site-facts" }, [t(`link_${link.state}`), link.path, why].filter(Boolean).join(" · "))),
      link.direction === "down" ? button("unlink", "stop", t("unlink", link), () => unlink(link)) : "");
  }));
}

// ---- what the operator does ----------------------------------------------------------------------------------------

const prepareSites = (sites) => post(hooks.path("/prepare"), { sites }).then(loadPrepared).then(draw);

async function callAll(node) {
  const under = node?.path ?? own;
  const waiting = [...nodes.values()].filter((n) => !isMcu(n) && n.state === "idle" && (!under || n.path.startsWith(`${under}/`))).length;
  if (await confirm(t("callAllTitle"), t("callAllText", { n: number(waiting), name: node?.name ?? t("tree") }), t("callSite"))) {
    hooks.run(post("/cascade/call-all", under ? { under } : {}));
  }
}

async function unlink(link) {
  if (await confirm(t("unlinkTitle"), t("unlinkText", link), t("unlinkOk"))) {
    hooks.run(remove(`/cascade/links/${link.id}`).then(loadLinks).then(draw));
  }
}

/** `hooks`: `conference()`, `path(rest)` of it, `run(work)`, `failed(error)`, `copy(text)`. */
export function useTree(given) {
  hooks = given;
  $("tree-find").addEventListener("input", draw);
  $("tree-call-all").addEventListener("click", () => callAll(null));
  const act = (what) => hooks.run(post(hooks.path(`/${what}`), {}).then(loadPrepared).then(draw));
  $("tree-take").addEventListener("click", () => act("take"));
  $("tree-undo").addEventListener("click", () => act("undo"));
  $("tree-release").addEventListener("click", () => act("release"));
  $("tree-unprepare").addEventListener("click", () => hooks.run(prepareSites([])));
  $("link-form").addEventListener("submit", async (e) => {
    e.preventDefault();
    const name = new FormData(e.target).get("name").trim();
    try {
      const made = await post("/cascade/links", { name });
      e.target.reset();
      showToken(made);
      await loadLinks();
      draw();
    } catch (problem) { hooks.failed(problem); }
  });
}

/** The token is shown once and nowhere else. */
function showToken(link) {
  const dialog = $("token-dialog");
  text(dialog.querySelector("h2"), t("tokenTitle", link));
  text(dialog.querySelector("code"), link.token);
  dialog.querySelector("[data-act=copy]").onclick = () => hooks.copy(link.token);
  dialog.showModal();
}
