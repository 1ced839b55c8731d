"use strict";
// The filter: words that must all occur in the line of a problem, or in the name of its format.
const filter = document.querySelector(".filter");
if (filter) {
  const field = filter.querySelector("input");
  const counted = filter.querySelector("output");
  const formats = [...document.querySelectorAll("details.format")].map((list) => ({
    list,
    open: list.open,
    problems: [...list.querySelectorAll("details.problem")].map((problem) => ({
      problem,
      text: `${list.querySelector("h3").textContent} ${problem.querySelector("summary").textContent}`.toLowerCase(),
    })),
  }));
  filter.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { list, open, problems } of formats) {
      const before = shown;
      for (const { problem, text } of problems) {
        problem.hidden = !words.every((word) => text.includes(word));
        shown += problem.hidden ? 0 : 1;
      }
      list.hidden = shown === before;
      list.open = words.length > 0 || open;
    }
    counted.textContent = words.length > 0 ? `${shown} shown` : "";
  });
}
// What is pointed at, tapped or focused in a drawing is said below it: a tooltip needs a mouse and patience.
for (const figure of document.querySelectorAll(".roofline")) {
  const readout = figure.querySelector(".readout");
  readout.textContent = "Point at a dot to read what it is.";
  const tell = (event) => {
    const mark = event.target.closest("svg a, .others g");
    if (mark) readout.textContent = mark.querySelector("title").textContent;
  };
  figure.addEventListener("pointerover", tell);
  figure.addEventListener("focusin", tell);
}
