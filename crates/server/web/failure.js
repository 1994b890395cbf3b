// What a person reads when something could not be done, and the form for the key that was missing.

import { ApiError, hasKey, saveKey } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";

/** The error as one of `api.js`: what the page itself did wrong counts as the server's. */
export const asApiError = (error) => (error instanceof ApiError ? error : new ApiError("server"));

/** Whether a request was only given up because another took its place. */
export const isAbort = (error) => error.name === "AbortError";

export function failureText({ kind, message, retryAfter }) {
  switch (kind) {
    case "network": return t("errorNetwork");
    case "broken": return t("errorBroken");
    case "unauthorized": return t(hasKey() ? "badKey" : "errorUnauthorized");
    case "signedOut": return t("errorSignedOut");
    case "forbidden": return t("errorForbidden");
    case "page": return t("errorPage");
    case "notFound": return t("errorNotFound");
    case "rate": return retryAfter ? t("errorRateIn", { n: retryAfter }) : t("errorRate");
    case "invalid": return t("errorInvalid", { message });
    default: return t("errorServer");
  }
}

/** The failure as a note; with the form for a key where one is missing, after which `again()` is called. */
export function failureNote(error, again) {
  const known = asApiError(error);
  const note = h("p", { className: "note", role: "alert" }, failureText(known));
  if (known.kind !== "unauthorized" || !again) return note;
  return h("div", {}, note, keyForm((key) => { saveKey(key); again(); }));
}

/** Asks for the access key. */
export function keyForm(onSave) {
  const input = h("input", { type: "password", autocomplete: "off", required: true, "aria-label": t("key"), placeholder: t("key") });
  return h("form", { className: "key-form", onsubmit: (event) => {
    event.preventDefault();
    if (input.value.trim()) onSave(input.value.trim());
  } }, input, h("button", { className: "secondary" }, t("saveKey")));
}
