// The pages of the console, in the order of the navigation. A page is one line here and a module beside this file,
// which brings its own texts (`addTexts`) and exports
//
//     async function show(main, context)
//
// `main` is empty and is the page's to fill; the first `h1` in it gets the focus, so that a screen reader says where
// one has come to. `context` is described in frame.js. What `show` throws is shown in words, with a way to go on; of
// an `AbortError` nothing is said. `show` may give back a function: while only what stands behind the page's name in
// the address changes, that function is called with the new context, and the page may keep what it has drawn.

/** `name` is the page's place in the address (`#documents`), `icon` a line in a square of 24. */
export const PAGES = [
  { name: "documents", zh: "资料", en: "Documents", icon: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6", load: () => import("./documents.js") },
  { name: "health", zh: "检查", en: "Health", icon: "M3 12h4l3-7 4 14 3-7h4", load: () => import("./health.js") },
];
