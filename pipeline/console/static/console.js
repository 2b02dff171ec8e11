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

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) event.target.blur();
    if (typing(event.target)) return;
    if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") {
      const box = document.querySelector("[data-slash]");
      if (!box) return;
      box.focus();
      box.select();
    } else return;
    event.preventDefault();
  });

  // A filter is applied when it is chosen; the button is for those without script.
  document.addEventListener("change", (event) => {
    const form = event.target.closest ? event.target.closest("form[data-auto]") : null;
    if (form && event.target.matches("select")) form.requestSubmit();
  });

  // The live list: the focus goes back to the same ticket after a swap.
  let held = "";
  document.addEventListener("htmx:beforeSwap", () => {
    const at = document.activeElement;
    held = at && at.closest && at.closest("[data-rows]") ? at.id : "";
  });
  document.addEventListener("htmx:afterSwap", () => {
    const again = held && document.getElementById(held);
    if (again) again.focus({ preventScroll: true });
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
