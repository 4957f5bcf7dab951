/* What a search puts first: lessons before the glossary, and both before the API and the colophon. */
"use strict";

var Scorer = (() => {
  // Of two pages that match alike, the one of the greater weight comes first.
  const WEIGHTS = {
    "lessons/": 3,
    "book/practice/": 2,
    "book/how-to-study": 2,
    "book/live": 2,
    "book/play": 2,
    "book/glossary": 0.3, // each of its terms is an entry, which counts 100
    "book/teach/": 0.3,
    "book/api": 0.2,
    "book/colophon": 0.2,
    "book/changelog": 0.2,
  };

  return {
    score: ([page, _title, _anchor, _description, score]) => {
      const place = Object.keys(WEIGHTS).find((prefix) => page.startsWith(prefix));
      return score * (WEIGHTS[place] ?? 1);
    },
    // The rest is Sphinx's own.
    objNameMatch: 11,
    objPartialMatch: 6,
    objPrio: { 0: 15, 1: 5, 2: -5 },
    objPrioDefault: 0,
    title: 15,
    partialTitle: 7,
    term: 5,
    partialTerm: 2,
  };
})();
