// Whom the rep is talking to: found in the records, with what is known of them and what was sent to them last.

import { addInteraction, findCustomers, readCustomer, readTimeline } from "./api.js";
import { h } from "./dom.js";
import { failureNote, isAbort } from "./failure.js";
import { day } from "./history.js";
import { t } from "./i18n.js";
import { searchBox } from "./searchbox.js";

const SHOWN_ENTRIES = 5;

/**
 * Wires the panel in `root`. `onChoose(customer)` is called with the record that was chosen, or `null`.
 * `show(id)` shows the customer of this id, `show(null)` the search; `refresh(id)` reads that one's timeline again.
 */
export function customerPanel(root, { announce, onChoose }) {
  let asking = null;
  let box = null;
  let shown = null;

  const begin = () => {
    box?.stop();
    asking?.abort();
    asking = new AbortController();
    return asking;
  };

  function showSearch() {
    shown = null;
    box = searchBox({
      label: t("customerSearch"), listName: "customer-results", none: () => t("customerUnknown"),
      find: async (text, { signal }) => {
        if (!text) return null;
        const { customers } = await findCustomers({ q: text, limit: 6 }, signal);
        return { items: customers.map(item) };
      },
    });
    root.replaceChildren(h("div", { className: "customer-search" }, box.words, box.told, box.list));
  }

  const item = (customer) => h("li", {}, h("button", { type: "button", onclick: () => choose(customer) },
    h("span", {}, customer.name ?? customer.id), h("span", { className: "place" }, about(customer))));

  function choose(customer) {
    announce(t("customerChosen", { name: customer.name ?? customer.id }));
    onChoose(customer);
    showCustomer(customer);
    root.querySelector("button")?.focus();
  }

  function leave() {
    begin();
    onChoose(null);
    showSearch();
    root.querySelector("input")?.focus();
  }

  function showCustomer(customer) {
    shown = customer.id;
    const timeline = h("ol", { className: "timeline" });
    const told = h("div", { role: "status" });
    const note = h("input", { maxLength: 2000, placeholder: t("noteHint"), "aria-label": t("noteHint") });
    const add = async () => {
      const text = note.value.trim();
      if (!text) return;
      try {
        await addInteraction(customer.id, { kind: "note", text });
        note.value = "";
        announce(t("noted"));
        readEntries(customer.id, timeline, told);
      } catch (error) {
        told.replaceChildren(failureNote(error, add));
      }
    };
    note.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return;
      // Not the composer's Enter.
      event.preventDefault();
      event.stopPropagation();
      add();
    });
    root.replaceChildren(h("section", { className: "customer-card", "aria-label": customer.name ?? customer.id },
      h("div", { className: "customer-top" }, h("strong", {}, customer.name ?? customer.id), customer.stage && h("span", { className: "tag" }, customer.stage),
        h("button", { type: "button", className: "plain", onclick: leave }, t("customerOther"))),
      h("p", { className: "place" }, about({ ...customer, stage: null })),
      (customer.needs || customer.scenario) && h("p", { className: "customer-needs" }, [customer.needs, customer.scenario].filter(Boolean).join("；")),
      h("h3", { className: "label" }, t("timeline")), told, timeline,
      h("div", { className: "note-row" }, note, h("button", { type: "button", className: "secondary", onclick: add }, t("addNote")))));
    readEntries(customer.id, timeline, told);
  }

  async function readEntries(id, timeline, told) {
    const request = begin();
    try {
      const { interactions } = await readTimeline(id, { limit: SHOWN_ENTRIES }, request.signal);
      if (asking !== request) return;
      told.replaceChildren(interactions.length ? "" : h("p", { className: "note" }, t("timelineEmpty")));
      timeline.replaceChildren(...interactions.map(({ kind, text, actor, at }) => h("li", {},
        h("span", { className: "tag" }, t(`kind_${kind}`)), h("span", { className: "entry-text" }, text), h("span", { className: "place" }, [actor, day(at)].filter(Boolean).join(" · ")))));
    } catch (error) {
      if (!isAbort(error) && asking === request) told.replaceChildren(failureNote(error, () => readEntries(id, timeline, told)));
    }
  }

  async function show(id) {
    // Also where nobody is to be shown: an earlier answer must not put its customer back.
    const request = begin();
    shown = null;
    if (!id) return showSearch();
    root.replaceChildren(h("p", { className: "note" }, t("searching")));
    try {
      const customer = await readCustomer(id, request.signal);
      if (asking !== request) return;
      onChoose(customer);
      showCustomer(customer);
    } catch (error) {
      if (isAbort(error) || asking !== request) return;
      root.replaceChildren(h("div", {}, failureNote(error, () => show(id)), h("button", { type: "button", className: "plain", onclick: leave }, t("customerOther"))));
    }
  }

  const refresh = (id) => {
    if (id === shown) readEntries(id, root.querySelector(".timeline"), root.querySelector("[role=status]"));
  };
  return { show, refresh };
}

/** What is known of a customer, in a line. */
export const about = ({ industry, company_size: size, region, stage }) => [industry, size, region, stage].filter(Boolean).join(" · ");
