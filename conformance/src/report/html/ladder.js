// The ladder: actors as lanes, time downwards, each frame an arrow that opens its bytes.

/** The server stands in the middle, so that no arrow crosses the lane of another actor where that can be helped. */
function lanesOf(actors, peer) {
  const half = Math.ceil(actors.length / 2);
  return [...actors.slice(0, half), peer, ...actors.slice(half)];
}

function ladder(entry, evidence, failure) {
  const peer = entry.role === "codec" ? "codec" : "server";
  const lanes = lanesOf(evidence.actors.filter((actor) => actor !== peer), peer);
  const place = (actor) => Math.max(0, lanes.indexOf(actor));
  const box = h("div", { class: "bytes-of" });
  const body = h("div", { class: "rungs", "--lanes": lanes.length });
  lanes.forEach((_, index) => body.append(h("i", { class: "lane", "--at": index, "aria-hidden": "true" })));
  if (evidence.earlier > 0) body.append(h("p", { class: "rung earlier" }, `${evidence.earlier} earlier events are left out`));
  const arrows = [];
  const frames = evidence.events.filter((event) => event.kind === "frame");
  // What is wrong is nearly always the last frame of the actor whose step failed.
  const telling = failure ? frames.findLastIndex((frame) => !failure.actor || frame.actor === failure.actor) : -1;
  const told = frames[telling];
  const open = (button, frame) => {
    for (const other of arrows) other.setAttribute("aria-expanded", String(other === button));
    box.replaceChildren(
      h("h5", {}, visible(`${frame.name}`), h("span", {}, ` ${frame.direction === "sent" ? "from" : "to"} ${visible(frame.actor)}, ${frame.length} bytes of body`)),
      frame.summary ? h("p", { class: "summary-line" }, long(frame.summary)) : null,
      frame.hex ? hexView(frame, frame === told ? suspectOf(failure) : "") : h("p", { class: "quiet" }, "Its bytes are in the JSON report."));
  };
  for (const event of evidence.events) {
    const rung = rungOf(event, lanes, place, peer, failure, (frame) => {
      const button = h("button", { type: "button", "aria-expanded": "false", onclick: () => open(button, frame) });
      arrows.push(button);
      return button;
    });
    body.append(rung);
  }
  if (told) open(arrows[telling], told);
  else box.append(h("p", { class: "quiet" }, "Choose a frame to see its bytes."));
  const head = h("div", { class: "lanes", "--lanes": lanes.length },
    lanes.map((lane) => h("span", { class: lane === peer ? "peer" : "" }, visible(lane))));
  const scroll = h("div", { class: "scroll", tabindex: "0", "aria-label": "Ladder" }, h("div", { class: "inner", "--lanes": lanes.length }, head, body));
  // A failure is at the end; the way there is for who wants it.
  if (failure) requestAnimationFrame(() => (scroll.scrollTop = scroll.scrollHeight));
  return h("div", { class: "ladder" }, scroll, box);
}

/** The name of the field that a failure is about. */
const suspectOf = (failure) => (failure && failure.class === "wrong-field" ? failure.at.split(/[ .[]/)[0] : "");

function rungOf(event, lanes, place, peer, failure, button) {
  const own = event.actor ? place(event.actor) : 0;
  const other = lanes.indexOf(peer);
  const [from, to] = own < other ? [own, other] : [other, own];
  const span = { "--from": from + 1, "--to": to + 2, "--wide": to - from + 1 };
  const toRight = (event.direction === "sent") === own < other;
  const way = toRight ? "right" : "left";
  switch (event.kind) {
    case "step": {
      const failed = failure && failure.line === event.line;
      return h("p", { class: `rung step ${failed ? "failed" : ""}` }, h("b", {}, event.line), " ", visible(event.text));
    }
    case "frame": {
      const arrow = button(event);
      arrow.className = `rung arrow ${way} ${event.direction} ${event.name === "ERROR" || event.name === "GOAWAY" ? "stop" : ""}`;
      for (const [name, value] of Object.entries(span)) arrow.style.setProperty(name, value);
      const flags = event.flags ? ` ${event.flags}` : "";
      arrow.append(
        h("span", { class: "label" }, h("b", {}, visible(event.name)), h("small", {}, `${event.ref ? ` ref ${event.ref}` : ""}${visible(flags)}`)),
        h("span", { class: "line" }));
      arrow.title = visible(event.summary);
      return arrow;
    }
    case "bytes":
      return h("div", { class: `rung arrow raw ${way} ${event.direction}`, ...span, title: event.hex },
        h("span", { class: "label" }, h("b", {}, `${event.length} bytes`), h("small", {}, ` ${event.hex.slice(0, 16)}${event.length > 8 ? "…" : ""}`)),
        h("span", { class: "line" }));
    case "adapter": {
      const call = beside("call", event, own, other, lanes);
      call.classList.add(event.direction);
      call.title = visible(event.text);
      call.append(h("b", {}, visible(event.name)), " ", visible(event.text === "{}" ? "" : event.text));
      return call;
    }
    default: {
      if (!event.actor) return h("p", { class: "rung note all" }, visible(event.text));
      const note = beside("note", event, own, other, lanes);
      note.append(visible(event.text));
      return note;
    }
  }
}

/** A text that stands beside the lane of its actor, on the side where there is room. */
function beside(kind, event, own, other, lanes) {
  const late = own > other;
  return h("p", { class: `rung ${kind} ${late ? "late" : ""}`, "--from": own + 1, "--wide": late ? own + 1 : lanes.length - own });
}
