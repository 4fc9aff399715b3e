"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.querySelector("button.theme").addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  const PAGE = 100;
  const all = JSON.parse(document.getElementById("rows").textContent);
  const columns = all.columns;
  const body = document.querySelector("#files tbody");
  const state = { sort: columns.indexOf("p_fake"), down: true, first: 0 };
  const search = document.getElementById("search");
  const filters = [...document.querySelectorAll("select[data-column]")];
  let shown = all.rows;

  function compare(a, b) {
    const left = a[state.sort], right = b[state.sort];
    if (left === right) return 0;
    if (left === null) return 1; // files without a value come last, whatever the order
    if (right === null) return -1;
    return (left < right ? -1 : 1) * (state.down ? -1 : 1);
  }

  function choose() {
    const text = search.value.toLowerCase();
    shown = all.rows.filter((row) =>
      filters.every((one) => !one.value || row[columns.indexOf(one.dataset.column)] === one.value) &&
      (!text || row.some((value) => typeof value === "string" && value.toLowerCase().includes(text))));
    shown.sort(compare);
    state.first = 0;
    draw();
  }

  function cell(value, name) {
    const made = document.createElement("td");
    made.textContent = value === null ? "" : name === "p_fake" ? value.toFixed(3) : String(value);
    if (name === "verdict" && value) made.className = value;
    return made;
  }

  function draw() {
    const part = shown.slice(state.first, state.first + PAGE);
    body.replaceChildren(...part.map((row) => {
      const line = document.createElement("tr");
      line.append(...row.map((value, number) => cell(value, columns[number])));
      return line;
    }));
    const last = state.first + part.length;
    document.getElementById("shown").textContent = shown.length
      ? `${state.first + 1} to ${last} of ${shown.length} files` : "No file matches.";
    document.getElementById("back").disabled = state.first === 0;
    document.getElementById("next").disabled = last >= shown.length;
    document.querySelectorAll("#files th").forEach((head, number) => {
      head.setAttribute("aria-sort", number !== state.sort ? "none" : state.down ? "descending" : "ascending");
    });
  }

  document.querySelectorAll("#files th button").forEach((button, number) => button.addEventListener("click", () => {
    state.down = state.sort === number ? !state.down : false;
    state.sort = number;
    choose();
  }));
  filters.forEach((one) => one.addEventListener("change", choose));
  search.addEventListener("input", choose);
  document.getElementById("back").addEventListener("click", () => { state.first -= PAGE; draw(); });
  document.getElementById("next").addEventListener("click", () => { state.first += PAGE; draw(); });
  choose();
})();
