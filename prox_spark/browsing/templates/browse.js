// Keys, and what a page says while it waits. Pages and links work without this script; the text of a document does not.
(() => {
  const typing = (element) => element.closest("input, select, textarea, dialog") !== null;
  const follow = (selector) => document.querySelector(selector)?.click();

  // A document
  if (at("data")) {
    const { versions, document: one } = JSON.parse(at("data").textContent);
    documentView(versions).show(one);
    const line = new URLSearchParams(location.search).get("line");
    const row = line === null ? null : [...document.querySelectorAll(".lines .at")].find((label) => label.textContent === line);
    if (row) {
      row.parentElement.classList.add("chosen");
      row.parentElement.scrollIntoView({ block: "center" });
    }
  }

  // Waiting: the browser keeps the old page until the new one comes
  const busy = at("busy");
  let since = 0;
  let timer = 0;
  const rest = () => {
    clearInterval(timer);
    busy.hidden = true;
  };
  const wait = () => {
    rest();
    since = Date.now();
    timer = setInterval(() => {
      busy.hidden = false;
      busy.textContent = `Reading, ${number(Math.round((Date.now() - since) / 1000))} s. Esc stops.`;
    }, 1000);
  };
  document.addEventListener("submit", (event) => event.target.method !== "dialog" && wait());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    if (link && !link.getAttribute("href").startsWith("#") && !event.ctrlKey && !event.metaKey && !event.shiftKey) wait();
  });
  addEventListener("pageshow", rest);

  // Rows: one stop of the Tab key, j and k inside
  const rows = [...document.querySelectorAll("table a[data-row]")];
  const move = (step) => {
    const next = rows[Math.min(Math.max(rows.indexOf(document.activeElement) + step, 0), rows.length - 1)];
    next?.focus();
  };

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    n: () => follow("a[rel=next]"),
    u: () => follow("a[rel=up]"),
    b: () => history.back(),
    c: () => at("folded")?.click(),
    "/": () => ["textarea", "input[type=search]", "select"].map((field) => document.querySelector(`main ${field}`)).find(Boolean)?.focus(),
    "?": () => at("keys").showModal(),
  };
  document.querySelectorAll(".site nav a").forEach((link, place) => (keys[String(place + 1)] = () => link.click()));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (!busy.hidden || timer) {
        window.stop();
        rest();
      }
      if (typing(event.target) && !at("keys").open) event.target.blur();
    } else if (event.key === "Enter" && event.ctrlKey && event.target.form?.id === "query") {
      event.target.form.requestSubmit();
    } else if (Object.hasOwn(keys, event.key) && !typing(event.target) && !event.ctrlKey && !event.altKey && !event.metaKey) {
      event.preventDefault();
      keys[event.key]();
    }
  });
  at("help").addEventListener("click", () => at("keys").showModal());
  at("help").hidden = false;
})();
