"use strict";
(() => {
  const announce = (table, text) => {
    const output = table.closest("section, details").querySelector(`output[data-for="${table.id}"]`);
    if (output) output.textContent = text;
  };
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent.trim();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };
  const order = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);

  const sort = (button) => {
    const head = button.closest("th");
    const table = head.closest("table");
    const now = head.getAttribute("aria-sort");
    const first = button.dataset.first;
    const next = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    for (const other of table.querySelectorAll("th[aria-sort]")) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", next);
    const body = table.tBodies[0];
    const column = head.cellIndex;
    const sign = next === "ascending" ? 1 : -1;
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // absent values stay last
      return sign * order(a, b);
    });
    body.append(...rows.map(([, row]) => row));
    announce(table, `sorted by ${button.dataset.name}, ${next}`);
  };

  const filter = (input) => {
    const table = document.getElementById(input.dataset.for);
    const words = input.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...table.tBodies[0].rows];
    let shown = 0;
    for (const row of rows) {
      const first = row.cells[0];
      const text = (first.dataset.name ?? first.textContent).toLocaleLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    announce(table, `${shown} of ${rows.length} rows shown`);
  };

  for (const tools of document.querySelectorAll(".tools[hidden]")) tools.hidden = false;
  for (const button of document.querySelectorAll("th[aria-sort] button")) {
    button.disabled = false;
    button.addEventListener("click", () => sort(button));
  }
  for (const input of document.querySelectorAll("input[data-for]")) {
    input.addEventListener("input", () => filter(input));
  }
  const reveal = () => {
    let target = null;
    try { target = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
    const folded = target && target.closest("details");
    if (folded) { folded.open = true; target.scrollIntoView(); }
  };
  window.addEventListener("hashchange", reveal);
  reveal();
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const one of folded) one.open = true;
  });
  window.addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
})();
