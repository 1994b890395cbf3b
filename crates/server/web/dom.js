// Building nodes. Data reaches the page only as text nodes and attributes set here, never as markup.

/** An element: properties by name, `on…` as listeners, other dashed names as attributes; falsy children are left out. */
export function h(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && !name.includes("-")) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return node;
}

/** A picture of one line, as the page's others are: `path` in a square of 24. */
export function icon(path) {
  const [svg, line] = ["svg", "path"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** The address when it is plain http or https, else `null`: nothing else may be followed from data. */
export function safeAddress(address) {
  try {
    const url = new URL(address);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** A link that leaves the page, marked as such; text only where the address is not safe. */
export function externalLink(address, text) {
  const href = safeAddress(address);
  if (!href) return document.createTextNode(text);
  return h("a", { href, target: "_blank", rel: "noopener noreferrer", className: "external" }, text);
}

/** Puts text on the clipboard; the old way where the new one is missing (plain http in a local network). */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const holder = h("textarea", { value: text, readOnly: true, className: "visually-hidden" });
    // Inside an open modal dialog everything else is inert, so the holder must live in the dialog.
    (document.querySelector("dialog:modal") ?? document.body).append(holder);
    holder.select();
    const done = document.execCommand("copy");
    holder.remove();
    return done;
  }
}
