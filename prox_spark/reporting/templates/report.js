"use strict";
// Page text is only ever set as text: no markup is made from it, nothing is looked up by it.
(() => {
  const { versions, changes, documents } = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const list = at("list");
  const folded = at("folded");
  const filters = { change: at("change"), operation: at("operation"), source: at("source") };
  const CONTEXT = 1;
  let shown = [];
  let current = -1;

  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const number = (n) => n.toLocaleString("en");

  // Filters
  const offer = (select, all, counts, names) => {
    select.append(new Option(all, ""));
    for (const [value, count] of counts) {
      // A value that is an empty name still has to differ from "all".
      select.append(new Option(`${names ? names[value] : value || "(none)"} (${number(count)})`, `=${value}`));
    }
  };
  const counted = (values) => {
    const counts = new Map();
    for (const value of values) counts.set(value, (counts.get(value) || 0) + 1);
    return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  };
  const inOrder = (counts) => {
    const order = Object.keys(changes);
    return counts.sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0]));
  };
  const haystacks = new Map();
  const haystack = (one) => {
    if (!haystacks.has(one)) {
      const lines = one.lines.map((line) => (Array.isArray(line) ? line[0] : line));
      haystacks.set(one, [one.id, one.source, one.url, ...lines].join("\n").toLowerCase());
    }
    return haystacks.get(one);
  };
  const matches = (one, words) =>
    ["change", "source"].every((key) => !filters[key].value || filters[key].value === `=${one[key]}`) &&
    (!filters.operation.value || one.operations.includes(filters.operation.value.slice(1))) &&
    (!words || haystack(one).includes(words));

  // The list: one stop of the Tab key, arrows inside
  const entry = (one) => {
    const item = make("li");
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.tabIndex = -1;
    const about = [changes[one.change], one.source].filter(Boolean).join(" · ");
    item.append(make("b", "", one.id), make("span", "", about));
    return item;
  };
  const items = documents.map(entry);
  const order = new Map(items.map((item, index) => [item, index]));

  const filter = () => {
    const words = at("search").value.trim().toLowerCase();
    const kept = current >= 0 ? shown[current] : -1;
    shown = [...documents.keys()].filter((index) => matches(documents[index], words));
    list.replaceChildren(...shown.map((index) => items[index]));
    at("status").textContent = `${number(shown.length)} of ${number(documents.length)} documents`;
    select(Math.max(0, shown.indexOf(kept)), false);
  };

  const select = (place, focus) => {
    for (const item of list.querySelectorAll("[aria-selected=true]")) {
      item.setAttribute("aria-selected", "false");
      item.tabIndex = -1;
    }
    current = shown.length ? Math.min(Math.max(place, 0), shown.length - 1) : -1;
    at("previous").disabled = current <= 0;
    at("next").disabled = current < 0 || current === shown.length - 1;
    at("document").hidden = current < 0;
    if (current < 0) return;
    const item = items[shown[current]];
    item.setAttribute("aria-selected", "true");
    item.tabIndex = 0;
    if (focus) item.focus();
    const [top, bottom] = [item.offsetTop - list.offsetTop, item.offsetTop - list.offsetTop + item.offsetHeight];
    if (top < list.scrollTop) list.scrollTop = top;
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
    show(documents[shown[current]]);
  };

  // One document
  const show = (one) => {
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
  const piece = ([kind, text]) => (kind === "same" ? text : make(kind === "removed" ? "del" : "ins", "", text));
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

  // Wiring
  offer(filters.change, "All", inOrder(counted(documents.map((one) => one.change))), changes);
  offer(filters.operation, "All", counted(documents.flatMap((one) => one.operations)));
  offer(filters.source, "All", counted(documents.map((one) => one.source)));
  for (const control of Object.values(filters)) control.addEventListener("change", filter);
  let waiting = 0;
  at("search").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("filters").addEventListener("reset", () => setTimeout(filter));
  folded.addEventListener("change", () => current >= 0 && show(documents[shown[current]]));
  at("previous").addEventListener("click", () => select(current - 1, false));
  at("next").addEventListener("click", () => select(current + 1, false));
  list.addEventListener("click", (event) => {
    const item = event.target.closest("li");
    if (item) select(shown.indexOf(order.get(item)), true);
  });
  const PAGE = 10;
  const moves = {
    ArrowDown: () => current + 1, j: () => current + 1, ArrowUp: () => current - 1, k: () => current - 1,
    PageDown: () => current + PAGE, PageUp: () => current - PAGE, Home: () => 0, End: () => shown.length - 1,
  };
  list.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !Object.hasOwn(moves, event.key)) return;
    event.preventDefault();
    select(moves[event.key](), true);
  });
  at("filters").hidden = false;
  at("browser").hidden = false;
  filter();
})();
