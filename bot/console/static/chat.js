// The web chat: sends a text, shows the reply, restores the conversation. All wording is in chat.html.
(() => {
  "use strict";

  const LIMIT = 2000;
  const WARN_BELOW = 200;
  const ROWS = 5;
  const TIMEOUT_MS = 30000;

  const byId = (id) => document.getElementById(id);
  const log = byId("log");
  const form = byId("composer");
  const input = byId("text");
  const button = byId("send");
  const left = byId("left");

  // A pointing device means a real keyboard; on a phone, focusing the box would raise the on-screen one.
  const desktop = window.matchMedia("(hover: hover) and (pointer: fine)").matches;

  const LOOK_MS = 15000;

  let busy = false;
  let newest = 0;
  let composing = false;

  const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);

  // randomUUID exists only on https and localhost, and offices reach this page over plain http.
  function newId() {
    if (crypto.randomUUID) return crypto.randomUUID();
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  // ---- showing ----

  function show(row) {
    log.append(row);
    // A long reply is read from its beginning.
    const room = window.innerHeight - form.offsetHeight - 100;
    if (row.offsetHeight > room) row.scrollIntoView();
    else toBottom();
    return row;
  }

  const toBottom = () => window.scrollTo(0, document.documentElement.scrollHeight);
  const atBottom = () => window.scrollY + window.innerHeight > document.documentElement.scrollHeight - 4;

  function retire() {
    for (const one of log.querySelectorAll(".actions [data-say]")) one.remove();
    for (const one of log.querySelectorAll(".options button")) one.disabled = true;
  }

  function said(text) {
    const row = clone("said");
    row.firstElementChild.textContent = text;
    return row;
  }

  function option({ label, value }) {
    const item = document.createElement("li");
    const one = document.createElement("button");
    one.type = "button";
    one.textContent = label;
    one.dataset.say = value;
    item.append(one);
    return item;
  }

  function link({ label, url }) {
    const item = document.createElement("li");
    const address = new URL(url, location.href);
    if (address.protocol !== "https:" && address.protocol !== "http:") return item;
    const one = document.createElement("a");
    one.textContent = label;
    one.href = address.href;
    one.target = "_blank";
    one.rel = "noopener";
    item.append(one);
    return item;
  }

  const LINE_CLASSES = { "“": "quote", "—": "source" };

  // The first line of a card is its conclusion; lines in quotation marks are the notice's own words.
  function fill(bubble, text, isCard) {
    const lines = text.split("\n");
    const opening = bubble.firstElementChild;
    opening.textContent = isCard ? lines.shift() : lines.splice(0).join("\n");
    opening.classList.toggle("conclusion", isCard);
    for (const line of lines) {
      const paragraph = document.createElement("p");
      paragraph.textContent = line;
      paragraph.className = LINE_CLASSES[line[0]] || "";
      bubble.append(paragraph);
    }
  }

  function reply({ text, options, links, kind, more }) {
    retire();
    const row = clone("reply");
    const isCard = kind === "answer" || kind === "abstain";
    fill(row.querySelector(".bubble"), text, isCard);
    row.querySelector(".links").append(...(links || []).map(link));
    row.querySelector(".options").append(...(options || []).map(option));
    const actions = row.querySelector(".actions");
    if (!isCard) actions.remove();
    else if (!more) actions.firstElementChild.remove();
    row.dataset.text = text;
    return row;
  }

  function failed(message, offline, resend) {
    const row = clone("failed");
    const words = row.querySelector("span");
    words.textContent = message || (offline ? words.dataset.offline : words.dataset.server);
    const again = row.querySelector("button");
    if (resend) again.addEventListener("click", resend);
    else again.remove();
    return row;
  }

  // ---- sending ----

  async function post(message) {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), TIMEOUT_MS);
    try {
      const response = await fetch("/chat", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(message),
        signal: control.signal,
      });
      const body = await response.json().catch(() => ({}));
      if (response.ok && body.reply) return { reply: body.reply };
      const hopeless = response.status >= 400 && response.status < 500 && ![408, 409, 425, 429].includes(response.status);
      return { error: body.error, hopeless };
    } catch {
      return { offline: true };
    } finally {
      clearTimeout(timer);
    }
  }

  function setBusy(value) {
    busy = value;
    button.disabled = value;
  }

  // The same message id goes with every attempt: the server answers a repeated one from its store.
  async function deliver(message, row) {
    setBusy(true);
    show(row);
    const waiting = show(clone("pending"));
    const result = await post(message);
    waiting.remove();
    setBusy(false);
    if (result.reply) {
      show(reply(result.reply));
    } else {
      const resend = () => {
        if (busy) return;
        notice.remove();
        deliver(message, row);
      };
      const notice = show(failed(result.error, result.offline, result.hopeless ? null : resend));
    }
    if (desktop) input.focus();
  }

  async function say(text, shown = text) {
    if (busy || !text.trim()) return false;
    setBusy(true);
    await restored;
    deliver({ message_id: newId(), text }, said(shown));
    return true;
  }

  // ---- the box ----

  function grow() {
    const stay = atBottom();
    const style = getComputedStyle(input);
    const line = parseFloat(style.lineHeight);
    const frame = input.offsetHeight - input.clientHeight;
    const padding = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight, line * ROWS + padding) + frame}px`;
    left.hidden = input.value.length < LIMIT - WARN_BELOW;
    left.querySelector("output").textContent = LIMIT - input.value.length;
    if (stay) toBottom();
  }

  async function submit() {
    const text = input.value.trim();
    if (busy || !text) return;
    input.value = "";
    grow();
    await say(text);
  }

  input.addEventListener("input", grow);
  input.addEventListener("compositionstart", () => {
    composing = true;
  });
  // Some browsers report the Enter that ends a composition just after compositionend: wait until it has passed.
  input.addEventListener("compositionend", () => setTimeout(() => {
    composing = false;
  }));
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    if (event.isComposing || event.keyCode === 229 || composing) return;
    event.preventDefault();
    submit();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });

  // ---- buttons in the conversation ----

  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      try {
        await navigator.clipboard.writeText(text);
        return true;
      } catch {
        // Refused by the browser's settings: the old way below may still work.
      }
    }
    const carrier = document.createElement("textarea");
    carrier.className = "unseen";
    carrier.value = text;
    document.body.append(carrier);
    carrier.select();
    const done = document.execCommand("copy");
    carrier.remove();
    return done;
  }

  log.addEventListener("click", async (event) => {
    const pressed = event.target.closest("button");
    if (!pressed) return;
    if (pressed.dataset.say !== undefined) {
      say(pressed.dataset.say, pressed.textContent);
    } else if (pressed.dataset.copy !== undefined) {
      const before = pressed.textContent;
      const done = await copy(pressed.closest("li").dataset.text);
      pressed.focus();
      pressed.textContent = done ? pressed.dataset.done : pressed.dataset.failed;
      setTimeout(() => {
        pressed.textContent = before;
      }, 2000);
    }
  });

  // ---- the beginning ----

  function optionLabel(value) {
    const buttons = [...log.querySelectorAll(".reply:last-child .options [data-say]")];
    return buttons.find((one) => one.dataset.say === value)?.textContent ?? value;
  }

  async function restore() {
    log.setAttribute("aria-busy", "true");
    log.append(reply({ kind: "chat", ...JSON.parse(log.dataset.welcome) }));
    try {
      const response = await fetch("/chat/history");
      if (!response.ok) throw new Error(response.status);
      for (const exchange of (await response.json()).exchanges) {
        if (exchange.said !== null) log.append(said(optionLabel(exchange.said)));
        log.append(reply(exchange.reply));
        newest = exchange.id;
      }
    } catch {
      log.append(clone("unrestored"));
    }
    if (log.children.length > 1) toBottom();
    log.removeAttribute("aria-busy");
  }

  // Messages that nobody asked for: an officer's answer, a reminder.
  async function look() {
    if (busy || document.hidden) return;
    const response = await fetch(`/chat/new?after=${newest}`).catch(() => null);
    if (!response?.ok || busy) return;
    for (const exchange of (await response.json()).exchanges) {
      if (exchange.id <= newest) continue;
      newest = exchange.id;
      show(reply(exchange.reply));
    }
  }

  const restored = restore();
  restored.then(() => setInterval(look, LOOK_MS));
  document.addEventListener("visibilitychange", look);
  const asked = new URLSearchParams(location.search);
  input.value = asked.get("q") || input.value;
  grow();
  // A scanned invitation: say its code, and take it out of the address so that a reload does not try it again.
  if (asked.get("bind")) {
    history.replaceState(null, "", location.pathname);
    say(`绑定 ${asked.get("bind")}`);
  }
  if (desktop) input.focus();
})();
