"use strict";

for (const box of document.querySelectorAll("input[data-filters]")) {
  const rows = [...document.getElementById(box.dataset.filters).children];
  const told = document.getElementById(box.getAttribute("aria-describedby"));
  box.closest(".filter").hidden = false;
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLocaleLowerCase();
    for (const row of rows) row.hidden = !row.dataset.name.toLocaleLowerCase().includes(wanted);
    const left = rows.filter((row) => !row.hidden).length;
    told.textContent = wanted ? `${left} of ${rows.length} labels` : "";
  });
}

// Paper cannot be clicked: whatever is folded is printed open and folded again.
const folded = [];
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details:not([open])")) {
    part.open = true;
    folded.push(part);
  }
});
addEventListener("afterprint", () => {
  while (folded.length) folded.pop().open = false;
});
