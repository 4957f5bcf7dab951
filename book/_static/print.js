// On paper all that is folded up lies open, and dark pages are light; on the screen nothing changes.

addEventListener("beforeprint", () => {
  const page = document.documentElement;
  page.dataset.onScreen = page.dataset.theme;
  page.dataset.theme = "light";
  for (const folded of document.querySelectorAll("details:not([open])")) {
    folded.dataset.folded = "";
    folded.open = true;
  }
});

addEventListener("afterprint", () => {
  const page = document.documentElement;
  page.dataset.theme = page.dataset.onScreen;
  delete page.dataset.onScreen;
  for (const opened of document.querySelectorAll("details[data-folded]")) {
    delete opened.dataset.folded;
    opened.open = false;
  }
});
