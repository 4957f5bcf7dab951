// On paper all that is folded up lies open, but for long tables of numbers, and dark pages are light; on the screen nothing changes.

/** What a selector finds on the page and within its figures, which are trees of their own. */
const everywhere = (selector) => [document, ...document.querySelectorAll("[ready]")].flatMap(
  (each) => [...(each.shadowRoot ?? each).querySelectorAll(selector)]);

addEventListener("beforeprint", () => {
  const page = document.documentElement;
  page.dataset.onScreen = page.dataset.theme;
  page.dataset.theme = "light";
  for (const folded of everywhere("details:not([open], .numbers)")) {
    folded.dataset.folded = "";
    folded.open = true;
    folded.dispatchEvent(new Event("toggle")); // now, for the browser's own comes too late for the paper
  }
});

addEventListener("afterprint", () => {
  const page = document.documentElement;
  page.dataset.theme = page.dataset.onScreen;
  delete page.dataset.onScreen;
  for (const opened of everywhere("details[data-folded]")) {
    delete opened.dataset.folded;
    opened.open = false;
  }
});
