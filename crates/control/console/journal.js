// What happened in a conference before this page was opened, and how it is said.
import { get } from "./api.js";
import { lang, number, t } from "./i18n.js";
import { reason } from "./sites.js";

/** Lines kept. */
export const MOST = 60;

/**
 * The sentence for something that happened, `null` for what the log does not tell. `key` is the same for the event and
 * for the entry of the journal, so that nothing is said twice; `words` is a function: the log follows the language of the page.
 */
export function line(what, detail, name) {
  switch (what) {
    case "participant.joined":
      return { key: `+${detail.id}`, kind: "good", words: () => t("joined", detail) };
    case "participant.left":
      return { key: `-${detail.id}`, kind: "", words: () => (reason(detail) ? t("hasLeftWhy", { name: detail.name, why: reason(detail) }) : t("hasLeft", detail)) };
    case "call.refused":
      return { key: `!${detail.from} ${detail.detail?.vi}`, kind: "alarm", words: () => t("refused", { from: detail.from, why: detail.detail?.[lang()] }) };
    case "alarm":
      return { key: `!${detail.participant} ${detail.code}`, kind: /-(back|over)$/.test(detail.code) ? "good" : "alarm", words: () => detail.detail?.[lang()] };
    case "operation":
      return {
        key: `${detail.state} ${detail.id}`,
        kind: detail.state === "failed" ? "alarm" : "good",
        words: () => t(`broughtUp_${detail.state}`, { name: name ?? detail.site, why: (lang() === "en" ? detail.error_en : detail.error) ?? "", seconds: number(detail.elapsed_ms / 1000, 1) }),
      };
    default:
      return null;
  }
}

/** The journal of a conference as lines, newest first. `name` gives the name of a participant. */
export async function past(conference, name) {
  const entries = await get(`/conferences/${conference}/journal?limit=200`);
  return entries
    .map((e) => ({ e, told: line(e.what, e.detail, name(e.detail.participant)) }))
    .filter(({ told }) => told)
    .slice(0, MOST)
    .map(({ e, told }) => ({ at: new Date(e.at), ...told }));
}
