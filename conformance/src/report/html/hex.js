// The bytes of a frame beside what they mean: pointing at one shows the other.

/** `suspect` is the name of a field that is not as it must be. */
function hexView(frame, suspect) {
  const count = frame.hex.length / 2;
  const owner = new Array(count).fill(-1);
  frame.spans.forEach(([at, len], index) => {
    for (let place = at; place < Math.min(at + len, count); place += 1) owner[place] = index;
  });
  const cells = [];
  const rows = [];
  for (let place = 0; place < count; place += 1) {
    if (place % 8 === 0) {
      rows.push(h("div", { class: "hexrow" }, h("span", { class: "offset" }, place.toString(16).padStart(4, "0"))));
    }
    const depth = owner[place] < 0 ? 0 : frame.spans[owner[place]][2];
    const cell = h("span", { class: `byte d${Math.min(depth, 4)} ${owner[place] % 2 ? "odd" : ""}`, "data-span": owner[place] },
      frame.hex.slice(2 * place, 2 * place + 2));
    if (owner[place] >= 0) cell.title = visible(frame.spans[owner[place]][3]);
    cells.push(cell);
    rows[rows.length - 1].append(cell);
  }
  const fields = frame.spans.map(([at, len, depth, text], index) =>
    h("li", { class: `field d${Math.min(depth, 4)} ${suspect && text.startsWith(`${suspect} =`) ? "suspect" : ""}`, "data-span": index, tabindex: "0", "--depth": depth },
      h("span", { class: "offset" }, at.toString(16).padStart(4, "0")),
      h("span", { class: "meaning" }, meaning(text)),
      h("span", { class: "size" }, `${len} B`)),
  );
  const bytes = h("div", { class: "bytes", "aria-label": "Bytes" }, rows);
  const left = frame.length + 10 - count;
  if (left > 0) bytes.append(h("p", { class: "quiet" }, `… ${left} more bytes`));
  const view = h("div", { class: "hex" }, bytes, h("ol", { class: "fields", "aria-label": "Fields" }, fields));
  const show = (index) => {
    for (const part of view.querySelectorAll(".lit")) part.classList.remove("lit");
    if (index < 0) return;
    for (const cell of cells) if (cell.dataset.span === String(index)) cell.classList.add("lit");
    fields[index].classList.add("lit");
  };
  const point = (event) => {
    const part = event.target.closest("[data-span]");
    show(part ? Number(part.dataset.span) : -1);
  };
  view.addEventListener("pointerover", point);
  view.addEventListener("focusin", point);
  view.addEventListener("pointerleave", () => show(-1));
  return view;
}

/** `name = value` with the name set off; what is wrong with a body stands out. */
function meaning(text) {
  const shown = visible(text);
  const cut = shown.indexOf(" = ");
  if (shown.startsWith("error:") || shown.startsWith("incomplete")) return h("b", { class: "wrong" }, shown);
  if (cut < 0) return shown;
  return [h("b", {}, shown.slice(0, cut)), " = ", shown.slice(cut + 3)];
}
