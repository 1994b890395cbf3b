// Light, dark, or as the system has it. Loaded before the page is drawn, so that it never flashes in the other one;
// that is why it is a script of its own and not a module. Asked to change by the event `flightdeck-theme`.
(() => {
  const STORED_AS = "flightdeck.theme";
  const CHOICES = ["auto", "light", "dark"];
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  let choice = null;
  try { choice = localStorage.getItem(STORED_AS); } catch { /* Storage may be forbidden; the system's choice serves. */ }

  function apply() {
    if (!CHOICES.includes(choice)) choice = "auto";
    const system = dark.matches ? "dark" : "light";
    root.dataset.theme = choice === "auto" ? system : choice;
    root.dataset.themeChoice = choice;
  }
  addEventListener("flightdeck-theme", ({ detail }) => {
    choice = detail;
    apply();
    try { localStorage.setItem(STORED_AS, choice); } catch { /* It then holds for this page only. */ }
  });
  dark.addEventListener("change", apply);
  apply();
})();
