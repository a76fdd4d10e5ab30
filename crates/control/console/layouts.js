// Layouts as little drawings of their real rectangles.
import { get } from "./api.js";
import { $, h, s, text } from "./dom.js";
import { layoutName, number, t } from "./i18n.js";

/** Always in sight; the others behind “more”. */
const FIRST = ["full", "grid", "side-by-side", "pip", "lecture", "1+5", "1+7", "2+8", "1+12", "2x2", "3x3", "4x4"];

let drawings = [];
let drawnFor = 0;
let more = false;
let choose;

export function useLayouts(chosen) {
  choose = chosen;
  $("more-layouts").addEventListener("click", () => { more = !more; renderLayouts(); });
}

/** Drawing of a layout, once they are there. */
export const drawingOf = (layout) => drawings.find((d) => d.layout === layout);

/** Gets the drawings for that many sites (the grid depends on it) and shows which is on. */
export async function showLayouts(conference, sites) {
  const wanted = Math.max(1, Math.min(sites, 64));
  if (wanted !== drawnFor) {
    drawnFor = wanted;
    drawings = await get(`/layouts?sites=${wanted}`);
    $("layouts").replaceChildren();
  }
  renderLayouts(conference);
}

let current = null;
function renderLayouts(conference) {
  if (conference) current = conference.layout;
  const button = $("more-layouts");
  button.textContent = t(more ? "fewer" : "more");
  button.setAttribute("aria-expanded", String(more));
  const shown = drawings.filter((d) => more || d.title || FIRST.includes(d.layout) || d.layout === current);
  shown.sort((a, b) => rank(a) - rank(b));
  const box = $("layouts");
  const key = shown.map((d) => d.layout).join();
  if (box.dataset.key !== key || !box.children.length) {
    box.dataset.key = key;
    box.replaceChildren(...shown.map((d) =>
      h("button", { type: "button", class: "layout", dataset: { layout: d.layout }, onclick: () => choose(d.layout) }, draw(d), h("span", {}))));
  }
  for (const e of box.children) {
    const drawing = drawingOf(e.dataset.layout);
    const name = drawing?.title ?? layoutName(e.dataset.layout);
    const seats = drawing?.seats.length ?? 0;
    text(e.lastChild, name);
    e.title = `${name} – ${t("seats", { n: number(seats) })}`;
    e.setAttribute("aria-pressed", String(e.dataset.layout === current));
  }
  text($("layout-now"), current ? drawingOf(current)?.title ?? layoutName(current) : "");
}

const rank = (d) => {
  const at = FIRST.indexOf(d.layout);
  return at >= 0 ? at : d.title ? FIRST.length : FIRST.length + d.seats.length;
};

/** The rectangles of all seats: of a lecture the lecturer on the left, what he sees on the right. */
export function rectsOf({ seats, lecturer_sees: audience }) {
  if (!audience) return seats;
  const half = (r, x) => ({ x: x + r.x / 2, y: 0.25 + r.y / 2, w: r.w / 2, h: r.h / 2 });
  return [half({ x: 0, y: 0, w: 1, h: 1 }, 0), ...audience.map((r) => half(r, 0.5))];
}

function draw(drawing) {
  const seats = rectsOf(drawing);
  const [w, hgt, gap] = [64, 36, seats.length > 20 ? 0.7 : 1.1];
  const svg = s("svg", { viewBox: `0 0 ${w} ${hgt}`, "aria-hidden": "true" });
  seats.forEach((r, i) => svg.append(s("rect", {
    x: (r.x * w + gap / 2).toFixed(2), y: (r.y * hgt + gap / 2).toFixed(2),
    width: Math.max(0.5, r.w * w - gap).toFixed(2), height: Math.max(0.5, r.h * hgt - gap).toFixed(2),
    rx: 1, class: i > 0 && seats.slice(0, i).some((s) => overlaps(s, r)) ? "over" : r.w > seats[seats.length - 1].w * 1.2 || (i === 0 && seats.length === 1) ? "large" : "small",
  })));
  return svg;
}

const overlaps = (a, b) => a.x < b.x + b.w - 0.001 && b.x < a.x + a.w - 0.001 && a.y < b.y + b.h - 0.001 && b.y < a.y + a.h - 0.001;
