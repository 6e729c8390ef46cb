(() => {
  for (const box of document.querySelectorAll("input[data-column]")) {
    const show = () => {
      const column = Number(box.dataset.column);
      for (const row of document.getElementById("board").rows) row.cells[column].hidden = !box.checked;
    };
    box.addEventListener("change", show);
    show();
  }
})();
