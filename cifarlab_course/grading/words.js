// Give points for answers in words, question by question, without names; then save the table.

const { rows, header, file, sign } = JSON.parse(document.getElementById("table").textContent);
const stood = rows.map((row) => row.join("\n")); // as the table has them
const answers = [...document.querySelectorAll("article")];
const place = location.pathname; // another page's points are kept apart

/** What was typed here, by the row as the table had it. */
const kept = (() => {
  try {
    return JSON.parse(localStorage.getItem(place)) ?? {};
  } catch {
    return {}; // a browser that keeps nothing for a file, or something that is not ours
  }
})();

/** Keep what was typed until the page is opened again. */
const keep = () => {
  try {
    localStorage.setItem(place, JSON.stringify(kept));
  } catch { /* then the table must be saved before the page is closed */ }
};

const gone = Object.keys(kept).filter((row) => !stood.includes(row)); // the table has other words
for (const row of gone) delete kept[row];
if (gone.length) keep();

/** The two fields of an answer. */
const fields = (answer) => ["points", "comment"].map((name) => answer.querySelector(`.${name}`));

/** The number of its row in the table; its learner stands there, and not in the page. */
const rowOf = (answer) => Number(answer.dataset.row);

const count = () => {
  const done = answers.filter((answer) => fields(answer)[0].value !== "").length;
  document.getElementById("count").textContent = `${done} of ${answers.length} have points.`;
};

/** Show which button says what the field says. */
const press = (answer) => {
  const [{ value }] = fields(answer);
  for (const button of answer.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
};

/** Take what was typed into the table: with a decimal comma if semicolons part its columns. */
const put = (answer) => {
  const [points, comment] = fields(answer).map(({ value }) => value);
  rows[rowOf(answer)].splice(2, 2, sign === ";" ? points.replace(".", ",") : points, comment);
  kept[stood[rowOf(answer)]] = [points, comment];
};

const take = (answer) => {
  put(answer);
  keep();
  press(answer);
  count();
};

for (const [number, answer] of answers.entries()) {
  const [, , given = "", said = ""] = rows[rowOf(answer)];
  const typed = kept[stood[rowOf(answer)]];
  const [points, comment] = fields(answer);
  [points.value, comment.value] = typed ?? [given.trim().replace(",", "."), said];
  if (typed) put(answer);
  press(answer);
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
}
count();

/** A line of CSV, written as `gradebook.py` writes it. */
const line = (row) => row.map((cell) => {
  const plain = ![sign, '"', "\n", "\r"].some((mark) => cell.includes(mark));
  return plain ? cell : `"${cell.replaceAll('"', '""')}"`;
}).join(sign);

document.getElementById("save").addEventListener("click", () => {
  const text = `\ufeff${[header, ...rows].map((row) => `${line(row)}\n`).join("")}`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = file;
  link.click();
  URL.revokeObjectURL(link.href);
});
