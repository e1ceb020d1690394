// What there is to say about a case: why it failed, in the order in which one asks.

function detail(entry) {
  const several = page.testees.length > 1;
  const long = [];
  const short = [];
  entry.results.forEach((result, index) => {
    const testee = page.testees[index];
    const parts = result ? resultParts(entry, result, testee) : [];
    const head = several ? h("h4", {}, visible(testee.name), " ", result ? pill(verdictOf(result)) : h("span", { class: "pill" }, "absent")) : null;
    if (parts.length) long.push(h("section", { class: "result" }, head, parts));
    else short.push(h("p", { class: "quiet" }, head, passed(result)));
  });
  return h("div", { class: "detail" }, short, h("div", { class: "results" }, long), about(entry));
}

function passed(result) {
  if (!result) return "It is not in this report.";
  const sweep = result.variants > 1 ? `, all ${result.variants} results of its sweep` : "";
  return `Passed in ${millis(result.duration_ms)}${sweep}.`;
}

function resultParts(entry, result, testee) {
  const parts = [];
  if (result.reason) parts.push(h("p", { class: "reason" }, long(result.reason)));
  if (result.overlay) parts.push(overlay(result.overlay));
  if (result.repeats) {
    const { runs, failed } = result.repeats;
    parts.push(h("p", { class: "reason" }, `Did not pass in ${failed} of ${runs} runs (${(100 * failed / runs).toFixed(1)} %).`));
  }
  const failure = result.failure;
  if (failure) parts.push(...failureParts(entry, result, failure));
  if (result.evidence) parts.push(h("h5", {}, "What went over the wire"), ladder(entry, result.evidence, failure));
  if (failure && failure.stderr) parts.push(h("h5", {}, "The adapter's last words"), h("pre", { class: "source" }, long(failure.stderr.join("\n"))));
  const command = `${testee.repeat} --filter '${entry.id}' --seed ${testee.seed}`;
  if (failure || !GOOD.has(verdictOf(result))) parts.push(h("div", { class: "command" }, h("code", {}, visible(command)), copyButton(command)));
  return parts;
}

function overlay(overlay) {
  const texts = {
    "expected-fail": "The baseline expects this", flaky: "The baseline allows this now and then",
    "unexpected-pass": "The baseline expects a failure, and it passed", "no-match": "The baseline expects another failure",
  };
  const until = overlay.until ? `, until ${overlay.until}` : "";
  const link = /^https?:\/\//.test(overlay.issue || "")
    ? h("a", { href: overlay.issue, rel: "noreferrer" }, visible(overlay.issue))
    : visible(overlay.issue || "");
  return h("p", { class: "reason" }, `${texts[overlay.kind]}${until}: `, visible(overlay.reason), " ", link);
}

function failureParts(entry, result, failure) {
  const parts = [];
  const cited = failure.proves.length ? failure.proves : entry.claims;
  const lead = failure.proves.length === 0
    ? "The step prepares; the case is about"
    : failure.class === "wrong-field" && cited.length > 1 ? "One of these is not kept" : cited.length > 1 ? "These are not kept" : "Not kept";
  parts.push(h("h5", {}, lead), h("ul", { class: "sentences" }, cited.map(cite)));
  const where = failure.line ? `${entry.file}:${failure.line}` : `${entry.file}, after the last step`;
  parts.push(h("dl", { class: "facts" },
    h("dt", {}, "likely"), h("dd", {}, h("b", {}, failure.class.replaceAll("-", " "))),
    failure.at ? [h("dt", {}, "at"), h("dd", {}, h("code", {}, long(failure.at)))] : null,
    failure.actor ? [h("dt", {}, "actor"), h("dd", {}, visible(failure.actor))] : null,
    failure.variant ? [h("dt", {}, "variant"), h("dd", {}, visible(failure.variant), ` (${result.failed_variants} of ${result.variants} results failed)`)] : null,
    h("dt", {}, "step"), h("dd", {}, h("code", {}, visible(where)))));
  if (failure.step && failure.step.length) parts.push(h("pre", { class: "source" }, visible(failure.step.join("\n"))));
  const [expected, got] = differing(failure.expected, failure.got);
  parts.push(h("div", { class: "versus" },
    h("div", { class: "expected" }, h("h6", {}, "expected"), h("p", {}, expected)),
    h("div", { class: "got" }, h("h6", {}, "got"), h("p", {}, got))));
  return parts;
}

/** Two texts, with what only one of them has set off. */
function differing(expected, got) {
  if (!expected || !got || expected === got || expected.length + got.length > 2 * LONG) return [long(expected || "nothing"), long(got)];
  let head = 0;
  while (head < Math.min(expected.length, got.length) && expected[head] === got[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(expected.length, got.length) - head && expected.at(-1 - tail) === got.at(-1 - tail)) tail += 1;
  if (head + tail < 4) return [visible(expected), visible(got)];
  return [expected, got].map((text) => [
    visible(text.slice(0, head)), h("mark", {}, visible(text.slice(head, text.length - tail))), visible(text.slice(text.length - tail)),
  ]);
}

const requirementById = new Map(page.requirements.map((one) => [one.id, one]));

function cite(id) {
  const known = requirementById.get(id);
  const jump = h("button", { class: "id", type: "button", onclick: () => go(`requirement:${id}`) }, id);
  if (!known) return h("li", {}, jump);
  return h("li", {}, jump, h("span", {}, sentence(known.sentence), " ", h("small", {}, `${known.role} · ${known.observed} · spec/${known.file}#${known.anchor}`)));
}

function about(entry) {
  const bad = entry.results.some((result) => result && result.failure);
  return h("footer", { class: "about" },
    h("span", {}, h("code", {}, visible(entry.file))),
    entry.twin ? h("span", {}, "twin ", h("button", { class: "id", type: "button", onclick: () => go(entry.twin) }, visible(entry.twin))) : null,
    bad || !entry.claims.length ? null : h("details", { open: true }, h("summary", {}, `proves ${entry.claims.length} sentences`), h("ul", { class: "sentences" }, entry.claims.map(cite))));
}
