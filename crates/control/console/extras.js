// Message, clock, logo, fit, cycling, rules of sound: what stands over the pictures and what is done by rule.
import { $, text } from "./dom.js";
import { t } from "./i18n.js";

let actions; // { message(body | null), settings(patch), cycle(seconds | 0) }

const TOGGLES = {
  "set-logo": { on: (c) => c.logo, patch: (on) => ({ logo: on }) },
  "set-clock": { on: (c) => Boolean(c.clock), patch: (on) => ({ clock: on ? {} : null }) },
  "set-fill": { on: (c) => c.fit === "fill", patch: (on) => ({ fit: on ? "fill" : "fit" }) },
  "set-even": { on: (c) => c.sound.even_levels, patch: (on) => ({ sound: { even_levels: on } }) },
  "set-mute-noisy": { on: (c) => c.sound.mute_noisy, patch: (on) => ({ sound: { mute_noisy: on } }) },
  "set-mute-echoing": { on: (c) => c.sound.mute_echoing, patch: (on) => ({ sound: { mute_echoing: on } }) },
  "set-join-muted": { on: (c) => c.join_muted, patch: (on) => ({ join_muted: on }) },
};

export function useExtras(a) {
  actions = a;
  for (const [id, { patch }] of Object.entries(TOGGLES)) $(id).addEventListener("change", (e) => actions.settings(patch(e.target.checked)));
  $("cycle").addEventListener("change", (e) => actions.cycle(Number(e.target.value)));
  $("message-form").addEventListener("submit", (e) => {
    e.preventDefault();
    const form = new FormData(e.target);
    const words = form.get("text").trim();
    if (words) actions.message({ text: words, motion: form.get("motion"), place: form.get("place") });
  });
  $("message-clear").addEventListener("click", () => actions.message(null));
}

/** `hasLogo`: the machine has one to show. */
export function renderExtras(conference, hasLogo) {
  for (const [id, { on }] of Object.entries(TOGGLES)) $(id).checked = on(conference);
  const logo = $("set-logo");
  logo.disabled = !hasLogo;
  logo.checked &&= hasLogo;
  logo.parentElement.title = hasLogo ? "" : t("noLogo");
  const cycle = $("cycle");
  const period = conference.cycle?.period_s ?? 0;
  if (![...cycle.options].some((o) => Number(o.value) === period)) cycle.append(new Option(t("seconds", { n: period }), period));
  for (const option of cycle.options) text(option, option.value === "0" ? t("cycleOff") : t("seconds", { n: option.value }));
  cycle.value = String(period);
  const message = conference.message;
  $("message-clear").hidden = !message;
  $("message-now").hidden = !message;
  text($("message-now"), message ? t("messageNow", { text: message.text }) : "");
}
