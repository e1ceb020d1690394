const rows = [...document.querySelectorAll(".need")];
const search = document.getElementById("search");
const holes = document.getElementById("holes");
const found = document.getElementById("found");

function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const only = holes.getAttribute("aria-pressed") === "true";
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    const fits = words.every((word) => text.includes(word)) && (!only || row.classList.contains("hole"));
    row.hidden = !fits;
    count += fits;
  }
  for (const family of document.querySelectorAll(".matrix > div")) {
    family.hidden = !family.querySelector(".need:not([hidden])");
  }
  found.textContent = count === rows.length ? "" : `${count} of ${rows.length} requirements`;
}

search.addEventListener("input", show);
holes.addEventListener("click", () => {
  holes.setAttribute("aria-pressed", String(holes.getAttribute("aria-pressed") !== "true"));
  show();
});
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});
