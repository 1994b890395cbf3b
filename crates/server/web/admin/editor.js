// Editing a file in place: text as text, a table as a table. What was not touched is written back to the letter.

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { readSource, writeSource } from "./source.js";
import { dialog, empty, say, toast } from "./toolbox.js";
import { replaceFile } from "./upload.js";

// A row is some elements; more of them stall a phone.
const MOST_ROWS = 300;

/** Draws the editor; `saved()` is called after a save, `again()` to begin anew with what is there now. */
export async function editor(body, file, context, saved, again) {
  if (!file.is_text) {
    body.replaceChildren(empty(t("editNotText"), "", h("button", { type: "button", className: "secondary", onclick: () => replaceFile(file, context, saved) }, t("editReplace"))));
    return;
  }
  const { bytes, tag } = await readSource(file.path, { signal: context.signal });
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const isTable = /\.(csv|tsv)$/i.test(file.path);
  let current = () => text;
  let state = tag;
  const room = h("div", { className: "edit-room" });
  const save = h("button", { type: "button", className: "solid", onclick: () => context.attempt(keep) }, t("consoleSave"));
  const other = isTable && h("button", { type: "button", className: "plain", onclick: () => show(other.dataset.next === "table", current()) });
  body.replaceChildren(room, h("div", { className: "edit-bar" }, save, other || ""));
  show(isTable, text);
  context.guard(() => current() !== text);
  body.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") {
      event.preventDefault();
      context.attempt(keep);
    }
  });

  function show(asTable, given) {
    const table = asTable ? parseTable(given, /\.tsv$/i.test(file.path)) : null;
    const fits = table && table.rows.length <= MOST_ROWS;
    if (asTable && !fits) toast(t("editTooLong", { n: MOST_ROWS }));
    if (fits) {
      const grid = gridOf(table);
      current = grid.text;
      room.replaceChildren(grid.node);
    } else {
      const area = h("textarea", { className: "edit-text", value: given, spellcheck: false, "aria-label": t("editText"), rows: Math.min(Math.max(given.split("\n").length + 2, 14), 40) });
      // A text area turns line ends into LF; those of the file come back when it is saved.
      const end = given.includes("\r\n") ? "\r\n" : "\n";
      const untouched = area.value;
      current = () => (area.value === untouched ? given : area.value.replaceAll("\n", end));
      room.replaceChildren(area);
    }
    if (other) {
      other.dataset.next = fits ? "text" : "table";
      other.textContent = t(fits ? "editSource" : "editTable");
    }
  }

  async function keep() {
    const mine = current();
    if (mine === text) {
      toast(t("editNoChange"));
      return;
    }
    save.disabled = true;
    try {
      await writeSource(file.path, mine, { tag: state });
    } catch (error) {
      if (error.code !== "changed") throw error;
      const answer = await dialog(t("editConflict"), (close) => h("div", { className: "ask-body" }, h("p", {}, t("editConflictText")),
        h("p", { className: "ask-buttons" }, h("button", { type: "button", className: "secondary", onclick: () => close("discard") }, t("editDiscard")),
          h("button", { type: "button", className: "solid", onclick: () => close("mine") }, t("editOverwrite")))));
      if (answer === "discard") await again();
      if (answer !== "mine") return;
      ({ tag: state } = await readSource(file.path));
      await writeSource(file.path, mine, { tag: state });
    } finally {
      save.disabled = false;
    }
    context.guard(null);
    toast(t("editSaved"));
    await saved();
  }
}

/** The cells of a CSV, each with the text it was written as, so that an untouched one is written back as it was. */
function parseTable(text, isTabbed) {
  const mark = text.startsWith("\uFEFF") ? "\uFEFF" : "";
  const firstLine = text.slice(mark.length).split(/\r?\n/, 1)[0];
  const separator = isTabbed ? "\t" : [",", ";", "\t"].find((sign) => firstLine.includes(sign)) ?? ",";
  const end = text.includes("\r\n") ? "\r\n" : "\n";
  const rows = [];
  let row = [];
  let at = mark.length;
  while (at < text.length) {
    const begin = at;
    let value = "";
    if (text[at] === "\"") {
      at += 1;
      for (; at < text.length; at += 1) {
        if (text[at] !== "\"") value += text[at];
        else if (text[at + 1] === "\"") { value += "\""; at += 1; }
        else break;
      }
      at += 1;
    }
    while (at < text.length && text[at] !== separator && text[at] !== "\n" && text[at] !== "\r") { value += text[at]; at += 1; }
    row.push({ value, written: text.slice(begin, at) });
    if (text[at] === separator) {
      at += 1;
      if (at === text.length || text[at] === "\n" || text[at] === "\r") row.push({ value: "", written: "" });
    }
    if (at >= text.length || text[at] === "\n" || text[at] === "\r") {
      if (text[at] === "\r" && text[at + 1] === "\n") at += 1;
      at += 1;
      rows.push(row);
      row = [];
    }
  }
  return { rows, mark, separator, end, endsInLine: /[\r\n]$/.test(text) };
}

function gridOf({ rows, mark, separator, end, endsInLine }) {
  const [header = [], ...body] = rows;
  const width = Math.max(header.length, ...body.map((row) => row.length), 1);
  const lines = [];
  const table = h("tbody");
  const fit = (area) => { area.rows = Math.min(Math.max(area.value.split("\n").length, Math.ceil(area.value.length / 18), 1), 8); };
  const add = (cells = []) => {
    const areas = Array.from({ length: width }, (_, idx) => {
      const area = h("textarea", { value: cells[idx]?.value ?? "", oninput: () => fit(area) });
      fit(area);
      return area;
    });
    const line = { areas, cells };
    const drop = h("button", { type: "button", className: "plain", onclick: () => { lines.splice(lines.indexOf(line), 1); line.node.remove(); number(); } }, "×");
    line.node = h("tr", {}, h("th", { scope: "row" }), areas.map((area) => h("td", {}, area)), h("td", {}, drop));
    line.drop = drop;
    lines.push(line);
    table.append(line.node);
    return line;
  };
  const number = () => lines.forEach((line, idx) => {
    line.node.firstChild.textContent = String(idx + 1);
    line.drop.setAttribute("aria-label", t("editDropRow", { n: idx + 1 }));
    line.areas.forEach((area, column) => area.setAttribute("aria-label", t("editRow", { n: idx + 1, column: header[column]?.value ?? column + 1 })));
  });
  body.forEach((cells) => add(cells));
  number();
  const node = h("div", {}, h("div", { className: "edit-grid" }, h("table", {}, h("thead", {}, h("tr", {}, h("th"), Array.from({ length: width }, (_, idx) => h("th", { scope: "col" }, header[idx]?.value ?? "")), h("th"))), table)),
    h("button", { type: "button", className: "plain", onclick: () => { const line = add(); number(); line.areas[0].focus(); say(t("editRow", { n: lines.length, column: header[0]?.value ?? "" })); } }, `＋ ${t("editAddRow")}`));
  const written = (value) => (/["\r\n]/.test(value) || value.includes(separator) || value !== value.trim() ? `"${value.replaceAll("\"", "\"\"")}"` : value);
  const cellText = (area, cell) => {
    // The area turns CRLF inside a cell into LF; a cell that says the same is the same.
    if (cell && area.value === cell.value.replaceAll("\r\n", "\n")) return cell.written;
    return written(area.value);
  };
  const text = () => {
    const all = [header.map(({ written: as }) => as).join(separator), ...lines.map(({ areas, cells }) => {
      const n = cells.length && areas.slice(cells.length).every(({ value }) => value === "") ? cells.length : width;
      return areas.slice(0, n).map((area, idx) => cellText(area, cells[idx])).join(separator);
    })];
    return mark + all.join(end) + (endsInLine ? end : "");
  };
  return { node, text };
}
