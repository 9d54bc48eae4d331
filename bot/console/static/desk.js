// The console's keys and small comforts. Every page works without them.
"use strict";

const LARGE = "countydesk-large";

function setLarge(on) {
  document.documentElement.classList.toggle("large", on);
  document.getElementById("large")?.setAttribute("aria-pressed", String(on));
}

const large = document.getElementById("large");
setLarge(localStorage.getItem(LARGE) === "yes");
large?.addEventListener("click", () => {
  const on = large.getAttribute("aria-pressed") !== "true";
  localStorage.setItem(LARGE, on ? "yes" : "no");
  setLarge(on);
});

// On a phone the navigation is one line to be drawn sideways: where one is comes into view.
const place = document.querySelector(".side [aria-current]");
const line = place?.closest("ul");
if (line) line.scrollLeft = place.offsetLeft - line.clientWidth / 2;

// --- keys ---

const keys = document.getElementById("keys");
const opener = document.getElementById("keys-button");
const lookup = document.getElementById("results"); // 查答案 has its own keys for the box and this table

function toggleKeys() {
  keys.hidden = !keys.hidden;
  opener.setAttribute("aria-expanded", String(!keys.hidden));
}

if (!lookup) opener?.addEventListener("click", toggleKeys);

function rows() {
  return [...document.querySelectorAll("table.rows tbody tr")];
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const here = all.indexOf(document.activeElement.closest?.("tr"));
  const next = all[Math.min(Math.max(here + step, 0), all.length - 1)];
  const target = next.querySelector("a[href]") ?? next.querySelector("input, button");
  target?.focus();
  next.scrollIntoView({ block: "nearest" });
}

let going = false;

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229 || event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select");
  if (typing) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (going) {
    going = false;
    const entry = document.querySelectorAll(".side a")["123456789abcdefghi".indexOf(event.key.toLowerCase())];
    if (entry) {
      event.preventDefault();
      event.stopImmediatePropagation();
      location.assign(entry.href);
    }
    return;
  }
  const choice = /^[1-9]$/.test(event.key) && document.querySelector(`[data-key="${event.key}"]`);
  if (choice) {
    event.preventDefault();
    choice.click();
    return;
  }
  const does = {
    ...(lookup ? {} : { "?": toggleKeys, "？": toggleKeys, "/": () => document.querySelector("[data-search]")?.focus() }),
    g: () => (going = true),
    j: () => move(1),
    k: () => move(-1),
    x: () => document.activeElement.closest?.("tr")?.querySelector("input[type=checkbox]")?.click(),
  }[event.key];
  if (does) {
    event.preventDefault();
    does();
  }
});

// --- forms ---

for (const all of document.querySelectorAll("[data-all]")) {
  all.addEventListener("change", () => {
    for (const box of document.querySelectorAll(`input[type=checkbox][name="${all.dataset.all}"]`)) box.checked = all.checked;
  });
}

for (const form of document.querySelectorAll("form[data-confirm]")) {
  form.addEventListener("submit", (event) => {
    if (!window.confirm(form.dataset.confirm)) event.preventDefault();
  });
}

for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    if (!event.defaultPrevented) form.dataset.sent = "yes"; // a second press must not do it twice
  });
}

// A page that is come back to may be sent again.
addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});

for (const choice of document.querySelectorAll("select[data-go]")) {
  choice.addEventListener("change", () => choice.form.requestSubmit());
}

for (const button of document.querySelectorAll("[data-print]")) button.addEventListener("click", () => window.print());
