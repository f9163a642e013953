(() => {
  const { versions, changes, documents } = JSON.parse(document.getElementById("data").textContent);
  const list = at("list");
  const filters = { change: at("change"), operation: at("operation"), source: at("source") };
  const view = documentView(versions);
  let shown = [];
  let current = -1;

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
    view.show(documents[shown[current]]);
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
