// The parts of the page: summary, overview, list of cases, list of requirements.

function summary() {
  return page.testees.map((testee, index) => {
    const counts = new Map();
    for (const entry of page.cases) {
      const result = entry.results[index];
      if (result) counts.set(verdictOf(result), (counts.get(verdictOf(result)) || 0) + 1);
    }
    const shown = [...VERDICTS].reverse().filter((verdict) => counts.has(verdict));
    const covered = testee.coverage;
    const state = testee.exit_code === 0 ? "good" : testee.exit_code === 1 ? "bad" : "unsure";
    const facts = [
      ["role", testee.role], ["transports", testee.transports.join(", ")], ["features", testee.features.join(", ")],
      ["date", testee.date], ["took", millis(testee.duration_ms)],
      ["round trip", testee.round_trip_us ? `${testee.round_trip_us} µs` : ""], ["seed", testee.seed], ["runner", testee.runner],
    ].filter(([, value]) => value);
    return h("article", { class: `card ${state}` },
      h("p", { class: "eyebrow" }, visible(testee.name), testee.version ? h("small", {}, ` ${visible(testee.version)}`) : null),
      h("h1", {}, h("i", { "aria-hidden": "true" }, state === "good" ? "✓" : state === "bad" ? "✕" : "!"), visible(testee.headline)),
      h("div", { class: "bar", role: "img", "aria-label": shown.map((verdict) => `${counts.get(verdict)} ${verdict}`).join(", ") },
        shown.map((verdict) => h("span", { class: `v-${verdict}`, "--share": counts.get(verdict) }))),
      h("p", { class: "legend" }, shown.map((verdict) => h("span", {}, h("i", { class: `dot v-${verdict}` }), `${counts.get(verdict)} ${verdict}`))),
      h("div", { class: "coverage" },
        meter("requirements executed", covered.executed, covered.observable),
        meter("claimed by a case", covered.claimed, covered.observable)),
      testee.baseline && testee.baseline.problems.length
        ? h("ul", { class: "problems" }, testee.baseline.problems.map((problem) => h("li", {}, visible(problem)))) : null,
      h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, visible(value))])));
  });
}

function meter(name, value, of) {
  const share = of ? (100 * value) / of : 0;
  return h("div", { class: "meter" },
    h("span", {}, name), h("b", {}, `${value}`, h("small", {}, ` of ${of}`)),
    h("div", { class: "track" }, h("span", { "--share": `${share}%` })));
}

/** What became of a requirement with one testee. */
function stateOf(id, index) {
  const cases = casesBy.get(id) || [];
  let claimed = false;
  let proved = false;
  for (const entry of cases) {
    const result = entry.results[index];
    if (!result || result.verdict === "not-claimed") continue;
    claimed = true;
    const failure = result.failure;
    if (failure && result.verdict === "fail" && (failure.proves.length ? failure.proves : entry.claims).includes(id)) return "failed";
    if ((result.proved || entry.claims).includes(id)) proved = true;
  }
  return proved ? "proved" : claimed ? "open" : "uncovered";
}

const casesBy = new Map();
for (const entry of page.cases) {
  for (const id of entry.claims) casesBy.set(id, [...(casesBy.get(id) || []), entry]);
}

const FAMILIES = [...new Set(page.cases.map((entry) => entry.family))];

/** The chapter of a requirement: the file without its number. */
const chapterOf = (one) => one.file.replace(/^\d+-/, "").replace(/\.md$/, "");

/** Rows of cells: one for each case or requirement, a row for each testee. */
function overview(view, shown) {
  const groups = new Map();
  const add = (name, item) => groups.set(name, [...(groups.get(name) || []), item]);
  if (view === "cases") for (const entry of page.cases) add(entry.family, entry);
  else for (const one of page.requirements) add(chapterOf(one), one);
  return [...groups].map(([name, items]) => {
    const several = page.testees.length > 1;
    const rows = page.testees.map((testee, index) => h("div", { class: several ? "line" : "" },
      several ? h("span", { class: "who", title: visible(testee.name) }, visible(testee.name)) : null,
      h("div", { class: "cells" }, items.map((item) => {
        const state = view === "cases"
          ? (item.results[index] ? verdictOf(item.results[index]) : "absent")
          : stateOf(item.id, index);
        const key = view === "cases" ? item.id : `requirement:${item.id}`;
        return h("button", {
          type: "button", tabindex: "-1", class: `cell v-${state} ${shown.has(key) ? "" : "dim"}`,
          title: `${item.id}: ${state}\n${visible(item.title || item.sentence)}`, onclick: () => go(key),
        }, GOOD.has(state) || state === "proved" ? "" : MARKS[state] || "");
      }))));
    return h("div", { class: "family" }, h("h3", {}, name, h("small", {}, ` ${items.length}`)), h("div", { class: "rows" }, rows));
  });
}

function caseRow(entry) {
  const times = entry.results.filter(Boolean).map((result) => result.duration_ms || 0);
  const summaryRow = h("button", { class: "row", type: "button", "aria-expanded": "false" },
    h("span", { class: "pills" }, entry.results.map((result) => (result ? pill(verdictOf(result)) : h("span", { class: "pill" }, "absent")))),
    h("span", { class: "name" }, h("b", {}, visible(entry.id)), h("span", {}, visible(entry.title))),
    h("span", { class: "time" }, millis(Math.max(0, ...times))));
  return expandable(`case ${isBad(entry) ? "bad" : ""}`, entry.id, summaryRow, () => detail(entry));
}

function requirementRow(one) {
  const cases = casesBy.get(one.id) || [];
  const row = h("button", { class: "row", type: "button", "aria-expanded": "false" },
    h("span", { class: "pills" }, page.testees.map((_, index) => pill(stateOf(one.id, index)))),
    h("span", { class: "name" }, h("b", {}, one.id), h("span", {}, sentence(one.sentence))),
    h("span", { class: "time" }, `${cases.length} ${cases.length === 1 ? "case" : "cases"}`));
  return expandable("case", `requirement:${one.id}`, row, () => h("div", { class: "detail" },
    h("p", { class: "quiet" }, `${one.role} · ${one.observed} · spec/${one.file}#${one.anchor}, line ${one.line}`),
    cases.length
      ? h("ul", { class: "links" }, cases.map((entry) => h("li", {},
        entry.results.map((result) => (result ? pill(verdictOf(result)) : null)),
        h("button", { class: "id", type: "button", onclick: () => go(entry.id) }, visible(entry.id)), h("span", {}, visible(entry.title)))))
      : h("p", { class: "quiet" }, "No case of this run claims it.")));
}

/** A row that draws what is in it when it is first opened. */
function expandable(kind, key, row, draw) {
  const box = h("article", { class: kind, "data-key": key }, row);
  box.toggle = (wanted) => {
    const open = wanted ?? row.getAttribute("aria-expanded") !== "true";
    if (open && box.children.length === 1) box.append(draw());
    row.setAttribute("aria-expanded", String(open));
    box.classList.toggle("open", open);
  };
  row.addEventListener("click", () => box.toggle());
  return box;
}
