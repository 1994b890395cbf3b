// The history of a file: who or what changed it when, what the change was, and one click back.

import { h } from "../dom.js";
import { nameOf, t } from "../i18n.js";
import { download, readDifference, readSource, readVersions, restore } from "./source.js";
import { empty, pill, size, when, working } from "./toolbox.js";

/** Draws the history; `after()` is called when an older state has come back. Gives the versions. */
export async function history(body, path, context, { after, isGone }) {
  const versions = await readVersions(path, context.signal);
  if (!versions.length) {
    body.replaceChildren(empty(t("versionsNone"), ""));
    return versions;
  }
  const isOver = ({ action }) => action === "delete" || action === "removed";
  const now = isGone ? null : versions[0].tag;
  body.replaceChildren(h("p", { className: "note" }, t("versionsLead")), h("ol", { className: "versions" }, versions.map((version, idx) => {
    const before = versions[idx + 1] ?? null;
    const room = h("div", { className: "difference", "aria-live": "polite" });
    const by = version.actor ?? t(version.action === "found" || version.action === "removed" ? "versionFolder" : "versionHere");
    return h("li", {},
      h("p", { className: "version-head" }, h("strong", {}, nameOf("versionActions", version.action)), ` · ${by} · `, h("time", { dateTime: version.at }, when(version.at)), ` · ${size(version.bytes)}`,
        idx === 0 && !isGone && [" ", pill(t("versionNow"), "good")]),
      h("p", { className: "version-actions" },
        before ? h("button", { type: "button", className: "plain", onclick: () => context.attempt(() => compare(room, before, version)) }, t("versionCompare")) : h("span", { className: "place" }, t("versionFirst")),
        !isOver(version) && h("button", { type: "button", className: "plain", onclick: () => context.attempt(async () => download((await readSource(path, { version: version.id })).bytes, path.slice(path.lastIndexOf("/") + 1))) }, t("versionDownload")),
        version.tag !== now && !(isOver(version) && !isGone) && h("button", { type: "button", className: "plain", onclick: () => context.attempt(async () => { await restore(path, version.id); await after(); }) }, t("versionRestore"))),
      room);
  })));
  return versions;

  async function compare(room, from, to) {
    if (room.hasChildNodes()) {
      room.replaceChildren();
      return;
    }
    room.replaceChildren(working());
    try {
      const pieces = await readDifference(path, from.id, to.id, context.signal);
      const isSame = pieces.every(({ fate }) => fate === "same" || fate === "skipped");
      room.replaceChildren(...(isSame ? [h("p", { className: "note" }, t("versionSame"))] : pieces.map(pieceNode)));
    } catch (error) {
      room.replaceChildren();
      throw error;
    }
  }
}

function pieceNode({ fate, text }) {
  if (fate === "skipped") return h("p", { className: "note" }, t("versionSkipped", { n: text }));
  if (fate === "same") return h("p", { className: "piece" }, text);
  const isAdded = fate === "added";
  // The sign and the hidden word say it to those who do not see the colour.
  return h("p", { className: `piece ${fate}` }, h("span", { className: "sign", "aria-hidden": "true" }, isAdded ? "+" : "−"),
    h("span", { className: "visually-hidden" }, `${t(isAdded ? "versionAdded" : "versionRemoved")} `), h(isAdded ? "ins" : "del", {}, text));
}
