// Give points for answers in words, question by question, without names; then save the table.

const { rows, header, file } = JSON.parse(document.getElementById("table").textContent);
const answers = [...document.querySelectorAll("article")];
const place = location.pathname; // another page's points are kept apart
const kept = (() => {
  try {
    return JSON.parse(localStorage.getItem(place)) ?? {};
  } catch {
    return {}; // a browser that keeps nothing for a file, or something that is not ours
  }
})();

/** The two fields of an answer. */
const fields = (answer) => ["points", "comment"].map((name) => answer.querySelector(`.${name}`));

/** Which row of the table an answer's is; its learner stands there, and not in the page. */
const rowOf = (answer) => rows[Number(answer.dataset.row)];

const count = () => {
  const done = answers.filter((answer) => fields(answer)[0].value !== "").length;
  document.getElementById("count").textContent = `${done} of ${answers.length} have points.`;
};

/** Take what was typed into the table, and keep it until the page is opened again. */
const take = (answer) => {
  const [points, comment] = fields(answer);
  const row = rowOf(answer);
  [row[2], row[3]] = [points.value, comment.value];
  kept[row.slice(0, 2).join("\n")] = row.slice(2);
  try {
    localStorage.setItem(place, JSON.stringify(kept));
  } catch { /* then the table must be saved before the page is closed */ }
  for (const button of answer.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === points.value));
  }
  count();
};

for (const [number, answer] of answers.entries()) {
  const row = rowOf(answer);
  const [points, comment] = fields(answer);
  [points.value, comment.value] = kept[row.slice(0, 2).join("\n")] ?? [row[2].replace(",", "."), row[3] ?? ""];
  const give = (value) => {
    points.value = value;
    take(answer);
  };
  for (const field of [points, comment]) field.addEventListener("input", () => take(answer));
  for (const button of answer.querySelectorAll("button")) {
    button.addEventListener("click", () => give(button.value));
  }
  answer.addEventListener("keydown", ({ key, target, ctrlKey, altKey, metaKey }) => {
    if (target !== answer || ctrlKey || altKey || metaKey) return;
    const button = [...answer.querySelectorAll("button")].find(({ dataset }) => dataset.key === key);
    if (!button) return;
    give(button.value);
    (answers[number + 1] ?? document.getElementById("save")).focus();
  });
  take(answer);
}

/** A line of CSV, as a spreadsheet reads it. */
const line = (row) => row.map((cell) => (/[",;\n\r]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",");

document.getElementById("save").addEventListener("click", () => {
  const text = `\ufeff${[header, ...rows].map((row) => `${line(row)}\n`).join("")}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = file;
  link.click();
  URL.revokeObjectURL(link.href);
});
