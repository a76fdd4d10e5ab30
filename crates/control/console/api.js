// The HTTP API. Errors come as problems (RFC 9457) in the language of the page.
import { lang, t } from "./i18n.js";

const BASE = "/api/v1";

export class Problem extends Error {
  constructor(status, detail, field) {
    super(detail);
    this.status = status;
    this.field = field;
  }
}

let signedOut = () => {};
/** Called when the server says that nobody is signed in. */
export const onSignedOut = (f) => { signedOut = f; };

export async function call(method, path, body) {
  let response;
  try {
    response = await fetch(BASE + path, {
      method,
      headers: { "Accept-Language": lang(), ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw Object.assign(new Problem(0, t("unreachable")), { words: () => t("unreachable") });
  }
  if (response.ok) {
    // What was only begun, or is gone, has no body.
    const body = await response.text();
    return body ? JSON.parse(body) : null;
  }
  const problem = await response.json().catch(() => ({}));
  if (response.status === 401 && path !== "/sessions") signedOut();
  throw new Problem(response.status, problem.detail ?? response.statusText, problem.field);
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const patch = (path, body) => call("PATCH", path, body);
export const remove = (path) => call("DELETE", path);

/** A still as a blob, or null when there is no picture. */
export async function still(conference, { participant, as } = {}, signal) {
  const query = new URLSearchParams();
  if (participant) query.set("participant", participant);
  if (as) query.set("as", as);
  const response = await fetch(`${BASE}/conferences/${conference}/preview.jpg?${query}`, { signal });
  if (response.status === 401) signedOut();
  return response.ok ? response.blob() : null;
}

/**
 * The stream of events; reconnects by itself. `handlers` by kind of event, and `live(bool)`.
 * EventSource sends Last-Event-ID, so nothing is missed; `reset` says when something was.
 */
export function listen(handlers) {
  let source, timer, stopped = false;
  const open = () => {
    source = new EventSource(`${BASE}/events`);
    source.onopen = () => handlers.live(true);
    source.onerror = async () => {
      handlers.live(false);
      if (source.readyState !== EventSource.CLOSED || stopped) return;
      // Refused for good (signed out, server restarted behind a proxy): ask why, then begin anew with the state as it is.
      try { await get("/sessions/current"); } catch (e) { if (e.status === 401) return; }
      timer = setTimeout(() => { if (!stopped) { open(); handlers.reset(); } }, 2000);
    };
    for (const kind of ["conference", "participant", "level", "operation", "alarm", "call-refused", "cascade", "reset"]) {
      source.addEventListener(kind, (e) => handlers[kind]?.(JSON.parse(e.data)));
    }
  };
  open();
  return () => { stopped = true; clearTimeout(timer); source.close(); };
}
