// Questions with choices; each choice is answered with a reason. Nothing is sent or kept.

/** Text as it can be compared with a page's: its quotes may be curly, its code has no backticks. */
const plainly = (text) => text.replaceAll("`", "").replace(/[‘’]/g, "'").replace(/[“”]/g, '"').replace(/#$/, "").trim();

/** A link to the section of the lesson, if its heading is in this page; else its name. */
const again = (section, page) => {
  const heading = [...page.querySelectorAll("h2")].find((each) => plainly(each.textContent) === plainly(section));
  const id = heading?.id || heading?.parentElement.id; // in a notebook, in the book
  return element("span", { class: "again" }, "Read again: ",
    ...(id ? [element("a", { href: `#${id}` }, ...withCode(section))] : withCode(section)));
};

figure("quiz", `
form { margin: 0 0 1.5rem; }
fieldset { border: 0; margin: 0; min-width: 0; padding: 0; }
legend { font-weight: 600; margin-bottom: 0.4rem; padding: 0; }
label { display: flex; gap: 0.6rem; padding: 0.3rem 0; }
label input { flex: none; height: 1.15rem; margin: 0.2rem 0 0; width: 1.15rem; }
button { margin: 0.4rem 0 0; }
[role="status"]:not(:empty) {
  border-left: 0.25rem solid var(--second); margin: 0.7rem 0 0; padding: 0.1rem 0 0.1rem 0.8rem;
}
[role="status"].right { border-color: var(--accent); }
.again { display: block; font-size: 0.875rem; }
a { color: var(--pst-color-link, var(--jp-content-link-color, inherit)); }
`, (root, { questions }) => {
  for (const [number, { section, question, choices }] of questions.entries()) {
    const answer = element("p", { role: "status" });
    const options = choices.map(({ choice }, place) => {
      const input = element("input", { type: "radio", name: "choice", value: place, required: "" });
      return element("label", {}, input, element("span", {}, ...withCode(choice)));
    });
    const title = element("legend", {}, `${number + 1}. `, ...withCode(question));
    const form = element("form", {},
      element("fieldset", {}, title, ...options), element("button", {}, "Check"), answer);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { right, feedback } = choices[new FormData(form).get("choice")];
      const name = right ? "right" : "wrong";
      const mark = element("span", { role: "img", "aria-label": name }, right ? "✓" : "✗");
      answer.className = name;
      answer.replaceChildren(mark, " ", ...withCode(feedback),
        ...(section ? [again(section, root.host.ownerDocument)] : []));
    });
    form.addEventListener("change", () => answer.replaceChildren());
    root.append(form);
  }
});
