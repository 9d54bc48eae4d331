// Counts the audience of a broadcast while its conditions are chosen.
"use strict";

const form = document.querySelector("form[data-audience]");
const shown = document.getElementById("audience");
let waiting = 0;
let asked = 0;

async function count() {
  const mine = ++asked;
  const query = new URLSearchParams();
  for (const value of new FormData(form).getAll("condition[]")) if (value.trim()) query.append("condition[]", value);
  const answer = await fetch(`${form.dataset.audience}?${query}`);
  const words = await answer.text();
  if (answer.ok && mine === asked) shown.innerHTML = words; // our own page's part, escaped by the server
}

function later(event) {
  if (event.target.name !== "condition[]" || event.isComposing) return;
  clearTimeout(waiting);
  waiting = setTimeout(count, 250);
}

form.addEventListener("input", later);
form.addEventListener("compositionend", later);
count();
