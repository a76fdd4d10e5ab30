// Small helpers. Text of others only ever becomes text (textContent), never markup.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** An element with properties (`class`, `dataset`, `on…` listeners, attributes) and children; strings become text. */
export function h(tag, props = {}, ...children) {
  const e = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "class") e.className = value;
    else if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
    else if (key === "dataset") Object.assign(e.dataset, value);
    else e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children);
  return e;
}

export function s(tag, attributes = {}, ...children) {
  const e = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

const paths = {
  mic: ["M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3z", "M5 11v1a7 7 0 0 0 14 0v-1", "M12 19v3"],
  micOff: ["M9 9v3a3 3 0 0 0 5 2.2", "M15 10V6a3 3 0 0 0-5.9-.8", "M5 11v1a7 7 0 0 0 11.5 5.4", "M19 11v1c0 .8-.1 1.5-.4 2.200", "M12 19v3", "M3 3l18 18"],
  eye: ["M2 12s3.600-7 10-7 10 7 10 7-3.600 7-10 7-10-7-10-7z", "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6z"],
  eyeOff: ["M10 5.200A9.500 9.500 0 0 1 12 5c6.400 0 10 7 10 7a17 17 0 0 1-2.700 3.600", "M6.500 6.600A16.500 16.500 0 0 0 2 12s3.600 7 10 7a9.600 9.600 0 0 0 5.300-1.600", "M10 10a3 3 0 0 0 4.100 4.300", "M3 3l18 18"],
  speaker: ["M3 10v4h3l8 5V5L6 10z", "M17.500 8.500a5 5 0 0 1 0 7", "M20 6a9 9 0 0 1 0 12"],
  hangUp: ["M3.500 15.500c-.9-.9-1.300-2.200-.7-3.300C4.400 9.300 8 8 12 8s7.600 1.300 9.200 4.200c.6 1.100.2 2.400-.7 3.300l-.6.6c-.5.5-1.300.6-1.900.2l-2.500-1.500a1.500 1.500 0 0 1-.7-1.500l.2-1.300a10 10 0 0 0-6 0l.2 1.300c.1.600-.2 1.200-.7 1.500L6 16.300c-.6.4-1.400.3-1.900-.2z"],
  sliders: ["M4 7h9", "M17 7h3", "M13 4.500v5", "M4 17h3", "M11 17h9", "M11 14.500v5"],
  ear: ["M7 10a5 5 0 0 1 10 0c0 3.500-3.500 4-3.500 7.500a2.500 2.500 0 0 1-4.800 1", "M10 10.500a2 2 0 0 1 4 0"],
  earOff: ["M7.500 8.500a5 5 0 0 1 9.500 1.500c0 3.500-3.500 4-3.500 7.500a2.500 2.500 0 0 1-4.800 1", "M3 3l18 18"],
  copy: ["M9 9h11v11H9z", "M5 15H4V4h11v1"],
  plus: ["M12 5v14", "M5 12h14"],
  exit: ["M9 4H5v16h4", "M15 8l4 4-4 4", "M19 12H9"],
  bringUp: ["M3 4h18v12H3z", "M12 13V8", "M9.500 10.500 12 8l2.500 2.500", "M8 20h8"],
  call: ["M6 4h3l1.500 4-2 1.500a11 11 0 0 0 6 6l1.500-2 4 1.500v3a2 2 0 0 1-2 2A15 15 0 0 1 4 6a2 2 0 0 1 2-2z"],
  stop: ["M12 3v8", "M6.500 6.500a8 8 0 1 0 11 0"],
};

export function icon(name, size = 18) {
  const svg = s("svg", { viewBox: "0 0 24 24", width: size, height: size, class: "icon", "aria-hidden": "true" });
  svg.append(...paths[name].map((d) => s("path", { d })));
  return svg;
}

/** Sets icon and words of a button that has both. */
export function label(button, name, text) {
  button.replaceChildren(icon(name, 16), h("span", {}, text));
}

/** Changes text only when it is another one: screen readers and selections stay calm. */
export function text(e, value) {
  if (e.textContent !== value) e.textContent = value;
}

export function toast(message, kind = "info") {
  const e = h("div", { class: `toast ${kind}`, role: kind === "error" ? "alert" : undefined }, message);
  $("toasts").append(e);
  while ($("toasts").children.length > 4) $("toasts").firstChild.remove();
  setTimeout(() => e.classList.add("going"), kind === "error" ? 7000 : 3500);
  setTimeout(() => e.remove(), kind === "error" ? 7400 : 3900);
}

/** Asks before something that cannot be taken back. */
export function confirm(title, message, ok) {
  const dialog = $("confirm-dialog");
  dialog.querySelector("h2").textContent = title;
  dialog.querySelector("p").textContent = message;
  dialog.querySelector("[value=ok]").textContent = ok;
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "ok"), { once: true }));
}
