// What is said about a file: for whom, of what, until when. What nobody has said yet, the assistant offers from the text;
// it counts once somebody takes it and saves.

import { h } from "../dom.js";
import { isEnglish, nameOf, t } from "../i18n.js";
import { readAbout, untilIndexed, writeAbout } from "./source.js";
import { empty, say, toast } from "./toolbox.js";

const KINDS = ["product", "case", "faq", "qa", "video", "objection", "template", "service", "company", "competitor"];
const FIRST = ["title", "kind", "audience", "industry", "product", "keywords", "valid_until", "owner", "link"];
const MORE = ["scenario", "company_size", "region", "tags", "valid_from"];
const LISTS = ["industry", "product", "keywords", "scenario", "tags"];

const listOf = (text) => text.split(/[,，、;；\n]/).map((item) => item.trim()).filter(Boolean);
const shown = (value) => (Array.isArray(value) ? value.join("、") : value ?? "");
const isSame = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** Draws the form; `saved()` is called after it was saved. */
export async function about(body, file, context, saved) {
  if (file.documents !== 1) {
    body.replaceChildren(empty(t("aboutRows"), t("aboutRowsText")));
    return;
  }
  const { said, proposals } = await readAbout(file.path, context.signal);
  const inputs = new Map([...FIRST, ...MORE].map((name) => [name, inputFor(name, said[name])]));
  const valueOf = (name) => {
    const { value } = inputs.get(name);
    return LISTS.includes(name) ? listOf(value) : value.trim() || null;
  };
  const changes = () => Object.fromEntries([...inputs.keys()].filter((name) => !isSame(valueOf(name), said[name] ?? null)).map((name) => [name, valueOf(name)]));
  const save = h("button", { type: "submit", className: "solid" }, t("consoleSave"));
  const offers = new Map(proposals.map((proposal) => [proposal.field, offer(proposal)]));
  const form = h("form", { className: "row-form about", onsubmit: (event) => { event.preventDefault(); context.attempt(keep); } },
    offers.size > 0 && h("p", { className: "about-lead" }, t("aboutLead"), " ",
      offers.size > 1 && h("button", { type: "button", className: "secondary", onclick: () => proposals.forEach(take) }, t("aboutTakeAll"))),
    FIRST.map(row),
    h("details", { open: MORE.some((name) => shown(said[name])) }, h("summary", {}, t("aboutMore")), h("div", { className: "row-form" }, MORE.map(row))),
    h("div", { className: "edit-bar" }, save));
  body.replaceChildren(form);
  context.guard(() => form.isConnected && Object.keys(changes()).length > 0);

  function row(name) {
    const hint = LISTS.includes(name) ? t("aboutListHint") : "";
    return h("div", { className: "about-row" },
      h("label", {}, h("span", {}, nameOf("aboutNames", name), hint && h("span", { className: "place" }, ` ${hint}`)), inputs.get(name)), offers.get(name));
  }

  function offer(proposal) {
    const values = proposal.field === "kind" ? proposal.values.map((kind) => nameOf("kinds", kind)) : proposal.values;
    return h("p", { className: "about-offer" }, t("aboutOffer", { list: values.join("、") }), " ",
      h("span", { className: "place" }, isEnglish() ? proposal.reason : proposal.reason_zh), " ",
      h("button", { type: "button", className: "plain", "aria-label": t("aboutTakeThis", { name: nameOf("aboutNames", proposal.field), list: values.join("、") }), onclick: () => take(proposal) }, t("aboutTake")));
  }

  function take({ field, values }) {
    const input = inputs.get(field);
    input.value = LISTS.includes(field) ? [...new Set([...listOf(input.value), ...values])].join("、") : values[0];
    offers.get(field).remove();
    input.focus();
    say(t("aboutTaken"));
  }

  async function keep() {
    const changed = changes();
    if (!Object.keys(changed).length) {
      toast(t("editNoChange"));
      return;
    }
    save.disabled = true;
    try {
      await writeAbout(file.path, changed);
      context.guard(null);
      toast(t("aboutSaved"));
      // What is drawn next is what the assistant knows, and it shall know this.
      await untilIndexed(file.path, context.signal);
      await saved();
    } finally { save.disabled = false; }
  }
}

function inputFor(name, value) {
  const choice = (names, label) => h("select", { name }, names.map((item) => h("option", { value: item, selected: item === value }, label(item))));
  if (name === "kind") return choice(KINDS, (kind) => nameOf("kinds", kind));
  if (name === "audience") return choice(["internal", "customer"], (audience) => t(audience === "customer" ? "aboutCustomer" : "aboutInternal"));
  if (name.startsWith("valid_")) return h("input", { type: "date", name, value: value ?? "" });
  return h("input", { type: name === "link" ? "url" : "text", name, value: shown(value), maxLength: LISTS.includes(name) ? 2000 : 300, required: name === "title" });
}
