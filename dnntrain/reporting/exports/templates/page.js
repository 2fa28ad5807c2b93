// On a phone, each row of a table that is too wide becomes a card with a line for each column.
const phone = matchMedia("(max-width: 40rem)");
const layOut = () => {
  for (const table of document.querySelectorAll("section > .scroll > table")) {
    const headings = [...table.tHead.rows[0].cells].map((heading) => heading.textContent);
    for (const row of table.tBodies[0].rows)
      [...row.cells].forEach((cell, column) => (cell.dataset.heading = headings[column]));
    table.classList.remove("cards");
    if (phone.matches && table.scrollWidth > table.parentNode.clientWidth) table.classList.add("cards");
  }
};
phone.addEventListener("change", layOut);
layOut();

// A click on a heading sorts its table, and a second one reverses the order. Rows without a value stay last.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], rows = [...body.rows];
  // a row with an empty first cell belongs to the one above it
  if (rows.length < 3 || rows.some((row) => !row.cells[0].textContent)) continue;
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    heading.setAttribute("aria-sort", "none");
    heading.tabIndex = 0;
    const sort = () => {
      const down = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      const text = (row) => row.cells[column].textContent.trim();
      const number = (row) => parseFloat(text(row).replace(/[,<>+]/g, "").replace("−", "-"));
      const numeric = rows.filter((row) => !isNaN(number(row))).length * 2 > rows.length;
      const isEmpty = (row) => (numeric ? isNaN(number(row)) : !text(row));
      const order = (a, b) => (numeric ? number(a) - number(b) : text(a).localeCompare(text(b)));
      const sorted = [...rows].sort((a, b) => isEmpty(a) - isEmpty(b) || down * order(a, b) || 0);
      for (const other of heading.parentNode.cells) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      body.append(...sorted);
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => event.key === "Enter" && sort());
  });
}
