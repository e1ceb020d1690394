// Small tools: elements, texts, colours. No text ever becomes markup: everything goes in as text.

const page = JSON.parse(document.getElementById("data").textContent);

/** An element with attributes and children; strings become text. */
function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === false || value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key.startsWith("--")) element.style.setProperty(key, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

const byId = (id) => document.getElementById(id);

/** Signs that steer what shows them, written out; long texts cut, with the rest on demand. */
function visible(text) {
  return String(text).replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (sign) => `\\u{${sign.codePointAt(0).toString(16)}}`,
  );
}

const LONG = 1200;

/** A text that may be very long: its beginning, and a button for the rest. */
function long(text) {
  const all = visible(text);
  if (all.length <= LONG) return [all];
  const more = h("button", { class: "more", type: "button" }, `… ${all.length - LONG} more characters`);
  more.addEventListener("click", () => more.replaceWith(all.slice(LONG)));
  return [all.slice(0, LONG), more];
}

const VERDICTS = [
  "fail", "adapter-error", "harness-error", "inconclusive", "blocked", "unexpected-pass",
  "expected-fail", "flaky", "no-match", "non-strict", "observed", "not-run", "not-claimed", "pass",
];
const MARKS = {
  pass: "✓", fail: "✕", "non-strict": "~", observed: "i", "not-run": "–", "not-claimed": "–", blocked: "▪", inconclusive: "?",
  "adapter-error": "!", "harness-error": "!", "expected-fail": "✕", flaky: "≈", "unexpected-pass": "✓", "no-match": "✕",
  proved: "✓", failed: "✕", open: "?", uncovered: "–",
};
const GOOD = new Set(["pass", "non-strict", "observed", "not-run", "not-claimed", "expected-fail", "flaky"]);

/** The verdict as it counts: what a baseline makes of it, or its own. */
const verdictOf = (result) => (result.overlay ? result.overlay.kind : result.verdict);

/** The worst verdict of a case over all testees. */
function worst(entry) {
  const there = entry.results.filter(Boolean).map(verdictOf);
  return VERDICTS.find((verdict) => there.includes(verdict)) || "not-run";
}

const isBad = (entry) => entry.results.some((result) => result && !GOOD.has(verdictOf(result)));

/** How many cases name this one as the valid case that they spoil. */
const dependants = new Map();
for (const entry of page.cases) if (entry.twin) dependants.set(entry.twin, (dependants.get(entry.twin) || 0) + 1);

/** The simple before the special: what fails there explains the rest. */
function simplestFirst(one, other) {
  return VERDICTS.indexOf(worst(one)) - VERDICTS.indexOf(worst(other))
    || (dependants.get(other.id) || 0) - (dependants.get(one.id) || 0)
    || one.id.localeCompare(other.id);
}

function pill(verdict, text) {
  return h("span", { class: `pill v-${verdict}` }, h("i", { "aria-hidden": "true" }, MARKS[verdict] || "•"), text || verdict);
}

/** A button that copies a text, and says so. */
function copyButton(text) {
  const button = h("button", { class: "copy", type: "button", "aria-label": "Copy the command" }, "Copy");
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page from a file may not write to the clipboard: then the old way.
      const field = h("textarea", { class: "sr" });
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return button;
}

/** A sentence with its keyword set off. */
function sentence(text) {
  return visible(text).split(/(MUST NOT|SHOULD NOT|MUST|SHOULD|MAY)/).map((part, index) =>
    index % 2 ? h("b", { class: "keyword" }, part) : part,
  );
}

function millis(value) {
  if (value >= 1000) return `${(value / 1000).toFixed(2)} s`;
  return value >= 10 ? `${Math.round(value)} ms` : `${value.toFixed(1)} ms`;
}
