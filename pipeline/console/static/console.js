// Keyboard and small comforts. Every deed works without this file.
"use strict";
(() => {
  const typing = (at) => at instanceof HTMLElement && at.matches("input, select, textarea, [contenteditable]");
  const lines = () => Array.from(document.querySelectorAll("[data-rows] tbody th a"));

  function move(by) {
    const all = lines();
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by));
    all[next].focus();
    all[next].scrollIntoView({ block: "nearest" });
  }

  // --- many tickets: the row under the focus, the boxes, the form that acts on them
  const bulk = document.querySelector("form[data-bulk]");
  const boxes = () => Array.from(document.querySelectorAll("[data-rows] input[name=t]"));
  const row = () => (document.activeElement && document.activeElement.closest("[data-rows] tr")) || null;

  function choose(box, on) {
    if (!box) return;
    box.checked = on === undefined ? !box.checked : on;
    show();
  }

  function show() {
    if (!bulk) return;
    const chosen = boxes().filter((box) => box.checked).length;
    bulk.classList.toggle("idle", !chosen);
    bulk.querySelector("[data-count]").textContent = chosen ? String(chosen) : "";
    for (const label of bulk.querySelectorAll("[data-for]")) {
      label.hidden = !label.dataset.for.split(" ").includes(bulk.elements.deed.value);
    }
  }

  // The keys act on the chosen tickets, on the one under the focus where none is chosen.
  function withChosen(deed, field, value) {
    const here = row();
    if (!boxes().some((box) => box.checked) && here) choose(here.querySelector("input[name=t]"), true);
    if (!boxes().some((box) => box.checked)) return;
    bulk.elements.deed.value = deed;
    if (field && value) bulk.elements[field].value = value;
    show();
    if (deed === "claim") bulk.requestSubmit();
    else bulk.elements[deed === "merge" ? "into" : "note"].focus();
  }

  function verdict(reason) {
    if (bulk) return withChosen("close", "reason", reason);
    const form = document.querySelector("form[data-verdict]");
    if (!form) return;
    form.elements.reason.value = reason;
    form.elements.note.focus();
  }

  function merging() {
    if (bulk) return withChosen("merge");
    const part = document.querySelector("[data-open=m]");
    if (!part) return;
    part.open = true;
    part.querySelector("input[name=into]").focus();
  }

  const help = () => {
    const box = document.getElementById("keys");
    if (box && !box.open) box.showModal();
  };

  const KEYS = {
    j: () => move(1),
    k: () => move(-1),
    x: () => row() && choose(row().querySelector("input[name=t]")),
    c: () => {
      if (bulk) return withChosen("claim");
      const button = document.querySelector("button[data-key=c]");
      if (button) button.click();
    },
    f: () => verdict("false_positive_logic"),
    t: () => verdict("true_positive_no_impact"),
    b: () => verdict("benign_true_positive"),
    m: merging,
    "?": help,
    "/": () => {
      const box = document.querySelector("[data-slash]");
      if (!box) return;
      box.focus();
      box.select();
    },
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) event.target.blur();
    if (typing(event.target) && event.target.type !== "checkbox") return;
    if (document.querySelector("dialog[open]")) return;
    const deed = Object.hasOwn(KEYS, event.key) ? KEYS[event.key] : null;
    if (!deed) return;
    event.preventDefault();
    deed();
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest && event.target.closest("[data-help]")) help();
  });
  document.addEventListener("change", (event) => {
    if (event.target.name === "t" || event.target.name === "deed") show();
  });
  show();

  // What is to be written elsewhere is copied by a button, where the browser lets us.
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", () => {
        navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent).then(() => {
          const said = button.textContent;
          button.textContent = "✓ " + said;
          setTimeout(() => { button.textContent = said; }, 1500);
        });
      });
    }
  }

  // A filter is applied when it is chosen; the button is for those without script.
  document.addEventListener("change", (event) => {
    const form = event.target.closest ? event.target.closest("form[data-auto]") : null;
    if (form && event.target.matches("select")) form.requestSubmit();
  });

  // The live list: the focus goes back to the same ticket after a swap.
  // and what was chosen stays chosen, as it was seen: a ticket that changed meanwhile is chosen no more.
  let held = "";
  let chosen = [];
  document.addEventListener("htmx:beforeSwap", () => {
    const at = document.activeElement;
    held = at && at.closest && at.closest("[data-rows]") ? at.id : "";
    chosen = boxes().filter((box) => box.checked).map((box) => box.value);
  });
  document.addEventListener("htmx:afterSwap", () => {
    const again = held && document.getElementById(held);
    if (again) again.focus({ preventScroll: true });
    for (const box of boxes()) box.checked = chosen.includes(box.value);
    show();
  });

  // The browser's own notices: asked for by a button, shown once for each, however many tabs are open.
  if ("Notification" in window) {
    const ask = document.querySelector("[data-allow-notices]");
    if (ask && Notification.permission === "default") {
      ask.hidden = false;
      ask.addEventListener("click", () => Notification.requestPermission().then(() => { ask.hidden = true; }));
    }
    document.addEventListener("htmx:afterSwap", (event) => {
      const news = event.target.querySelector ? event.target.querySelector("[data-newest]") : null;
      if (!news || Notification.permission !== "granted") return;
      const id = Number(news.dataset.newest);
      if (id <= Number(localStorage.getItem("told") || 0)) return;
      localStorage.setItem("told", String(id));
      const shown = new Notification("Tháp Canh", { body: news.dataset.said, tag: String(id) });
      shown.onclick = () => { window.focus(); window.location.assign(news.dataset.path); };
    });
  }

  // The queue live: a stream says which tickets are new or changed; the list then asks for itself anew. Where there
  // is no stream (too many tabs, a proxy that holds it back), the list's own asking every ten seconds goes on.
  const rows = document.getElementById("rows");
  const news = new Set();
  let stream = null;
  let soon = 0;

  function look() {
    if (!soon) soon = setTimeout(() => { soon = 0; htmx.trigger(rows, "live"); }, 500);
  }

  function listen() {
    if (!rows || stream || document.hidden || !window.EventSource) return;
    stream = new EventSource("/api/v1/tickets/stream");
    stream.addEventListener("ticket", (event) => { news.add(JSON.parse(event.data).number); look(); });
    stream.addEventListener("begin", look); // what happened between the page and the stream
    stream.addEventListener("reload", look);
    stream.addEventListener("end", hush);
    stream.addEventListener("error", () => { if (stream && stream.readyState === EventSource.CLOSED) stream = null; });
  }

  function hush() {
    if (stream) stream.close();
    stream = null;
  }

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return hush();
    listen();
    if (rows) look(); // what happened while nobody looked
  });
  window.addEventListener("pagehide", hush);
  window.addEventListener("pageshow", listen);
  setInterval(listen, 60000);
  document.addEventListener("htmx:afterSwap", () => {
    for (const number of news) {
      const at = document.getElementById("t" + number);
      if (at) at.closest("tr").classList.add("fresh");
    }
    news.clear();
  });

  // A form is sent once, however often its button is pressed (its key would make a repeat harmless anyway).
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) event.preventDefault();
    else if (event.target.method === "post") event.target.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
})();
