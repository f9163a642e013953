"use strict";
// Page text is only ever set as text: no markup is made from it, nothing is looked up by it.
const at = (id) => document.getElementById(id);
const make = (tag, name, text) => {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text !== undefined) element.textContent = text;
  return element;
};
const number = (n) => n.toLocaleString("en");

// One document, in the elements of `document_view` in parts.html.
const documentView = (versions) => {
  const CONTEXT = 1;
  const folded = at("folded");
  let current = null;

  const show = (one) => {
    current = one;
    at("document-title").textContent = one.id;
    at("address").textContent = [one.source, one.url].filter(Boolean).join(" · ");
    at("outcomes").replaceChildren(...one.outcomes.map(outcome));
    at("hidden-part").textContent = one.hidden;
    at("text").replaceChildren(table(one));
    at("text").scrollLeft = 0;
  };

  const outcome = (one, place) => {
    const box = make("div", "outcome");
    if (versions.length > 1) box.append(make("h4", "", versions[place]));
    box.append(make("p", "", one.why));
    if (one.calls.length) {
      const details = make("details");
      const calls = make("ol");
      calls.append(...one.calls.map((call) => make("li", "mono", call)));
      details.append(make("summary", "", `Programs: ${number(one.calls.length)} ${one.calls.length === 1 ? "call" : "calls"}`), calls);
      box.append(details);
    }
    return box;
  };

  const table = (one) => {
    const whole = make("table", versions.length > 1 ? "lines two" : "lines");
    const head = make("tr");
    head.append(column("Line"), ...versions.map((name) => column(versions.length > 1 ? name : "Original text with changes")));
    const body = make("tbody");
    let skipped = 0;
    const gap = () => {
      if (skipped) body.append(gapRow(skipped));
      skipped = 0;
    };
    one.lines.forEach((line, index) => {
      if (folded.checked && !near(one, index)) {
        skipped += 1;
        return;
      }
      gap();
      const row = make("tr", same(one, index) ? "same" : "differs");
      const label = make("th", "at", String(index));
      label.scope = "row";
      row.append(label, ...one.outcomes.map((version, place) => cell(line, index, version, versions[place])));
      body.append(row);
    });
    gap();
    const top = make("thead");
    top.append(head);
    whole.append(top, body);
    return whole;
  };
  const column = (text) => {
    const element = make("th", "", text);
    element.scope = "col";
    return element;
  };
  const same = (one, index) => {
    const [first, last] = [one.outcomes[0], one.outcomes[one.outcomes.length - 1]];
    const [before, after] = [first.marks[index], last.marks[index]].map((mark) => JSON.stringify(mark));
    return first.fate === last.fate && before === after;
  };
  const near = (one, index) => {
    for (let other = index - CONTEXT; other <= index + CONTEXT; other += 1) {
      if (one.outcomes.some((version) => Object.hasOwn(version.marks, other))) return true;
    }
    return false;
  };
  const gapRow = (count) => {
    const row = make("tr", "skipped");
    const text = make("td", "", `${number(count)} unchanged ${count === 1 ? "line" : "lines"}`);
    text.colSpan = versions.length;
    row.append(make("th"), text);
    return row;
  };

  const cell = (line, index, version, name) => {
    const [text, more] = Array.isArray(line) ? line : [line, ""];
    const mark = Object.hasOwn(version.marks, index) ? version.marks[index] : null;
    const gone = version.fate !== "kept";
    const element = make("td", mark ? (mark.pieces ? "rewritten" : "removed") : gone ? "gone" : "");
    element.dataset.version = name;
    const box = make("div", "line");
    const content = make("span", "shown");
    content.dir = "auto";
    if (!mark) content.append(text);
    else if (!mark.pieces) content.append(make("del", text ? "" : "rest", text || "blank line"));
    else content.append(...mark.pieces.map(piece));
    if (more) content.append(make("span", "rest", ` ${more}`));
    box.append(content);
    const why = reason(mark, version.scores[index]);
    if (why) box.append(why);
    element.append(box);
    return element;
  };
  const piece = ([kind, text]) => {
    if (kind === "same") return text;
    return kind === "rest" ? make("span", "rest", text) : make(kind === "removed" ? "del" : "ins", "", text);
  };
  const reason = (mark, score) => {
    const known = score !== undefined && score !== null;
    if (!mark && !known) return null;
    const box = make("span", "why");
    if (!mark) {
      box.append(make("span", "hidden", "P(keep) "), score.toFixed(2));
      return box;
    }
    box.append(make("span", "hidden", mark.pieces ? "Rewritten: " : "Removed: "));
    if (mark.call) {
      box.classList.add("call");
      box.append(make("span", "mono", mark.call), " ");
    }
    box.append(mark.score);
    return box;
  };

  folded.addEventListener("change", () => current && show(current));
  return { show };
};

