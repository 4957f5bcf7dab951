// Fold each answer, and put a place for the guess above it. The guess stays in this tab, and nowhere else.

addEventListener("DOMContentLoaded", () => {
  for (const [place, answer] of document.querySelectorAll("details.answer").entries()) {
    const key = `guess ${location.pathname} ${place}`;
    const label = document.createElement("label");
    const guess = document.createElement("textarea");
    label.className = "guess";
    guess.rows = 1;
    guess.value = sessionStorage.getItem(key) ?? "";
    guess.addEventListener("input", () => sessionStorage.setItem(key, guess.value));
    label.append("Your guess ", guess);
    answer.before(label);
    answer.open = false;
  }
});
