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
  { name: "try", zh: "试一试", en: "Try it", icon: "M4 5h16v11H9l-5 4zM9 9.5h6M9 12.5h4", load: () => import("./try.js") },
  { name: "gaps", zh: "没答上来的", en: "Unanswered", icon: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.5M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", load: () => import("./gaps.js") },
  { name: "feedback", zh: "反馈", en: "Feedback", icon: "M7 11v9H4v-9zM7 11l4-8c2 0 2.500 1.500 2 3l-.7 3H19c1.300 0 2 1 1.700 2.200l-1.500 6.500C19 19 18 20 17 20H7", load: () => import("./feedback.js") },
  { name: "insights", zh: "哪些有用", en: "What works", icon: "M4 20V4M4 20h16M8 17v-5M12 17V8M16 17v-7", load: () => import("./insights.js") },
  { name: "health", zh: "检查", en: "Health", icon: "M3 12h4l3-7 4 14 3-7h4", load: () => import("./health.js") },
];
