// Changed pictures, one after another: does each still deserve its label? The answers are counted.

const PARAMETERS = {
  "cards": {},
  "source": {}
};

/** What is said of an answer: whether it is the author's, and the reason. */
const verdict = ({ keep, why }, kept) =>
  `${kept === keep ? "Agreed:" : "We’d"} ${keep ? "keep" : "refuse"}. ${why}`;

/** The count so far, in words. */
const counted = (agreed, answered) => `Agreed on ${agreed} of ${answered}.`;

figure("keep-or-refuse", `
svg { display: block; height: auto; max-width: 16rem; width: 100%; }
.label { font-size: 1.25rem; font-weight: 600; margin: 0.5rem 0; }
.row { display: flex; flex-wrap: wrap; gap: 0.6rem; }
[role="status"] { min-height: 3em; margin: 0.7rem 0 0; }
.source { font-size: 0.875rem; margin: 0.5rem 0 0; }
`, (root, { cards, source }) => {
  const drawn = svg("svg", { role: "img", "shape-rendering": "crispEdges" });
  const label = element("p", { class: "label", id: "card" });
  const said = element("p", { role: "status" });
  const button = (words) => element("button", { type: "button" }, words);
  const [keep, refuse, next] = ["Keep", "Refuse", "Next picture"].map(button);
  // A voice that comes to the buttons says of which card they judge.
  for (const each of [keep, refuse]) each.setAttribute("aria-describedby", "card");
  root.append(drawn, label, element("div", { class: "row" }, keep, refuse, next), said);
  if (source) root.append(element("p", { class: "source" }, source));

  let [place, agreed] = [0, 0];

  /** Show the card at `place`, unanswered. */
  const deal = () => {
    const { picture, label: name } = cards[place];
    const side = picture.length;
    drawn.setAttribute("viewBox", `0 0 ${side} ${side}`);
    drawn.setAttribute("aria-label", `Picture ${place + 1}, which has the label ${name}`);
    drawn.replaceChildren(...picture.flatMap((row, y) => Array.from({ length: side }, (_, x) =>
      svg("rect", { x, y, width: 1, height: 1, fill: `#${row.slice(3 * x, 3 * x + 3)}` }))));
    label.textContent = `${place + 1} of ${cards.length}. Its label: ${name}`;
    said.textContent = "";
    [keep.hidden, refuse.hidden, next.hidden] = [false, false, true];
  };

  const answer = (kept) => {
    agreed += kept === cards[place].keep;
    said.textContent = `${verdict(cards[place], kept)} ${counted(agreed, place + 1)}`;
    [keep.hidden, refuse.hidden, next.hidden] = [true, true, false];
    next.textContent = place + 1 < cards.length ? "Next picture" : "Once more";
    next.focus();
  };

  keep.addEventListener("click", () => answer(true));
  refuse.addEventListener("click", () => answer(false));
  next.addEventListener("click", () => {
    place = (place + 1) % cards.length;
    if (place === 0) agreed = 0;
    deal();
    keep.focus();
  });
  deal();
});
