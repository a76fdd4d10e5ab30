// Seats of the layout: who is pinned where, by choosing from a list or by dragging a site onto a seat.
import { $, h, text } from "./dom.js";
import { compare, number, t } from "./i18n.js";
import { rectsOf } from "./layouts.js";

const SITE = "application/x-cau-site";
let actions; // { pin(seat, participant | null) }
let shown = ""; // which layout stands there

export const useSeats = (a) => { actions = a; };

/** What a row of the list of sites carries along when it is dragged. */
export function drags(row, id) {
  row.draggable = true;
  row.addEventListener("dragstart", (e) => {
    e.dataTransfer.setData(SITE, id);
    e.dataTransfer.effectAllowed = "move";
    document.body.classList.add("dragging");
  });
  row.addEventListener("dragend", () => document.body.classList.remove("dragging"));
}

/** Draws the seats of `drawing`; `conference.seats` says who is pinned. */
export function renderSeats(conference, drawing, participants) {
  const board = $("seats");
  board.hidden = !drawing;
  if (!drawing) return;
  const rects = rectsOf(drawing);
  const key = JSON.stringify([drawing.layout, rects.length]);
  if (shown !== key || board.children.length !== rects.length) {
    shown = key;
    board.replaceChildren(...rects.map(build));
  }
  const here = [...participants.values()].filter((p) => p.state !== "left").sort((a, b) => compare(a.name, b.name));
  rects.forEach((_, seat) => update(board.children[seat], seat, conference, drawing, here));
  const pinned = conference.seats.length;
  $("unpin").hidden = pinned === 0;
  text($("seats-hint"), pinned ? t("pinnedCount", { n: number(pinned) }) : t("seatsHint"));
}

function build(rect, seat) {
  const choice = h("select", { onpointerdown: () => fill(choice), onfocus: () => fill(choice), onchange: () => actions.pin(seat, choice.value || null) });
  const box = h("div", { class: "seat", dataset: { seat } }, h("span", { class: "seat-number", "aria-hidden": "true" }, number(seat)), choice);
  const place = { left: rect.x, top: rect.y, width: rect.w, height: rect.h };
  for (const [side, share] of Object.entries(place)) box.style[side] = `${share * 100}%`;
  box.classList.toggle("tiny", rect.w < 0.2);
  const carries = (e) => e.dataTransfer.types.includes(SITE);
  box.addEventListener("dragover", (e) => { if (carries(e)) { e.preventDefault(); box.classList.add("target"); } });
  box.addEventListener("dragleave", () => box.classList.remove("target"));
  box.addEventListener("drop", (e) => {
    e.preventDefault();
    box.classList.remove("target");
    const id = e.dataTransfer.getData(SITE);
    if (id) actions.pin(seat, id);
  });
  box.addEventListener("dragstart", (e) => {
    if (!choice.value) return e.preventDefault();
    e.dataTransfer.setData(SITE, choice.value);
    document.body.classList.add("dragging");
  });
  box.addEventListener("dragend", () => document.body.classList.remove("dragging"));
  box.people = [];
  return box;
}

function update(box, seat, conference, drawing, here) {
  const own = conference.seats.find((s) => s.seat === seat);
  const choice = box.lastChild;
  box.people = here;
  box.draggable = Boolean(own?.participant);
  box.classList.toggle("pinned", Boolean(own));
  const automatic = own?.cycle || (conference.cycle && seat >= drawing.follow_voice) ? t("seatTurns") : seat < drawing.follow_voice ? t("seatVoice") : t("seatAuto");
  if (document.activeElement === choice && choice.children.length > 2) return;
  const name = here.find((p) => p.id === own?.participant)?.name;
  const options = [["", automatic], ...(own?.participant ? [[own.participant, name ?? own.participant]] : [])];
  if (choice.dataset.key !== JSON.stringify(options)) {
    choice.dataset.key = JSON.stringify(options);
    choice.replaceChildren(...options.map(([value, words]) => h("option", { value }, words)));
  }
  choice.value = own?.participant ?? "";
  choice.title = name ?? automatic;
  choice.setAttribute("aria-label", `${t("seat", { n: number(seat) })}: ${name ?? automatic}`);
}

/** The whole list only when it is opened: 25 seats times 400 sites would be a page of options. */
function fill(choice) {
  const chosen = choice.value;
  const first = choice.firstElementChild?.textContent ?? "";
  choice.dataset.key = "";
  choice.replaceChildren(h("option", { value: "" }, first), ...choice.parentElement.people.map((p) => h("option", { value: p.id }, p.name)));
  choice.value = chosen;
}

/**
 * Pins taken over into another layout of `count` seats, the first `voice` of which follow the voice: who has no seat there by
 * number gets the last free one behind those. `lost`: those for whom there is none.
 */
export function carried(seats, count, voice) {
  const kept = seats.filter((s) => s.seat < count);
  const lost = [];
  for (const pin of seats.filter((s) => s.seat >= count)) {
    let seat = count - 1;
    while (seat >= voice && kept.some((s) => s.seat === seat)) seat -= 1;
    if (seat < voice) lost.push(pin);
    else kept.push({ ...pin, seat });
  }
  return { kept, lost };
}
