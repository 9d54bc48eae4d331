// The upload page: sends the chosen files one after the other, each with its progress. All wording is in upload.html.
(() => {
  "use strict";

  const byId = (id) => document.getElementById(id);
  const pledge = byId("pledge");
  const picker = byId("files");
  const list = byId("sent");
  const waiting = [];
  let busy = false;

  pledge.addEventListener("change", () => {
    picker.disabled = !pledge.checked;
  });

  function row(file) {
    const made = byId("row").content.firstElementChild.cloneNode(true);
    const state = made.querySelector(".state");
    made.querySelector(".name").textContent = file.name;
    state.textContent = state.dataset.waiting;
    made.querySelector("button").addEventListener("click", () => {
      waiting.push({ file, made });
      next();
    });
    list.append(made);
    return made;
  }

  // `again` says whether the same file may succeed another time.
  function settle(made, words, failed, again) {
    made.classList.toggle("failed", failed);
    made.classList.toggle("sent", !failed);
    made.querySelector(".state").textContent = words;
    made.querySelector("progress").hidden = failed;
    made.querySelector("button").hidden = !again;
    busy = false;
    if (!failed) byId("done").hidden = false;
    next();
  }

  // XMLHttpRequest, because fetch tells no upload progress in the browsers that offices have.
  function send({ file, made }) {
    const state = made.querySelector(".state");
    const bar = made.querySelector("progress");
    const request = new XMLHttpRequest();
    busy = true;
    if (file.size > Number(picker.dataset.most)) {
      settle(made, picker.dataset.large, true, false);
      return;
    }
    state.textContent = state.dataset.sending;
    bar.hidden = false;
    made.querySelector("button").hidden = true;
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) bar.value = (event.loaded / event.total) * 100;
    });
    request.addEventListener("load", () => {
      let answer = {};
      try {
        answer = JSON.parse(request.responseText);
      } catch {
        // A proxy's own page: the words for a failure will do.
      }
      if (request.status === 200) {
        bar.value = 100;
        settle(made, state.dataset.done, false, false);
      } else {
        const refused = request.status >= 400 && request.status < 500 && request.status !== 408;
        settle(made, answer.error || state.dataset.failed, true, !refused);
      }
    });
    for (const trouble of ["error", "timeout", "abort"]) {
      request.addEventListener(trouble, () => settle(made, state.dataset.failed, true, true));
    }
    request.open("POST", location.pathname);
    request.setRequestHeader("X-Name", encodeURIComponent(file.name));
    request.timeout = 300000;
    request.send(file);
  }

  function next() {
    if (!busy && waiting.length) send(waiting.shift());
  }

  picker.addEventListener("change", () => {
    for (const file of picker.files) waiting.push({ file, made: row(file) });
    picker.value = "";
    next();
  });
})();
