"use strict";
// The page shows all numbers without this script. The script adds sorting, filtering and keyboard access to marks.

const number = text => text.trim() === "" ? NaN : Number(text);

function sortBy(head) {
  const table = head.closest("table"), body = table.tBodies[0], column = head.cellIndex;
  const numeric = head.classList.contains("number");
  const before = head.getAttribute("aria-sort");
  // The first click sorts numbers from the best, and words from the first in the alphabet.
  const down = before ? before === "ascending" : numeric && !head.classList.contains("lower");
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const sign = down ? -1 : 1;
  const rows = [...body.rows].map((row, place) => ({row, place, value: row.cells[column].dataset.v}));
  rows.sort((a, b) => {
    // Rows without a value stay at the end in both directions.
    if (a.value === "" || b.value === "") return (a.value === "") - (b.value === "") || a.place - b.place;
    const x = number(a.value), y = number(b.value);
    const order = Number.isNaN(x) || Number.isNaN(y) ? a.value.localeCompare(b.value) : x - y;
    return sign * order || a.place - b.place;
  });
  body.append(...rows.map(each => each.row));
}

function filter(input, rows) {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = row.dataset.text ??= row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
    shown += !row.hidden;
  }
  input.parentElement.querySelector("output").textContent = words.length ? `${shown} of ${rows.length}` : "";
}

document.addEventListener("click", event => {
  const button = event.target.closest?.("th button");
  if (button) sortBy(button.parentElement);
});
for (const input of document.querySelectorAll(".filter input")) {
  const rows = input.dataset.filters
    ? [...document.querySelectorAll(input.dataset.filters)]
    : [...document.getElementById(input.getAttribute("aria-controls")).tBodies[0].rows];
  input.addEventListener("input", () => filter(input, rows));
}

for (const select of document.querySelectorAll(".matrix-choice")) {
  const matrices = [...select.parentElement.nextElementSibling.querySelectorAll(".matrix")];
  const choose = () => matrices.forEach((matrix, i) => { matrix.hidden = i !== select.selectedIndex; });
  select.addEventListener("change", choose);
  addEventListener("beforeprint", () => matrices.forEach(matrix => { matrix.hidden = false; }));
  addEventListener("afterprint", choose);
  choose();
}

// Show values on hover and by keyboard: the tab key focuses a plot, and the arrow keys move between its marks.
const tip = document.getElementById("tip");
function show(mark) {
  if (!mark.dataset.tip) return;
  document.querySelectorAll(".mark.on").forEach(other => other.classList.remove("on"));
  mark.classList.add("on");
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const place = mark.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const left = Math.min(place.right + 8, innerWidth - size.width - 8);
  const top = place.top - size.height - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${top < 8 ? place.bottom + 8 : top}px`;
}
function hide() {
  tip.hidden = true;
  document.querySelectorAll(".mark.on").forEach(mark => mark.classList.remove("on"));
}
function prepare(root) {
  for (const title of root.querySelectorAll("svg.plot .mark > title")) {
    title.parentElement.dataset.tip = title.textContent;
    title.remove();
  }
  for (const plot of root.querySelectorAll("svg.plot")) {
    const marks = [...plot.querySelectorAll(".mark[data-tip]")];
    if (!marks.length) continue;
    plot.tabIndex = 0;
    let at = -1;
    plot.addEventListener("keydown", event => {
      const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      at = (at + step + marks.length + (at < 0 && step < 0)) % marks.length;
      show(marks[at]);
    });
    plot.addEventListener("blur", hide);
  }
}
document.addEventListener("pointerover", event => {
  const mark = event.target.closest?.(".mark");
  if (mark) show(mark); else if (!tip.hidden && !document.activeElement?.closest("svg.plot")) hide();
});
prepare(document);

// Plots of a single run are inserted when the run is opened, because hundreds of plots would make the page slow.
for (const details of document.querySelectorAll("details")) {
  details.addEventListener("toggle", () => {
    const template = details.querySelector("template");
    if (!template) return;
    details.append(template.content);
    template.remove();
    prepare(details);
  });
}
