// What the reader does: filters, views, keys, links. Everything shown follows from `state`.

const state = { view: "cases", text: "", verdicts: new Set(), families: new Set() };

/** All that a search may find in a case, in lower case. */
const haystacks = new Map(page.cases.map((entry) => [entry, [
  entry.id, entry.title, entry.file, ...entry.claims,
  ...entry.claims.map((id) => (requirementById.get(id) || {}).sentence),
  ...entry.results.filter(Boolean).flatMap((result) => [
    result.reason, result.failure && [result.failure.class.replaceAll("-", " "), result.failure.at, result.failure.expected, result.failure.got].join("\n"),
    ...((result.evidence || {}).events || []).map((event) => event.name || event.text),
  ]),
].filter(Boolean).join("\n").toLowerCase()]));

/** The words of the search; what stands in quotes is one. */
const words = () => [...state.text.toLowerCase().matchAll(/"([^"]+)"|(\S+)/g)].map((found) => found[1] || found[2]);

function fitsCase(entry) {
  return words().every((word) => haystacks.get(entry).includes(word))
    && (!state.verdicts.size || entry.results.some((result) => result && state.verdicts.has(verdictOf(result))))
    && (!state.families.size || state.families.has(entry.family));
}

function fitsRequirement(one) {
  const text = `${one.id} ${one.sentence} ${one.file} ${one.role} ${one.observed}`.toLowerCase();
  return words().every((word) => text.includes(word))
    && (!state.verdicts.size || page.testees.some((_, index) => state.verdicts.has(stateOf(one.id, index))))
    && (!state.families.size || state.families.has(chapterOf(one)));
}

function chips(box, names, chosen, count, look) {
  box.replaceChildren(...names.map((name) => h("button", {
    type: "button", class: `chip ${look(name)}`, "aria-pressed": String(chosen.has(name)),
    onclick: () => {
      if (!chosen.delete(name)) chosen.add(name);
      draw();
      [...box.children].find((chip) => chip.dataset.name === name)?.focus();
    },
    "data-name": name,
  }, name, h("small", {}, count(name)))));
}

function draw() {
  const isCases = state.view === "cases";
  for (const tab of document.querySelectorAll("[data-view]")) tab.setAttribute("aria-selected", String(tab.dataset.view === state.view));
  const all = isCases ? page.cases : page.requirements;
  const shown = all.filter(isCases ? fitsCase : fitsRequirement);
  if (isCases) {
    const has = (name) => page.cases.filter((entry) => entry.results.some((result) => result && verdictOf(result) === name)).length;
    chips(byId("verdicts"), VERDICTS.filter(has), state.verdicts, has, (name) => `v-${name}`);
    chips(byId("families"), FAMILIES, state.families, (name) => page.cases.filter((entry) => entry.family === name).length, () => "");
  } else {
    const has = (name) => page.requirements.filter((one) => page.testees.some((_, index) => stateOf(one.id, index) === name)).length;
    chips(byId("verdicts"), ["failed", "open", "uncovered", "proved"].filter(has), state.verdicts, has, (name) => `v-${name}`);
    const chapters = [...new Set(page.requirements.map(chapterOf))];
    chips(byId("families"), chapters, state.families, (name) => page.requirements.filter((one) => chapterOf(one) === name).length, () => "");
  }
  const noun = isCases ? "cases" : "requirements";
  byId("found").textContent = shown.length === all.length ? `${all.length} ${noun}` : `${shown.length} of ${all.length} ${noun}`;
  byId("grid").replaceChildren(...overview(state.view, new Set(shown.map((item) => (isCases ? item.id : `requirement:${item.id}`)))));
  byId("view").replaceChildren(...(isCases ? caseList(shown) : requirementList(shown)));
}

function caseList(shown) {
  const bad = shown.filter(isBad).sort(simplestFirst);
  const sections = [];
  if (bad.length) {
    const rows = bad.map(caseRow);
    if (!state.text && !state.verdicts.size) rows[0].toggle(true);
    sections.push(h("section", { class: "list" }, h("h2", { class: "alarm" }, "Did not pass", h("small", {}, ` ${bad.length}`)), causes(bad), rows));
  }
  for (const family of FAMILIES) {
    const rest = shown.filter((entry) => entry.family === family && !isBad(entry));
    if (rest.length) sections.push(h("section", { class: "list" }, h("h2", {}, family, h("small", {}, ` ${rest.length}`)), rest.map(caseRow)));
  }
  return sections.length ? sections : [nothing()];
}

/** What the failures have in common: often one mistake fails many cases. */
function causes(bad) {
  const counts = new Map();
  for (const entry of bad) {
    const failures = entry.results.map((result) => result && result.failure).filter(Boolean);
    for (const cause of new Set(failures.map((failure) => `${failure.class.replaceAll("-", " ")}\n${failure.at}`))) {
      counts.set(cause, (counts.get(cause) || 0) + 1);
    }
  }
  const often = [...counts].filter(([, count]) => count > 1).sort((one, other) => other[1] - one[1]).slice(0, 6);
  if (!often.length) return null;
  return h("div", { class: "causes" }, h("span", { class: "quiet" }, "In common:"), often.map(([cause, count]) =>
    h("button", { type: "button", class: "chip", onclick: () => search(cause.split("\n")) },
      visible(cause.trim().replace("\n", " · ")), h("small", {}, `${count}`))));
}

function requirementList(shown) {
  const chapters = [...new Set(shown.map(chapterOf))];
  const sections = chapters.map((chapter) => {
    const rows = shown.filter((one) => chapterOf(one) === chapter);
    return h("section", { class: "list" }, h("h2", {}, chapter, h("small", {}, ` ${rows.length}`)), rows.map(requirementRow));
  });
  return sections.length ? sections : [nothing()];
}

function nothing() {
  return h("p", { class: "empty" }, "Nothing fits these filters. ", h("button", { type: "button", class: "chip", onclick: clear }, "Clear them"));
}

/** Searches for these phrases. */
function search(phrases) {
  state.text = phrases.filter(Boolean).map((phrase) => `"${phrase.replaceAll('"', " ")}"`).join(" ");
  byId("search").value = state.text;
  draw();
}

function clear() {
  state.text = "";
  byId("search").value = "";
  state.verdicts.clear();
  state.families.clear();
  draw();
}

function turn(view) {
  if (state.view === view) return;
  state.view = view;
  state.verdicts.clear();
  state.families.clear();
  draw();
}

/** Shows a case, or a requirement as `requirement:ID`, whatever the filters. */
function go(key) {
  const find = () => [...document.querySelectorAll("[data-key]")].find((box) => box.dataset.key === key);
  turn(key.startsWith("requirement:") ? "requirements" : "cases");
  if (!find()) clear();
  const box = find();
  if (!box) return;
  history.replaceState(null, "", `#${encodeURIComponent(key)}`);
  box.toggle(true);
  box.scrollIntoView({ block: "start" });
  box.firstElementChild.focus({ preventScroll: true });
}

function step(by, only) {
  const rows = [...document.querySelectorAll(only ? ".case.bad > .row" : ".case > .row")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const next = rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : (at + by + rows.length) % rows.length];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

function theme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try { localStorage.setItem("tidewire-theme", root.dataset.theme); } catch { /* Pages from files may have no storage. */ }
}

const KEYS = {
  "/": () => byId("search").focus(), j: () => step(1), k: () => step(-1), n: () => step(1, true),
  c: () => turn("cases"), r: () => turn("requirements"), t: theme, "?": () => byId("keys").showModal(), Escape: clear,
};

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || (isTyping && event.key !== "Escape") || byId("keys").open) return;
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
  if (event.key === "Escape") event.target.blur();
});

byId("search").addEventListener("input", (event) => {
  state.text = event.target.value;
  draw();
});
byId("theme").addEventListener("click", theme);
byId("help").addEventListener("click", () => byId("keys").showModal());
for (const tab of document.querySelectorAll("[data-view]")) tab.addEventListener("click", () => turn(tab.dataset.view));

try {
  const kept = localStorage.getItem("tidewire-theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
} catch { /* Pages from files may have no storage. */ }
byId("summary").replaceChildren(...summary());
draw();
const linked = () => {
  const key = decodeURIComponent(location.hash.slice(1));
  if (key) go(key);
};
addEventListener("hashchange", linked);
linked();
