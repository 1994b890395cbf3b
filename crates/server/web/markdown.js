// The Markdown that answers use (paragraphs, headings, lists, tables, quotes, code, bold, links, `[n]` marks),
// parsed into plain values and then either built as nodes or written as plain text. There is no path from
// the text to markup: what is not understood stays text.

import { h, externalLink } from "./dom.js";

const FENCE = /^\s*```/;
const HEADING = /^ {0,3}(#{1,6})\s+(.+?)\s*#*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}>\s?/;
const ITEM = /^(\s*)(?:[-*+•]|(\d{1,3})[.)、])\s+(.*)$/;
const DELIMITERS = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
// Escapes, code, bold, citation marks, links, bare addresses. Lengths are bounded to keep the scan linear.
const INLINE = /\\([\\`*_[\]()#|~-])|`([^`\n]{1,500})`|\*\*(?=\S)([^\n]{1,2000}?)\*\*|\[(\d{1,3})\](?!\()|\[([^\][\n]{1,300})\]\(([^\s()]{1,2000})\)|(https?:\/\/[^\s<>"'`，。；：！？、（）【】《》「」|]{1,2000})/g;

// Lists and quotes nested deeper than this stay text, so that no input can exhaust the stack.
const DEEPEST = 8;
const MODEL = /(\b[A-Za-z]{1,6}-[A-Za-z]{0,3}\d{1,6}[A-Za-z]{0,3}\b)/;

/** The blocks of a text, in order. */
export function parse(text) {
  return blocks(text.replace(/\r\n?/g, "\n").split("\n"));
}

function blocks(lines, depth = 0) {
  if (depth > DEEPEST) return [{ type: "paragraph", text: lines.join("\n") }];
  const found = [];
  let paragraph = [];
  const endParagraph = () => {
    if (paragraph.length) found.push({ type: "paragraph", text: paragraph.join("\n") });
    paragraph = [];
  };
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at];
    const heading = HEADING.exec(line);
    if (!line.trim()) {
      endParagraph();
    } else if (FENCE.test(line)) {
      endParagraph();
      const end = lines.findIndex((other, index) => index > at && FENCE.test(other));
      const stop = end < 0 ? lines.length : end;
      found.push({ type: "code", text: lines.slice(at + 1, stop).join("\n") });
      at = stop;
    } else if (heading) {
      endParagraph();
      found.push({ type: "heading", level: heading[1].length, text: heading[2] });
    } else if (RULE.test(line)) {
      endParagraph();
      found.push({ type: "rule" });
    } else if (QUOTE.test(line)) {
      endParagraph();
      const quoted = takeWhile(lines, at, (other) => QUOTE.test(other));
      found.push({ type: "quote", blocks: blocks(quoted.map((other) => other.replace(QUOTE, "")), depth + 1) });
      at += quoted.length - 1;
    } else if (line.includes("|") && DELIMITERS.test(lines[at + 1] ?? "") && lines[at + 1].includes("-")) {
      endParagraph();
      const rows = takeWhile(lines, at, (other) => other.includes("|"));
      found.push({ type: "table", head: cells(rows[0]), rows: rows.slice(2).map(cells) });
      at += rows.length - 1;
    } else if (ITEM.test(line)) {
      endParagraph();
      // An item goes on over lines that are indented, and over blank lines between items.
      const own = takeWhile(lines, at, (other, index) =>
        ITEM.test(other) || /^\s+\S/.test(other) || (!other.trim() && ITEM.test(lines[index + 1] ?? "")));
      found.push(list(own, depth));
      at += own.length - 1;
    } else {
      paragraph.push(line.trim());
    }
  }
  endParagraph();
  return found;
}

function takeWhile(lines, from, belongs) {
  let end = from + 1;
  while (end < lines.length && belongs(lines[end], end)) end += 1;
  return lines.slice(from, end);
}

function list(lines, depth) {
  const [, indent, number] = ITEM.exec(lines[0]);
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length) items.push([item[3]]);
    else items.at(-1).push(line.slice(Math.min(indent.length + 2, line.search(/\S|$/))));
  }
  return { type: "list", ordered: number !== undefined, start: Number(number ?? 1), items: items.map((item) => blocks(item, depth + 1)) };
}

function cells(row) {
  return row.trim().replace(/^\||\|$/g, "").split(/(?<!\\)\|/).map((cell) => cell.trim());
}

/** The parts of a stretch of text: `text`, `code`, `strong`, `cite`, `link`. */
function inline(text) {
  const parts = [];
  let done = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, escaped, code, strong, cited, label, target, bare] = match;
    if (match.index > done) parts.push({ type: "text", text: text.slice(done, match.index) });
    done = match.index + whole.length;
    if (escaped) parts.push({ type: "text", text: escaped });
    else if (code) parts.push({ type: "code", text: code });
    else if (strong) parts.push({ type: "strong", parts: inline(strong) });
    else if (cited) parts.push({ type: "cite", n: Number(cited) });
    else if (label) parts.push({ type: "link", text: label, address: target });
    else {
      const address = bare.replace(/[.,;:!?)\]*]+$/, "");
      parts.push({ type: "link", text: address, address }, { type: "text", text: bare.slice(address.length) });
    }
  }
  if (done < text.length) parts.push({ type: "text", text: text.slice(done) });
  return parts;
}

/** The nodes of a text; `cite(n)` gives the node that stands for the mark `[n]`. */
export function toNodes(text, cite) {
  return parse(text).map((block) => blockNode(block, cite));
}

function blockNode(block, cite) {
  const words = (text) => inlineNodes(inline(text), cite);
  switch (block.type) {
    case "heading": return h(block.level <= 2 ? "h3" : "h4", {}, words(block.text));
    case "rule": return h("hr");
    case "code": return h("pre", {}, h("code", {}, block.text));
    case "quote": return h("blockquote", {}, block.blocks.map((inner) => blockNode(inner, cite)));
    case "list": {
      const items = block.items.map((item) => h("li", {}, item.map((inner, at) =>
        at === 0 && inner.type === "paragraph" ? words(inner.text) : blockNode(inner, cite))));
      return block.ordered ? h("ol", { start: block.start }, items) : h("ul", {}, items);
    }
    case "table": return h("div", { className: "table", tabIndex: 0, role: "group" }, h("table", {},
      h("thead", {}, h("tr", {}, block.head.map((cell) => h("th", { scope: "col" }, words(cell))))),
      h("tbody", {}, block.rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, words(cell))))))));
    default: return h("p", {}, words(block.text));
  }
}

function inlineNodes(parts, cite) {
  return parts.flatMap((part) => {
    switch (part.type) {
      case "code": return [h("code", {}, part.text)];
      case "strong": return [h("strong", {}, inlineNodes(part.parts, cite))];
      case "cite": return [cite(part.n)];
      case "link": return [externalLink(part.address, part.text)];
      // Answers put one statement on a line, so a line break is kept and not folded into a space.
      default: return part.text.split("\n").flatMap((line, at) => (at ? [h("br"), ...unbroken(line)] : unbroken(line)));
    }
  });
}

/** The line with its model numbers (`LB-300S`) kept from breaking at the hyphen. */
function unbroken(line) {
  return line.split(MODEL).map((part, at) => (at % 2 ? h("span", { className: "whole" }, part) : part));
}

/** The text as it is pasted into a message: no markup, no citation marks. */
export function toPlainText(text) {
  return parse(text).map((block) => plainBlock(block)).join("\n\n").trim();
}

/**
 * The text as a chat takes it: no markup that a chat would show as signs, no tables, short paragraphs. Lists keep a
 * dot, a table's row becomes `first cell：its other cells`.
 */
export function toChatMessage(text) {
  return parse(text).map((block) => chatBlock(block)).filter(Boolean).join("\n").trim();
}

function chatBlock(block) {
  switch (block.type) {
    case "rule": return "";
    case "quote": return block.blocks.map(chatBlock).join("\n");
    case "list": return block.items.map((item, at) => `${block.ordered ? `${block.start + at}. ` : "· "}${item.map(chatBlock).join("\n")}`).join("\n");
    case "table": return block.rows.map(([first, ...others]) => {
      const named = others.map((cell, at) => (others.length > 1 ? `${block.head[at + 1] ?? ""} ${cell}` : cell).trim());
      return plainInline(inline(`${first}：${named.join("，")}`)).trim();
    }).join("\n");
    default: return plainBlock(block);
  }
}

function plainBlock(block) {
  const words = (text) => plainInline(inline(text)).replace(/[ \t]+(?=\n|$|[，。；：！？、,.;:!?])/g, "").trim();
  switch (block.type) {
    case "rule": return "———";
    case "code": return block.text;
    case "quote": return block.blocks.map(plainBlock).join("\n");
    case "list": return block.items.map((item, at) => {
      const mark = block.ordered ? `${block.start + at}. ` : "- ";
      return mark + item.map(plainBlock).join("\n").replace(/\n/g, "\n  ");
    }).join("\n");
    case "table": return [block.head, ...block.rows].map((row) => row.map(words).join(" | ")).join("\n");
    default: return words(block.text);
  }
}

function plainInline(parts) {
  return parts.map((part) => {
    if (part.type === "cite") return "";
    if (part.type === "strong") return plainInline(part.parts);
    if (part.type === "link" && part.text !== part.address) return `${part.text} ${part.address}`;
    return part.text;
  }).join("");
}
