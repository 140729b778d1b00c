"use strict";
// Keys for the review page: a key presses the button that carries it. Without this script every
// button still works by itself.
(() => {
  const find = (selector) => document.querySelector(selector);
  const isOn = () => localStorage.getItem("keys") !== "off";
  // An answer is on its way, or the next case has not been seen yet: keys typed ahead and double
  // clicks are not for the case that they would meet.
  const SEEN = 200; // milliseconds
  const root = document.documentElement;
  const setBusy = (on) => root.toggleAttribute("data-busy", on);
  const isBusy = () => root.hasAttribute("data-busy");

  let wantsSearch = false; // pressed meanwhile: what is typed next is no answer

  function search() {
    find("#q")?.focus();
    find("#q")?.select();
  }

  const helpOpen = () => find("#help")?.matches(":popover-open");

  function move(by) {
    const found = [...document.querySelectorAll("#found .pick")];
    if (!found.length) return false;
    const next = found.indexOf(document.activeElement) + by;
    if (next < 0) find("#q").focus();
    else found[Math.min(next, found.length - 1)].focus();
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select");
    const searching = event.target.id === "q" || event.target.closest("#found");
    if (event.key === "Escape" && searching) {
      event.target.blur();
      find("#query").focus({ preventScroll: true });
    }
    if (searching && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      if (move(event.key === "ArrowDown" ? 1 : -1)) event.preventDefault();
    }
    if (typing || event.repeat || !isOn()) return;
    if (isBusy()) {
      wantsSearch ||= event.key === "/";
      return;
    }
    if (event.key === "?" && find("#help")) find("#help").togglePopover();
    else if (helpOpen()) return;
    else if (event.key === "/" && find("#q")) {
      event.preventDefault();
      search();
    } else {
      const key = CSS.escape(event.key.toLowerCase());
      find(`[data-key="${key}"]:not(:disabled)`)?.click();
    }
  });

  document.addEventListener("submit", (event) => {
    if (event.target.id !== "verdict" && !event.target.action.includes("/undo")) return;
    if (isBusy()) {
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    setBusy(true);
    event.submitter?.closest(".row")?.classList.add("chosen");
  }, true);
  const ready = () => {
    setBusy(false);
    document.querySelectorAll(".chosen").forEach((row) => row.classList.remove("chosen"));
    if (wantsSearch) search();
    wantsSearch = false;
  };
  document.addEventListener("htmx:finally:request", () => {
    if (isBusy()) setTimeout(ready, SEEN);
  });
  document.addEventListener("pageshow", ready);

  document.addEventListener("htmx:after:swap", (event) => {
    if (event.detail?.ctx?.target?.id !== "case") return;
    find("#notice").replaceChildren();
    window.scrollTo(0, 0);
    find("#query")?.focus({ preventScroll: true });
  });

  document.addEventListener("change", (event) => {
    if (event.target.id === "keys-on") localStorage.setItem("keys", event.target.checked ? "on" : "off");
    event.target.closest("form[data-auto]")?.requestSubmit();
  });

  root.classList.add("js");
  const keys = find("#keys-on");
  if (keys) keys.checked = isOn();
})();
