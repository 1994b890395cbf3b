// Whether the server can be reached, found out by asking it: a browser's own word for "offline" is about its network
// card, and says nothing of a server on this machine or of one that is down.

const ASK_EVERY = 4000;

/** Calls `changed(reachable)` whenever that changes. `check()` is for whoever has just met a failure, and gives it. */
export function watchConnection(changed) {
  let reachable = true;
  let next = null;
  async function check() {
    clearTimeout(next);
    const now = await answers();
    clearTimeout(next);
    if (!now) next = setTimeout(check, ASK_EVERY);
    if (now === reachable) return now;
    reachable = now;
    changed(now);
    return now;
  }
  addEventListener("offline", check);
  addEventListener("online", check);
  return { check };
}

async function answers() {
  try {
    return (await fetch(new URL("healthz", document.baseURI), { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
