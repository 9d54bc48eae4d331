// 查答案: search while typing, choose, copy. All wording is in lookup.html.
(() => {
  "use strict";

  const LIMIT = 7;
  const LEAST = 2;
  const DEBOUNCE_MS = 20;
  const TIMEOUT_MS = 8000;
  const TOAST_MS = 2500;

  const byId = (id) => document.getElementById(id);
  const box = byId("q");
  const list = byId("results");
  const detail = byId("detail");
  const count = byId("count");
  const message = byId("message");
  const toast = byId("toast");
  const keys = byId("keys");
  const keysButton = byId("keys-button");
  const copyNames = JSON.parse(toast.dataset.copies);
  const statusClasses = JSON.parse(list.dataset.classes);

  let results = [];
  let selected = -1;
  let composing = false;
  let timer = 0;
  let toastTimer = 0;
  let request = null;
  let asked = "";
  // What to do once the results for the text in the box have come; null when the list is up to date.
  let waiting = null;

  const clone = (id) => byId(id).content.cloneNode(true);
  const current = () => results[selected];

  // ---- searching ----

  const query = () => box.value.trim().replace(/\s+/g, " ");
  const isStale = () => query() !== asked;

  function schedule() {
    clearTimeout(timer);
    if (composing || !isStale()) return;
    waiting = null;
    timer = setTimeout(search, DEBOUNCE_MS);
  }

  function forget() {
    clearTimeout(timer);
    request?.abort();
    request = null;
    waiting = null;
    asked = query();
    show([]);
    message.replaceChildren(clone("start"));
  }

  async function search() {
    clearTimeout(timer);
    const q = query();
    if ([...q].length < LEAST) return forget();
    // Aborting drops an answer that would arrive after a newer one.
    request?.abort();
    const mine = (request = new AbortController());
    setTimeout(() => mine.abort(), TIMEOUT_MS);
    asked = q;
    const url = `/api/v1/search?${new URLSearchParams({ q, limit: LIMIT })}`;
    const response = await fetch(url, { signal: mine.signal }).catch(() => null);
    const body = response && (await response.json().catch(() => ({})));
    if (mine !== request) return;
    request = null;
    if (response?.ok && body.results) found(body.results.slice(0, LIMIT));
    else fail(body?.error, !response);
  }

  function found(answers) {
    message.replaceChildren();
    show(answers);
    if (!answers.length) {
      const nothing = clone("nothing");
      nothing.querySelector("b").textContent = asked;
      nothing.querySelector("a").href = `/?${new URLSearchParams({ q: asked })}`;
      message.append(nothing);
    }
    const action = waiting;
    waiting = null;
    action?.();
  }

  function fail(words, offline) {
    waiting = null;
    show([]);
    const failed = clone("failed");
    const span = failed.querySelector("span");
    span.textContent = words || (offline ? span.dataset.offline : span.dataset.server);
    failed.querySelector("button").addEventListener("click", () => {
      box.focus();
      search();
    });
    message.replaceChildren(failed);
  }

  // A key pressed while the list lags behind the box must act on what was typed, not on what is still shown.
  function whenFresh(action) {
    if (!isStale() && !request) return action();
    if (isStale()) search();
    if (request) waiting = action;
  }

  // ---- the list ----

  function status(badge, answer) {
    badge.textContent = answer.status || "";
    badge.hidden = !answer.status;
    badge.classList.add(statusClasses[answer.status] || "none");
  }

  function option(answer, place) {
    const item = clone("option").firstElementChild;
    item.id = `result-${place}`;
    item.querySelector(".place").textContent = `Alt+${place + 1}`;
    item.querySelector(".headline").textContent = answer.headline;
    status(item.querySelector(".badge"), answer);
    item.querySelector(".why span:last-child").textContent = answer.why || "";
    item.addEventListener("click", () => {
      select(place);
      // In the one-column layout the answer stands below the list.
      if (detail.offsetTop > list.offsetTop) detail.scrollIntoView();
    });
    return item;
  }

  function show(answers) {
    results = answers;
    list.replaceChildren(...answers.map(option));
    count.textContent = answers.length ? count.dataset.found.replace("#", answers.length) : "";
    box.setAttribute("aria-expanded", String(answers.length > 0));
    select(answers.length ? 0 : -1);
  }

  function select(place) {
    selected = place;
    for (const [at, item] of [...list.children].entries()) item.setAttribute("aria-selected", String(at === place));
    const item = list.children[place];
    box.setAttribute("aria-activedescendant", item ? item.id : "");
    if (list.scrollHeight > list.clientHeight) item?.scrollIntoView({ block: "nearest" });
    showDetail();
  }

  function move(step) {
    if (!results.length) return;
    const from = selected < 0 && step < 0 ? 0 : selected;
    select((from + step + results.length) % results.length);
  }

  // ---- the selected answer ----

  // Splits a text at the matched words and gives nodes, the words inside <mark>.
  function marked(text, marks) {
    const words = (marks || []).filter(Boolean).sort((one, other) => other.length - one.length);
    if (!words.length) return [text];
    const pattern = new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "i");
    return text.split(pattern).map((part, at) => {
      if (at % 2 === 0) return part;
      const mark = document.createElement("mark");
      mark.textContent = part;
      return mark;
    });
  }

  const address = ({ notice_id, clause }) => `/notice/${encodeURIComponent(notice_id)}#${encodeURIComponent(clause)}`;

  function citation(one, answer, isMain) {
    const figure = clone("citation");
    figure.querySelector("blockquote").append(...marked(one.quote, answer.marks));
    const link = figure.querySelector("a");
    link.textContent = one.source;
    link.title = one.title;
    link.href = (isMain && answer.url) || address(one);
    const badge = figure.querySelector(".badge");
    const official = one.text_status === "official";
    badge.textContent = official ? badge.dataset.official : badge.dataset.unverified;
    badge.classList.add(official ? "clear" : "caution");
    return figure;
  }

  function showDetail() {
    const answer = current();
    detail.hidden = !answer;
    if (!answer) return detail.replaceChildren();
    const shown = clone("answer");
    const part = (selector) => shown.querySelector(selector);
    status(part(".badge"), answer);
    part(".title").textContent = answer.title || "";
    part("h2").textContent = answer.headline;
    part("h2").classList.add(answer.verdict || "info");
    part(".aloud span:last-child").textContent = answer.aloud || "";
    part(".aloud").hidden = !answer.aloud;
    const citations = answer.citations || [];
    if (answer.kind === "abstain" && citations.length) part(".citations").append(clone("nearest"));
    part(".citations").append(...citations.map((one, at) => citation(one, answer, at === 0)));
    part(".binds dd").textContent = answer.binds || "";
    part(".binds").hidden = !answer.binds;
    for (const note of answer.notes || []) {
      const item = document.createElement("li");
      item.textContent = note;
      part(".notes").append(item);
    }
    for (const button of shown.querySelectorAll("[data-copy]")) {
      if (answer.copies?.[button.dataset.copy]) button.addEventListener("click", () => copy(answer, button.dataset.copy));
      else button.remove();
    }
    detail.replaceChildren(shown);
    detail.scrollTop = 0;
  }

  // ---- copying ----

  function asHtml(text) {
    const holder = document.createElement("div");
    for (const line of text.split("\n")) {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      holder.append(paragraph);
    }
    return holder.innerHTML;
  }

  // On plain http there is no navigator.clipboard; a copy event carries both forms there.
  function copyOldWay(text) {
    const before = document.activeElement;
    const carrier = document.createElement("textarea");
    carrier.className = "unseen";
    carrier.value = text;
    document.body.append(carrier);
    carrier.select();
    const fillBoth = (event) => {
      event.preventDefault();
      event.clipboardData.setData("text/plain", text);
      event.clipboardData.setData("text/html", asHtml(text));
    };
    document.addEventListener("copy", fillBoth, { once: true });
    const done = document.execCommand("copy");
    document.removeEventListener("copy", fillBoth);
    carrier.remove();
    before.focus({ preventScroll: true });
    return done;
  }

  async function write(text) {
    if (window.isSecureContext && navigator.clipboard?.write && window.ClipboardItem) {
      const plain = new Blob([text], { type: "text/plain" });
      const html = new Blob([asHtml(text)], { type: "text/html" });
      try {
        await navigator.clipboard.write([new ClipboardItem({ "text/plain": plain, "text/html": html })]);
        return true;
      } catch {
        // Refused by the browser's settings: the old way may still work.
      }
    }
    return copyOldWay(text);
  }

  async function copy(answer, form) {
    const text = answer?.copies?.[form];
    if (!text) return;
    const done = await write(text);
    if (done) document.dispatchEvent(new CustomEvent("copied", { detail: { answer, asked } }));
    clearTimeout(toastTimer);
    toast.textContent = done ? toast.dataset.done.replace("#", copyNames[form]) : toast.dataset.failed;
    toast.classList.add("shown");
    toastTimer = setTimeout(() => toast.classList.remove("shown"), TOAST_MS);
  }

  // ---- keys ----

  function toBox() {
    box.focus();
    box.select();
  }

  function toggleKeys(open = keys.hidden) {
    keys.hidden = !open;
    keysButton.setAttribute("aria-expanded", String(open));
  }

  function escape() {
    if (keys.hidden) select(-1);
    else toggleKeys(false);
  }

  // Keys that work everywhere. True when the key was used.
  function anywhere(event) {
    const ctrl = event.ctrlKey || event.metaKey;
    const digit = /^Digit([1-7])$/.exec(event.code);
    if (ctrl && !event.altKey && event.code === "KeyK") toBox();
    else if (ctrl && event.key === "Enter") whenFresh(() => copy(current(), "wechat"));
    else if (event.altKey && !ctrl && digit) whenFresh(() => copy(results[digit[1] - 1], "wechat"));
    else if (event.key === "Escape") escape();
    else return false;
    return true;
  }

  function inBox(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return false;
    if (event.key === "ArrowDown") move(1);
    else if (event.key === "ArrowUp") move(-1);
    else if (event.key === "Enter") whenFresh(() => current() && detail.focus());
    else return false;
    return true;
  }

  function outside(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    if (event.target.matches("input, textarea, select")) return false; // another field of the page is being filled
    const form = { 1: "sms", 2: "wechat", 3: "formal" }[event.key];
    if (event.key === "?" || event.key === "？") toggleKeys();
    else if (event.code === "Slash" || event.key === "/") toBox();
    else if (form && current()) copy(current(), form);
    else return false;
    return true;
  }

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || composing) return;
    const used = anywhere(event) || (event.target === box ? inBox(event) : outside(event));
    if (used) event.preventDefault();
  });

  box.addEventListener("compositionstart", () => {
    composing = true;
    clearTimeout(timer);
  });
  box.addEventListener("compositionend", () => setTimeout(() => {
    composing = false;
    schedule();
  }));
  box.addEventListener("input", (event) => {
    if (!event.isComposing) schedule();
  });
  keysButton.addEventListener("click", () => toggleKeys());

  const given = new URLSearchParams(location.search).get("q");
  if (given) box.value = given;
  box.focus();
  if (query()) search();
  else forget();
})();
