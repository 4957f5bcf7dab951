// Show the card of a term or a citation beside its link: to a pointer that hovers, and to the keyboard.
// It stays while the pointer is on the link or on the card, and Escape puts it away (WCAG 1.4.13).

addEventListener("DOMContentLoaded", () => {
  let shown, timer;

  const hide = () => {
    clearTimeout(timer);
    if (shown) shown.hidden = true;
    shown = undefined;
  };
  const later = (action, delay) => {
    clearTimeout(timer);
    timer = setTimeout(action, delay);
  };
  const show = (link, card) => {
    hide();
    shown = card;
    card.hidden = false;
    const words = link.getClientRects()[0];
    const room = document.documentElement.clientWidth - card.offsetWidth - 8;
    const above = words.bottom + card.offsetHeight > innerHeight && words.top > card.offsetHeight;
    card.style.left = `${scrollX + Math.max(8, Math.min(words.left, room))}px`;
    card.style.top = `${scrollY + (above ? words.top - card.offsetHeight : words.bottom)}px`;
  };

  for (const link of document.querySelectorAll("a[aria-describedby^='card-']")) {
    const card = document.getElementById(link.getAttribute("aria-describedby"));
    document.body.append(card); // so that nothing on the page cuts it off
    const hovers = (event) => event.pointerType !== "touch";
    link.addEventListener("pointerenter", (event) => hovers(event) && later(() => show(link, card), 150));
    link.addEventListener("pointerleave", () => later(hide, 200));
    link.addEventListener("focus", () => link.matches(":focus-visible") && show(link, card));
    link.addEventListener("blur", hide);
    card.onpointerenter = () => clearTimeout(timer);
    card.onpointerleave = () => later(hide, 200);
  }
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
});
