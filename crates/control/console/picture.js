// The live picture: stills drawn on a canvas as they come, so that nothing flickers; nothing is asked for while hidden.
import { still } from "./api.js";
import { $, h, text } from "./dom.js";
import { t } from "./i18n.js";

const EVERY = 250; // ms between two stills when the server is quick enough

let conference = null;
let nobody = true;
let chosen = null; // { participant, name, as } or null: the common picture
let running = 0; // grows with every change of what is shown; an old loop sees that it is over
let stop = new AbortController();

export function showPictureOf(participant, name, as = "sent") {
  chosen = participant ? { participant, name, as } : null;
  restart();
}

export function pictureLeft(participant) {
  if (chosen?.participant === participant) showPictureOf(null);
}

export const chosenPicture = () => chosen?.participant ?? null;

export function setPicture(id, empty) {
  const again = id !== conference || empty !== nobody;
  if (id !== conference) chosen = null;
  conference = id;
  nobody = empty;
  if (again) restart();
}

export function captionPicture() {
  const canvas = $("picture");
  const caption = !chosen ? t("common") : t(chosen.as === "sent" ? "sentBy" : "seenBy", chosen);
  text($("picture-of"), caption);
  canvas.setAttribute("aria-label", chosen ? caption : t("commonAlt"));
  $("picture-common").hidden = !chosen;
  const choice = $("picture-choice");
  choice.hidden = !chosen;
  choice.replaceChildren(...(chosen ? ["sent", "seen"] : []).map((as) =>
    h("button", { type: "button", "aria-pressed": String(as === chosen.as), onclick: () => showPictureOf(chosen.participant, chosen.name, as) }, t(as))));
  text($("no-picture"), nobody ? t("nobodyYet") : t("noPicture"));
}

function restart() {
  running += 1;
  stop.abort();
  stop = new AbortController();
  captionPicture();
  blank(nobody);
  if (conference && !nobody && !document.hidden) loop(running, stop.signal);
}

async function loop(mine, signal) {
  let misses = 0;
  while (mine === running) {
    const began = performance.now();
    try {
      const blob = await still(conference, chosen ?? {}, signal);
      if (mine !== running) return;
      if (blob) {
        const bitmap = await createImageBitmap(blob);
        if (mine === running) draw(bitmap);
        bitmap.close();
        misses = 0;
      } else if (++misses >= 2) blank(true);
    } catch (e) {
      if (signal.aborted) return;
      misses += 1;
    }
    const rest = misses ? 1000 : EVERY - (performance.now() - began);
    await new Promise((go) => setTimeout(go, Math.max(rest, 30)));
  }
}

function draw(bitmap) {
  const canvas = $("picture");
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  $("no-picture").hidden = true;
}

function blank(empty) {
  if (empty) {
    const canvas = $("picture");
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  }
  $("no-picture").hidden = !empty;
}

document.addEventListener("visibilitychange", restart);
