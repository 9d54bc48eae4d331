// 热线坐席: the call log saves itself while it is written; keys finish a call or pass it on.
(() => {
  "use strict";

  const SAVE_MS = 500;
  const form = document.getElementById("call");
  const saved = document.getElementById("saved");
  const caller = document.getElementById("caller");
  const search = document.getElementById("q");
  const field = (name) => form.elements[name];
  let timer = 0;
  let saving = Promise.resolve();

  async function save() {
    clearTimeout(timer);
    const at = form.dataset.call;
    const data = new FormData(form);
    if (!field("phone").value) data.delete("phone"); // an empty box leaves the stored number as it is
    const response = await fetch(`/console/hotline/calls/${at}`, {
      method: "POST",
      body: data,
      headers: { Accept: "application/json" },
    }).catch(() => null);
    if (!response?.ok) {
      saved.textContent = saved.dataset.failed;
      return;
    }
    const told = await response.json();
    form.dataset.call = told.id;
    form.action = `/console/hotline/calls/${told.id}/finish`;
    history.replaceState(null, "", `?call=${told.id}`); // a reload shows the same call
    saved.textContent = saved.dataset.saved.replace("#", told.at);
  }

  // One after the other: a call must not begin twice.
  function queue() {
    saving = saving.then(save);
    return saving;
  }

  function soon() {
    clearTimeout(timer);
    timer = setTimeout(queue, SAVE_MS);
  }

  async function showCaller() {
    await queue();
    if (form.dataset.call === "new") return;
    const response = await fetch(`/console/hotline/calls/${form.dataset.call}/caller`).catch(() => null);
    if (response?.ok) caller.innerHTML = await response.text(); // our own page, escaped there
  }

  async function finish() {
    await queue();
    if (form.dataset.call === "new") return;
    if (!field("outcome").value) {
      saved.textContent = saved.dataset.undecided;
      field("outcome").focus();
      return;
    }
    HTMLFormElement.prototype.submit.call(form);
  }

  form.addEventListener("input", soon);
  for (const name of ["phone", "county"]) field(name).addEventListener("change", showCaller);

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    finish();
  });

  document.getElementById("same")?.addEventListener("click", (event) => {
    field("question").value = event.currentTarget.dataset.question;
    search.value = event.currentTarget.dataset.question;
    search.dispatchEvent(new Event("input", { bubbles: true }));
    queue();
  });

  function pass() {
    if (!field("question").value) field("question").value = search.value.trim();
    field("outcome").value = "转问";
    finish();
  }

  document.getElementById("pass").addEventListener("click", pass);

  document.addEventListener("copied", ({ detail }) => {
    const { answer, asked } = detail;
    if (!field("question").value) field("question").value = asked;
    const source = answer.citations?.[0]?.source ?? "";
    field("used").value = `${answer.headline}${source && `（${source}）`}`;
    if (!field("outcome").value) field("outcome").value = answer.kind === "abstain" ? "待回复" : "已答";
    queue();
  });

  const toTasks = () => document.querySelector("#tasks + .scroll button")?.focus();

  document.addEventListener("keydown", (event) => {
    if (!event.altKey || event.ctrlKey || event.metaKey || event.isComposing) return;
    const does = { KeyN: finish, KeyU: pass, KeyP: () => field("note").focus(), KeyT: toTasks }[event.code];
    if (does) {
      event.preventDefault();
      does();
    }
  });

  search.focus();
})();
